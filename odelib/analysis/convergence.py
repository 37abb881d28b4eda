"""The order of convergence, measured."""

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from odelib.analysis.depth import swapped
from odelib.layers import DepthBlock
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


@torch.no_grad()
def refinement_errors(
    depth: DepthBlock,
    x: Float[Tensor, "batch *shape"],
    *,
    rule: str | StepRule,
    refine: Sequence[int] = (1, 2, 4, 8, 16),
    reference: tuple[str | StepRule, int] | None = None,
) -> list[float]:
    """Return the error at the end of a network's own depth for each refinement: the largest absolute entry.

    The fields and the time are the network's; its steps are divided, as `DepthBlock.swap` does. Between two
    intervals the weights jump, but steps end there, so a step rule keeps its order. The step sizes are those of the
    schedule, each divided by its refinement: pass both to `convergence_order`.

    Args:
        depth: The depth of a model, such as ``vit.depth``; best in float64.
        x: State at time 0, such as ``vit.embed(images)``.
        rule: Step rule or its name.
        refine: How many steps to take in place of each present one.
        reference: Rule and refinement of the solution that counts as exact; None takes dopri8 at the finest of
            ``refine``, or 8 if that is less. With weights that make the field rough, choose it finer.

    Raises:
        ValueError: A rule is unknown, there is no refinement, or one is less than 1.
    """
    if not refine:
        raise ValueError("refine is empty: give the refinements whose errors are wanted, such as (1, 2, 4, 8)")
    fine, most = reference or ("dopri8", max(8, *refine))

    def end(method: str | StepRule, times: int) -> Tensor:
        with swapped(depth, method, refine=times):
            return depth(x)  # type: ignore[no-any-return]

    exact = end(fine, most)
    return [float((end(rule, times) - exact).abs().max()) for times in refine]


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
