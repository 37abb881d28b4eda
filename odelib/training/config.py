"""The one configuration of a training run: what is learned, from what, and by which recipe."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from odelib.models import ViTConfig
from odelib.names import check_keys, choose

PRECISIONS = ("auto", "float32", "bfloat16")


@dataclass(frozen=True)
class TrainConfig:
    """A run, completely: two runs with equal configurations on one machine give equal numbers.

    Raises:
        ValueError: A value is out of range; the sentence names the field, the value and the range.
    """

    data: str = "fashion-mnist-subset"
    """Image set: fashion-mnist-subset (bundled with the package), fashion-mnist, cifar10 or cifar100."""
    train_images: int | None = None
    """Train on the first so many training images only; None takes all of them."""
    model: ViTConfig = field(default_factory=ViTConfig)
    """The vision transformer: field, step rule and depth schedule."""
    epochs: int = 15
    """Passes over the training images."""
    batch_size: int = 64
    """Images per optimiser step."""
    lr: float = 2e-3
    """Peak learning rate of AdamW; it rises linearly during the warm-up, then falls to 0 along a cosine."""
    warmup_epochs: float = 1.0
    """Length of the linear warm-up, in epochs."""
    weight_decay: float = 0.05
    """AdamW's decoupled weight decay; biases, norms and embeddings are exempt."""
    clip_norm: float | None = 1.0
    """Largest 2-norm of the gradient of all parameters together; a longer one is scaled down. None: no clipping."""
    label_smoothing: float = 0.1
    """Share of the target probability that is spread evenly over all classes, in [0, 1)."""
    shift: int = 1
    """Augmentation: shift each image at random by up to so many pixels in each direction. 0: no shift."""
    flip: bool = True
    """Augmentation: mirror each image left to right with probability 1/2."""
    seed: int = 0
    """Seed of the initial weights, the data order, the augmentation, dropout and drop-path."""
    device: str = "auto"
    """Where to compute: cpu, cuda, cuda:1, ..., or auto (the first CUDA device if there is one, else cpu)."""
    precision: str = "auto"
    """Number format of matrix products: float32, bfloat16, or auto (bfloat16 on CUDA devices that have it)."""
    eval_batch_size: int = 500
    """Images per batch when measuring; it changes memory and speed, not the result."""
    checkpoint_every: int = 1
    """Epochs between checkpoints; the last epoch always writes one."""

    def __post_init__(self) -> None:
        """Refuse values that no run can use."""
        choose(self.precision, PRECISIONS, "precision")
        for name in ("epochs", "batch_size", "eval_batch_size", "checkpoint_every"):
            _require(getattr(self, name) >= 1, name, getattr(self, name), "a whole number of at least 1")
        for name in ("shift", "seed"):
            _require(getattr(self, name) >= 0, name, getattr(self, name), "a whole number of at least 0")
        if self.train_images is not None:
            _require(self.train_images >= 1, "train_images", self.train_images, "None or at least 1")
        _require(0 < self.lr < math.inf, "lr", self.lr, "a positive number, such as 0.001")
        _require(0 <= self.weight_decay < math.inf, "weight_decay", self.weight_decay, "a number of at least 0")
        _require(
            0 <= self.warmup_epochs < self.epochs,
            "warmup_epochs",
            self.warmup_epochs,
            f"at least 0 and less than epochs ({self.epochs})",
        )
        if self.clip_norm is not None:
            _require(self.clip_norm > 0, "clip_norm", self.clip_norm, "None or a positive number")
        _require(0 <= self.label_smoothing < 1, "label_smoothing", self.label_smoothing, "in [0, 1)")

    def to_dict(self) -> dict[str, Any]:
        """The configuration as plain values, ready for JSON; ``from_dict`` is its inverse."""
        return {**asdict(self), "model": self.model.to_dict()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "TrainConfig":
        """Build a configuration from plain values; missing keys take their defaults.

        Raises:
            ValueError: A key is unknown (the sentence gives the nearest valid one) or a value out of range.
        """
        check_keys(values, (option.name for option in fields(cls)), "training option")
        given = dict(values)
        if "model" in given:
            given["model"] = ViTConfig.from_dict(given["model"])
        return cls(**given)


def _require(holds: bool, name: str, value: object, expected: str) -> None:
    if not holds:
        raise ValueError(f"{name} is {value}, expected {expected}")
