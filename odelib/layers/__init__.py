"""Transformer layers as vector fields, and the block that integrates them over depth."""

from odelib.layers.attention import MultiHeadAttention
from odelib.layers.context import Context, KeyValueCache
from odelib.layers.depth import DepthBlock
from odelib.layers.embedding import PatchEmbedding, TokenEmbedding
from odelib.layers.field import Given, Term, TransformerField
from odelib.layers.fused import fuse_if_faster
from odelib.layers.integrand import Integrand
from odelib.layers.mlp import MLP
from odelib.layers.schedule import DepthSchedule

__all__ = [
    "MLP",
    "Context",
    "DepthBlock",
    "DepthSchedule",
    "Given",
    "Integrand",
    "KeyValueCache",
    "MultiHeadAttention",
    "PatchEmbedding",
    "Term",
    "TokenEmbedding",
    "TransformerField",
    "fuse_if_faster",
]
