"""Step rules by name.

Three kinds cover the whole book: explicit Runge-Kutta methods, driven by a tableau; splittings, driven by a list of
(term, fraction of the step) and a rule for each sub-step; and reversible steps around either. A rule of one's own is a
`StepRule` too, and is taken wherever these are.
"""

import re

from odelib.names import choose
from odelib.solvers.reversible import Reversible
from odelib.solvers.runge_kutta import ExplicitRungeKutta
from odelib.solvers.splitting import SCHEMES, Splitting
from odelib.solvers.step_rule import StepRule
from odelib.solvers.tableau import Tableau
from odelib.solvers.tableaus import TABLEAUS

STEP_RULES: tuple[str, ...] = (*TABLEAUS, *SCHEMES)
"""Names that `step_rule` takes; a splitting may name its sub-step in brackets, as in ``strang(midpoint)``, and
``reversible(...)`` takes any of them."""

_RULES: dict[str, StepRule] = {name: ExplicitRungeKutta(tableau) for name, tableau in TABLEAUS.items()}
_RULES |= {name: Splitting(name, ExplicitRungeKutta(TABLEAUS["euler"])) for name in SCHEMES}


def step_rule(rule: str | StepRule | Tableau) -> StepRule:
    """Return the step rule of a name or of a tableau; a step rule is returned as it is.

    Args:
        rule: One of `STEP_RULES`, a splitting with its sub-step such as ``"strang(midpoint)"``,
            ``"reversible(rk4)"``, a tableau, or a rule.

    Raises:
        ValueError: The name is unknown; the sentence gives the nearest valid one.
        TypeError: It is none of these.
    """
    if isinstance(rule, StepRule):
        return rule
    if isinstance(rule, Tableau):
        return ExplicitRungeKutta(rule)
    if not isinstance(rule, str):
        raise TypeError(
            f"the step rule is {rule!r}: give a name such as 'rk4', a Tableau, or an object of a class that inherits "
            "from odelib.solvers.StepRule"
        )
    if rule in _RULES:
        return _RULES[rule]
    match = re.fullmatch(r"([^()]+)\((.+)\)", rule)
    if match is None:
        return _RULES[choose(rule, (*STEP_RULES, "reversible(rk4)"), "step rule")]
    name, inner = match.groups()
    if name == "reversible":
        return Reversible(step_rule(inner))
    if name in TABLEAUS or inner in SCHEMES:
        raise ValueError(
            f"the step rule {rule!r} names {inner!r} inside of {name!r}: a splitting ({', '.join(SCHEMES)}) takes a "
            "Runge-Kutta rule such as 'midpoint' inside, 'reversible' any rule, and the others take none"
        )
    choose(name, SCHEMES, "splitting")
    return Splitting(name, ExplicitRungeKutta(TABLEAUS[choose(inner, TABLEAUS, "sub-step of a splitting")]))
