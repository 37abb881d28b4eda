"""The configuration of a vision transformer: every architecture of the book is a value of it."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

from odelib.layers import DepthSchedule
from odelib.names import check_keys, choose
from odelib.solvers import step_rule


@dataclass(frozen=True)
class ViTConfig:
    """A vision transformer read as an initial-value problem: what is solved, how, and over which depth.

    The usual pre-norm layer is ``step_rule="lie-trotter"``, the parallel layer ``step_rule="euler"``; weights
    shared by all of L layers are ``intervals=1, steps=L``.

    Raises:
        ValueError: A value is out of its range or contradicts another; the sentence says which and what to do.
    """

    image_size: int = 28
    """Side of the square image, in pixels."""
    patch_size: int = 7
    """Side of a patch, in pixels; divides image_size."""
    in_channels: int = 1
    """Channels of the image: 1 grey, 3 colour."""
    num_classes: int = 10
    """Number of classes."""
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
    pool: Literal["mean", "class"] = "mean"
    """What the head reads: the mean of all tokens, or a class token."""
    qkv_bias: bool = True
    """Whether queries, keys and values have a bias."""
    dropout: float = 0.0
    """Dropout on the output of each term, drawn once per step."""
    drop_path: float = 0.0
    """Stochastic depth: probability of dropping a term at the last interval, growing linearly from 0 at the first."""

    def __post_init__(self) -> None:
        step_rule(self.step_rule)
        choose(self.pool, ("mean", "class"), "pool")
        _ = self.schedule  # raises where intervals, steps or step_size are out of range
        for name in ("image_size", "patch_size", "in_channels", "num_classes", "dim", "num_heads"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}: it must be at least 1")
        for name in ("dropout", "drop_path"):
            if not 0.0 <= getattr(self, name) < 1.0:
                raise ValueError(f"{name} is {getattr(self, name)}: it is a probability, choose it in [0, 1)")
        if int(self.dim * self.mlp_ratio) < 1:
            raise ValueError(f"mlp_ratio is {self.mlp_ratio}: the MLP would have no hidden unit, choose it larger")
        if self.image_size % self.patch_size:
            raise ValueError(
                f"image_size {self.image_size} is not divisible by patch_size {self.patch_size}: "
                "choose a patch_size that divides it"
            )
        if self.dim % self.num_heads:
            raise ValueError(
                f"dim {self.dim} is not divisible by num_heads {self.num_heads}: "
                "choose num_heads among the divisors of dim"
            )

    @property
    def schedule(self) -> DepthSchedule:
        """The depth schedule."""
        return DepthSchedule(self.intervals, self.steps, self.step_size)

    @classmethod
    def deit_tiny(cls, **changes: Any) -> "ViTConfig":
        """Return DeiT-Ti (Touvron et al. 2021, arXiv 2012.12877): 12 usual layers, dim 192, 3 heads, 224 pixels.

        Args:
            **changes: Fields that differ, such as ``step_rule="euler"`` for its parallel version.
        """
        values: dict[str, Any] = {
            "image_size": 224,
            "patch_size": 16,
            "in_channels": 3,
            "num_classes": 1000,
            "dim": 192,
            "num_heads": 3,
            "mlp_ratio": 4.0,
            "step_rule": "lie-trotter",
            "intervals": 12,
            "pool": "class",
        }
        return cls(**(values | changes))

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain values, ready for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "ViTConfig":
        """Make a configuration from `to_dict`'s values.

        Raises:
            ValueError: A key is unknown; the sentence gives the nearest valid one.
        """
        check_keys(values, (field.name for field in fields(cls)), "ViTConfig field")
        return cls(**values)
