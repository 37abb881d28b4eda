"""Initial-value problems and the numerical methods that solve them.

A *field* is any callable ``field(t, y) -> dy/dt``. A *step rule* advances the state by one step.
This package knows nothing of transformers.
"""

from odelib.solvers.adaptive import CONTROLLERS, Adaptive, Controller
from odelib.solvers.callbacks import Callbacks
from odelib.solvers.checks import check_terms
from odelib.solvers.errors import SolverError
from odelib.solvers.events import Crossings, Event
from odelib.solvers.field import Exact, Field, RandomField, SplitField, Sum, terms_of
from odelib.solvers.gradients import GRADIENTS, Adjoint, Backprop, Checkpoint, Gradient
from odelib.solvers.grid import Grid
from odelib.solvers.loop import integrate
from odelib.solvers.reversible import Reversible
from odelib.solvers.rules import STEP_RULES, step_rule
from odelib.solvers.runge_kutta import ExplicitRungeKutta
from odelib.solvers.solution import Solution, Stats
from odelib.solvers.solve import solve
from odelib.solvers.splitting import Splitting
from odelib.solvers.step_rule import Step, StepRule
from odelib.solvers.tableau import Tableau
from odelib.solvers.tableaus import TABLEAUS
from odelib.solvers.torchdiffeq import odeint, odeint_adjoint, odeint_event

__all__ = [
    "CONTROLLERS",
    "GRADIENTS",
    "STEP_RULES",
    "TABLEAUS",
    "Adaptive",
    "Adjoint",
    "Backprop",
    "Callbacks",
    "Checkpoint",
    "Controller",
    "Crossings",
    "Event",
    "Exact",
    "ExplicitRungeKutta",
    "Field",
    "Gradient",
    "Grid",
    "RandomField",
    "Reversible",
    "Solution",
    "SolverError",
    "SplitField",
    "Splitting",
    "Stats",
    "Step",
    "StepRule",
    "Sum",
    "Tableau",
    "check_terms",
    "integrate",
    "odeint",
    "odeint_adjoint",
    "odeint_event",
    "solve",
    "step_rule",
    "terms_of",
]
