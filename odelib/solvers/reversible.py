"""One step of an algebraically reversible method: from its result the state before it can be computed exactly."""

from dataclasses import dataclass
from typing import Any

from odelib.solvers.arithmetic import leaves_of, like, minus, plus
from odelib.solvers.fields import Field
from odelib.solvers.runge_kutta import ExplicitRungeKutta, Step
from odelib.solvers.splitting import Splitting


@dataclass(frozen=True)
class Reversible:
    """An algebraically reversible step around any rule: two states that can be stepped back exactly.

    y_{n+1} = lambda y_n + (1 - lambda) z_n + Psi_h(t_n, z_n),   z_{n+1} = z_n - Psi_{-h}(t_{n+1}, y_{n+1}),

    with Psi_h the increment of the rule: McCallum and Foster 2024, Efficient, Accurate and Stable Gradients for Neural
    ODEs (arXiv 2410.11648). The carry is z; it starts as y. Each step costs two of the rule.

    A state of half precision is rounded at each step, so it is found again to that rounding only.

    Attributes:
        base: The rule whose increment is used.
        coupling: lambda in (0, 1]; smaller is stabler, and going back multiplies rounding by 1 / lambda per step.
    """

    base: ExplicitRungeKutta | Splitting
    coupling: float = 0.99

    def __post_init__(self) -> None:
        if not 0.0 < self.coupling <= 1.0:
            raise ValueError(f"coupling is {self.coupling}: choose it in (0, 1], such as 0.99")

    @property
    def name(self) -> str:
        """``reversible(base)``."""
        return f"reversible({self.base.name})"

    @property
    def order(self) -> int:
        """The order of the base (McCallum and Foster 2024, theorem 3.1)."""
        return self.base.order

    @property
    def error_order(self) -> int:
        """That of the base."""
        return self.base.error_order  # type: ignore[union-attr]

    def evaluations(self, terms: int = 1) -> float:
        """Twice those of the base."""
        return 2.0 * self.base.evaluations(terms)

    def forth(self, y: Any, z: Any, increment: Any) -> Any:
        """Return lambda y + (1 - lambda) z + increment."""
        parts = zip(leaves_of(y), leaves_of(z), leaves_of(increment), strict=True)
        return like(y, [(b.lerp(a, self.coupling) + d).to(a.dtype) for a, b, d in parts])

    def back(self, y1: Any, z: Any, increment: Any) -> Any:
        """Return y from y1 = lambda y + (1 - lambda) z + increment."""
        parts = zip(leaves_of(y1), leaves_of(z), leaves_of(increment), strict=True)
        return like(y1, [b.lerp((a - d).to(a.dtype), 1.0 / self.coupling) for a, b, d in parts])

    def step(self, field: Field, t: float, h: float, y: Any, carry: Any = None) -> tuple[Any, Any, Any]:
        """Take one step of the pair (y, z)."""
        z = y if carry is None else carry
        y1 = self.forth(y, z, self.base.increment(field, t, h, z)[0])
        return y1, None, _kept(z, minus(z, self.base.increment(field, t + h, -h, y1)[0]))

    def unstep(self, field: Field, t: float, h: float, y1: Any, z1: Any) -> tuple[Any, Any]:
        """Return the pair (y, z) at ``t`` from the pair at ``t + h``: the step the other way round."""
        psi = self.base.increment(field, t + h, -h, y1)[0]
        z = _kept(z1, plus(z1, psi))
        return self.back(y1, z, self.base.increment(field, t, h, z)[0]), z

    def ready(self, field: Field, t: float, y: Any, carry: Any, fresh: bool = False) -> Any:
        """Return (z, field(t, z))."""
        z = y if carry is None else carry
        return z, field(t, z)

    def slope(self, carry: Any) -> Any:
        """Return field(t, z) from what `ready` returned."""
        return carry[1]

    def attempt(self, field: Field, t: float, h: float, y: Any, carry: Any, end: float, side: float) -> Step:
        """Take a step with what the error estimate needs, that of the base at z."""
        z, first = carry
        increment, stages = self.base.increment(field, t, h, z, first)
        y1 = self.forth(y, z, increment)
        if self.base.tableau.fsal:  # type: ignore[union-attr]
            stages.append(field(side, _kept(z, plus(z, increment))))
        z1 = _kept(z, minus(z, self.base.increment(field, end, -h, y1)[0]))
        return Step(self, field, t, h, y, y1, stages, z1, end, z)

    def error(self, step: Step) -> Any:
        """Return the base's estimate of the local error."""
        return self.base.error(step)  # type: ignore[union-attr]

    def partial(self, step: Step, time: float) -> Any:
        """Return the state within a step by a smaller step of the pair."""
        return self.step(step.field, step.t, time - step.t, step.y0, step.start)[0]

    def dense(self, step: Step, time: float) -> Any:
        """Return the same: there is no dense output."""
        return self.partial(step, time)


def _kept(y: Any, result: Any) -> Any:
    """Return a result in the dtypes of the state ``y``: increments of half precision are float32."""
    return like(y, [b.to(a.dtype) for a, b in zip(leaves_of(y), leaves_of(result), strict=True)])
