"""Transformer layers as vector fields, and the block that integrates them over depth."""

from odelib.layers.attention import MultiHeadAttention
from odelib.layers.context import Context, ContextField, KeyValueCache
from odelib.layers.depth import DepthBlock
from odelib.layers.embedding import PatchEmbedding, TokenEmbedding
from odelib.layers.field import Term, TransformerField
from odelib.layers.fused import FusedTransformerField
from odelib.layers.mlp import MLP
from odelib.layers.schedule import DepthSchedule
from odelib.layers.whole import WholeLayer

__all__ = [
    "MLP",
    "Context",
    "ContextField",
    "DepthBlock",
    "DepthSchedule",
    "FusedTransformerField",
    "KeyValueCache",
    "MultiHeadAttention",
    "PatchEmbedding",
    "Term",
    "TokenEmbedding",
    "TransformerField",
    "WholeLayer",
]
