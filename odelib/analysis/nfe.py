"""How much work an adaptive solver finds in each input."""

from itertools import groupby
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from odelib.analysis.depth import steps_of
from odelib.layers import DepthBlock
from odelib.solvers import Adaptive, StepRule, solve


class NfeStudy(NamedTuple):
    """The cost of an adaptive solve, sample by sample and interval by interval; on the CPU.

    Attributes:
        times: Time at the beginning of each interval of constant weights, (intervals,).
        nfe: Evaluations of the field, (intervals, samples); their sum over the intervals is a sample's cost.
        accepted: Steps accepted, (intervals, samples).
        rejected: Steps tried and rejected, (intervals, samples).
    """

    times: Float[Tensor, " intervals"]
    nfe: Float[Tensor, "intervals samples"]
    accepted: Int64[Tensor, "intervals samples"]
    rejected: Int64[Tensor, "intervals samples"]


@torch.no_grad()
def nfe_by_input(
    model: nn.Module,
    *inputs: Any,
    steps: Adaptive,
    rule: str | StepRule = "dopri5",
    depth: DepthBlock | None = None,
) -> NfeStudy:
    """Solve a model's own equation for each input alone with adaptive steps, and count.

    The solver begins anew at each interval, since the weights jump there. The number of evaluations, which Chen et al.
    2018 (arXiv 1806.07366, section 3) read as a neural ODE's depth, is the solver's choice and may differ from input to
    input; this measures whether it does.

    Args:
        model: As in `steps_of`; the steps that it takes itself give the intervals, not the result.
        *inputs: What the model is called with; the first dimension of each tensor counts the samples.
        steps: Tolerances and controller.
        rule: A step rule with an error estimate, or its name.
        depth: As in `steps_of`.

    Raises:
        ValueError: The model has no depth, or several and none is named, or no tensor came as input.
        SolverError: A solve failed; with other tolerances it may succeed.
    """
    samples = next((len(value) for value in inputs if isinstance(value, Tensor)), 0)
    if samples == 0:
        raise ValueError("no samples came: call with at least one tensor whose first dimension counts the samples")
    columns = []
    for i in range(samples):
        alone = [value[i : i + 1] if isinstance(value, Tensor) else value for value in inputs]
        taken = steps_of(model, *alone, depth=depth)
        y = taken[0].before
        column: list[tuple[float, int, int]] = []
        times: list[float] = []
        for field, group in groupby(taken, key=lambda step: step.field):
            within = list(group)
            start, stop = within[0].t, within[-1].t + within[-1].h
            solution = solve(field, y, (start, stop), rule=rule, steps=steps)
            y, stats = solution.ys[-1], solution.stats
            times.append(start)
            column.append((stats.nfe, stats.accepted, stats.rejected))
        columns.append(column)
    nfe, accepted, rejected = torch.tensor(columns, dtype=torch.float64).permute(2, 1, 0)  # each (intervals, samples)
    return NfeStudy(torch.tensor(times), nfe, accepted.long(), rejected.long())
