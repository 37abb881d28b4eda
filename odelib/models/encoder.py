"""Encoders of the kind of BERT: all tokens read all others, and a hidden token is guessed from the rest."""

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float, Shaped
from torch import Tensor, nn

from odelib.layers import Context, TokenEmbedding
from odelib.layers.field import NORMS
from odelib.layers.mlp import ACTIVATIONS
from odelib.models.build import initialise, make_depth
from odelib.models.config import _TextConfig


@dataclass(frozen=True)
class EncoderConfig(_TextConfig):
    """An encoder with post-norm layers (Devlin et al. 2019, BERT; Lan et al. 2020, ALBERT, whose layers share weights).

    The layers are a Lie-Trotter step over attention and MLP; with distinct weights there are ``intervals`` of one step,
    with shared ones 1 interval of many ``steps``.
    """

    step_rule: str = "lie-trotter"
    """How the field is integrated; lie-trotter is BERT's layer."""
    norm_place: Literal["pre", "shared", "post"] = "post"
    """The norm comes after each residual sum."""
    norm_eps: float = 1e-12
    """Added to the variance in all norms."""
    embed_dim: int | None = None
    """Width of the token embedding, from which a linear map leads to ``dim`` (ALBERT's). None: it is ``dim``."""
    head: bool = True
    """Whether there is a head that guesses hidden tokens; its last map is the token embedding's, transposed."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.positions != "learned":
            raise ValueError(f"positions is {self.positions!r}: an encoder has learned ones, so leave it out")
        if self.embed_dim is not None:
            self._at_least_one("embed_dim")


class Encoder(nn.Module):
    """An encoder as an initial-value problem: x(0) = embed(tokens), and what is read off is x(T) of each token.

    Input: (batch, tokens), integers. Output: states, (batch, tokens, dim).

    It is made to hold the weights of others (see `load_network`) and is not trained here. Texts are single: of BERT's
    vectors for two segments there is the first.

    Args:
        config: What is solved, how, and over which depth.
    """

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.config = config
        width = config.embed_dim or config.dim

        def norm(size: int) -> nn.Module:
            return NORMS[config.norm](size, eps=config.norm_eps)

        self.embed = TokenEmbedding(config.vocab_size, width, config.max_tokens)
        self.embed_segment = nn.Parameter(torch.zeros(width))
        self.embed_norm = norm(width)
        self.embed_proj = None if config.embed_dim is None else nn.Linear(width, config.dim)
        self.depth = make_depth(config)
        self.head = None
        if config.head:
            self.head = nn.Sequential(nn.Linear(config.dim, width), ACTIVATIONS[config.activation](), norm(width))
        self.head_bias = nn.Parameter(torch.zeros(config.vocab_size)) if config.head else None
        initialise(self)

    def start(self, tokens: Shaped[Tensor, "batch tokens"]) -> Float[Tensor, "batch tokens dim"]:
        """Return the states at time 0.

        Raises:
            TypeError: The tokens are not integers.
            ValueError: The sequence is longer than the positions.
        """
        x: Tensor = self.embed_norm(self.embed(tokens) + self.embed_segment)
        return x if self.embed_proj is None else self.embed_proj(x)

    def forward(
        self,
        tokens: Shaped[Tensor, "batch tokens"],
        mask: Shaped[Tensor, "rows columns"] | None = None,
        record: list[Tensor] | None = None,
    ) -> Float[Tensor, "batch tokens dim"]:
        """Return the states at the end of depth; those of padding mean nothing.

        Args:
            tokens: The tokens, the marks at both ends among them.
            mask: Boolean, (batch, tokens), False where a token is padding. None: nothing is padded.
            record: A list to which the state (batch, tokens, dim) at time 0 and after each step is appended.

        Raises:
            TypeError: The tokens are not integers, or the mask is not boolean.
            ValueError: The sequence is longer than the positions, or the mask is not of the shape of the tokens.
        """
        x = self.start(tokens)
        if record is not None:
            record.append(x)
        return self.depth(x, record, context=None if mask is None else Context(mask))  # type: ignore[no-any-return]

    def logits(self, states: Float[Tensor, "batch tokens dim"]) -> Float[Tensor, "batch tokens vocab"]:
        """Return the logits of the token at each place, for states that `forward` returned.

        Raises:
            ValueError: The encoder has no head.
        """
        if self.head is None:
            raise ValueError("this encoder has no head that guesses hidden tokens: take a network that has one")
        return F.linear(self.head(states), self.embed.token.weight, self.head_bias)
