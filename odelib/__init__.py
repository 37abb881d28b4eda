"""Transformers as differential equations: fields, step rules, depth schedules, and the models made of them."""

from odelib.layers import DepthBlock, DepthSchedule, TransformerField
from odelib.models import ViT, ViTConfig
from odelib.solvers import (
    Adaptive,
    Event,
    Solution,
    SolverError,
    Sum,
    Tableau,
    odeint,
    odeint_adjoint,
    odeint_event,
    solve,
    step_rule,
)

__version__ = "0.1.0"

__all__ = [
    "Adaptive",
    "DepthBlock",
    "DepthSchedule",
    "Event",
    "Solution",
    "SolverError",
    "Sum",
    "Tableau",
    "TransformerField",
    "ViT",
    "ViTConfig",
    "odeint",
    "odeint_adjoint",
    "odeint_event",
    "solve",
    "step_rule",
]
