"""How a solve is differentiated: the modes as values, and for each but backpropagation its own way back."""

from odelib.solvers.gradients.adjoint import Adjoint
from odelib.solvers.gradients.checkpoint import Checkpoint
from odelib.solvers.gradients.modes import GRADIENTS, Backprop, Gradient, gradient_mode
from odelib.solvers.gradients.node import parameters_of
from odelib.solvers.gradients.reversible import StepBack

__all__ = ["GRADIENTS", "Adjoint", "Backprop", "Checkpoint", "Gradient", "StepBack", "gradient_mode", "parameters_of"]
