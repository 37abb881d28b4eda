"""The loop: steps of a rule along a field, on a fixed grid or adaptive, for all of the gradient modes."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, TypeVar

import torch
from torch import Tensor

from odelib.solvers.adaptive import Adaptive
from odelib.solvers.callbacks import NO_CALLBACKS, Callbacks
from odelib.solvers.control import AdaptivePlan, GridPlan
from odelib.solvers.field import Clamped, Field, RandomField, Wrapped, is_random
from odelib.solvers.grid import Grid, Sides, equal_steps
from odelib.solvers.randomness import Draws
from odelib.solvers.rules import step_rule
from odelib.solvers.state import State, combine, leaves_of, minus
from odelib.solvers.step_rule import Step, StepRule, first_step
from odelib.solvers.tableau import Tableau
from odelib.solvers.watched import Counts

S = TypeVar("S", Tensor, tuple[Tensor, ...])


def integrate(
    field: Field, rule: str | StepRule | Tableau, y: S, *, t: float, h: float, steps: int, record: list[S] | None = None
) -> S:
    """Take ``steps`` steps of size ``h`` from time ``t`` and return the last state: the bare loop, no value checked.

    Args:
        field: The vector field.
        rule: The step rule, its name, or a tableau.
        y: State at time ``t``: a tensor of any shape, or a tuple of tensors.
        t: Initial time.
        h: Step size, not zero; negative to go back in time.
        steps: Number of steps.
        record: A list to which the state after each step is appended.

    Raises:
        TypeError: The field, the rule, the state or the number of steps is of another kind.
    """
    # No function is called for what is as it should be: this is the way through a network.
    if not callable(field) or not isinstance(y, (Tensor, tuple)) or not isinstance(steps, int) or isinstance(h, str):
        raise TypeError(
            f"integrate came with a field {type(field).__name__}, a state {type(y).__name__}, h={h!r} and "
            f"steps={steps!r}: give a function of (t, y), a tensor or a tuple of tensors, a number and a whole number"
        )
    rule = rule if isinstance(rule, StepRule) else step_rule(rule)
    end: S = march(field, rule, y, None, t, h, range(steps), record)[0]
    return end


def march(
    field: Field, rule: StepRule, y: Any, carry: Any, t: float, h: float, steps: range, record: list[Any] | None = None
) -> tuple[Any, Any]:
    """Take the steps of these numbers, of size ``h`` from time ``t`` on; return the last state and carry.

    ``carry`` is what the step before the first of these left; None: there was none.
    """
    random = isinstance(field, RandomField) or (isinstance(field, Wrapped) and is_random(field))
    asked: Any = field
    held: Any = None if carry is None else field
    for i in steps:
        before, held = held, asked.draw(y) if random else field
        if held is not before:
            carry = rule.init(held, t + i * h, y, carry)
        y, _, carry, *_ = rule.step(held, t + i * h, h, y, carry)
        if record is not None:
            record.append(y)
    return y, carry


@dataclass(slots=True)
class Taken:
    """A step that was taken, from (t, y0) to (end, y1), with all that the states within it need.

    Attributes:
        rule: The rule.
        field: The field, as drawn for this step.
        t: Its beginning.
        h: Its size.
        end: The time at its end, t + h without its rounding where the step lands on a given time.
        y0: The state at its beginning.
        carry: What it began with.
        step: What the rule returned.
        interpolation: How states within are found: "dense", or as in `Grid`.
        slopes: The field at both ends, once it is needed there.
        graph: Whether the step was taken with a graph.
    """

    rule: StepRule
    field: Field
    t: float
    h: float
    end: float
    y0: Any
    carry: Any
    step: Step
    interpolation: str = "dense"
    slopes: list[Any] = field(default_factory=list)
    graph: bool = field(default_factory=torch.is_grad_enabled)

    @property
    def y1(self) -> Any:
        """The state at its end."""
        return self.step.y1

    def at(self, time: float) -> Any:
        """Return the state at a time within the step: y1 itself at its end, else as the interpolation says."""
        if time == self.end:
            return self.y1
        if self.interpolation == "step":
            return self.partial(time)
        if self.interpolation == "linear":
            return combine(self.y0, 1.0, ((0, (time - self.t) / self.h),), [minus(self.y1, self.y0)])
        return self.dense(time, self.interpolation == "cubic")

    def partial(self, time: float) -> Any:
        """Return the state at a time within the step by a smaller step of the rule: of its own order."""
        return self.rule.step(self.field, self.t, time - self.t, self.y0, self.carry).y1

    def dense(self, time: float, cubic: bool = False) -> Any:
        """Return the rule's dense output, or else the cubic Hermite interpolant, whose error is O(h^4)."""
        x = (time - self.t) / self.h
        if self.step.dense is not None and not cubic:
            return self.step.dense(x)
        if not self.slopes:
            # A search for events, which wants no graph, must not take it from the outputs.
            with torch.set_grad_enabled(self.graph):
                self.slopes = [self.field(self.t, self.y0), self.field(self.end, self.y1)]
        change = minus(self.y1, self.y0)
        bends = ((0, x * x * (3 - 2 * x)), (1, self.h * x * (1 - x) ** 2), (2, self.h * x * x * (x - 1)))
        return combine(self.y0, 1.0, bends, [change, *self.slopes])


