"""The order of convergence, measured."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from odelib.solvers import Field, StepRule, solve


def global_errors(
    field: Field,
    y0: Tensor,
    *,
    rule: str | StepRule,
    steps: Sequence[int],
    exact: Tensor,
    times: tuple[float, float] = (0.0, 1.0),
) -> list[float]:
    """Return the error at the end of ``times`` for each number of steps: the largest absolute entry.

    Args:
        field: The vector field.
        y0: Initial state, any shape; use float64 where orders are measured.
        rule: Step rule or its name.
        steps: Numbers of steps to try.
        exact: The true (or much more accurate) state at the final time, of the shape of ``y0``.
        times: Initial and final time.
    """
    with torch.no_grad():
        ends = [solve(field, y0, times, rule=rule, steps=count).ys[-1] for count in steps]
    return [float((end - exact).abs().max()) for end in ends]


def convergence_order(step_sizes: Sequence[float], errors: Sequence[float]) -> float:
    """Return the slope of log(error) against log(step size), fitted by least squares.

    Args:
        step_sizes: At least two different positive step sizes.
        errors: The error for each; positive and finite.

    Raises:
        ValueError: Fewer than two points, lengths that differ, or a number that has no logarithm.
    """
    if len(step_sizes) != len(errors) or len(errors) < 2:
        raise ValueError(
            f"{len(step_sizes)} step sizes and {len(errors)} errors came: a slope needs two or more of both, "
            "equally many"
        )
    if not all(math.isfinite(value) and value > 0 for value in (*step_sizes, *errors)):
        raise ValueError(
            f"a step size or an error is not positive and finite (errors {list(errors)}): "
            "leave out grids on which the error is zero or overflows"
        )
    x = [math.log(value) for value in step_sizes]
    y = [math.log(value) for value in errors]
    x_mean, y_mean = math.fsum(x) / len(x), math.fsum(y) / len(y)
    covariance = math.fsum((a - x_mean) * (b - y_mean) for a, b in zip(x, y, strict=True))
    return covariance / math.fsum((a - x_mean) ** 2 for a in x)
