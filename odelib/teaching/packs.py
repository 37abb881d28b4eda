"""Kept networks as the book's pages fetch them, to compute with them in the browser.

A pack is a file in the format of safetensors, which ``book/_static/explore/packs.js`` reads. It is made when the book
is built, from the kept weights, so that the page and the chapter have the same networks.
"""

import json
from importlib.resources import files

import numpy as np
import torch
from jaxtyping import Float, Int64
from safetensors.numpy import save
from torch import Tensor

from odelib.analysis import trajectory
from odelib.data import load_images, normalise
from odelib.models import CausalLM, ViT
from odelib.names import choose
from odelib.teaching.results import kept_model, kept_writer

KINDS = ("lie-trotter", "euler", "euler-half", "euler-quarter", "euler-eighth", "midpoint", "rk4")
"""The kept kinds of small classifiers, which differ in how they step."""
SEEDS = 5
OF_EACH = 6
LEVELS = 511


def garments() -> Int64[Tensor, " sixty"]:
    """Return which test images of the bundled Fashion-MNIST the pages show: the first six of each class, in turn."""
    labels = load_images("fashion-mnist-subset").test_labels
    return torch.cat([(labels == label).nonzero()[:OF_EACH, 0] for label in range(10)])


def pack_garments() -> bytes:
    """Return the pack of the images that the pages show, with their classes, the names of these, and the licence."""
    data, shown = load_images("fashion-mnist-subset"), garments()
    licence = files("odelib.data").joinpath("LICENSE-fashion-mnist").read_text(encoding="utf-8")
    about = {"mean": data.mean, "std": data.std, "classes": list(data.classes)}
    tensors = {"images": data.test_images[shown].flatten(1).numpy(), "labels": data.test_labels[shown].byte().numpy()}
    return save(tensors, metadata={"about": json.dumps(about), "licence": licence})


def pack_classifiers(kind: str) -> bytes:
    """Return the pack of a kind of kept classifiers: float16, all seeds, the names beginning with the seed.

    ``0.plane`` and ``0.middle`` are, for seed 0, two directions (2, dim) and a point (dim,) in the space of the mean
    token: the first principal components of what the accurate solutions for the `garments` go through.

    Raises:
        ValueError: There is no such kind; the sentence gives the nearest one.
    """
    choose(kind, KINDS, "kept kind of classifiers")
    data = load_images("fashion-mnist-subset")
    inputs = normalise(data.test_images[garments()], data.mean, data.std)
    tensors: dict[str, np.ndarray] = {}
    for seed in range(SEEDS):
        model = kept_model(f"small-{kind}-seed{seed}")
        about = _about(model)
        plane, middle = _plane(model, inputs)
        own = dict(model.named_parameters()) | {"plane": plane, "middle": middle}
        tensors |= {f"{seed}.{name}": _half(weight) for name, weight in own.items()}
    return save(tensors, metadata=about)


def pack_writer() -> bytes:
    """Return the pack of the kept character model, in ten bits for each weight: two thirds of what float16 takes.

    A matrix ``name`` becomes ``name.tens`` (see `ten_bits`). Vectors are few and stay in float16.
    """
    model = kept_writer()
    tensors: dict[str, np.ndarray] = {}
    for name, weight in model.named_parameters():
        if weight.ndim < 2:
            tensors[name] = _half(weight)
        else:
            tensors[f"{name}.tens"] = ten_bits(weight.detach())
    return save(tensors, metadata=_about(model))


def ten_bits(weight: Float[Tensor, "rows columns"]) -> np.ndarray:
    """Return the rows in ten bits for each entry: whole numbers from 0 to 1022, which stand for -511 to 511 steps.

    A row begins with the step between neighbouring values in it, a float16. Then each four entries take five bytes: the
    lower eight bits of each, and the upper two of all, the first one's lowest.

    Args:
        weight: Columns in a multiple of four.

    Returns:
        uint8, (rows, 2 + 5 / 4 columns).
    """
    step = (weight.abs().amax(dim=1) / LEVELS).half()
    whole = (weight / step.float().clamp(min=1e-7)[:, None]).round().clamp(-LEVELS, LEVELS).int() + LEVELS
    fours = whole.view(len(weight), -1, 4)
    upper = (fours >> 8) << torch.arange(0, 8, 2, dtype=torch.int32)
    packed = torch.cat([fours & 255, upper.sum(dim=2, keepdim=True)], dim=2).flatten(1).byte().numpy()
    return np.concatenate([step[:, None].numpy().view(np.uint8), packed], axis=1)


@torch.no_grad()
def _plane(model: ViT, images: Tensor) -> tuple[Tensor, Tensor]:
    model.depth.swap("rk4", steps=2)
    points = trajectory(model, images).states.mean(dim=2).flatten(0, 1)
    middle = points.mean(dim=0)
    axes = torch.linalg.svd(points - middle, full_matrices=False)[2][:2]
    # An axis has no sign of its own: point it to where its largest entry is positive, so that pictures do not flip.
    return axes * axes.gather(1, axes.abs().argmax(dim=1, keepdim=True)).sign(), middle


def _half(weight: Tensor) -> np.ndarray:
    return weight.detach().half().contiguous().numpy()  # safetensors writes the memory as it lies


def _about(model: ViT | CausalLM) -> dict[str, str]:
    """The configuration, as safetensors keeps it beside the weights."""
    config, schedule = model.config, model.depth.schedule
    about = {
        "heads": config.num_heads,
        "eps": config.norm_eps,
        "rule": config.step_rule,
        "intervals": schedule.intervals,
        "steps": schedule.steps,
        "length": schedule.length,
    }
    return {"about": json.dumps(about)}
