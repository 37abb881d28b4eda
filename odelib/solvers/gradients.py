"""How a solve is differentiated, as a value; and the autograd function behind all modes but backpropagation."""

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from odelib.names import choose
from odelib.solvers.arithmetic import Leaves, leaves_of, like
from odelib.solvers.control import Adaptive
from odelib.solvers.grid import Grid
from odelib.solvers.walk import Watchers


@dataclass(frozen=True)
class Backprop:
    """Differentiate the steps as they were taken; memory grows with their number. Second derivatives work."""


@dataclass(frozen=True)
class Checkpoint:
    """Keep states, take the steps again on the way back: the same gradient, about a third more time.

    Griewank and Walther 2000 (doi 10.1145/347837.347846) study the best placing of the states.

    Attributes:
        segments: How many states are kept: None for one per step, "sqrt" for about the root of their number, or a
            number, of which up to twice as many are kept where the number of steps is not known beforehand.
    """

    segments: int | str | None = None

    def __post_init__(self) -> None:
        if isinstance(self.segments, str):
            choose(self.segments, ("sqrt",), "number of segments")
        elif self.segments is not None and self.segments < 1:
            raise ValueError(f"segments is {self.segments}: keep at least 1 state")


@dataclass(frozen=True)
class Adjoint:
    """Solve the adjoint equation backwards in time: memory does not grow with the steps, the gradient is approximate.

    da/dt = -(df/dy)^T a, dL/dtheta = int (df/dtheta)^T a dt (Chen et al. 2018, Neural ordinary differential equations,
    arXiv 1806.07366). The integral over the parameters is a quadrature over the stages, no part of the state.

    Attributes:
        rule: An explicit Runge-Kutta rule for the way back; None for that of the way there.
        steps: Its steps; None for those of the way there.
        seminorm: Leave the integral over the parameters out of the error control (Kidger, Chen, Lyons 2021, "Hey,
            that's not an ODE", arXiv 2009.09457). If False, it is integrated as part of the state.
        watchers: Callbacks of the way back; their state is the tuple of state and adjoint.
    """

    rule: Any = None
    steps: int | Grid | Adaptive | None = None
    seminorm: bool = True
    watchers: Watchers | None = None


@dataclass(frozen=True)
class Reverse:
    """Step back algebraically: the exact gradient of a reversible method, in memory that does not grow with the steps.

    The rule given becomes the base of `odelib.solvers.Reversible`; so the forward values are those of another method
    of the same order, and a step costs twice as many evaluations.

    Attributes:
        coupling: lambda of the reversible method.
    """

    coupling: float = 0.99


Gradient = Backprop | Checkpoint | Adjoint | Reverse
"""A gradient mode."""

GRADIENTS: dict[str, Gradient] = {
    "backprop": Backprop(),
    "checkpoint": Checkpoint(),
    "adjoint": Adjoint(),
    "reversible": Reverse(),
}
"""The gradient modes by name."""


def gradient_mode(gradient: str | Gradient) -> Gradient:
    """Return the mode of a name; a mode is returned as it is.

    Raises:
        ValueError: The name is unknown.
    """
    return GRADIENTS[choose(gradient, GRADIENTS, "gradient mode")] if isinstance(gradient, str) else gradient


def parameters_of(field: Any, given: Sequence[Tensor] | None) -> tuple[Tensor, ...]:
    """Return the tensors with gradient that a field depends on besides t and y.

    Args:
        field: The field as it came in.
        given: The tensors, if the caller named them.

    Raises:
        TypeError: None were named, and the field is no module that could be asked.
    """
    if given is None:
        parts = [field, *getattr(field, "terms", ())]
        modules = [part for part in parts if isinstance(part, nn.Module)]
        if not isinstance(field, nn.Module) and len(modules) < max(1, len(parts) - 1):
            raise TypeError(
                f"this gradient mode must know the tensors that the field depends on, and {type(field).__name__} is no "
                "nn.Module that could be asked: pass parameters=(...), or () if there are none"
            )
        given = [parameter for module in modules for parameter in module.parameters()]
    unique = {id(tensor): tensor for tensor in given if tensor.requires_grad}
    return tuple(unique.values())


@runtime_checkable
class Strategy(Protocol):
    """A way to solve and to come back."""

    parameters: tuple[Tensor, ...]
    form: Leaves

    def forward(self, y0: Leaves) -> list[Leaves]:
        """Solve without a graph and return the outputs."""
        ...

    def backward(self, outputs: list[Leaves], grads: list[list[Tensor | None]]) -> tuple[list[Tensor], "Sums"]:
        """Return the gradients with respect to the initial state and the parameters."""
        ...


