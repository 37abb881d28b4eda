"""The states of a solve that were asked for: where they lie, and what they are."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from odelib.solvers.events import EventSearch
from odelib.solvers.loop import Problem, Taken
from odelib.solvers.state import State


class Mark(NamedTuple):
    """Where an output lies: in which step, at which time, of which event (None: a time asked for)."""

    step: int
    time: float
    event: int | None


@dataclass
class Outputs:
    """The outputs of one solve.

    Attributes:
        marks: Where they lie, in the order of time.
        states: The states there.
        stopped: Whether an event ended it.
    """

    marks: list[Mark] = field(default_factory=list)
    states: list[State] = field(default_factory=list)
    stopped: bool = False

    def add(self, mark: Mark, state: State) -> None:
        """Add one output."""
        self.marks.append(mark)
        self.states.append(state)

    def by_step(self) -> dict[int, list[tuple[int, Mark]]]:
        """Return, by step, the marks that lie in it, with their numbers."""
        found: dict[int, list[tuple[int, Mark]]] = {}
        for number, mark in enumerate(self.marks):
            found.setdefault(mark.step, []).append((number, mark))
        return found


def state_at(taken: Taken, mark: Mark) -> State:
    """Return the state that a mark in this step asks for; that of an event is of the rule's full order."""
    if mark.event is None or mark.time == taken.end:
        return taken.at(mark.time)  # type: ignore[no-any-return]
    return taken.partial(mark.time)  # type: ignore[no-any-return]


class Collector:
    """Collects the outputs of a problem while its steps are taken, also where it fails on its way.

    Args:
        problem: The problem.
        into: Where the outputs go.
        keep: Called with each step and its number, before its outputs are made.
    """

    def __init__(self, problem: Problem, into: Outputs, keep: Callable[[int, Taken], None] | None = None) -> None:
        self.problem, self.into, self.keep = problem, into, keep
        self.search = EventSearch(problem.events) if problem.events else None
        self.probe = None if self.search is None else self.search.probe
        self.asked = 1  # number of the next time at which the state is wanted

    def look(self, number: int, taken: Taken, probes: list[float]) -> bool:
        """Make the outputs of a step; return whether an event ends the solve in it."""
        times, sign, events = self.problem.times, self.problem.sign, self.problem.events
        if self.keep is not None:
            self.keep(number, taken)
        found = [] if self.search is None else self.search.in_step(taken, probes)
        self.into.stopped = bool(found) and events[found[-1][1]].terminal
        last = found[-1][0] if self.into.stopped else taken.end
        wanted = [Mark(number, time, event) for time, event in found] if found else []
        while self.asked < len(times) and sign * (times[self.asked] - last) <= 0.0:
            wanted.append(Mark(number, times[self.asked], None))
            self.asked += 1
        if found:
            wanted.sort(key=lambda mark: sign * mark.time)
        for mark in wanted:
            self.into.add(mark, taken.step.y1 if mark.time == taken.end else state_at(taken, mark))
        return self.into.stopped
