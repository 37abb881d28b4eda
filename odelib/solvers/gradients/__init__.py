"""How a solve is differentiated: the modes as values, by name; each but backpropagation has its own way back."""

from dataclasses import dataclass

from odelib.names import choose
from odelib.solvers.gradients.adjoint import Adjoint
from odelib.solvers.gradients.checkpoint import Checkpoint
from odelib.solvers.gradients.node import parameters_of
from odelib.solvers.gradients.reversible import StepBack

__all__ = ["GRADIENTS", "Adjoint", "Backprop", "Checkpoint", "Gradient", "StepBack", "gradient_mode", "parameters_of"]


@dataclass(frozen=True)
class Backprop:
    """Differentiate the steps as they were taken; memory grows with their number. Second derivatives work."""


@dataclass(frozen=True)
class SteppingBack:
    """Take invertible steps back: their exact gradient, in memory that does not grow with their number.

    A rule that is not invertible becomes the base of `odelib.solvers.Reversible`: so the forward values are those of
    another method of the same order, and a step costs twice as many evaluations.
    """


Gradient = Backprop | Checkpoint | Adjoint | SteppingBack
"""A gradient mode."""

GRADIENTS: dict[str, Gradient] = {
    "backprop": Backprop(),
    "checkpoint": Checkpoint(),
    "adjoint": Adjoint(),
    "reversible": SteppingBack(),
}
"""The gradient modes by name."""


def gradient_mode(gradient: str | Gradient) -> Gradient:
    """Return the mode of a name; a mode is returned as it is.

    Raises:
        ValueError: The name is unknown.
        TypeError: It is neither.
    """
    if isinstance(gradient, str):
        return GRADIENTS.get(gradient) or GRADIENTS[choose(gradient, GRADIENTS, "gradient mode")]
    if not isinstance(gradient, Backprop | Checkpoint | Adjoint | SteppingBack):
        raise TypeError(
            f"gradient is {gradient!r}: give one of {', '.join(GRADIENTS)}, or Checkpoint(...) or Adjoint(...)"
        )
    return gradient
