"""Checkpoints: keep some states, and take the steps between them again with a graph on the way back."""

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from odelib.names import choose, expect
from odelib.solvers.adaptive import Adaptive
from odelib.solvers.gradients.node import Recorded, Sums, vjp, zeros_if_none
from odelib.solvers.loop import Taken
from odelib.solvers.outputs import Mark, state_at
from odelib.solvers.state import State, leaves_of, like


@dataclass(frozen=True)
class Checkpoint:
    """Keep states, take the steps again on the way back: the same gradient, about a third more time.

    Buffers that a field writes, as the running statistics of ``nn.BatchNorm1d``, are written on both ways, as they are
    with ``torch.utils.checkpoint``. Griewank and Walther 2000 (doi 10.1145/347837.347846) study the best placing of the
    states.

    Attributes:
        segments: How many states are kept: None for one per step, "sqrt" for about the root of their number, or a
            number, of which up to twice as many are kept where the number of steps is not known beforehand.

    Raises:
        ValueError: It is none of these.
    """

    segments: int | str | None = None

    def __post_init__(self) -> None:
        if isinstance(self.segments, str):
            choose(self.segments, ("sqrt",), "number of segments")
            return
        expect(self, "a whole number", "segments", optional=True)
        if isinstance(self.segments, int) and self.segments < 1:
            raise ValueError(f"segments is {self.segments}: keep at least 1 state")


class Replay(Recorded):
    """Keeps the states at the beginnings of segments, and takes each segment again with a graph on the way back.

    Args:
        mode: How many states are kept.
        *recorded: See `Recorded`.

    Raises:
        ValueError: The rule goes on from more than one state.
    """

    def __init__(self, mode: Checkpoint, *recorded: Any) -> None:
        super().__init__(*recorded)
        rule = self.problem.rule
        if not rule.one_step:
            remedy = "choose 'reversible', which keeps none, or 'backprop'" if rule.invertible else "choose 'backprop'"
            raise ValueError(
                f"gradient='checkpoint' keeps one state per step, and {rule.name!r} goes on from more: {remedy}"
            )
        self.mode = mode
        # Adaptive steps and events evaluate the field where no step is taken again.
        self.draws_again = not (isinstance(self.problem.steps, Adaptive) or self.problem.events)
        self.stride = 1
        self.starts: list[State] = []
        if isinstance(mode.segments, int) and isinstance(self.problem.steps, int):
            total = self.problem.steps * (len(self.problem.times) - 1)
            self.stride = math.ceil(total / mode.segments)

    def keep(self, number: int, taken: Taken) -> None:
        """Note a step, and its state if a segment begins here."""
        super().keep(number, taken)
        if number % self.stride:
            return
        # Detached: a state that is also an output must not hold the graph that holds it.
        y0 = taken.y0
        self.starts.append(y0.detach() if isinstance(y0, Tensor) else tuple(map(Tensor.detach, y0)))
        wanted = self.stride if self.mode.segments == "sqrt" else self.mode.segments
        if isinstance(wanted, int) and len(self.starts) > 2 * wanted:
            self.starts = self.starts[::2]
            self.stride *= 2

    def backward(self, outputs: list[State], grads: list[list[Tensor | None]]) -> tuple[list[Tensor], Sums]:
        """Take the segments again, the last first."""
        sums, marks = Sums(self.parameters), self.outputs.by_step()
        count = len(leaves_of(self.form))
        bar: list[Tensor | None] = [None] * count
        for segment in reversed(range(len(self.starts))):
            first = segment * self.stride
            steps = range(first, min(first + self.stride, len(self.path)))
            start = [leaf.detach().requires_grad_() for leaf in leaves_of(self.starts[segment])]
            with torch.enable_grad():
                ends, wanted = self._segment(steps, like(self.form, start), marks)
            # No loop: its variable would hold the last state, and with it the graph of a segment, to the end.
            heads = [*leaves_of(ends), *(leaf for _, state in wanted for leaf in leaves_of(state))]
            tails = [*bar, *(grad for number, _ in wanted for grad in grads[number])]
            found = vjp(heads, [*start, *self.parameters], tails, self.counts)
            bar = list(found[:count])
            sums.add(found[count:])
            # Not to be kept while the next segment is taken.
            del ends, wanted, heads, tails, found
        return zeros_if_none(bar, leaves_of(self.form)), sums

    def _segment(
        self, steps: range, y: State, marks: dict[int, list[tuple[int, Mark]]]
    ) -> tuple[State, list[tuple[int, State]]]:
        """Take some steps again; return the last state, and the outputs on the way with their numbers."""
        carry = held = None
        wanted: list[tuple[int, State]] = []
        problem, rule = self.problem, self.problem.rule
        for number in steps:
            t, h, end = self.path[number]
            with self.draws.again(number, y) as drawn:
                field = problem.within(drawn, t, h, end, y)
                if drawn is not held or problem.is_jump(t):
                    carry = rule.init(field, t, y, carry)
                step = rule.step(field, t, h, y, carry)
                taken = Taken(rule, field, t, h, end, y, carry, step, problem.interpolation)
                wanted += [(i, state_at(taken, mark)) for i, mark in marks.get(number, ())]
            y, carry, held = step.y1, step.carry, drawn
        return y, wanted
