"""Depth as time: integrate a field whose weights follow a schedule."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from odelib.layers.context import Context
from odelib.layers.integrand import Integrand
from odelib.layers.schedule import DepthSchedule
from odelib.solvers import StepRule, march, step_rule


class DepthBlock(nn.Module):
    """Integrate dx/dt = f(t, x; theta(t)) through the intervals of a schedule with one step rule.

    Input and output: (batch, tokens, dim).

    Args:
        fields: One field per weight set of the schedule, all of one architecture.
        rule: Step rule or its name.
        schedule: The depth schedule.
        learn_step_size: Whether each interval has a step size of its own that is learned: the schedule's times a
            positive factor, which starts at 1. The factor scales the field, and the grid stays as it is.

    Raises:
        ValueError: The number of fields is not the number of weight sets.
    """

    def __init__(
        self,
        fields: Sequence[nn.Module],
        rule: str | StepRule,
        schedule: DepthSchedule,
        *,
        learn_step_size: bool = False,
    ) -> None:
        super().__init__()
        if len(fields) != schedule.weight_sets:
            raise ValueError(
                f"{len(fields)} fields came for {schedule.intervals} intervals: give one field per interval"
                + (" and one more, since they are knots" if schedule.weights == "linear" else "")
            )
        self.fields = nn.ModuleList(fields)
        self.rule = step_rule(rule)
        self.schedule = schedule
        self.log_scale = nn.Parameter(torch.zeros(schedule.intervals)) if learn_step_size else None

    @property
    def nfe(self) -> float:
        """Field evaluations per forward pass; evaluating one of the terms counts as its share."""
        per_step = self.rule.evaluations(len(getattr(self.fields[0], "terms", (None,))))
        return self.schedule.intervals * self.schedule.steps * per_step

    def swap(self, rule: str | StepRule | None = None, *, refine: int = 1) -> None:
        """Change how the same fields are integrated; the weights and the time interval stay.

        Args:
            rule: The new step rule; None keeps the present one.
            refine: Take this many times as many steps, each smaller by the same factor.

        Raises:
            ValueError: The rule is unknown, or ``refine`` is less than 1.
        """
        if refine < 1:
            raise ValueError(f"refine is {refine}: take at least 1 step in place of each present one")
        if rule is not None:
            self.rule = step_rule(rule)
        old = self.schedule
        self.schedule = replace(old, steps=old.steps * refine, step_size=old.step_size / refine)

    def make_constant(self) -> None:
        """Start a Fourier series of weights as its constant term: all other coefficients become 0."""
        if self.schedule.weights == "fourier":
            with torch.no_grad():
                for parameter in self.fields[1:].parameters():
                    parameter.zero_()

    def forward(
        self,
        x: Float[Tensor, "batch tokens dim"],
        record: list[Tensor] | None = None,
        *,
        context: Context | None = None,
        memory: Context | None = None,
    ) -> Float[Tensor, "batch tokens dim"]:
        """Return the state at the end of depth.

        Args:
            x: The state at time 0.
            record: A list to which the state after each step is appended.
            context: What self-attention reads besides the state.
            memory: What cross-attention reads.
        """
        steps, h = self.schedule.steps, self.schedule.step_size
        for i in range(self.schedule.intervals):
            field = self._field(i, context, memory)
            x = march(field, self.rule, x, t=i * steps * h, h=h, steps=steps, record=record)
        if context is not None and context.cache is not None:
            context.cache.advance(x.shape[1])
        return x

    def _field(self, interval: int, context: Context | None, memory: Context | None) -> Any:
        """The field over one interval, as the integration loop takes it."""
        sets, basis = self.schedule.over(interval)
        fields: list[Any] = [self.fields[j] for j in sets]
        if basis is None and self.log_scale is None and context is None and memory is None:
            return fields[0]
        scale = None if self.log_scale is None else self.log_scale[interval].exp()
        return Integrand(fields, fields[0].given(context, memory), basis, scale)
