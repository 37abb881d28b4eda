"""Transformers as differential equations: fields, step rules, depth schedules, and the models made of them.

The names are loaded when they are first used, so that ``import odelib`` takes no time.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
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
        Adjoint,
        Checkpoint,
        Event,
        Exact,
        Grid,
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

__version__ = "0.2.0"

__all__ = [
    "Adaptive",
    "Adjoint",
    "CausalLM",
    "CausalLMConfig",
    "Checkpoint",
    "DepthBlock",
    "DepthSchedule",
    "EncoderDecoder",
    "EncoderDecoderConfig",
    "Event",
    "Exact",
    "Grid",
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

_ROOMS = ("solvers", "layers", "models", "analysis", "data", "training", "studies")


def __getattr__(name: str) -> Any:
    if name in _ROOMS:
        return import_module(f"odelib.{name}")
    if name in __all__:
        for room in ("solvers", "layers", "models"):
            module = import_module(f"odelib.{room}")
            if hasattr(module, name):
                globals()[name] = getattr(module, name)
                return globals()[name]
    raise AttributeError(f"module 'odelib' has no attribute {name!r}: it has {', '.join(__all__)}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_ROOMS})
