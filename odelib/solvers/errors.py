"""What a solver says when an integration cannot go on, or goes on with something to mend."""

import inspect
import warnings
from typing import Any

# Where a warning is not told: our own code, what calls it back, and what checks shapes around it.
_OURS = ("odelib", "torch", "jaxtyping", "beartype")


class SolverError(RuntimeError):
    """An integration that could not reach its end.

    Attributes:
        solution: The `Solution` up to the time that was reached, where there is one; its ``status`` says what happened.
    """

    def __init__(self, sentence: str, solution: object = None) -> None:
        super().__init__(sentence)
        self.solution: Any = solution


def tell(sentence: str, strict: bool) -> None:
    """Refuse what gives wrong gradients; if not ``strict``, warn of it, since torchdiffeq lets it pass."""
    if strict:
        raise ValueError(sentence)
    warn(sentence)


def warn(sentence: str) -> None:
    """Warn at the line outside of odelib and torch that led here, so that each such line is told once."""
    frame, level = inspect.currentframe(), 1
    while frame is not None and frame.f_globals.get("__name__", "").split(".")[0] in _OURS:
        frame, level = frame.f_back, level + 1
    warnings.warn(sentence, stacklevel=level)
