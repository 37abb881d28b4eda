"""The one configuration of a training run: what is learned, from what, and by which recipe."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import PurePath
from typing import Any

from torch import nn

from odelib.models import TransformerConfig, ViTConfig
from odelib.models.storage import MODELS
from odelib.names import check_keys, choose

PRECISIONS = ("auto", "float32", "bfloat16")


@dataclass(frozen=True)
class DataOptions:
    """What is learned from."""

    data: str = "fashion-mnist-subset"
    """Images: fashion-mnist-subset (bundled with the package), fashion-mnist, cifar10 or cifar100; texts:
    tiny-shakespeare (characters to continue), clinc150 (requests to classify) or multi30k (German into English); or
    your own: a folder with a folder of images for each class, a table.csv with columns text and label, a book.txt."""
    train_images: int | None = None
    """Train on the first so many training images (characters, requests, pairs) only; None takes all of them."""
    subwords: int = 4000
    """Subwords learned from the training texts of clinc150, multi30k and tables; images and characters have none."""
    resolution: int | None = None
    """Side to which your own images are brought, in pixels; None: the median of their shorter sides, at most 64."""
    validation: float = 0.0
    """Share of the training images of a named set that is kept from training to choose the best epoch by (keep_best).
    Texts and your own data have a validation split of their own."""
    skip_bad: bool = False
    """Leave out image files that cannot be read; else they are refused by name."""


@dataclass(frozen=True)
class RecipeOptions:
    """How the weights are learned."""

    epochs: int = 15
    """Passes over the training images."""
    batch_size: int = 64
    """Images (windows of characters, requests, pairs) per optimiser step, of all processes together."""
    accumulate: int = 1
    """Pieces in which a batch is computed, one after another: less memory for the same step."""
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
    average: float = 0.0
    """Measure and keep the exponential moving average of the weights, with this decay per step, such as 0.9999; its
    memory, 1 / (1 - decay) steps, should be well below the steps of the run. 0: the weights themselves."""
    keep_best: bool = False
    """Keep the weights of the epoch with the smallest loss on the validation split, and not those of the last one."""
    init: str | None = None
    """Folder of a run or of exported weights to begin from (fine-tuning); what has another shape begins anew."""
    seed: int = 0
    """Seed of the initial weights, the data order, the augmentation, dropout and drop-path."""


@dataclass(frozen=True)
class AugmentationOptions:
    """How images are varied for training; texts are left as they are."""

    shift: int = 1
    """Shift each image at random by up to so many pixels in each direction. 0: no shift."""
    flip: bool = True
    """Mirror each image left to right with probability 1/2."""
    rand_augment: int = 0
    """RandAugment (Cubuk et al. 2020, arXiv 1909.13719): up to two random operations of this strength, 1 to 10, as
    timm's rand-m9-mstd0.5-inc1 for 9. 0: none."""
    erasing: float = 0.0
    """Random erasing (Zhong et al. 2020, arXiv 1708.04896): probability that noise replaces a rectangle."""
    mixup: float = 0.0
    """Mixup (Zhang et al. 2018, arXiv 1710.09412): parameter of the Beta distribution, such as 0.8. 0: none."""
    cutmix: float = 0.0
    """CutMix (Yun et al. 2019, arXiv 1905.04899): likewise, such as 1; with mixup, one of both at random per batch."""


@dataclass(frozen=True)
class ComputeOptions:
    """Where and how the numbers are computed."""

    device: str = "auto"
    """Where to compute: cpu, cuda, cuda:1, ..., mps, or auto (the first CUDA device if there is one, else cpu)."""
    precision: str = "auto"
    """Number format of matrix products: float32, bfloat16, or auto (bfloat16 on CUDA devices that have it)."""
    compile: bool = False
    """Compile the training step's forward and backward pass by torch.compile; equal to rounding."""
    shard: bool = False
    """Of several processes (torchrun, accelerate launch), let each hold a part of weights, gradients and optimiser
    state, not all of them (FSDP2); equal to rounding."""
    eval_batch_size: int = 500
    """Images per batch when measuring; it changes memory and speed, not the result."""
    checkpoint_every: int = 1
    """Epochs between checkpoints; the last epoch always writes one."""
    checkpoint_minutes: float = 5.0
    """Minutes after which a checkpoint is written within an epoch."""


