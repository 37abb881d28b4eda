"""Weights from and to others' models: the same tensors under other names."""

from odelib.models.convert.bert import from_albert, from_bert
from odelib.models.convert.folder import load_network
from odelib.models.convert.gpt import from_gpt2, from_gptj, from_neox, to_gpt2
from odelib.models.convert.timm import from_timm, to_timm
from odelib.models.convert.transformers import config_from_transformers

__all__ = [
    "config_from_transformers",
    "from_albert",
    "from_bert",
    "from_gpt2",
    "from_gptj",
    "from_neox",
    "from_timm",
    "load_network",
    "to_gpt2",
    "to_timm",
]
