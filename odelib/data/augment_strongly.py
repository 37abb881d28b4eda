"""Strong augmentation, as recipes for small data sets use it: RandAugment, random erasing, mixup and CutMix.

The operations are torchvision's. It draws from torch's global random state, so that state is set from the generator
of the epoch while they run, and given back after; for each image anew, so that no image's draws depend on another's.
"""

from collections.abc import Callable

import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor

from odelib.data.augment import Rows


def rand_augment(
    images: UInt8[Tensor, "batch channels height width"],
    magnitude: int,
    *,
    generator: torch.Generator,
    rows: Rows | None = None,
) -> UInt8[Tensor, "batch channels height width"]:
    """Apply two random operations to each image (RandAugment, Cubuk et al. 2020, arXiv 1909.13719).

    Args:
        images: Raw pixels, of 1 or 3 channels.
        magnitude: Strength of the operations, 1 to 30.
        generator: A CPU generator; it advances by one draw per image of the batch.
        rows: Which rows of a batch the images are. None: all.
    """
    from torchvision.transforms import v2

    operation = v2.RandAugment(num_ops=2, magnitude=magnitude)
    return _each(images, operation, generator, rows)


def erase(
    images: Float[Tensor, "batch channels height width"],
    probability: float,
    *,
    generator: torch.Generator,
    rows: Rows | None = None,
) -> Float[Tensor, "batch channels height width"]:
    """Clear a random rectangle of some of the images (random erasing, Zhong et al. 2020, arXiv 1708.04896).

    Args:
        images: Normalised images, so that what is cleared is the mean.
        probability: Share of the images that lose a rectangle.
        generator: A CPU generator; it advances by one draw per image of the batch.
        rows: Which rows of a batch the images are. None: all.
    """
    from torchvision.transforms import v2

    operation = v2.RandomErasing(p=probability)
    return _each(images, operation, generator, rows)


def mix(
    images: Float[Tensor, "batch channels height width"],
    labels: Int64[Tensor, " batch"],
    classes: int,
    *,
    mixup: float,
    cutmix: float,
    generator: torch.Generator,
) -> tuple[Float[Tensor, "batch channels height width"], Float[Tensor, "batch classes"]]:
    """Mix each image with another one of the batch, and their classes in the same shares.

    Mixup (Zhang et al. 2018, arXiv 1710.09412) adds up the two; CutMix (Yun et al. 2019, arXiv 1905.04899) puts a
    rectangle of the one into the other. The share is drawn from Beta(a, a), once for the batch. The other image is
    the one before, and for the first one the last.

    Args:
        images: Normalised images.
        labels: Their classes.
        classes: Number of classes.
        mixup: Parameter a of mixup; 0: no mixup.
        cutmix: Parameter a of CutMix; 0: no CutMix. Where both are positive, a fair coin decides for each batch.
        generator: A CPU generator; it advances by one draw.

    Returns:
        The mixed images, and for each the probability of each class.

    Raises:
        ValueError: Both parameters are 0.
    """
    from torchvision.transforms import v2

    kinds = ((v2.MixUp, mixup), (v2.CutMix, cutmix))
    operations = [kind(alpha=alpha, num_classes=classes) for kind, alpha in kinds if alpha > 0]
    if not operations:
        raise ValueError(f"mixup is {mixup} and cutmix is {cutmix}: give at least one of them as a positive number")
    with torch.random.fork_rng(devices=[]):
        _seed(int(torch.randint(2**62, (), generator=generator)))
        mixed, shares = v2.RandomChoice(operations)(images, labels)
    return mixed, shares


def _each(
    images: Tensor, operation: Callable[[Tensor], Tensor], generator: torch.Generator, rows: Rows | None
) -> Tensor:
    """Apply an operation to each image, which draws from torch's global state of the CPU, from a seed of its own."""
    seeds = torch.randint(2**62, (len(images) if rows is None else rows.of,), generator=generator)
    varied = []
    with torch.random.fork_rng(devices=[]):
        for image, seed in zip(images, (seeds if rows is None else seeds[rows.chosen]).tolist(), strict=True):
            _seed(seed)
            varied.append(operation(image))
    return torch.stack(varied)


def _seed(seed: int) -> None:
    torch.default_generator.manual_seed(seed)  # torch.manual_seed would seed CUDA devices too
