"""The integration loop over a fixed grid. Times are Python floats, so nothing is read back from the device."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from jaxtyping import Inexact
from torch import Tensor

from odelib.solvers.fields import Field
from odelib.solvers.rules import StepRule, step_rule


@dataclass(frozen=True)
class Stats:
    """What a solve cost.

    Attributes:
        nfe: Evaluations of the field; one term of a split field counts as its share.
        steps: Steps taken.
    """

    nfe: float
    steps: int


@dataclass(frozen=True)
class Solution:
    """The solution of an initial-value problem.

    Attributes:
        ts: The times asked for.
        ys: The states at these times, stacked in front: shape (len(ts), *y0.shape), dtype and device of y0.
        stats: What it cost.
        status: "success"; a solve that fails raises.
    """

    ts: tuple[float, ...]
    ys: Tensor
    stats: Stats
    status: str = "success"


def march(
    field: Field,
    rule: StepRule,
    y: Tensor,
    *,
    t: float,
    h: float,
    steps: int,
    record: list[Tensor] | None = None,
) -> Tensor:
    """Take ``steps`` steps of size ``h`` from time ``t`` and return the last state.

    A field with randomness inside offers ``draw(y) -> field``: it is called once per step, and what it returns is
    used for all stages of that step. Stages that saw different fields would lose the order of the method.

    Args:
        field: The vector field.
        rule: The step rule.
        y: State at time ``t``, any shape.
        t: Initial time.
        h: Step size, not zero; negative to go back in time.
        steps: Number of steps.
        record: A list to which the state after each step is appended.
    """
    draw = getattr(field, "draw", None)
    carry = None
    for i in range(steps):
        held = field if draw is None else draw(y)
        y, _, carry = rule.step(held, t + i * h, h, y, carry)
        if record is not None:
            record.append(y)
    return y


def solve(
    field: Field,
    y0: Inexact[Tensor, "..."],
    times: Sequence[float],
    *,
    rule: str | StepRule = "rk4",
    steps: int = 1,
) -> Solution:
    """Integrate dy/dt = field(t, y) from y(times[0]) = y0 through all of ``times``.

    Args:
        field: The vector field, ``field(t, y) -> dy/dt`` of the shape and dtype of ``y``.
        y0: Initial state, any shape, floating or complex dtype.
        times: Strictly increasing or strictly decreasing times; a single time returns the initial state.
        rule: A step rule or its name (`odelib.solvers.STEP_RULES`).
        steps: Equal steps between two neighbouring times.

    Returns:
        A `Solution` with the states at ``times``.

    Raises:
        ValueError: Times are not strictly monotone, there is none, or ``steps`` is less than 1.
    """
    grid = tuple(float(time) for time in times)
    _check_grid(grid, steps)
    method = step_rule(rule)
    states = [y0]
    for start, end in pairwise(grid):
        h = (end - start) / steps
        states.append(march(field, method, states[-1], t=start, h=h, steps=steps))
    taken = steps * (len(grid) - 1)
    terms = len(getattr(field, "terms", (field,)))
    return Solution(grid, torch.stack(states), Stats(nfe=taken * method.evaluations(terms), steps=taken))


def _check_grid(grid: tuple[float, ...], steps: int) -> None:
    if not grid:
        raise ValueError("times is empty: give the initial time, and the times at which the state is wanted")
    if steps < 1:
        raise ValueError(f"steps is {steps}: take at least 1 step between two times")
    gaps = [end - start for start, end in pairwise(grid)]
    if gaps and not (all(gap > 0 for gap in gaps) or all(gap < 0 for gap in gaps)):
        raise ValueError(
            f"times must be strictly increasing or strictly decreasing, but {list(grid)} is neither: "
            "sort them and drop repeated ones"
        )
