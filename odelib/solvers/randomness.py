"""Randomness inside a field: drawn once per step, held over its stages, and drawn again alike when a step is replayed.

Stages that saw different fields would lose the order of the
method; a backward pass that saw others than the forward pass would return the gradient of something else.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from odelib.solvers.field import Field, draw, is_random
from odelib.solvers.state import State, leaves_of

RandomState = tuple[Tensor, ...]
"""The state of the random numbers: that of the CPU, and that of the device where it has one of its own."""


class Draws:
    """The field of each step.

    Args:
        field: The field.
        record: Whether to remember the random numbers' state before each step, for `again`.
        fixed: Whether nothing is to be drawn.
    """

    def __init__(self, field: Field, record: bool = False, fixed: bool = False) -> None:
        self.field = field
        self.random = not fixed and is_random(field)
        self._states: list[RandomState] | None = [] if record else None

    def next(self, y: State) -> Field:
        """Return the field of the next step, which begins in state ``y``."""
        if self._states is not None:
            now = random_state(y)
            # One tensor for all steps between which nothing was drawn: most fields draw nothing.
            self._states.append(self._states[-1] if self._states and same(self._states[-1], now) else now)
        return self.field.draw(y) if self.random else self.field  # type: ignore[attr-defined]

    @contextmanager
    def again(self, step: int, y: State) -> Iterator[Field]:
        """Give the field that `next` returned for step number ``step``, in the random numbers' state of that step.

        So what a field draws by itself, as ``nn.Dropout`` does, comes again too. ``y`` has that step's shape and
        device.
        """
        if self._states is None:
            raise ValueError("these draws were not recorded: make them with record=True")
        now, then = random_state(y), self._states[step]
        _restore(then, y)
        try:
            yield draw(self.field, y) if self.random else self.field
        finally:
            _restore(now, y)


def random_state(y: State) -> RandomState:
    """Return the state of the random numbers that a field of ``y`` may draw."""
    first = y if isinstance(y, Tensor) else y[0] if y else None
    cpu = torch.get_rng_state()
    if first is None or first.device.type != "cuda":
        return (cpu,)
    return cpu, torch.cuda.get_rng_state(first.device)


def same(one: RandomState, other: RandomState) -> bool:
    """Return whether nothing was drawn between two states."""
    # As bytes: a comparison of tensors would count as a reading of the device, and be no plain bool under its modes.
    return one is other or all(a.numpy().tobytes() == b.numpy().tobytes() for a, b in zip(one, other, strict=True))


def _restore(state: RandomState, y: State) -> None:
    torch.set_rng_state(state[0])
    if len(state) > 1:
        torch.cuda.set_rng_state(state[1], leaves_of(y)[0].device)
