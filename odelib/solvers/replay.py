"""The two strategies that take the steps again on the way back: from kept states, and by stepping back."""

import math
from typing import Any

import torch
from torch import Tensor

from odelib.solvers.arithmetic import Leaves, leaves_of, like
from odelib.solvers.draws import Draws
from odelib.solvers.gradients import Checkpoint, Sums, added, vjp, zeros_if_none
from odelib.solvers.reversible import Reversible
from odelib.solvers.runge_kutta import Step
from odelib.solvers.trajectory import Mark, Problem, Trajectory, follow, output
from odelib.solvers.walk import Counts


class Recorded:
    """A walk whose steps can be taken again.

    Args:
        problem: The problem.
        y0: Initial state, for its form.
        parameters: The tensors that the field depends on.
        counts: Where the cost of the way there is noted.
        trajectory: Where the outputs go.
    """

    def __init__(
        self, problem: Problem, y0: Leaves, parameters: tuple[Tensor, ...], counts: Counts, trajectory: Trajectory
    ) -> None:
        self.problem, self.form, self.parameters, self.counts = problem, y0, parameters, counts
        self.draws = Draws(problem.field, record=True)
        self.trajectory = trajectory
        self.path: list[tuple[float, float, float]] = []

    def forward(self, y0: Leaves) -> list[Leaves]:
        """Walk there without a graph, keep what `keep` says, return the outputs."""
        follow(self.problem, y0, self.draws, self.counts, self.trajectory, self.keep)
        # The outputs will hold this object by the graph: it must not hold them.
        states, self.trajectory.states = self.trajectory.states, []
        return states

    def keep(self, number: int, step: Step) -> None:
        """Note a step."""
        self.path.append((step.t, step.h, step.end))

    def marks_by_step(self) -> dict[int, list[tuple[int, Mark]]]:
        """Return, by step, the outputs that lie in it, with their numbers."""
        found: dict[int, list[tuple[int, Mark]]] = {}
        for number, mark in enumerate(self.trajectory.marks):
            found.setdefault(mark.step, []).append((number, mark))
        return found


class Replay(Recorded):
    """Keeps the states at the beginnings of segments, and takes each segment again with a graph on the way back.

    Args:
        mode: How many states are kept.
        *recorded: See `Recorded`.
    """

    def __init__(self, mode: Checkpoint, *recorded: Any) -> None:
        super().__init__(*recorded)
        self.mode = mode
        self.stride = 1
        self.starts: list[Leaves] = []
        if isinstance(mode.segments, int) and isinstance(self.problem.steps, int):
            total = self.problem.steps * (len(self.problem.times) - 1)
            self.stride = math.ceil(total / mode.segments)

    def keep(self, number: int, step: Step) -> None:
        """Note a step, and its state if a segment begins here."""
        super().keep(number, step)
        if number % self.stride:
            return
        # Detached: a state that is also an output must not hold the graph that holds it.
        self.starts.append(like(step.y0, [leaf.detach() for leaf in leaves_of(step.y0)]))
        if self._too_many():
            self.starts = self.starts[::2]
            self.stride *= 2

    def _too_many(self) -> bool:
        kept = len(self.starts)
        if self.mode.segments is None:
            return False
        return kept > 2 * (self.mode.segments if isinstance(self.mode.segments, int) else self.stride)

    def backward(self, outputs: list[Leaves], grads: list[list[Tensor | None]]) -> tuple[list[Tensor], Sums]:
        """Take the segments again, the last first."""
        sums, marks = Sums(self.parameters), self.marks_by_step()
        count = len(leaves_of(self.form))
        bar: list[Tensor | None] = [None] * count
        for segment in reversed(range(len(self.starts))):
            first = segment * self.stride
            steps = range(first, min(first + self.stride, len(self.path)))
            start = [leaf.detach().requires_grad_() for leaf in leaves_of(self.starts[segment])]
            with torch.enable_grad():
                ends, wanted = self._again(steps, like(self.form, start), marks)
            heads = list(leaves_of(ends))
            tails = bar
            for number, state in wanted:
                heads = [*heads, *leaves_of(state)]
                tails = [*tails, *grads[number]]
            found = vjp(heads, [*start, *self.parameters], tails)
            bar = list(found[:count])
            sums.add(found[count:])
            # Not to be kept while the next segment is taken.
            del ends, wanted, heads, tails, found
        return zeros_if_none(bar, leaves_of(self.form)), sums

    def _again(
        self, steps: range, y: Leaves, marks: dict[int, list[tuple[int, Mark]]]
    ) -> tuple[Leaves, list[tuple[int, Leaves]]]:
        """Take some steps again; return the last state, and the outputs on the way with their numbers."""
        taker, carry, before = self.problem.taker(y), None, None
        wanted: list[tuple[int, Leaves]] = []
        for number in steps:
            t, h, end = self.path[number]
            field = self.draws.again(number, y)
            carry, before = taker.begin(field, t, y, carry, fresh=field is not before), field
            step = taker.take(field, t, h, y, carry, end)
            wanted += [(i, output(step, mark)) for i, mark in marks.get(number, ())]
            y, carry = step.y1, step.carry
        return y, wanted


