"""The encoder-decoder: one text read as a whole, another written from it."""

import torch
import torch.nn.functional as F
from jaxtyping import Float, Shaped
from torch import Tensor, nn

from odelib.layers import Context, KeyValueCache, TokenEmbedding
from odelib.models.build import initialise, make_depth, make_norm
from odelib.models.config import EncoderDecoderConfig
from odelib.models.decoding import Reader, beam_search, reading
from odelib.models.pretrained import Pretrained


class EncoderDecoder(Pretrained, nn.Module):
    """Encoder-decoder (Vaswani et al. 2017, arXiv 1706.03762) as two initial-value problems.

    The encoder's is dx/dt = A(x) + M(x) from the source; its end is the memory m of the decoder's,
    dy/dt = A(y) + C(y, m) + M(y) from the target so far, with causal A. The usual decoder layer is a Lie-Trotter step
    over these three terms. The embedding serves the source, the target and, as its weight, the head.

    Input: (batch, source tokens) and (batch, target tokens), integers.
    Output: logits of each next target token, (batch, target tokens, vocab_size).

    Args:
        config: What is solved, how, and over which depth; the same for both halves.
    """

    def __init__(self, config: EncoderDecoderConfig) -> None:
        super().__init__()
        self.config = config
        rotary = config.positions == "rotary"
        self.embed = TokenEmbedding(config.vocab_size, config.dim, config.max_tokens, positions=not rotary)
        self.encoder = make_depth(config, rotary=rotary)
        self.encoder_norm = make_norm(config)
        self.decoder = make_depth(config, causal=True, rotary=rotary, cross=True)
        self.norm = make_norm(config)
        initialise(self)

    @property
    def nfe(self) -> float:
        """Field evaluations per forward pass, of the encoder's field and of the decoder's together."""
        return self.encoder.nfe + self.decoder.nfe

    def forward(
        self,
        source: Shaped[Tensor, "batch source_tokens"],
        target: Shaped[Tensor, "batch target_tokens"],
        source_mask: Shaped[Tensor, "rows columns"] | None = None,
    ) -> Float[Tensor, "batch target_tokens vocab"]:
        """Return the logits.

        Args:
            source: The text to translate.
            target: The translation so far. Padding at its end needs no mask: nothing before it reads it.
            source_mask: Boolean, (batch, source tokens), False where a token is padding. None: nothing is padded.

        Raises:
            TypeError: Tokens are not integers, or the mask is not boolean.
            ValueError: A sequence is longer than the positions, or the mask is not of the shape of the source.
        """
        return self.decode(target, self.encode(source, source_mask))

    def encode(self, source: Tensor, mask: Tensor | None = None) -> Context:
        """Return what the decoder reads of the source: memory (batch, tokens, dim) and mask."""
        context = None if mask is None else Context(mask)
        return Context(mask, self.encoder_norm(self.encoder(self.embed(source), context=context)))

    def decode(self, target: Tensor, memory: Context, cache: KeyValueCache | None = None) -> Tensor:
        """Return the logits, (batch, tokens, vocab), of the target; with a cache, of those tokens after its own."""
        x = self.embed(target, start=0 if cache is None else cache.length)
        read = Context(memory.mask, memory.memory, cache)
        x = self.norm(self.decoder(x, context=Context(cache=cache), memory=read))
        return F.linear(x, self.embed.token.weight)

    def translate(
        self,
        source: Shaped[Tensor, "batch tokens"],
        source_mask: Shaped[Tensor, "rows columns"] | None = None,
        *,
        start: int,
        end: int,
        beams: int = 1,
        max_tokens: int | None = None,
        length_penalty: float = 0.0,
        cached: bool = True,
    ) -> tuple[Shaped[Tensor, "batch target_tokens"], Float[Tensor, " batch"]]:
        """Return translations, filled up with ``end``, and their log-probabilities; see `beam_search`.

        Args:
            source: The texts to translate.
            source_mask: As in `forward`.
            start: The token that starts a target.
            end: The token that ends it.
            beams: Texts kept in each step; 1 is greedy search.
            max_tokens: The most tokens of a target, ``start`` and ``end`` counted. None: as many as positions.
            length_penalty: As in `beam_search`.
            cached: Whether keys and values are kept from token to token; the result is the same. Not where steps are
                chosen by the error.

        Raises:
            ValueError: A number is out of its range.
        """
        limit = self.config.max_tokens if max_tokens is None else max_tokens
        with reading(self):
            memory = self.encode(source, source_mask)
            assert memory.memory is not None
            rows = torch.arange(len(source), device=source.device).repeat_interleave(max(beams, 1))
            wide = Context(None if memory.mask is None else memory.mask[rows], memory.memory[rows])
            cached = cached and self.decoder.control is None  # steps chosen by the error differ from pass to pass
            reader = Reader(lambda tokens, cache: self.decode(tokens, wide, cache), max(limit, 1), cached)
            first = torch.full((len(source), 1), start, device=source.device)
            return beam_search(reader, first, end=end, beams=beams, max_tokens=limit, length_penalty=length_penalty)
