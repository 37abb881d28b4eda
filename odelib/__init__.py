"""Transformers as differential equations: fields, step rules, depth schedules, and the models made of them."""

from odelib.layers import DepthBlock, DepthSchedule, TransformerField
from odelib.models import ViT, ViTConfig
from odelib.solvers import Solution, Sum, Tableau, solve, step_rule

__version__ = "0.1.0"

__all__ = [
    "DepthBlock",
    "DepthSchedule",
    "Solution",
    "Sum",
    "Tableau",
    "TransformerField",
    "ViT",
    "ViTConfig",
    "solve",
    "step_rule",
]
