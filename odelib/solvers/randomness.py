"""Randomness inside a field: drawn once per step, held over its stages, and drawn again alike when a step is replayed.

Stages that saw different fields would lose the order of the
method; a backward pass that saw others than the forward pass would return the gradient of something else.
"""

import torch
from torch import Tensor

from odelib.solvers.field import Field, draw, is_random
from odelib.solvers.state import State, leaves_of


class Draws:
    """The field of each step.

    Args:
        field: The field.
        record: Whether to remember the random numbers' state before each draw, for `again`.
        fixed: Whether nothing is to be drawn.
    """

    def __init__(self, field: Field, record: bool = False, fixed: bool = False) -> None:
        self.field = field
        self.random = not fixed and is_random(field)
        self._states: list[tuple[Tensor, ...]] | None = [] if record and self.random else None

    def next(self, y: State) -> Field:
        """Return the field of the next step, which begins in state ``y``."""
        if not self.random:
            return self.field
        if self._states is not None:
            self._states.append(_state(leaves_of(y)[0].device))
        return draw(self.field, y)

    def again(self, step: int, y: State) -> Field:
        """Return the field that `next` returned for step number ``step``; ``y`` has that step's shape and device."""
        if not self.random:
            return self.field
        if self._states is None:
            raise ValueError("these draws were not recorded: make them with record=True")
        device = leaves_of(y)[0].device
        now = _state(device)
        _restore(self._states[step], device)
        try:
            return draw(self.field, y)
        finally:
            _restore(now, device)


def _state(device: torch.device) -> tuple[Tensor, ...]:
    cpu = torch.get_rng_state()
    return (cpu,) if device.type != "cuda" else (cpu, torch.cuda.get_rng_state(device))


def _restore(state: tuple[Tensor, ...], device: torch.device) -> None:
    torch.set_rng_state(state[0])
    if device.type == "cuda":
        torch.cuda.set_rng_state(state[1], device)
