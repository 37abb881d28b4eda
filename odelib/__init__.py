"""Transformers as differential equations: fields, step rules, depth schedules, and the models made of them."""

from odelib.layers import DepthBlock, DepthSchedule, TransformerField
from odelib.models import (
    CausalLM,
    CausalLMConfig,
    EncoderDecoder,
    EncoderDecoderConfig,
    TextClassifier,
    TextClassifierConfig,
    ViT,
    ViTConfig,
    load_pretrained,
    save_pretrained,
)
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
    "CausalLM",
    "CausalLMConfig",
    "DepthBlock",
    "DepthSchedule",
    "EncoderDecoder",
    "EncoderDecoderConfig",
    "Event",
    "Solution",
    "SolverError",
    "Sum",
    "Tableau",
    "TextClassifier",
    "TextClassifierConfig",
    "TransformerField",
    "ViT",
    "ViTConfig",
    "load_pretrained",
    "odeint",
    "odeint_adjoint",
    "odeint_event",
    "save_pretrained",
    "solve",
    "step_rule",
]
