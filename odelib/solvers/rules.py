"""Step rules by name: one step of a numerical method, (field, t, h, y, carry) -> (y_next, error, carry).

Three kinds cover the whole book: explicit Runge-Kutta methods, driven by a tableau; splittings, driven by a list of
(term, fraction of the step) and a Runge-Kutta method for each sub-step; and reversible steps around either.
"""

import re
from typing import Any, Protocol, runtime_checkable

from odelib.names import choose
from odelib.solvers.fields import Field
from odelib.solvers.reversible import Reversible
from odelib.solvers.runge_kutta import ExplicitRungeKutta
from odelib.solvers.splitting import SCHEMES, Splitting
from odelib.solvers.tableaus import TABLEAUS


@runtime_checkable
class StepRule(Protocol):
    """One step of a method. A rule is a value without state: what passes from step to step is the carry."""

    @property
    def name(self) -> str:
        """The name that `step_rule` turns back into this rule."""
        ...

    @property
    def order(self) -> int:
        """Order of convergence on smooth fields."""
        ...

    def evaluations(self, terms: int) -> float:
        """Field evaluations per step; evaluating one of ``terms`` terms counts as 1 / terms."""
        ...

    def step(self, field: Field, t: float, h: float, y: Any, carry: Any) -> tuple[Any, Any, Any]:
        """Advance ``y`` from time ``t`` to ``t + h``; return the next state, an error estimate or None, the carry."""
        ...


STEP_RULES: tuple[str, ...] = (*TABLEAUS, *SCHEMES)
"""Names that `step_rule` takes; a splitting may name its sub-step in brackets, as in ``strang(midpoint)``, and
``reversible(...)`` takes any of them."""

_RULES: dict[str, StepRule] = {name: ExplicitRungeKutta(tableau) for name, tableau in TABLEAUS.items()}
_RULES |= {name: Splitting(name, ExplicitRungeKutta(TABLEAUS["euler"])) for name in SCHEMES}


def step_rule(rule: str | StepRule) -> StepRule:
    """Return the step rule of a name; a step rule is returned as it is.

    Args:
        rule: One of `STEP_RULES`, a splitting with its sub-step such as ``"strang(midpoint)"``,
            ``"reversible(rk4)"``, or a rule.

    Raises:
        ValueError: The name is unknown; the sentence gives the nearest valid one.
    """
    if not isinstance(rule, str):
        return rule
    if rule in _RULES:
        return _RULES[rule]
    match = re.fullmatch(r"([^()]+)\((.+)\)", rule)
    if match is None:
        return _RULES[choose(rule, STEP_RULES, "step rule")]
    name, inner = match.groups()
    if name == "reversible":
        return Reversible(step_rule(inner))  # type: ignore[arg-type]
    choose(name, SCHEMES, "splitting")
    return Splitting(name, ExplicitRungeKutta(TABLEAUS[choose(inner, TABLEAUS, "sub-step of a splitting")]))