@dataclass(frozen=True)
class Problem:
    """An initial-value problem with all that was chosen for its solution.

    Attributes:
        field: The field, on leaves.
        rule: The step rule.
        times: At least two times, strictly monotone; the state is wanted at all but the first.
        steps: Equal steps between neighbouring times, or a grid, or adaptive steps.
        callbacks: What looks on.
        events: What ends the solve or is recorded.
    """

    field: Field
    rule: StepRule
    times: tuple[float, ...]
    steps: int | Grid | Adaptive
    callbacks: Callbacks = NO_CALLBACKS
    events: tuple[Any, ...] = ()

    @property
    def sign(self) -> float:
        """Direction of time."""
        return math.copysign(1.0, self.times[-1] - self.times[0])

    @property
    def interpolation(self) -> str:
        """How states within a step are found."""
        return "dense" if isinstance(self.steps, Adaptive) else getattr(self.steps, "interpolation", "step")

    def between(self, start: float, stop: float) -> "Problem":
        """Return the problem without events between two other times."""
        return replace(self, times=(start, stop), events=(), callbacks=NO_CALLBACKS)

    @property
    def jumps(self) -> bool:
        """Whether the field may jump somewhere."""
        steps = self.steps
        return bool(steps.jump_t) if isinstance(steps, Adaptive) else isinstance(steps, Grid) and steps.two_sided

    def is_jump(self, t: float) -> bool:
        """Return whether the field is to be seen from one side only at ``t``."""
        return t in self.steps.jump_t if isinstance(self.steps, Adaptive) else self.jumps

    def within(self, field: Field, t: float, h: float, end: float, y: State) -> Field:
        """Return the field as a step from ``t`` to ``end`` sees it: never outside, and from inside where it jumps."""
        first, last, slack = self.is_jump(t), self.is_jump(end), 4 * max(math.ulp(t), math.ulp(end))
        if not (first or last):
            return field if t + h == end else Clamped(field, t, end, slack)
        sides = Sides(leaves_of(y)[0].real.dtype if leaves_of(y) else torch.float64, self.sign)
        after, before = sides.after(t) if first else t, sides.before(end) if last else end
        return Clamped(field, after, before, slack + abs(after - t) + abs(before - end))

    def plan(self, counts: Counts) -> GridPlan | AdaptivePlan:
        """Return where the steps lie."""
        if isinstance(self.steps, Grid):
            return GridPlan(self.steps.steps(self.times), self.times[-1])
        if isinstance(self.steps, int):
            return GridPlan(equal_steps(self.times, self.steps), self.times[-1])
        assert self.rule.error_order is not None
        return AdaptivePlan(self.steps, self.rule.error_order, self.stops(), self.times[0], counts)

    def stops(self) -> list[float]:
        """Return the times on which an adaptive step must end, in the direction of time."""
        assert isinstance(self.steps, Adaptive)
        inner = {float(time) for time in (*self.steps.step_t, *self.steps.jump_t)}
        # A state within a step of a rule that remembers more than the state could not be gone back from.
        inner |= set() if self.rule.one_step else set(self.times[1:-1])
        start, stop = self.times[0], self.times[-1]
        inside = (time for time in inner if min(start, stop) < time < max(start, stop))
        return [*sorted(inside, key=lambda time: self.sign * time), stop]


def steps_of(
    problem: Problem, y: State, draws: Draws, counts: Counts, probe: Callable[[Taken], Sequence[Tensor]] | None = None
) -> Iterator[tuple[Taken, list[float]]]:
    """Yield each accepted step of a problem from state ``y``, with the numbers that a probe wanted of it.

    Args:
        problem: The problem.
        y: The state at its first time.
        draws: Its field, drawn once per accepted step.
        counts: Where the cost is noted.
        probe: Returns 0-dimensional tensors of a step tried, which are read together with its error.

    Raises:
        SolverError: An adaptive step became too small, or there were too many.
    """
    rule, call, plan = problem.rule, problem.callbacks, problem.plan(counts)
    t, carry, before, interpolation, jumps = problem.times[0], None, None, problem.interpolation, problem.jumps
    take: Any = rule.step if counts.steps else partial(first_step, rule, adaptive=isinstance(problem.steps, Adaptive))
    while t != plan.last:
        held = draws.next(y)
        if held is not before or (jumps and problem.is_jump(t)):
            h, end = plan.last - t, plan.last
            seen = held if not jumps and t + h == end else problem.within(held, t, h, end, y)
            carry = plan.begin(rule, seen, t, y, carry)
        accepted, before = False, held
        while not accepted:
            h, end = plan.propose(t)
            if call.tried is not None:
                call.tried(t, y, h)
            seen = held if not jumps and t + h == end else problem.within(held, t, h, end, y)
            step, take = take(seen, t, h, y, carry), rule.step
            taken = Taken(rule, seen, t, h, end, y, carry, step, interpolation)
            accepted, numbers = plan.judge(taken, () if probe is None else probe(taken))
            counts.steps += 1
            if not accepted and call.rejected is not None:
                call.rejected(t, y, h)
        if call.accepted is not None:
            call.accepted(t, y, h)
        counts.accepted += 1
        counts.sizes.append(abs(h))
        yield taken, numbers
        t, y, carry = end, step.y1, step.carry
        # The memory of its stages is then free for the next step.
        del taken, step


def follow(
    problem: Problem,
    y: State,
    draws: Draws,
    counts: Counts,
    look: Callable[[int, Taken, list[float]], bool],
    probe: Callable[[Taken], Sequence[Tensor]] | None = None,
) -> None:
    """Take the steps of `steps_of`, and call ``look(number, step, probes)`` for each until it returns True."""
    for number, (taken, probes) in enumerate(steps_of(problem, y, draws, counts, probe)):
        if look(number, taken, probes):
            return
        del taken  # so that the memory of its stages is free for the next step
