"""Configurations: every architecture of the book is a value of one of these classes."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, TypeVar

from odelib.layers import DepthSchedule
from odelib.layers.attention import check_rotary, width_of_head
from odelib.layers.embedding import check_patches
from odelib.layers.field import NORMS, PLACES, check_rates
from odelib.layers.mlp import ACTIVATIONS
from odelib.models.fields import FIELDS
from odelib.names import check_keys, choose
from odelib.solvers import GRADIENTS, step_rule

Config = TypeVar("Config", bound="TransformerConfig")

Value = Any
"""A plain value, as JSON and YAML have it."""


@dataclass(frozen=True)
class TransformerConfig:
    """A transformer read as an initial-value problem: what is solved, how, and over which depth.

    The usual pre-norm layer is ``step_rule="lie-trotter"``, the parallel layer ``step_rule="euler"``; weights
    shared by all of L layers are ``intervals=1, steps=L``.

    Raises:
        ValueError: A value is out of its range or contradicts another; the sentence says which and what to do.
    """

    dim: int = 64
    """Width of a token; divisible by num_heads."""
    num_heads: int = 4
    """Attention heads."""
    mlp_ratio: float = 4.0
    """Hidden width of the MLP in units of dim."""
    step_rule: str = "euler"
    """How the field is integrated: euler (parallel layer), lie-trotter (usual layer), strang, midpoint, heun, rk4."""
    intervals: int = 4
    """Number of distinct weight sets along depth."""
    steps: int = 1
    """Steps of the method with each weight set (weight sharing when more than 1)."""
    step_size: float = 1.0
    """Step size h of the method."""
    tolerance: float | None = None
    """Relative and absolute tolerance, to which steps are chosen by an error estimate. None: steps of step_size."""
    gradient: Literal["backprop", "checkpoint", "adjoint", "reversible"] = "backprop"
    """How the solution is differentiated: less memory costs time, and with adjoint accuracy."""
    weights: Literal["piecewise", "linear", "fourier"] = "piecewise"
    """How the weights depend on depth: constant per interval, linear between knots, or a Fourier series."""
    learn_step_size: bool = False
    """Whether each interval learns a positive factor of its step size."""
    qkv_bias: bool = True
    """Whether queries, keys and values have a bias."""
    proj_bias: bool = True
    """Whether the projection of attention's heads has a bias."""
    qk_norm: bool = False
    """Whether each head's queries and keys are normalised."""
    norm: Literal["layer", "rms"] = "layer"
    """The normalisation: LayerNorm or RMSNorm."""
    norm_place: Literal["pre", "shared", "post"] = "pre"
    """One norm before each term, one shared by all terms, or one after each residual sum (for step size 1 only)."""
    norm_eps: float = 1e-6
    """Added to the variance in all norms."""
    activation: Literal["gelu", "gelu-tanh", "swiglu"] = "gelu"
    """The MLP's activation."""
    dropout: float = 0.0
    """Dropout on the output of each term, drawn once per step."""
    drop_path: float = 0.0
    """Stochastic depth: probability of dropping a term at the last interval, growing linearly from 0 at the first."""
    field: str = "transformer"
    """What is integrated: transformer, fused (the same by two matrix products), or a name of `register_field`."""

    def __post_init__(self) -> None:
        step_rule(self.step_rule)
        if self.tolerance is not None and not self.tolerance > 0.0:
            raise ValueError(f"tolerance is {self.tolerance}: choose it greater than 0, such as 0.001, or None")
        for name, names in (
            ("gradient", GRADIENTS),
            ("norm", NORMS),
            ("norm_place", PLACES),
            ("activation", ACTIVATIONS),
        ):
            choose(getattr(self, name), names, name)
        choose(self.field, FIELDS, "registered field")
        _ = self.schedule  # raises where intervals, steps, step_size or weights are out of range
        self._at_least_one("dim", "num_heads")
        check_rates(dropout=self.dropout, drop_path=self.drop_path)
        if int(self.dim * self.mlp_ratio) < 1:
            raise ValueError(f"mlp_ratio is {self.mlp_ratio}: the MLP would have no hidden unit, choose it larger")
        width_of_head(self.dim, self.num_heads)

    def _at_least_one(self, *names: str) -> None:
        for name in names:
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}: it must be at least 1")

    @property
    def schedule(self) -> DepthSchedule:
        """The depth schedule."""
        return DepthSchedule(self.intervals, self.steps, self.step_size, self.weights)

    def to_dict(self) -> dict[str, Value]:
        """Return the fields as plain values, ready for JSON or YAML."""
        return asdict(self)

    @classmethod
    def from_dict(cls: type[Config], values: Mapping[str, Value]) -> Config:
        """Make a configuration from `to_dict`'s values; missing keys take their defaults.

        Raises:
            ValueError: A key is unknown; the sentence gives the nearest valid one.
        """
        check_keys(values, (field.name for field in fields(cls)), f"{cls.__name__} field")
        return cls(**values)


