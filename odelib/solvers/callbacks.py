"""Functions that are told of the steps of a solve."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from odelib.names import expect


@dataclass(frozen=True)
class Callbacks:
    """Functions of (t, y, h) that are called while the steps are taken, as torchdiffeq's are.

    Attributes:
        tried: Called before each step is tried.
        accepted: Called when a step was accepted, with its beginning.
        rejected: Called when it was rejected.
    """

    tried: Callable[[float, Any, float], object] | None = None
    accepted: Callable[[float, Any, float], object] | None = None
    rejected: Callable[[float, Any, float], object] | None = None

    def __post_init__(self) -> None:
        expect(self, "a function", "tried", "accepted", "rejected", optional=True, called_with="t, y, h")

    def shifted(self, start: float, stop: float) -> "Callbacks":
        """Return callbacks of a solve in time from 0 to 1 that tell these of one from ``start`` to ``stop``."""
        span = stop - start

        def told(call: Callable[[float, Any, float], object] | None) -> Callable[[float, Any, float], object] | None:
            return None if call is None else lambda s, y, h: call(start + s * span, y, h * span)

        return Callbacks(told(self.tried), told(self.accepted), told(self.rejected))


NO_CALLBACKS = Callbacks()


def check_callbacks(callbacks: object) -> Callbacks:
    """Return callbacks.

    Raises:
        TypeError: They are something else.
    """
    if not isinstance(callbacks, Callbacks):
        raise TypeError(f"callbacks is {callbacks!r}: give Callbacks(...), or None")
    return callbacks
