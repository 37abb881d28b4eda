"""Initial-value problems and the numerical methods that solve them.

A *field* is any callable ``field(t, y) -> dy/dt``. A *step rule* advances the state by one step.
This package knows nothing of transformers.
"""

from odelib.solvers.fields import Field, Sum, terms_of
from odelib.solvers.loop import Solution, Stats, march, solve
from odelib.solvers.rules import STEP_RULES, ExplicitRungeKutta, Splitting, StepRule, step_rule
from odelib.solvers.tableaus import TABLEAUS, Tableau

__all__ = [
    "STEP_RULES",
    "TABLEAUS",
    "ExplicitRungeKutta",
    "Field",
    "Solution",
    "Splitting",
    "Stats",
    "StepRule",
    "Sum",
    "Tableau",
    "march",
    "solve",
    "step_rule",
    "terms_of",
]
