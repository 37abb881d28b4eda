"""Depth as time: integrate a field whose weights follow a schedule."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor, nn

from odelib.layers.context import EMPTY, Context, ContextField, check_reads
from odelib.layers.field import TransformerField
from odelib.layers.schedule import DepthSchedule
from odelib.layers.scheduled import Scaled, Scheduled, ScheduledSplit, places_of
from odelib.solvers import (
    GRADIENTS,
    Adaptive,
    Field,
    Gradient,
    RandomField,
    SplitField,
    StepRule,
    Tableau,
    integrate,
    solve,
    step_rule,
    terms_of,
)
from odelib.solvers.gradients import gradient_mode


class DepthBlock(nn.Module):
    """Integrate dx/dt = f(t, x; theta(t)) through the intervals of a schedule with one step rule.

    Input and output: (batch, tokens, dim), or any other shape that the fields take.

    Args:
        fields: One field per weight set of the schedule, all of one architecture: any modules with ``forward(t, x)``.
            One that is a `SplitField` can be split, a `RandomField` draws once per step, and a `ContextField` reads
            masks, caches and memories. Buffers are those of the first where weights depend on time.
        rule: Step rule or its name, or a tableau.
        schedule: The depth schedule.
        learn_step_size: Whether each interval has a step size of its own that is learned: the schedule's times a
            positive factor, which starts at 1. The factor scales the field, and the grid stays as it is.
        steps: Choose the steps in each interval by the error that the rule estimates. None: the schedule's steps.
        gradient: How the solution is differentiated, one of `odelib.solvers.GRADIENTS`, or `Checkpoint` or `Adjoint`
            with options. Values are the same in all modes but "reversible", which integrates by a reversible rule made
            from the given one.

    Raises:
        ValueError: The number of fields is not the number of weight sets, fields of different parameters came for
            weights that depend on time, or a rule without error estimate came with `Adaptive` steps.
        TypeError: The fields are no modules, or another argument is of another type.
    """

    def __init__(
        self,
        fields: Sequence[nn.Module],
        rule: str | StepRule | Tableau,
        schedule: DepthSchedule,
        *,
        learn_step_size: bool = False,
        steps: Adaptive | None = None,
        gradient: str | Gradient = "backprop",
    ) -> None:
        super().__init__()
        if not isinstance(schedule, DepthSchedule):
            raise TypeError(f"the schedule is {schedule!r}: give a DepthSchedule(intervals, steps, step_size)")
        if not isinstance(fields, Iterable) or not all(isinstance(field, nn.Module) for field in fields):
            raise TypeError(f"the fields are {fields!r}: give modules with forward(t, x), one per weight set")
        if len(fields) != schedule.weight_sets:
            raise ValueError(
                f"{len(fields)} fields came for {schedule.intervals} intervals: give one field per interval"
                + (" and one more, since they are knots" if schedule.weights == "linear" else "")
            )
        shapes = [{name: weight.shape for name, weight in field.named_parameters()} for field in fields]
        if schedule.weights != "piecewise" and any(each != shapes[0] for each in shapes):
            raise ValueError(
                f"weights that are {schedule.weights!r} in time are sums over the fields, whose parameters differ in "
                "name or shape: give fields of one architecture"
            )
        self.fields = nn.ModuleList(fields)
        self.rule = step_rule(rule)
        self.schedule = schedule
        self.steps = _checked(steps, self.rule, schedule)
        self.gradient = _plain(gradient)
        self._spent = 0.0
        if not isinstance(learn_step_size, bool):
            raise TypeError(f"learn_step_size is {learn_step_size!r}: give True or False")
        self.log_scale = nn.Parameter(torch.zeros(schedule.intervals)) if learn_step_size else None

    @property
    def nfe(self) -> float:
        """Field evaluations per forward pass, of the last one if steps are chosen by the error.

        Evaluating one of the terms counts as its share.
        """
        if self.steps is not None:
            return self._spent
        first = self.fields[0]
        per_step = self.rule.evaluations(len(terms_of(first)) if isinstance(first, SplitField) else 1)
        wrapped = self.gradient == "reversible" and not self.rule.invertible
        return self.schedule.intervals * self.schedule.steps * per_step * (2 if wrapped else 1)

    @property
    def keeps_cache(self) -> bool:
        """Whether a cache of keys and values can be passed: the fields read one, and steps do not follow the state."""
        read = all(isinstance(field, ContextField) and "cache" in field.reads for field in self.fields)
        return read and self.steps is None

    def swap(
        self,
        rule: str | StepRule | Tableau | None = None,
        *,
        refine: int = 1,
        steps: int | Adaptive | None = None,
        gradient: str | Gradient | None = None,
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
        schedule, adaptive = self.schedule, self.steps
        if isinstance(steps, Adaptive):
            adaptive = steps
        elif steps is not None:
            _ = replace(schedule, steps=steps)  # raises where it is no number of steps
            adaptive, schedule = None, replace(schedule, steps=steps, step_size=schedule.length / steps)
        if isinstance(refine, bool) or not isinstance(refine, int):
            raise TypeError(f"refine is {refine!r}: give a whole number of steps for each present one")
        if refine < 1:
            raise ValueError(f"refine is {refine}: take at least 1 step in place of each present one")
        new = self.rule if rule is None else step_rule(rule)
        mode = self.gradient if gradient is None else _plain(gradient)
        self.steps, self.rule, self.gradient = _checked(adaptive, new, schedule), new, mode
        self.schedule = replace(schedule, steps=schedule.steps * refine, step_size=schedule.step_size / refine)

    def make_constant(self) -> None:
        """Start a Fourier series of weights as its constant term: all other coefficients become 0."""
        if self.schedule.weights == "fourier":
            with torch.no_grad():
                for parameter in self.fields[1:].parameters():
                    parameter.zero_()

    def forward(
        self, x: Float[Tensor, "batch *shape"], record: list[Tensor] | None = None, *, context: Context | None = None
    ) -> Float[Tensor, "batch *shape"]:
        """Return the state at the end of depth.

        Args:
            x: The state at time 0.
            record: A list to which the state after each step of the schedule is appended.
            context: What the fields read besides t and x.

        Raises:
            ValueError: The context has what the fields do not read; or a cache came, and steps are chosen by the error.
        """
        cache = None if context is None else context.cache
        if cache is not None and self.steps is not None:
            raise ValueError(
                "steps chosen by the error differ from pass to pass, so keys and values cannot be kept: "
                "pass no cache, or set a number of steps by swap(steps=...)"
            )
        self._spent = 0.0
        for i in range(self.schedule.intervals):
            x = self._through(i, x, record, EMPTY if context is None else context)
        if cache is not None:
            cache.advance(x.shape[1])
        return x

    def field_over(self, interval: int, context: Context = EMPTY) -> Field:
        """Return the field over an interval, f(t, x): weights by the schedule, context bound, step size learned."""
        constant = self.schedule.weights == "piecewise"
        sets, basis = ((interval,), None) if constant else self.schedule.over(interval)
        first = self.fields[sets[0]]
        if context is not EMPTY:
            check_reads(first, context)
        field: Field = first
        if basis is None and isinstance(first, ContextField):
            field = first.bind(context)
            if isinstance(first, RandomField) and first.training and not isinstance(field, RandomField):
                kinds = f"{type(first).__name__}, which draws at random, returned a {type(field).__name__}"
                raise TypeError(f"bind of {kinds}, which does not: return a RandomField")
        # What was bound may hold what was made of the weights. It is made once, unless the weights change with time, or
        # a way back that evaluates the field anew has to see what the weights do in it.
        if basis is not None or (self.gradient != "backprop" and field is not first):
            form = ScheduledSplit if isinstance(first, SplitField) else Scheduled
            field = form([self.fields[j] for j in sets], context, basis)
        return field if self.log_scale is None else Scaled(field, self.log_scale[interval].exp())

    def _through(self, interval: int, x: Tensor, record: list[Tensor] | None, context: Context) -> Tensor:
        field, steps, h = self.field_over(interval, context), self.schedule.steps, self.schedule.step_size
        if self.gradient == "backprop" and self.steps is None and isinstance(self.fields[interval], TransformerField):
            # The bare loop, which compiles. It checks nothing, so other fields go through `solve`.
            end: Tensor = integrate(field, self.rule, x, t=interval * steps * h, h=h, steps=steps, record=record)
            return end
        start, count, times = interval * steps, steps, [interval * steps * h, (interval + 1) * steps * h]
        if record is not None:
            times, count = [(start + k) * h for k in range(steps + 1)], 1
        # A module can be asked for what it depends on; what is made of several cannot.
        used = None if isinstance(field, nn.Module) else self._parameters_of(field, interval, context)
        solution = solve(
            field, x, times, rule=self.rule, steps=self.steps or count, gradient=self.gradient, parameters=used
        )
        self._spent += solution.stats.nfe
        if record is not None:
            record.extend(solution.ys[1:])
        return solution.ys[-1]  # type: ignore[no-any-return]

    def _parameters_of(self, field: Field, interval: int, context: Context) -> list[Tensor]:
        """All tensors that the field depends on, for the gradient modes that need them named."""
        sets, _ = self.schedule.over(interval)
        tensors = [table[name] for j in sets for table, name in places_of(self.fields[j])]
        tensors += [] if context.memory is None else [context.memory]
        return [*tensors, field.scale] if isinstance(field, Scaled) else tensors


def _plain(gradient: str | Gradient) -> str | Gradient:
    """Return the name of a gradient mode, if it has one."""
    mode = gradient_mode(gradient)
    return next((name for name, known in GRADIENTS.items() if known == mode), mode)


def _checked(steps: Adaptive | None, rule: StepRule, schedule: DepthSchedule) -> Adaptive | None:
    if steps is None:
        return None
    if not isinstance(steps, Adaptive):
        raise TypeError(
            f"steps is {steps!r}: give Adaptive(...), or None; a number of steps is the schedule's, as in "
            "DepthSchedule(intervals, steps=3), or swap's"
        )
    if rule.error_order is None:
        raise ValueError(
            f"the step rule {rule.name!r} estimates no error by which steps could be chosen: "
            "take an embedded pair such as 'dopri5', 'tsit5' or 'bosh3', or a number of steps"
        )
    if steps.per_sample and schedule.weights != "piecewise":
        raise ValueError(
            f"weights are {schedule.weights!r} in time and each sample has a time of its own: "
            "leave per_sample off, or take piecewise constant weights"
        )
    return steps