@dataclass(frozen=True)
class TrainConfig(ComputeOptions, AugmentationOptions, RecipeOptions, DataOptions):
    """A run, completely: two runs with equal configurations on one machine give equal numbers.

    Raises:
        ValueError: A value is out of range; the sentence names the field, the value and the range.
    """

    model: TransformerConfig = field(default_factory=ViTConfig)
    """The model: field, step rule and depth schedule, and what its kind adds."""

    def __post_init__(self) -> None:
        """Refuse values that no run can use."""
        choose(self.precision, PRECISIONS, "precision")
        for name in ("epochs", "batch_size", "accumulate", "eval_batch_size", "checkpoint_every"):
            _require(getattr(self, name) >= 1, name, getattr(self, name), "a whole number of at least 1")
        for name in ("shift", "seed"):
            _require(getattr(self, name) >= 0, name, getattr(self, name), "a whole number of at least 0")
        if self.train_images is not None:
            _require(self.train_images >= 1, "train_images", self.train_images, "None or at least 1")
        _require(0 < self.lr < math.inf, "lr", self.lr, "a positive number, such as 0.001")
        for name in ("weight_decay", "mixup", "cutmix"):
            _require(0 <= getattr(self, name) < math.inf, name, getattr(self, name), "a number of at least 0")
        _require(
            0 <= self.warmup_epochs < self.epochs,
            "warmup_epochs",
            self.warmup_epochs,
            f"at least 0 and less than epochs ({self.epochs})",
        )
        if self.clip_norm is not None:
            _require(self.clip_norm > 0, "clip_norm", self.clip_norm, "None or a positive number")
        for name in ("label_smoothing", "average", "validation"):
            _require(0 <= getattr(self, name) < 1, name, getattr(self, name), "in [0, 1)")
        _require(0 <= self.erasing <= 1, "erasing", self.erasing, "a probability in [0, 1]")
        _require(self.checkpoint_minutes > 0, "checkpoint_minutes", self.checkpoint_minutes, "a positive number")
        if self.resolution is not None:
            _require(self.resolution >= 4, "resolution", self.resolution, "None or at least 4 pixels")
        _require(0 <= self.rand_augment <= 10, "rand_augment", self.rand_augment, "a whole number from 0 to 10")

    def to_dict(self) -> dict[str, Any]:
        """The configuration as plain values, ready for JSON; ``from_dict`` is its inverse."""
        return {**asdict(self), "model": {"kind": kind_of(self.model), **self.model.to_dict()}}

    @classmethod
    def from_dict(
        cls, values: Mapping[str, Any], sizes: Mapping[str, int] | None = None, wanted: str | None = None
    ) -> "TrainConfig":
        """Build a configuration from plain values; missing keys take their defaults.

        The model's ``kind`` is one of ``odelib.models``: ViT, CausalLM, TextClassifier or EncoderDecoder. Where it is
        missing, it is the one that the data ask for.

        Args:
            values: As ``to_dict`` gives them.
            sizes: What the data ask of the model, such as ``num_classes``; a size that is missing in ``values`` is the
                data's, and an image is cut into 16 patches.
            wanted: The kind of model that the data ask for; None: as their name says.

        Raises:
            ValueError: A key is unknown (the sentence gives the nearest valid one), a value out of range, or a size
                is given that is not that of the data.
        """
        check_keys(values, (option.name for option in fields(cls)), "training option")
        given, data = dict(values), str(values.get("data", cls.data))
        model = dict(given.get("model", {}))
        wanted = wanted or kind_for(data)
        kind = model.pop("kind", wanted)
        if sizes is not None and kind != wanted:
            raise ValueError(f"the model is of the kind {kind}, but {data} needs {wanted}: choose that, or other data")
        sizes = dict(sizes or {})
        patch = {"patch_size": max(sizes["image_size"] // 4, 1)} if "image_size" in sizes else {}
        given["model"] = MODELS[choose(kind, MODELS, "kind of model")][0].from_dict({**patch, **sizes, **model})
        config = cls(**given)
        check_sizes(config.model, sizes, data)
        return config


_KINDS = {"tiny-shakespeare": "CausalLM", "clinc150": "TextClassifier", "multi30k": "EncoderDecoder"}
_ENDINGS = {".txt": "CausalLM", ".csv": "TextClassifier"}


def kind_for(data: str) -> str:
    """The kind of model, a name in ``MODELS``, that data ask for: a vision transformer unless they are text."""
    return _KINDS.get(data) or _ENDINGS.get(PurePath(data).suffix.lower(), "ViT")


def check_sizes(model: TransformerConfig, sizes: Mapping[str, int], data: str) -> None:
    """Refuse a model whose input or output is not that of the data.

    Args:
        model: The model's configuration.
        sizes: What it must offer, as ``Task.sizes``; of ``max_tokens`` it may have more.
        data: Name of the data, for the sentence.

    Raises:
        ValueError: A size differs; the sentence names the first that does.
    """
    for name, value in sizes.items():
        given = getattr(model, name)
        if given != value and not (name == "max_tokens" and given > value):
            raise ValueError(f"the model has {name}={given}, but {data} needs {value}: set {name}={value}")


def kind_of(model: TransformerConfig) -> str:
    """The kind of model, a name in ``MODELS``, that a model configuration is one of."""
    return next(kind for kind, (config, _) in MODELS.items() if isinstance(model, config))


def build_model(model: TransformerConfig) -> nn.Module:
    """The model of a configuration, with initial weights drawn from torch's random state."""
    return MODELS[kind_of(model)][1](model)


def _require(holds: bool, name: str, value: object, expected: str) -> None:
    if not holds:
        raise ValueError(f"{name} is {value}, expected {expected}")
