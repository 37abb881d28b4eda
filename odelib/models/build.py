"""What all models share: their depth, and the weights that training starts from."""

from typing import Any

from torch import nn

from odelib.layers import DepthBlock, TransformerField
from odelib.layers.field import NORMS
from odelib.models.config import TransformerConfig
from odelib.solvers import Adaptive


def make_depth(config: TransformerConfig, **field_options: Any) -> DepthBlock:
    """Return the depth block of a configuration.

    Args:
        config: The configuration.
        **field_options: What the kind of model says of the field: ``causal``, ``rotary``, ``cross``.
    """
    count = config.schedule.weight_sets
    fields = [
        TransformerField(
            config.dim,
            config.num_heads,
            config.mlp_ratio,
            qkv_bias=config.qkv_bias,
            qk_norm=config.qk_norm,
            norm=config.norm,
            norm_place=config.norm_place,
            norm_eps=config.norm_eps,
            activation=config.activation,
            dropout=config.dropout,
            # A single weight set takes the whole rate: there is no depth over which it could grow.
            drop_path=config.drop_path * (i / (count - 1) if count > 1 else 1.0),
            **field_options,
        )
        for i in range(count)
    ]
    return DepthBlock(
        fields,
        config.step_rule,
        config.schedule,
        learn_step_size=config.learn_step_size,
        control=None if config.tolerance is None else Adaptive(rtol=config.tolerance, atol=config.tolerance),
        gradient=config.gradient,
    )


def make_norm(config: TransformerConfig) -> nn.Module:
    """Return the norm before the head."""
    return NORMS[config.norm](config.dim, eps=config.norm_eps)


def initialise(model: nn.Module) -> None:
    """Draw the weights that training starts from.

    A variance of 1 / inputs keeps the size of the signal at every width; DeiT's 0.02 is too small for the narrow
    models here, which then learn more slowly. It matters at the start only: weights from elsewhere replace it.
    """
    for module in model.modules():
        if isinstance(module, nn.Linear):
            nn.init.trunc_normal_(module.weight, std=module.in_features**-0.5)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    for module in model.modules():
        if isinstance(module, DepthBlock):
            module.make_constant()