class Sums:
    """Gradients of the parameters, summed up as they come; None where nothing came."""

    def __init__(self, parameters: Sequence[Tensor]) -> None:
        self.totals: list[Tensor | None] = [None] * len(parameters)

    def add(self, grads: Sequence[Tensor | None], scale: float = 1.0) -> None:
        """Add scale * grads."""
        for i, grad in enumerate(grads):
            if grad is None:
                continue
            total = self.totals[i]
            if total is None:
                self.totals[i] = grad * scale
            else:
                total.add_(grad, alpha=scale)


def autocast_of(device: str) -> dict[str, Any] | None:
    """Return the arguments of ``torch.autocast`` that stand for its present state; None where a device has none."""
    if not torch.amp.is_autocast_available(device):
        return None
    enabled = torch.is_autocast_enabled(device)
    dtype = torch.get_autocast_dtype(device) if enabled else None
    return {"device_type": device, "enabled": enabled, "dtype": dtype}


class Solve(torch.autograd.Function):
    """Runs a strategy as one node of the graph."""

    @staticmethod
    def forward(ctx: Any, strategy: Strategy, *tensors: Tensor) -> tuple[Tensor, ...]:
        """Return the leaves of all outputs, one output after the other."""
        ctx.autocast = autocast_of(tensors[0].device.type)
        count = len(leaves_of(strategy.form))
        outputs = strategy.forward(like(strategy.form, tensors[:count]))
        flat = tuple(leaf for output in outputs for leaf in leaves_of(output))
        ctx.strategy, ctx.count, ctx.inputs = strategy, count, len(tensors)
        ctx.save_for_backward(*tensors, *flat)
        ctx.set_materialize_grads(False)
        return flat

    @staticmethod
    def backward(ctx: Any, *flat: Tensor | None) -> tuple[Any, ...]:
        """Return the gradients of the initial leaves and of the parameters; of these, no derivative is known."""
        with torch.no_grad():
            found = Solve._backward(ctx, flat)
        if torch.is_grad_enabled():
            behind = [tensor for tensor in (*flat, *ctx.saved_tensors[: ctx.inputs]) if tensor is not None]
            found = tuple(None if grad is None else _NoSecond.apply(grad, *behind) for grad in found)
        return None, *found

    @staticmethod
    def _backward(ctx: Any, flat: tuple[Tensor | None, ...]) -> tuple[Tensor | None, ...]:
        strategy, count = ctx.strategy, ctx.count
        # Reading them all also makes torch complain if one was changed in place since.
        saved = ctx.saved_tensors[ctx.inputs :]
        form = strategy.form
        outputs = [like(form, saved[i : i + count]) for i in range(0, len(saved), count)]
        grads = [list(flat[i : i + count]) for i in range(0, len(flat), count)]
        with nullcontext() if ctx.autocast is None else torch.autocast(**ctx.autocast):
            state, sums = strategy.backward(outputs, grads)
        return *state, *sums.totals


class _NoSecond(torch.autograd.Function):
    """A gradient that says, when it is differentiated by what it depends on, that this is not known.

    ``once_differentiable`` would say so to ``backward`` only: ``torch.autograd.grad`` passes it by.
    """

    @staticmethod
    def forward(ctx: Any, grad: Tensor, *behind: Tensor) -> Tensor:
        return grad.view_as(grad)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        raise RuntimeError("second derivatives are known in gradient='backprop' only: choose it, or differentiate once")


def vjp(
    outputs: Sequence[Tensor], inputs: Sequence[Tensor], grads: Sequence[Tensor | None]
) -> tuple[Tensor | None, ...]:
    """Return sum_i grads_i^T d outputs_i / d inputs; None for an input that no output depends on."""
    live = [(o, g) for o, g in zip(outputs, grads, strict=True) if g is not None and o.requires_grad]
    if not live:
        return (None,) * len(inputs)
    return torch.autograd.grad([o for o, _ in live], inputs, [g for _, g in live], allow_unused=True)


def added(a: Tensor | None, b: Tensor | None) -> Tensor | None:
    """Return a + b where None is zero."""
    return b if a is None else a if b is None else a + b


def zeros_if_none(grads: Sequence[Tensor | None], leaves: Sequence[Tensor]) -> list[Tensor]:
    """Return the gradients with zeros for None."""
    return [torch.zeros_like(leaf) if g is None else g for g, leaf in zip(grads, leaves, strict=True)]