class StepBack(Recorded):
    """Walks with a reversible rule and steps back along the same path: only the last pair of states is kept."""

    def keep(self, number: int, step: Step) -> None:
        """Note a step and its result."""
        super().keep(number, step)
        self.last = tuple(like(step.y0, [leaf.detach() for leaf in leaves_of(part)]) for part in (step.y1, step.carry))

    def backward(self, outputs: list[Leaves], grads: list[list[Tensor | None]]) -> tuple[list[Tensor], Sums]:
        """Step back, the last step first."""
        rule = self.problem.rule
        assert isinstance(rule, Reversible)
        sums, marks = Sums(self.parameters), self.marks_by_step()
        y, z = self.last
        count = len(leaves_of(self.form))
        y_bar: list[Tensor | None] = [None] * count
        z_bar: list[Tensor | None] = [None] * count
        for number in reversed(range(len(self.path))):
            t, h, end = self.path[number]
            inside = []
            for i, mark in marks.get(number, ()):
                if mark.time != end:
                    inside.append((i, mark))
                    continue
                y_bar = [added(a, b) for a, b in zip(y_bar, grads[i], strict=True)]
            field = self.draws.again(number, y)
            # z1 = z - Psi_{-h}(end, y1)
            psi, by_y = self._increment(rule, field, end, -h, y, [None if g is None else -g for g in z_bar], sums)
            y_bar = [added(a, b) for a, b in zip(y_bar, by_y, strict=True)]
            z = like(z, [(a + b).to(a.dtype) for a, b in zip(leaves_of(z), psi, strict=True)])
            # y1 = lambda y + (1 - lambda) z + Psi_h(t, z)
            psi, by_z = self._increment(rule, field, t, h, z, y_bar, sums)
            y = rule.back(y, z, like(y, psi))
            shares = [None if g is None else (1.0 - rule.coupling) * g for g in y_bar]
            z_bar = [added(added(a, b), c) for a, b, c in zip(z_bar, shares, by_z, strict=True)]
            y_bar = [None if g is None else rule.coupling * g for g in y_bar]
            if inside:
                by_pair = self._inside(self.path[number], field, y, z, inside, grads, sums)
                y_bar = [added(a, b) for a, b in zip(y_bar, by_pair[:count], strict=True)]
                z_bar = [added(a, b) for a, b in zip(z_bar, by_pair[count:], strict=True)]
        both = [added(a, b) for a, b in zip(y_bar, z_bar, strict=True)]  # the walk began with z = y
        return zeros_if_none(both, leaves_of(self.form)), sums

    def _inside(
        self,
        where: tuple[float, float, float],
        field: Any,
        y: Leaves,
        z: Leaves,
        marks: list[tuple[int, Mark]],
        grads: list[list[Tensor | None]],
        sums: Sums,
    ) -> tuple[Tensor | None, ...]:
        """Return the gradients that outputs within a step give to the pair before it; add the parameters'."""
        t, h, end = where
        pair = [leaf.detach().requires_grad_() for leaf in (*leaves_of(y), *leaves_of(z))]
        count = len(leaves_of(y))
        taker, heads, tails = self.problem.taker(y), [], []  # type: ignore[var-annotated]
        with torch.enable_grad():
            first, second = like(y, pair[:count]), like(y, pair[count:])
            step = taker.take(field, t, h, first, taker.begin(field, t, first, second, fresh=False), end)
            for i, mark in marks:
                heads += leaves_of(output(step, mark))
                tails += grads[i]
        found = vjp(heads, [*pair, *self.parameters], tails)
        sums.add(found[2 * count :])
        return found[: 2 * count]

    def _increment(
        self, rule: Reversible, field: Any, t: float, h: float, y: Leaves, bar: list[Tensor | None], sums: Sums
    ) -> tuple[list[Tensor], tuple[Tensor | None, ...]]:
        """Return the increment at ``y``, and the gradient ``bar`` of it pulled back to ``y``; add the parameters'."""
        start = [leaf.detach().requires_grad_() for leaf in leaves_of(y)]
        with torch.enable_grad():
            psi = leaves_of(rule.base.increment(field, t, h, like(y, start))[0])
        found = vjp(psi, [*start, *self.parameters], bar)
        sums.add(found[len(start) :])
        return [leaf.detach() for leaf in psi], found[: len(start)]
