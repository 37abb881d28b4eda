"""A network as a path: its steps one by one, the states between them, and the same network integrated otherwise."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from odelib.layers import DepthBlock
from odelib.solvers import Field, StepRule


class Trajectory(NamedTuple):
    """States along depth.

    Attributes:
        times: The time of each state, (points,).
        states: The states, (points, batch, ...).
    """

    times: Float[Tensor, " points"]
    states: Float[Tensor, "points *shape"]


class Step(NamedTuple):
    """One step of a network: from time t, with this field and step size."""

    field: Field
    t: float
    h: float


def steps_of(depth: DepthBlock) -> list[Step]:
    """Return the steps that ``depth`` takes, in their order: one per layer of a usual network."""
    steps, h = depth.schedule.steps, depth.schedule.step_size
    return [Step(field, (i * steps + j) * h, h) for i, field in enumerate(depth.fields) for j in range(steps)]


@torch.no_grad()
def trajectory(depth: DepthBlock, x: Float[Tensor, "batch *shape"]) -> Trajectory:
    """Return the states before the first and after every step of ``depth``, started from ``x``.

    Args:
        depth: The depth of a model, such as ``vit.depth``, in evaluation mode.
        x: State at time 0, such as ``vit.embed(images)``.
    """
    record = [x]
    depth(x, record)
    ends = [step.t + step.h for step in steps_of(depth)]
    return Trajectory(torch.tensor([0.0, *ends], dtype=x.dtype, device=x.device), torch.stack(record))


@contextmanager
def swapped(model: nn.Module, rule: str | StepRule | None = None, *, refine: int = 1) -> Iterator[None]:
    """Integrate every depth of ``model`` otherwise inside the ``with`` block; afterwards all is as before.

    The model is in evaluation mode inside the block.

    Args:
        model: A model with one or more `DepthBlock` inside, or such a block itself.
        rule: The step rule; None keeps the present one.
        refine: Take this many times as many steps, each smaller by the same factor.

    Raises:
        ValueError: The model has no depth, the rule is unknown, or ``refine`` is less than 1.
    """
    blocks = [module for module in model.modules() if isinstance(module, DepthBlock)]
    if not blocks:
        raise ValueError(
            f"{type(model).__name__} has no DepthBlock inside, so no step rule can be swapped: "
            "give a model of odelib.models, or its depth"
        )
    before = [(block.rule, block.schedule) for block in blocks]
    training = model.training
    model.eval()
    try:
        for block in blocks:
            block.swap(rule, refine=refine)
        yield
    finally:
        for block, (old_rule, old_schedule) in zip(blocks, before, strict=True):
            block.rule, block.schedule = old_rule, old_schedule
        model.train(training)
