"""One walk from the first time to the last, and the states on the way that were asked for."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import torch

from odelib.solvers.arithmetic import Leaves, leaves_of
from odelib.solvers.control import Adaptive
from odelib.solvers.draws import Draws
from odelib.solvers.events import Event, EventSearch
from odelib.solvers.grid import Grid, GridStep, Sides, equal_steps
from odelib.solvers.reversible import Reversible
from odelib.solvers.runge_kutta import Step
from odelib.solvers.walk import AdaptiveStep, AdaptiveWalk, Counts, Watchers, walk_grid


@dataclass(frozen=True)
class Problem:
    """An initial-value problem with all that was chosen for its solution.

    Attributes:
        field: The field, on leaves.
        rule: The step rule.
        times: At least two times, strictly monotone; the state is wanted at all but the first.
        steps: Equal steps between neighbouring times, or a grid, or adaptive steps.
        watchers: What looks on.
        events: What ends the walk or is recorded.
    """

    field: Any
    rule: Any
    times: tuple[float, ...]
    steps: int | Grid | Adaptive
    watchers: Watchers = field(default_factory=Watchers)
    events: tuple[Event, ...] = ()

    @property
    def sign(self) -> float:
        """Direction of time."""
        return math.copysign(1.0, self.times[-1] - self.times[0])

    def taker(self, y: Leaves) -> GridStep | AdaptiveStep:
        """Return what takes this problem's steps."""
        sides = Sides(leaves_of(y)[0].real.dtype if leaves_of(y) else torch.float64, self.sign)
        if isinstance(self.steps, Adaptive):
            return AdaptiveStep(self.rule, self.steps.jump_t, sides)
        if isinstance(self.steps, Grid):
            return GridStep(self.rule, self.steps.interpolation, sides if self.steps.two_sided else None)
        return GridStep(self.rule)

    def walk(self, y: Leaves, draws: Draws, counts: Counts, watchers: Watchers) -> Iterable[tuple[Step, list[float]]]:
        """Return an iterator over the steps taken from state ``y``."""
        taker = self.taker(y)
        if isinstance(taker, AdaptiveStep):
            assert isinstance(self.steps, Adaptive)
            return AdaptiveWalk(taker, y, self._stops(self.steps), draws, counts, watchers, self.steps)
        if isinstance(self.steps, Grid):
            return walk_grid(taker, y, self.steps.steps(self.times), draws, counts, watchers)
        assert isinstance(self.steps, int)
        return walk_grid(taker, y, equal_steps(self.times, self.steps), draws, counts, watchers)

    def _stops(self, control: Adaptive) -> list[float]:
        """Return the times on which a step must end, in the direction of time."""
        inner = {float(time) for time in (*control.step_t, *control.jump_t)}
        # A reversible step has no dense output: a state between two of its steps could not be stepped back from.
        inner |= set(self.times[1:-1]) if isinstance(self.rule, Reversible) else set()
        start, stop = self.times[0], self.times[-1]
        inside = (time for time in inner if min(start, stop) < time < max(start, stop))
        return [start, *sorted(inside, key=lambda time: self.sign * time), stop]

    def between(self, start: float, stop: float) -> "Problem":
        """Return the problem without events between two other times."""
        return replace(self, times=(start, stop), events=(), watchers=Watchers())


class Mark(NamedTuple):
    """Where an output lies: in which step, at which time, of which event (None: a time asked for)."""

    step: int
    time: float
    event: int | None


@dataclass
class Trajectory:
    """The outputs of one walk.

    Attributes:
        marks: Where they lie, in the order of time.
        states: The states there.
        reached: The time at which the walk ended.
        stopped: Whether an event ended it.
    """

    marks: list[Mark] = field(default_factory=list)
    states: list[Leaves] = field(default_factory=list)
    reached: float = 0.0
    stopped: bool = False

    def add(self, mark: Mark, state: Leaves) -> None:
        """Add one output."""
        self.marks.append(mark)
        self.states.append(state)


def output(step: Step, mark: Mark) -> Leaves:
    """Return the state that a mark in this step asks for; that of an event is of the rule's full order."""
    if mark.event is None or mark.time == step.end:
        return step.at(mark.time)  # type: ignore[no-any-return]
    return step.rule.partial(step, mark.time)  # type: ignore[no-any-return]


def follow(
    problem: Problem,
    y: Leaves,
    draws: Draws,
    counts: Counts,
    into: Trajectory,
    keep: Callable[[int, Step], None] | None = None,
) -> None:
    """Walk through the problem from state ``y`` and collect the outputs, also where the walk fails on its way.

    Args:
        problem: The problem.
        y: Initial state.
        draws: Its field.
        counts: Where the cost is noted.
        into: Where the outputs go.
        keep: Called with each step and its number, before its outputs are made.
    """
    search = EventSearch(problem.events) if problem.events else None
    watchers = problem.watchers if search is None else replace(problem.watchers, probe=search.probe)
    waiting: Sequence[float] = problem.times[1:]
    sign, asked = problem.sign, 0
    into.reached = problem.times[0]
    number = -1
    for step, probes in problem.walk(y, draws, counts, watchers):
        number += 1
        if keep is not None:
            keep(number, step)
        found = [] if search is None else search.in_step(step, probes)
        last = found[-1][0] if found and problem.events[found[-1][1]].terminal else step.end
        wanted = [Mark(number, time, event) for time, event in found]
        while asked < len(waiting) and sign * (waiting[asked] - last) <= 0.0:
            wanted.append(Mark(number, waiting[asked], None))
            asked += 1
        for mark in sorted(wanted, key=lambda mark: sign * mark.time):
            into.add(mark, output(step, mark))
        into.reached = last
        if found and problem.events[found[-1][1]].terminal:
            into.stopped = True
            return
        # The memory of its stages is then free for the next step.
        del step
