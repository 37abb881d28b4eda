"""One step of an algebraically reversible method: from its result the state before it can be computed exactly."""

from dataclasses import dataclass
from typing import Any

from odelib.names import expect
from odelib.solvers.field import Field, Time
from odelib.solvers.state import State, leaves_of, like, minus, plus
from odelib.solvers.step_rule import Gradients, Pull, Step, StepRule, added, expect_rule

Pair = tuple[State, list[Any]]


@dataclass(frozen=True)
class Reversible(StepRule):
    """An algebraically reversible step around any rule: two states that can be stepped back exactly.

    y_{n+1} = lambda y_n + (1 - lambda) z_n + Psi_h(t_n, z_n),   z_{n+1} = z_n - Psi_{-h}(t_{n+1}, y_{n+1}),

    with Psi_h the increment of the rule: McCallum and Foster 2024, Efficient, Accurate and Stable Gradients for Neural
    ODEs (arXiv 2410.11648). The carry is z, which starts as y, and a list with what the base begins with at z, empty
    until that is known. Each step costs two of the base.

    A state of half precision is rounded at each step, so it is found again to that rounding only.

    Attributes:
        base: The rule whose increment is used.
        coupling: lambda in (0, 1]; smaller is stabler, and going back multiplies rounding by 1 / lambda per step.

    Raises:
        ValueError: The coupling is out of its range.
    """

    base: StepRule
    coupling: float = 0.99
    invertible = True
    one_step = False

    def __post_init__(self) -> None:
        expect(self, "a number", "coupling")
        expect_rule(self.base)
        if not 0.0 < self.coupling <= 1.0:
            raise ValueError(f"coupling is {self.coupling}: choose it in (0, 1], such as 0.99")
        base = self.base
        # The order of the base: McCallum and Foster 2024, theorem 3.1.
        vars(self).update(name=f"reversible({base.name})", order=base.order, error_order=base.error_order)
        vars(self).update(needs_terms=base.needs_terms)

    def evaluations(self, terms: int = 1) -> float:
        """Twice those of the base."""
        return 2.0 * self.base.evaluations(terms)

    def init(self, field: Field, t: Time, y: State, carry: Pair | None = None) -> Pair:
        """Return z, which is y at first and goes on where the field changes."""
        return y if carry is None else carry[0], []

    def step(self, field: Field, t: Time, h: Time, y: State, carry: Pair) -> Step:
        """Take one step of the pair (y, z); the error is the base's at z."""
        z, begun = carry
        if not begun:
            # A rejected step is tried again with the same carry, and the base then begins with what it had.
            begun.append(self.base.init(field, t, z))
        change, error = self.base.increment(field, t, h, z, begun[0])
        y1 = self._forth(y, z, change)
        z1 = _kept(z, minus(z, self._change(field, t + h, -h, y1)))
        return Step(y1, error, (z1, []))

    def unstep(self, field: Field, t: Time, h: Time, y1: State, carry: Pair) -> tuple[State, Pair]:
        """Return the pair (y, z) at ``t`` from the pair at ``t + h``: the step the other way round."""
        z = plus(carry[0], self._change(field, t + h, -h, y1))
        return self._back(y1, z, self._change(field, t, h, z)), (z, [])

    def pull_back(
        self, field: Field, t: Time, h: Time, y1: State, carry: Pair, by_y1: Gradients, by_carry: Gradients, pull: Pull
    ) -> tuple[State, Pair, Gradients, Gradients]:
        """Take a step back with its gradients, in as many evaluations as it took.

        The two increments that give the pair before are also those whose gradients are wanted.
        """
        # z1 = z - Psi_{-h}(t + h, y1)
        back: Gradients = [None if g is None else -g for g in by_carry]
        (change,), (more,) = pull(lambda y1: (self._change(field, t + h, -h, y1),), (y1,), [back])
        by_y1 = added(by_y1, more)
        z = plus(carry[0], change)
        # y1 = lambda y + (1 - lambda) z + Psi_h(t, z)
        (change,), (by_z,) = pull(lambda z: (self._change(field, t, h, z),), (z,), [by_y1])
        y = self._back(y1, z, change)
        shares = [None if g is None else (1.0 - self.coupling) * g for g in by_y1]
        by_z = added(added(by_carry, shares), by_z)
        return y, (z, []), [None if g is None else self.coupling * g for g in by_y1], by_z

    def _change(self, field: Field, t: Time, h: Time, y: State) -> State:
        return self.base.increment(field, t, h, y)[0]

    def _forth(self, y: State, z: State, change: State) -> State:
        """Return lambda y + (1 - lambda) z + change."""
        parts = zip(leaves_of(y), leaves_of(z), leaves_of(change), strict=True)
        return like(y, [(b.lerp(a, self.coupling) + d).to(a.dtype) for a, b, d in parts])

    def _back(self, y1: State, z: State, change: State) -> State:
        """Return y from y1 = lambda y + (1 - lambda) z + change."""
        parts = zip(leaves_of(y1), leaves_of(z), leaves_of(change), strict=True)
        return like(y1, [b.lerp((a - d).to(a.dtype), 1.0 / self.coupling) for a, b, d in parts])


def _kept(y: State, result: State) -> State:
    """Return a result in the dtypes of the state ``y``: increments of half precision are float32."""
    return like(y, [b.to(a.dtype) for a, b in zip(leaves_of(y), leaves_of(result), strict=True)])
