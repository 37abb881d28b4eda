"""Randomness inside a field: drawn once per step, held over its stages, and drawn again alike when a step is replayed.

A field with randomness offers ``draw(y) -> field``. Stages that saw different fields would lose the order of the
method; a backward pass that saw others than the forward pass would return the gradient of something else.
"""

from typing import Any

import torch
from torch import Tensor

from odelib.solvers.arithmetic import Leaves, leaves_of


class Draws:
    """The field of each step.

    Args:
        field: The field.
        record: Whether to remember the random numbers' state before each draw, for `again`.
    """

    def __init__(self, field: Any, record: bool = False) -> None:
        self.field = field
        self.random = hasattr(field, "draw")
        self.terms = len(getattr(field, "terms", (field,)))
        self._states: list[tuple[Tensor, ...]] | None = [] if record and self.random else None

    def next(self, y: Leaves) -> Any:
        """Return the field of the next step, which begins in state ``y``."""
        if not self.random:
            return self.field
        if self._states is not None:
            self._states.append(_state(_device(y)))
        return self.field.draw(y)

    def again(self, step: int, y: Leaves) -> Any:
        """Return the field that `next` returned for step number ``step``; ``y`` has that step's shape and device."""
        if not self.random:
            return self.field
        if self._states is None:
            raise ValueError("these draws were not recorded: make them with record=True")
        device = _device(y)
        now = _state(device)
        _restore(self._states[step], device)
        try:
            return self.field.draw(y)
        finally:
            _restore(now, device)


def _device(y: Leaves) -> torch.device:
    return leaves_of(y)[0].device


def _state(device: torch.device) -> tuple[Tensor, ...]:
    cpu = torch.get_rng_state()
    return (cpu,) if device.type != "cuda" else (cpu, torch.cuda.get_rng_state(device))


def _restore(state: tuple[Tensor, ...], device: torch.device) -> None:
    torch.set_rng_state(state[0])
    if device.type == "cuda":
        torch.cuda.set_rng_state(state[1], device)
