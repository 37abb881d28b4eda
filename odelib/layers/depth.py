"""Depth as time: integrate a field whose weights follow a schedule."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from odelib.layers.context import Context
from odelib.layers.fused import fold
from odelib.layers.integrand import Integrand
from odelib.layers.schedule import DepthSchedule
from odelib.names import choose
from odelib.solvers import GRADIENTS, Adaptive, StepRule, march, solve, step_rule


class DepthBlock(nn.Module):
    """Integrate dx/dt = f(t, x; theta(t)) through the intervals of a schedule with one step rule.

    Input and output: (batch, tokens, dim).

    Args:
        fields: One field per weight set of the schedule, all of one architecture.
        rule: Step rule or its name.
        schedule: The depth schedule.
        learn_step_size: Whether each interval has a step size of its own that is learned: the schedule's times a
            positive factor, which starts at 1. The factor scales the field, and the grid stays as it is.
        control: Choose the steps in each interval by the error that the rule estimates. None: the schedule's steps.
        gradient: How the solution is differentiated, one of `odelib.solvers.GRADIENTS`. Values are the same in all
            modes but "reversible", which integrates by a reversible rule made from the given one.

    Raises:
        ValueError: The number of fields is not the number of weight sets, or a rule without error estimate came with
            a control.
    """

    def __init__(
        self,
        fields: Sequence[nn.Module],
        rule: str | StepRule,
        schedule: DepthSchedule,
        *,
        learn_step_size: bool = False,
        control: Adaptive | None = None,
        gradient: str = "backprop",
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
        self.control = _checked(control, self.rule, schedule)
        self.gradient = choose(gradient, GRADIENTS, "gradient mode")
        self._spent = 0.0
        self.log_scale = nn.Parameter(torch.zeros(schedule.intervals)) if learn_step_size else None

    @property
    def nfe(self) -> float:
        """Field evaluations per forward pass, of the last one if steps are chosen by the error.

        Evaluating one of the terms counts as its share.
        """
        if self.control is not None:
            return self._spent
        per_step = self.rule.evaluations(len(getattr(self.fields[0], "terms", (None,))))
        return self.schedule.intervals * self.schedule.steps * per_step * (2 if self.gradient == "reversible" else 1)

    def swap(
        self,
        rule: str | StepRule | None = None,
        *,
        refine: int = 1,
        steps: int | Adaptive | None = None,
        gradient: str | None = None,
    ) -> None:
        """Change how the same fields are integrated; the weights and the time interval stay.

        Args:
            rule: The new step rule; None keeps the present one.
            refine: Take this many times as many steps, each smaller by the same factor.
            steps: So many steps in each interval instead, or steps chosen by the error.
            gradient: The new gradient mode; None keeps the present one.

        Raises:
            ValueError: A name is unknown, a number is less than 1, or the rule has no error estimate to choose steps
                by.
        """
        schedule, control = self.schedule, self.control
        if isinstance(steps, Adaptive):
            control = steps
        elif steps is not None:
            control, schedule = None, replace(schedule, steps=steps, step_size=schedule.length / max(steps, 1))
        if refine < 1:
            raise ValueError(f"refine is {refine}: take at least 1 step in place of each present one")
        new = self.rule if rule is None else step_rule(rule)
        mode = self.gradient if gradient is None else choose(gradient, GRADIENTS, "gradient mode")
        self.control, self.rule, self.gradient = _checked(control, new, schedule), new, mode
        self.schedule = replace(schedule, steps=schedule.steps * refine, step_size=schedule.step_size / refine)

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
            record: A list to which the state after each step of the schedule is appended.
            context: What self-attention reads besides the state.
            memory: What cross-attention reads.

        Raises:
            ValueError: A cache came, and steps are chosen by the error.
        """
        cache = None if context is None else context.cache
        if cache is not None and self.control is not None:
            raise ValueError(
                "steps chosen by the error differ from pass to pass, so keys and values cannot be kept: "
                "pass no cache, or set a number of steps by swap(steps=...)"
            )
        if self.control is not None:
            self._spent = 0.0
        for i in range(self.schedule.intervals):
            x = self._integrate(i, self._field(i, context, memory), x, record)
        if cache is not None:
            cache.advance(x.shape[1])
        return x

    @property
    def _marches(self) -> bool:
        """Whether the bare loop does, which reads no value and compiles without a break."""
        return self.control is None and self.gradient == "backprop"

    @property
    def called_by_terms(self) -> bool:
        """Whether the fields' weights are used by calling the fields' terms, and in no other way."""
        fused = any(getattr(field, "fuse", False) for field in self.fields)
        return self._marches and self.schedule.weights == "piecewise" and not fused

    def _integrate(self, interval: int, field: Any, x: Tensor, record: list[Tensor] | None) -> Tensor:
        steps, h = self.schedule.steps, self.schedule.step_size
        if self._marches:
            end: Tensor = march(field, self.rule, x, t=interval * steps * h, h=h, steps=steps, record=record)
            return end
        marks = range(steps + 1) if record is not None else (0, steps)
        solution = solve(
            field,
            x,
            [(interval * steps + k) * h for k in marks],
            rule=self.rule,
            steps=self.control or (1 if record is not None else steps),
            gradient=self.gradient,
            parameters=list(field.parameters()),
        )
        if self.control is not None:
            self._spent += solution.stats.nfe
        if record is not None:
            record.extend(solution.ys[1:])
        return solution.ys[-1]  # type: ignore[no-any-return]

    def _field(self, interval: int, context: Context | None, memory: Context | None) -> Any:
        """The field over one interval, as the integration loop takes it."""
        sets, basis = self.schedule.over(interval)
        fields: list[Any] = [self.fields[j] for j in sets]
        alone = basis is None and self.log_scale is None and context is None and memory is None
        # Folded here once, for all evaluations in the interval. The other gradient modes evaluate the field again on
        # their way back, from its own weights.
        folds = getattr(fields[0], "fuse", False) and basis is None and self._marches
        if alone and not folds and (self._marches or not hasattr(fields[0], "given")):
            return fields[0]
        scale = None if self.log_scale is None else self.log_scale[interval].exp()
        given = fields[0].given(context, memory)
        return Integrand(fields, replace(given, folded=fold(fields[0])) if folds else given, basis, scale)


def _checked(control: Adaptive | None, rule: StepRule, schedule: DepthSchedule) -> Adaptive | None:
    if control is None:
        return None
    if getattr(getattr(rule, "tableau", None), "b_error", None) is None:
        raise ValueError(
            f"the step rule {rule.name!r} estimates no error by which steps could be chosen: "
            "take an embedded pair such as 'dopri5', 'tsit5' or 'bosh3', or a number of steps"
        )
    if control.per_sample and schedule.weights != "piecewise":
        raise ValueError(
            f"weights are {schedule.weights!r} in time and each sample has a time of its own: "
            "leave per_sample off, or take piecewise constant weights"
        )
    return control
