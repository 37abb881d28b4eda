"""A network as a path: its steps one by one, the states between them, and the same network integrated otherwise."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from odelib.layers import DepthBlock
from odelib.modes import evaluation
from odelib.solvers import Field, StepRule, integrate
from odelib.solvers import Step as SolverStep
from odelib.solvers.field import Time, Wrapped
from odelib.solvers.state import State
from odelib.solvers.step_rule import RuleAround


class Step(NamedTuple):
    """One step that a network has taken: from ``before`` at time t with this field, rule and step size to ``after``."""

    field: Field
    rule: StepRule
    t: float
    h: float
    before: Tensor
    after: Tensor

    def map(self, y: Tensor) -> Tensor:
        """Take the same step from another state; a rule with a carry begins anew."""
        end: Tensor = integrate(self.field, self.rule, y, t=self.t, h=self.h, steps=1)
        return end


class _Watched(RuleAround):
    """A step rule that notes every step it takes. It sees what the network sees: masks, weights that depend on time."""

    def __init__(self, base: StepRule, steps: list[Step]) -> None:
        super().__init__(base)
        self.steps = steps

    def step(self, field: Field, t: Time, h: Time, y: State, carry: Any) -> SolverStep:
        taken = self.base.step(field, t, h, y, carry)
        while isinstance(field, Wrapped):  # the solver looks at the values of a first step
            field = field.field
        self.steps.append(Step(field, self.base, float(t), float(h), y, taken.y1))  # type: ignore[arg-type]
        return taken


@torch.no_grad()
def steps_of(model: nn.Module, *inputs: Any, depth: DepthBlock | None = None) -> list[Step]:
    """Return the steps that a model takes when it is called, in their order: one per layer of a usual network.

    Args:
        model: A model with a `DepthBlock` inside, such as ``vit``, or a block itself, such as ``vit.depth``; on fixed
            steps and in evaluation mode.
        *inputs: What the model is called with: ``vit``'s images, or ``vit.depth``'s state at time 0.
        depth: Which of the model's depths is watched; None where it has only one.

    Raises:
        ValueError: The model has no depth, or several and none is named.
    """
    watched = depth_of(model) if depth is None else depth
    rule, steps = watched.rule, list[Step]()
    watched.rule = _Watched(rule, steps)
    try:
        model(*inputs)
    finally:
        watched.rule = rule
    return steps


class Trajectory(NamedTuple):
    """States along depth.

    Attributes:
        times: The time of each state, (points,).
        states: The states before the first and after every step, (points, batch, ...).
    """

    times: Float[Tensor, " points"]
    states: Float[Tensor, "points *shape"]


@torch.no_grad()
def trajectory(model: nn.Module, *inputs: Any, depth: DepthBlock | None = None) -> Trajectory:
    """Return the states through which a model goes.

    Args:
        model: As in `steps_of`.
        *inputs: What the model is called with.
        depth: As in `steps_of`.

    Raises:
        ValueError: The model has no depth, or several and none is named.
    """
    steps = steps_of(model, *inputs, depth=depth)
    x = steps[0].before
    times = torch.tensor([steps[0].t, *(step.t + step.h for step in steps)], dtype=x.dtype, device=x.device)
    return Trajectory(times, torch.stack([x, *(step.after for step in steps)]))


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
    blocks = _depths(model)
    before = [(block.rule, block.schedule) for block in blocks]
    with evaluation(model):
        try:
            for block in blocks:
                block.swap(rule, refine=refine)
            yield
        finally:
            for block, (old_rule, old_schedule) in zip(blocks, before, strict=True):
                block.rule, block.schedule = old_rule, old_schedule


def _depths(model: nn.Module) -> list[DepthBlock]:
    blocks = [module for module in model.modules() if isinstance(module, DepthBlock)]
    if not blocks:
        raise ValueError(
            f"{type(model).__name__} has no DepthBlock inside, so it takes no steps of a step rule: "
            "give a model of odelib.models, or its depth"
        )
    return blocks


def depth_of(model: nn.Module) -> DepthBlock:
    """Return the one depth of a model, or the model where it is one itself.

    Raises:
        ValueError: The model has no depth, or several.
    """
    blocks = _depths(model)
    if len(blocks) > 1:
        raise ValueError(
            f"{type(model).__name__} has {len(blocks)} depths: name the one that you mean, such as depth=model.decoder"
        )
    return blocks[0]
