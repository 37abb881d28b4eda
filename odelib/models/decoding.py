"""From the logits of the next token to a text: sampling, and beam search, of which greedy search is one beam."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from odelib.layers import KeyValueCache
from odelib.modes import evaluation


class Reader:
    """Reads tokens as they come and tells the logits of the next.

    Args:
        logits: (tokens, cache) -> logits of all places, (batch, tokens, vocab).
        capacity: The most tokens that will be read.
        cached: Whether what was read is kept as keys and values; else it is read anew each time.
    """

    def __init__(
        self, logits: Callable[[Tensor, KeyValueCache | None], Tensor], capacity: int, cached: bool = True
    ) -> None:
        self._logits = logits
        self._cache = KeyValueCache(capacity) if cached else None
        self._seen: Tensor | None = None

    def read(self, tokens: Tensor) -> Tensor:
        """Read (batch, new) tokens and return the next one's logits, (batch, vocab)."""
        if self._cache is not None:
            return self._logits(tokens, self._cache)[:, -1]
        self._seen = tokens if self._seen is None else torch.cat([self._seen, tokens], dim=1)
        return self._logits(self._seen, None)[:, -1]

    def select(self, rows: Tensor) -> None:
        """Make row ``rows[i]`` of what was read its row i."""
        if self._cache is not None:
            self._cache.select(rows)
        elif self._seen is not None:
            self._seen = self._seen[rows]


@contextmanager
def reading(model: nn.Module) -> Iterator[None]:
    """Context in which the model is in evaluation mode and records no gradient."""
    with evaluation(model), torch.no_grad():
        yield


def sample(
    reader: Reader,
    prompt: Tensor,
    new_tokens: int,
    *,
    temperature: float = 0.0,
    top_k: int | None = None,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Return the prompts (batch, tokens) with ``new_tokens`` tokens after each, drawn one after the other.

    Args:
        reader: Gives the logits.
        prompt: At least one token per row, and equally many in all rows.
        new_tokens: Number of tokens to draw.
        temperature: Divides the logits. 0: the most probable token is taken.
        top_k: Draw from the k most probable tokens only. None: from all.
        generator: The random state to draw from.

    Raises:
        ValueError: The prompt is empty, the temperature is negative, or ``new_tokens`` or ``top_k`` less than 1.
    """
    if prompt.shape[1] < 1:
        raise ValueError("the prompt has no token: begin with one, such as the token that starts a text")
    if not temperature >= 0.0:
        raise ValueError(f"temperature is {temperature}: choose 0 for the most probable token, or a positive number")
    for name, value in (("new_tokens", new_tokens), ("top_k", top_k)):
        if value is not None and value < 1:
            raise ValueError(f"{name} is {value}: it must be at least 1")
    tokens, new = prompt, prompt
    for _ in range(new_tokens):
        new = _draw(reader.read(new), temperature, top_k, generator)
        tokens = torch.cat([tokens, new], dim=1)
    return tokens


def _draw(logits: Tensor, temperature: float, top_k: int | None, generator: torch.Generator | None) -> Tensor:
    if temperature == 0.0:
        return logits.argmax(dim=1, keepdim=True)
    if top_k is not None and top_k < logits.shape[1]:
        least = logits.topk(top_k, dim=1).values[:, -1:]
        logits = logits.masked_fill(logits < least, -torch.inf)
    return torch.multinomial((logits / temperature).softmax(dim=1), 1, generator=generator)


def beam_search(
    reader: Reader,
    first: Tensor,
    *,
    end: int,
    beams: int = 1,
    max_tokens: int,
    length_penalty: float = 0.0,
) -> tuple[Tensor, Tensor]:
    """Return the most probable continuations that were found; with one beam this is greedy search.

    In each step every kept text is continued by every token, and the ``beams`` most probable ones are kept. Texts
    that have ended stay as they are and compete with the others.

    Args:
        reader: Gives the logits; its rows are ``beams`` per text, side by side.
        first: (batch, 1), the token that each text starts with.
        end: The token that ends a text.
        beams: Number of texts kept.
        max_tokens: The most tokens of a text, its first and its end counted.
        length_penalty: Exponent a of ((5 + length) / 6)^a, which divides the log-probability of each kept text
            before the best is chosen (Wu et al. 2016, arXiv 1609.08144, equation 14). 0: longer texts pay in full.

    Returns:
        Texts, (batch, tokens), filled up with ``end``; and their log-probabilities, (batch,).

    Raises:
        ValueError: ``beams`` is less than 1, or ``max_tokens`` less than 2.
    """
    if beams < 1 or max_tokens < 2:
        raise ValueError(f"beams is {beams} and max_tokens {max_tokens}: give at least 1 beam and 2 tokens")
    batch, device = len(first), first.device
    tokens = first.repeat_interleave(beams, dim=0)  # (batch * beams, length)
    scores = torch.full((batch, beams), -torch.inf, device=device)
    scores[:, 0] = 0.0  # all beams start as the same text: one of them counts
    ended = torch.zeros(batch, beams, dtype=torch.bool, device=device)
    offsets = torch.arange(batch, device=device)[:, None] * beams
    while tokens.shape[1] < max_tokens and not bool(ended.all()):
        logits = reader.read(tokens[:, -1:])
        steps = logits.log_softmax(dim=1, dtype=torch.promote_types(logits.dtype, torch.float32))
        vocab = steps.shape[1]
        only_end = torch.full((vocab,), -torch.inf, device=device).index_fill(0, torch.tensor(end, device=device), 0.0)
        steps = torch.where(ended[:, :, None], only_end, steps.view(batch, beams, vocab))
        scores, index = (scores[:, :, None] + steps).flatten(1).topk(beams, dim=1)
        rows = (index // vocab + offsets).flatten()
        reader.select(rows)
        tokens = torch.cat([tokens[rows], (index % vocab).view(-1, 1)], dim=1)
        ended = ended.flatten()[rows].view(batch, beams) | (index % vocab == end)
    lengths = (tokens[:, 1:] != end).sum(dim=1).view(batch, beams) + ended
    best = (scores / ((5 + lengths) / 6) ** length_penalty).argmax(dim=1)
    return tokens[best + offsets[:, 0]], scores.gather(1, best[:, None])[:, 0]