@dataclass(frozen=True)
class ViTConfig(TransformerConfig):
    """A vision transformer (Dosovitskiy et al. 2021, arXiv 2010.11929)."""

    image_size: int = 28
    """Side of the square image, in pixels."""
    patch_size: int = 7
    """Side of a patch, in pixels; divides image_size."""
    in_channels: int = 1
    """Channels of the image: 1 grey, 3 colour."""
    num_classes: int = 10
    """Number of classes."""
    pool: Literal["mean", "class"] = "mean"
    """What the head reads: the mean of all tokens, or a class token."""
    stem: Literal["patch", "conv"] = "patch"
    """How pixels become tokens: one linear map of each patch, or some 3x3 convolutions of stride 2."""

    def __post_init__(self) -> None:
        super().__post_init__()
        choose(self.pool, ("mean", "class"), "pool")
        self._at_least_one("image_size", "patch_size", "in_channels", "num_classes")
        check_patches(self.image_size, self.patch_size, self.stem)

    @classmethod
    def preset(cls, name: str, **changes: Value) -> "ViTConfig":
        """Return a named configuration.

        Args:
            name: "deit-tiny", "deit-small" or "deit-base" (Touvron et al. 2021, arXiv 2012.12877; 224 pixels, 1000
                classes); with "-32" after it for 32 pixels in patches of 4 and 10 classes; "micro" or "mini" for
                28 grey pixels on a CPU.
            **changes: Fields that differ, such as ``step_rule="euler"`` for the parallel version.

        Raises:
            ValueError: The name is unknown; the sentence gives the nearest valid one.
        """
        return cls(**(_VITS[choose(name, _VITS, "preset")] | changes))

    @classmethod
    def deit_tiny(cls, **changes: Value) -> "ViTConfig":
        """Return ``preset("deit-tiny", **changes)``: 12 usual layers, dim 192, 3 heads, 224 pixels."""
        return cls.preset("deit-tiny", **changes)


def _deit(dim: int, num_heads: int, **size: int) -> dict[str, Any]:
    usual = {"step_rule": "lie-trotter", "intervals": 12, "pool": "class", "in_channels": 3}
    return {"dim": dim, "num_heads": num_heads, **usual, **size}


_IMAGENET = {"image_size": 224, "patch_size": 16, "num_classes": 1000}
_CIFAR = {"image_size": 32, "patch_size": 4, "num_classes": 10}
_WIDTHS = {"deit-tiny": (192, 3), "deit-small": (384, 6), "deit-base": (768, 12)}
_VITS: dict[str, dict[str, Any]] = {
    **{name: _deit(*width, **_IMAGENET) for name, width in _WIDTHS.items()},
    **{f"{name}-32": _deit(*width, **_CIFAR) for name, width in _WIDTHS.items()},
    "micro": {"dim": 32, "num_heads": 2, "mlp_ratio": 2.0, "intervals": 2},
    "mini": {},
}


@dataclass(frozen=True)
class _TextConfig(TransformerConfig):
    """What all models of text have."""

    vocab_size: int = 256
    """Number of different tokens; 256 for bytes."""
    max_tokens: int = 128
    """Longest sequence, in tokens."""
    positions: Literal["learned", "rotary"] = "learned"
    """How places enter: a learned vector per place, or by turning queries and keys."""
    rotary_dim: int | None = None
    """How many entries of each head are turned, an even number. None: all."""
    rotary_base: float = 10_000.0
    """Sets the slowest angle by which they are turned, larger for longer texts."""

    def __post_init__(self) -> None:
        super().__post_init__()
        choose(self.positions, ("learned", "rotary"), "kind of positions")
        self._at_least_one("vocab_size", "max_tokens")
        if self.positions == "rotary":
            check_rotary(width_of_head(self.dim, self.num_heads), self.rotary_dim)
        elif self.rotary_dim is not None:
            raise ValueError(
                f"rotary_dim is {self.rotary_dim}, but positions are {self.positions!r}: write positions='rotary', or "
                "leave rotary_dim out"
            )
        if not self.rotary_base > 0.0:
            raise ValueError(f"rotary_base is {self.rotary_base}: choose it greater than 0, such as 10000")


@dataclass(frozen=True)
class CausalLMConfig(_TextConfig):
    """A causal language model: the next token from all before it."""

    tied: bool = True
    """Whether the head's weight is that of the token embedding."""
    head_bias: bool = False
    """Whether the head has a bias."""

    @classmethod
    def preset(cls, name: str, **changes: Value) -> "CausalLMConfig":
        """Return a named configuration.

        Args:
            name: "gpt2" (Radford et al. 2019) or "micro", for bytes on a CPU.
            **changes: Fields that differ.

        Raises:
            ValueError: The name is unknown; the sentence gives the nearest valid one.
        """
        return cls(**(_LANGUAGE_MODELS[choose(name, _LANGUAGE_MODELS, "preset")] | changes))


_LANGUAGE_MODELS: dict[str, dict[str, Any]] = {
    "gpt2": {
        "dim": 768,
        "num_heads": 12,
        "step_rule": "lie-trotter",
        "intervals": 12,
        "norm_eps": 1e-5,
        "activation": "gelu-tanh",
        "vocab_size": 50257,
        "max_tokens": 1024,
    },
    "micro": {"dim": 32, "num_heads": 2, "mlp_ratio": 2.0, "intervals": 2, "max_tokens": 64},
}


@dataclass(frozen=True)
class TextClassifierConfig(_TextConfig):
    """A text classifier: a class from the mean of all tokens."""

    num_classes: int = 2
    """Number of classes."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self._at_least_one("num_classes")


@dataclass(frozen=True)
class EncoderDecoderConfig(_TextConfig):
    """An encoder-decoder for translation; both halves have the same field, step rule and schedule.

    ``vocab_size`` counts the tokens of the source and of the target together, as for a vocabulary made from both.
    """
