"""What a model costs, counted and not timed: parameters, field evaluations, floating-point operations."""

from dataclasses import dataclass
from typing import cast

import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from odelib.modes import evaluation
from odelib.training.tasks import Batch


@dataclass(frozen=True)
class Cost:
    """What a forward pass of a model costs."""

    parameters: int
    """Numbers that training changes."""
    nfe: float
    """Field evaluations per forward pass; evaluating one of several terms counts as its share."""
    flops: float
    """Floating-point operations of the matrix products and convolutions of a forward pass, per image (window,
    request, pair); a multiplication and an addition are two."""


def cost_of(model: nn.Module, batch: Batch) -> Cost:
    """Count what ``model`` needs for the inputs of ``batch``; nothing is drawn, and its mode stays as it was.

    Args:
        model: Has a number ``nfe``.
        batch: The operations are the mean over it, padding included.
    """
    # The other ways to compute attention are one operation each, which is not counted on every device.
    math_only = sdpa_kernel(SDPBackend.MATH)
    with evaluation(model), torch.no_grad(), math_only, FlopCounterMode(display=False) as counter:
        model(*batch.inputs)
    parameters = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    return Cost(parameters, cast(float, model.nfe), counter.get_total_flops() / len(batch.inputs[0]))
