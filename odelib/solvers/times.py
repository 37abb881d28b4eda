"""Derivatives by a time: the state moves along the field, and that is how it changes where its time is moved."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from odelib.solvers.field import Field
from odelib.solvers.state import State, leaves_of, like


def along(field: Field, time: float, t: Tensor, y: State, sign: float = 1.0) -> State:
    """Return ``y`` with its derivative by its time ``t``: the field there, times ``sign``.

    It can be differentiated once by ``t``, and by everything else as often as one likes.

    Args:
        field: The field, on leaves.
        time: The value of ``t``.
        t: The time of the state, a 0-dimensional tensor.
        y: The state.
        sign: -1 for the derivative of the state at a fixed time by the time ``t`` at which it had to be ``y``.
    """
    slopes: Any = leaves_of(field(time, y))
    shift = sign * (differentiable_once(t, "the state with respect to the time of a step") - t.detach())
    parts = zip(leaves_of(y), slopes, strict=True)
    return like(y, [leaf + (slope * shift).to(leaf.dtype) for leaf, slope in parts])


def varies(times: Any) -> bool:
    """Return whether derivatives by the times are wanted, backward or forward."""
    if not isinstance(times, Tensor):
        return False
    if times.requires_grad:
        return torch.is_grad_enabled()
    return (
        torch._C._functorch.is_functorch_wrapped_tensor(times)
        or torch.autograd.forward_ad.unpack_dual(times).tangent is not None  # type: ignore[no-untyped-call]
    )


class _Once(torch.autograd.Function):
    """The identity, whose derivative has none."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, what: str) -> Tensor:
        return x.view_as(x)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        x, ctx.what = inputs
        ctx.save_for_backward(x)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        # With create_graph=True, this runs with gradients enabled; the first derivative is right all the same.
        return (without_derivative(grad, ctx.saved_tensors, ctx.what) if torch.is_grad_enabled() else grad), None

    @staticmethod
    def jvp(ctx: Any, tangent: Tensor, _: None) -> Tensor:
        return tangent.view_as(tangent)


class _Without(torch.autograd.Function):
    """A number that says, when it is differentiated by what it depends on, that this is not known."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, what: str, *behind: Tensor) -> Tensor:
        return x.view_as(x)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        ctx.what = inputs[1]

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        raise RuntimeError(ctx.what)


def without_derivative(x: Tensor, behind: Sequence[Tensor], sentence: str) -> Tensor:
    """Return ``x``; a derivative of it by ``behind``, or by what these come from, is refused with a sentence.

    ``once_differentiable`` would say so to ``backward`` only: ``torch.autograd.grad`` passes it by.
    """
    result: Tensor = _Without.apply(x, sentence, *behind)
    return result


def differentiable_once(x: Tensor, what: str) -> Tensor:
    """Return ``x``, which can be differentiated once; where its derivative is differentiated, this is refused.

    Args:
        x: A tensor.
        what: What it is, for the sentence.
    """
    remedy = "differentiate once, or, by the times, take a number of steps between them"
    result: Tensor = _Once.apply(x, f"the second derivative of {what} is not known: {remedy}")
    return result
