"""Transformer layers as vector fields, and the block that integrates them over depth."""

from odelib.layers.attention import MultiHeadAttention
from odelib.layers.depth import DepthBlock, DepthSchedule
from odelib.layers.embedding import PatchEmbedding
from odelib.layers.field import Term, TransformerField
from odelib.layers.mlp import MLP

__all__ = ["MLP", "DepthBlock", "DepthSchedule", "MultiHeadAttention", "PatchEmbedding", "Term", "TransformerField"]
