"""Initial-value problems and the numerical methods that solve them.

A *field* is any callable ``field(t, y) -> dy/dt``. A *step rule* advances the state by one step.
This package knows nothing of transformers.
"""

from odelib.solvers.control import CONTROLLERS, Adaptive, Controller
from odelib.solvers.errors import SolverError
from odelib.solvers.events import Crossings, Event
from odelib.solvers.fields import Field, Sum, terms_of
from odelib.solvers.gradients import GRADIENTS, Adjoint, Backprop, Checkpoint, Gradient, Reverse
from odelib.solvers.grid import Grid
from odelib.solvers.loop import march, solve
from odelib.solvers.reversible import Reversible
from odelib.solvers.rules import STEP_RULES, StepRule, step_rule
from odelib.solvers.runge_kutta import ExplicitRungeKutta
from odelib.solvers.solution import Solution, Stats
from odelib.solvers.splitting import Splitting
from odelib.solvers.tableau import Tableau
from odelib.solvers.tableaus import TABLEAUS
from odelib.solvers.torchdiffeq_door import odeint, odeint_adjoint, odeint_event
from odelib.solvers.walk import Watchers

__all__ = [
    "CONTROLLERS",
    "GRADIENTS",
    "STEP_RULES",
    "TABLEAUS",
    "Adaptive",
    "Adjoint",
    "Backprop",
    "Checkpoint",
    "Controller",
    "Crossings",
    "Event",
    "ExplicitRungeKutta",
    "Field",
    "Gradient",
    "Grid",
    "Reverse",
    "Reversible",
    "Solution",
    "SolverError",
    "Splitting",
    "Stats",
    "StepRule",
    "Sum",
    "Tableau",
    "Watchers",
    "march",
    "odeint",
    "odeint_adjoint",
    "odeint_event",
    "solve",
    "step_rule",
    "terms_of",
]
