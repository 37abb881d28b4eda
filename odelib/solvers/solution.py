"""What a solve returns."""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from odelib.solvers.events import Crossings
from odelib.solvers.field import Tree
from odelib.solvers.loop import Taken
from odelib.solvers.state import State, Structure
from odelib.solvers.step_rule import StepRule
from odelib.solvers.times import along, varies
from odelib.solvers.watched import Counts


@dataclass(frozen=True)
class Stats:
    """What a solve cost.

    Attributes:
        nfe: Evaluations of the field on the way there; one term of a split field counts as its share. Those that only
            a derivative by a time needs are not counted.
        steps: Steps tried.
        accepted: Steps accepted; on a fixed grid all are.
        rejected: Steps whose error was too large.
        smallest: Size of the smallest accepted step, in units of time; 0 if there was none.
        largest: Size of the largest.
        hint: A sentence if the problem looks stiff for the rule, else None.
    """

    nfe: float
    steps: int
    accepted: int
    rejected: int = 0
    smallest: float = 0.0
    largest: float = 0.0
    hint: str | None = None

    @classmethod
    def of(cls, counts: Counts, rule: StepRule) -> "Stats":
        """Return the statistics of a solve by a rule."""
        steps, accepted, sizes = counts.steps, counts.accepted, counts.sizes
        smallest, largest = min(sizes, default=0.0), max(sizes, default=0.0)
        hint = counts.watch.hint(rule, steps, accepted)
        return cls(counts.nfe, steps, accepted, steps - accepted, smallest, largest, hint)


@dataclass(frozen=True)
class Solution:
    """The solution of an initial-value problem; of one with dense output, also a function of the time.

    Attributes:
        ts: The times asked for, up to the one at which the solve ended.
        ys: The states at these times, stacked in front: shape ``(len(ts), *y0.shape)``, dtype and device of y0; of a
            state given as a tree, a tree of such tensors.
        stats: What it cost.
        status: "success"; "event" where a terminal event ended the solve. A solve that fails raises.
        events: For each event its `Crossings`.
    """

    ts: tuple[float, ...]
    ys: Any
    stats: Stats
    status: str = "success"
    events: tuple[Crossings, ...] = ()
    _steps: Sequence[Taken] = field(default=(), repr=False)
    _structure: Structure | None = field(default=None, repr=False)

    def __call__(self, t: float | Tensor) -> Tree:
        """Return the state at a time within the times of the solve, in the structure of y0; differentiable.

        It is found by the rule's dense output; for a rule without one, by a cubic Hermite interpolant, whose error is
        O(h^4) and which costs up to two evaluations of the field per step that is looked into.

        Args:
            t: The time; a 0-dimensional tensor may require a gradient.

        Raises:
            ValueError: The solve kept no dense output, or the time lies outside of its steps.
            TypeError: The time is no number.
        """
        return self._tree(self._state(t)[1])

    def derivative(self, t: float | Tensor) -> Tree:
        """Return dy/dt at a time within the times of the solve: the field at the state there.

        Raises:
            ValueError: As where the state is asked for.
        """
        taken, y = self._state(t)
        return self._tree(taken.field(float(t), y))

    def _state(self, t: float | Tensor) -> tuple[Taken, State]:
        try:
            steps, time = self._steps, float(t.detach() if isinstance(t, Tensor) else t)
        except (TypeError, ValueError) as error:
            raise TypeError(f"the time is {t!r}: give a number, or a 0-dimensional tensor") from error
        if not steps:
            raise ValueError("this solution has no dense output: solve with dense=True, from one time to another")
        sign = 1.0 if steps[0].h > 0 else -1.0
        start, stop = steps[0].t, steps[-1].end
        if self.status == "event":
            stop = sign * max(sign * float(crossings.ts[-1]) for crossings in self.events if len(crossings.ts))
        if not 0.0 <= sign * (time - start) <= sign * (stop - start):
            raise ValueError(
                f"t={time:.6g} lies outside of the solution, which leads from {start:.6g} to {stop:.6g}: ask for a "
                "time within, or solve further"
            )
        number = min(bisect_left([sign * taken.end for taken in steps], sign * time), len(steps) - 1)
        taken = steps[number]
        y = taken.y0 if time == taken.t else taken.y1 if time == taken.end else taken.dense(time)
        return taken, along(taken.field, time, t, y) if isinstance(t, Tensor) and varies(t) else y

    def _tree(self, y: Any) -> Tree:
        tree: Tree = y if self._structure is None else self._structure.tree(y)
        return tree
