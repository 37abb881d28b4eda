"""Stepping back: an invertible rule's own path is gone back along, and only its last states are kept."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from odelib.solvers.gradients.node import Recorded, Sums, vjp, zeros_if_none
from odelib.solvers.loop import Taken
from odelib.solvers.outputs import Mark, state_at
from odelib.solvers.state import State, leaves_of
from odelib.solvers.step_rule import Gradients, added

Inputs = tuple[Any, ...]


class StepBack(Recorded):
    """Solves with an invertible rule and steps back: only the last state and carry are kept."""

    def keep(self, number: int, taken: Taken) -> None:
        """Note a step and its result."""
        super().keep(number, taken)
        self.last = _detached(taken.y1), _detached(taken.step.carry)

    def backward(self, outputs: list[State], grads: list[list[Tensor | None]]) -> tuple[list[Tensor], Sums]:
        """Step back, the last step first."""
        problem, rule = self.problem, self.problem.rule
        self.sums, marks = Sums(self.parameters), self.outputs.by_step()
        y, carry = self.last
        by_y: Gradients = [None] * len(leaves_of(self.form))
        by_carry: Gradients = [None] * len(_tensors(carry))
        for number in reversed(range(len(self.path))):
            t, h, end = self.path[number]
            here = marks.get(number, [])
            for i, mark in here:
                if mark.time == end:
                    by_y = added(by_y, grads[i])
            with self.draws.again(number, y) as drawn:
                held = problem.within(drawn, t, h, end, y)
            y, carry, by_y, by_carry = rule.pull_back(held, t, h, y, carry, by_y, by_carry, self.pull)
            inside = [(i, mark) for i, mark in here if mark.time != end]
            if inside:
                wanted = [grads[i] for i, _ in inside]
                _, (more, and_more) = self.pull(self._states(number, held, inside), (y, carry), wanted)
                by_y, by_carry = added(by_y, more), added(by_carry, and_more)
        # The carry began as a function of the state.
        t, _, _ = self.path[0]
        _, (by_start,) = self.pull(lambda y: (rule.init(held, t, y),), (y,), [by_carry])
        return zeros_if_none(added(by_y, by_start), leaves_of(self.form)), self.sums

    def _states(self, number: int, held: Any, marks: Sequence[tuple[int, Mark]]) -> Callable[..., Inputs]:
        """Return the states within a step as a function of what it began with."""
        (t, h, end), rule = self.path[number], self.problem.rule

        def states(y: State, carry: Any) -> Inputs:
            step = rule.step(held, t, h, y, carry)
            taken = Taken(rule, held, t, h, end, y, carry, step, self.problem.interpolation)
            return tuple(state_at(taken, mark) for _, mark in marks)

        return states

    def pull(
        self, function: Callable[..., Inputs], inputs: Inputs, gradients: Sequence[Gradients]
    ) -> tuple[Inputs, list[Gradients]]:
        """Evaluate a function of states, bring the gradients of its results back, and add those of the parameters.

        Args:
            function: Returns a tuple of states or carries.
            inputs: States or carries.
            gradients: Those of each result, tensor by tensor.

        Returns:
            The results without a graph, and the gradients of each input.
        """
        starts = tuple(_detached(part, wanted=True) for part in inputs)
        each = [_tensors(start) for start in starts]  # before a carry takes up what the function evaluates
        with torch.enable_grad():
            results = function(*starts)
        heads = [tensor for result in results for tensor in _tensors(result)]
        tails = [gradient for part in gradients for gradient in part]
        flat = [tensor for part in each for tensor in part]
        found = list(vjp(heads, [*flat, *self.parameters], tails, self.counts))
        self.sums.add(found[len(flat) :])
        rest = iter(found)
        return tuple(map(_detached, results)), [[next(rest) for _ in part] for part in each]


def _tensors(tree: Any) -> list[Tensor]:
    # Nearly every tree here is one tensor, and small solves feel the general way.
    if isinstance(tree, Tensor):
        return [tree]
    return [leaf for leaf in pytree.tree_leaves(tree) if isinstance(leaf, Tensor)]


def _detached(tree: Any, wanted: bool = False) -> Any:
    if isinstance(tree, Tensor):
        return tree.detach().requires_grad_(wanted)
    return pytree.tree_map(lambda leaf: _detached(leaf, wanted) if isinstance(leaf, Tensor) else leaf, tree)
