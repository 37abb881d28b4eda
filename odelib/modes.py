"""Training and evaluation mode: a model's parts are put into the one, and each finds back to its own."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn


@contextmanager
def evaluation(model: nn.Module) -> Iterator[None]:
    """Context in which the whole model is in evaluation mode; at its end each part has its own mode again.

    The parts may differ, as where a pretrained part stays in evaluation mode while the rest is trained.
    """
    before = [(part, part.training) for part in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for part, training in before:
            part.training = training
