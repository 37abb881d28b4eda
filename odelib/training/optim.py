"""AdamW as transformers use it: which parameters decay, and the learning rate as a function of the step."""

import math

import torch
from torch import nn

from odelib.training.config import TrainConfig
from odelib.training.runtime import Runtime


def learning_rate(step: int, *, peak: float, warmup: int, total: int) -> float:
    """Linear warm-up to ``peak``, then half a cosine down to 0.

    A pure function of the step, so that resuming needs no scheduler state.

    Args:
        step: Optimiser step, from 0 to ``total - 1``.
        peak: Largest learning rate.
        warmup: Number of warm-up steps; step ``warmup - 1`` is the first at ``peak``.
        total: Number of steps in the whole run.
    """
    if step < warmup:
        return peak * (step + 1) / warmup
    return peak * 0.5 * (1 + math.cos(math.pi * (step - warmup) / (total - warmup)))


def decay_groups(model: nn.Module) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """Split the trainable parameters into those that decay and those that do not.

    The weights of linear maps and convolutions decay. Biases, norms, and position and class embeddings do
    not: decay would pull a norm's gain to 0, which no prior speaks for.

    Returns:
        (decaying, exempt), each in the order of ``model.parameters()``.
    """
    maps = {id(module.weight) for module in model.modules() if isinstance(module, nn.Linear | nn.Conv1d | nn.Conv2d)}
    trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]
    decaying = [parameter for parameter in trainable if id(parameter) in maps]
    exempt = [parameter for parameter in trainable if id(parameter) not in maps]
    return decaying, exempt


def adamw(model: nn.Module, config: TrainConfig, runtime: Runtime) -> torch.optim.AdamW:
    """AdamW over the two decay groups; the loop sets the learning rate before each step."""
    decaying, exempt = decay_groups(model)
    groups = [
        {"params": decaying, "weight_decay": config.weight_decay},
        {"params": exempt, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=config.lr, fused=runtime.fused)
