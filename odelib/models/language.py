"""Models of text: a causal language model and a classifier."""

import torch
import torch.nn.functional as F
from jaxtyping import Float, Shaped
from torch import Tensor, nn

from odelib.layers import Context, KeyValueCache, TokenEmbedding
from odelib.models.build import initialise, make_depth, make_norm
from odelib.models.config import CausalLMConfig, TextClassifierConfig
from odelib.models.decoding import Reader, reading, sample
from odelib.models.pretrained import Pretrained


class CausalLM(Pretrained, nn.Module):
    """Causal language model (Radford et al. 2019, GPT-2) as an initial-value problem.

    x(0) = embed(tokens), dx/dt = A(t, x) + M(t, x) with causal attention, logits = head(LN x(T)).

    Input: (batch, tokens), integers. Output: logits of each next token, (batch, tokens, vocab_size).

    On steps of fixed size, no logit depends on a later token. With ``config.tolerance`` all tokens share the steps that
    the largest of their errors allows, so that a later token can change earlier logits, by as much as the tolerance
    permits.

    Args:
        config: What is solved, how, and over which depth.
    """

    def __init__(self, config: CausalLMConfig) -> None:
        super().__init__()
        self.config = config
        rotary = config.positions == "rotary"
        self.embed = TokenEmbedding(config.vocab_size, config.dim, config.max_tokens, positions=not rotary)
        self.depth = make_depth(config, causal=True, rotary=rotary)
        self.norm = make_norm(config)
        self.head = None if config.tied else nn.Linear(config.dim, config.vocab_size, bias=False)
        initialise(self)

    @property
    def nfe(self) -> float:
        """Field evaluations per forward pass."""
        return self.depth.nfe

    def forward(
        self,
        tokens: Shaped[Tensor, "batch tokens"],
        record: list[Tensor] | None = None,
        *,
        cache: KeyValueCache | None = None,
    ) -> Float[Tensor, "batch tokens vocab"]:
        """Return the logits.

        Args:
            tokens: The tokens; with a cache, those after the ones that it has.
            record: A list to which the state (batch, tokens, dim) at time 0 and after each step is appended.
            cache: Keys and values of the tokens read before; it takes those of these tokens.

        Raises:
            TypeError: The tokens are not integers.
            ValueError: The sequence is longer than the positions.
        """
        x = self.embed(tokens, start=0 if cache is None else cache.length)
        if record is not None:
            record.append(x)
        x = self.norm(self.depth(x, record, context=None if cache is None else Context(cache=cache)))
        return F.linear(x, self.embed.token.weight) if self.head is None else self.head(x)

    def generate(
        self,
        prompt: Shaped[Tensor, "batch tokens"],
        new_tokens: int,
        *,
        temperature: float = 0.0,
        top_k: int | None = None,
        generator: torch.Generator | None = None,
        cached: bool = True,
    ) -> Shaped[Tensor, "batch all_tokens"]:
        """Return the prompts with ``new_tokens`` tokens after each.

        Args:
            prompt: At least one token per row, and equally many in all rows.
            new_tokens: Number of tokens to draw.
            temperature: Divides the logits. 0: the most probable token is taken.
            top_k: Draw from the k most probable tokens only. None: from all.
            generator: The random state to draw from.
            cached: Whether keys and values of what was read are kept; the tokens are the same. Not where steps are
                chosen by the error.

        Raises:
            ValueError: A number is out of its range, or the texts would be longer than the positions.
        """
        length = prompt.shape[1] + new_tokens
        if length > self.config.max_tokens:
            raise ValueError(
                f"{prompt.shape[1]} tokens and {new_tokens} new ones are {length}, the model has positions for "
                f"{self.config.max_tokens}: shorten the prompt, or ask for fewer"
            )
        cached = cached and self.depth.control is None  # steps chosen by the error differ from pass to pass
        reader = Reader(lambda tokens, cache: self(tokens, cache=cache), length, cached)
        with reading(self):
            return sample(reader, prompt, new_tokens, temperature=temperature, top_k=top_k, generator=generator)


class TextClassifier(Pretrained, nn.Module):
    """Text classifier: logits = head(mean over the tokens of LN x(T)).

    Input: (batch, tokens), integers. Output: logits, (batch, num_classes).

    Args:
        config: What is solved, how, and over which depth.
    """

    def __init__(self, config: TextClassifierConfig) -> None:
        super().__init__()
        self.config = config
        rotary = config.positions == "rotary"
        self.embed = TokenEmbedding(config.vocab_size, config.dim, config.max_tokens, positions=not rotary)
        self.depth = make_depth(config, rotary=rotary)
        self.norm = make_norm(config)
        self.head = nn.Linear(config.dim, config.num_classes)
        initialise(self)

    @property
    def nfe(self) -> float:
        """Field evaluations per forward pass."""
        return self.depth.nfe

    def forward(
        self,
        tokens: Shaped[Tensor, "batch tokens"],
        mask: Shaped[Tensor, "rows columns"] | None = None,
        record: list[Tensor] | None = None,
    ) -> Float[Tensor, "batch classes"]:
        """Return the logits.

        Args:
            tokens: The tokens.
            mask: Boolean, (batch, tokens), False where a token is padding. None: nothing is padded.
            record: A list to which the state (batch, tokens, dim) at time 0 and after each step is appended.

        Raises:
            TypeError: The tokens are not integers, or the mask is not boolean.
            ValueError: The sequence is longer than the positions, or the mask is not of the shape of the tokens.
        """
        context = None if mask is None else Context(mask)
        x = self.embed(tokens)
        if record is not None:
            record.append(x)
        x = self.norm(self.depth(x, record, context=context))
        if mask is None:
            return self.head(x.mean(dim=1))  # type: ignore[no-any-return]
        total = (x * mask[:, :, None]).sum(dim=1)
        return self.head(total / mask.sum(dim=1, keepdim=True).clamp(min=1))  # type: ignore[no-any-return]
