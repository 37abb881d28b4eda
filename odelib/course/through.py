"""Calls to another process that torch can differentiate: backwards, forwards, and mapped over a batch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd import forward_ad

Exchange = Callable[[dict[str, Any], list[Tensor], dict[str, Any]], list[Tensor]]


class Call:
    """One call: what is asked, and what came back.

    Args:
        exchange: Sends a request with tensors, puts the answer's header into the third argument, gives its tensors.
        request: The header.
    """

    def __init__(self, exchange: Exchange, request: dict[str, Any]) -> None:
        self.exchange, self.request = exchange, request
        self.box: dict[str, Any] = {}

    def again(self) -> Call:
        """The same call once more."""
        return Call(self.exchange, self.request)

    def differentiate(self, do: str, tensors: Sequence[Tensor], inputs: Sequence[Tensor]) -> list[Tensor]:
        """What the other side finds for the derivative of this call, to be differentiated again where that counts."""
        again = transforming() or torch.is_grad_enabled()
        asked = Call(self.exchange, {"do": do, "on": self.box["reply"].get("call"), "wanting": again})
        if again:
            return asked.through([*tensors, *inputs])
        return self.exchange(asked.request, list(tensors), asked.box)

    def through(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        """Make the call as a function that torch can differentiate."""
        return list(_Through.apply(self, *tensors))[:-1]


def transforming() -> bool:
    """Whether ``torch.func`` is at work, under which no tensor shows its numbers."""
    return torch._C._functorch.peek_interpreter_stack() is not None  # torch has no public name for it


def has_tangent(tensor: Tensor) -> bool:
    """Whether a derivative along some direction is being taken with it, in ``torch.autograd.forward_ad``."""
    return forward_ad.unpack_dual(tensor).tangent is not None  # type: ignore[no-untyped-call]


class _Through(torch.autograd.Function):
    @staticmethod
    def forward(call: Call, *tensors: Tensor) -> tuple[Tensor, ...]:
        results = call.exchange(call.request, list(tensors), call.box)
        return (*results, torch.zeros(()))  # one at least, or torch sees no function

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: tuple[Tensor, ...]) -> None:
        ctx.call, *tensors = inputs
        ctx.save_for_backward(*tensors)
        ctx.save_for_forward(*tensors)
        ctx.wanting = [*(wanted for _, _, wanted in ctx.call.box["reply"]["tensors"]), False]
        ctx.mark_non_differentiable(*(out for out, wanted in zip(output, ctx.wanting, strict=True) if not wanted))

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        return (None, *ctx.call.differentiate("backward", gradients[:-1], ctx.saved_tensors))

    @staticmethod
    def jvp(ctx: Any, _: None, *tangents: Tensor | None) -> tuple[Tensor | None, ...]:
        inputs = ctx.saved_tensors
        along = [
            torch.zeros_like(x) if tangent is None else tangent for x, tangent in zip(inputs, tangents, strict=True)
        ]
        pushed = [*ctx.call.differentiate("forward", along, inputs), None]
        return tuple(tangent if wanted else None for tangent, wanted in zip(pushed, ctx.wanting, strict=True))

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int | None, ...], call: Call, *tensors: Tensor) -> tuple[Any, Any]:
        parts = []
        for place in range(info.batch_size):
            one = call.again()
            kept = zip(tensors, in_dims[1:], strict=True)
            parts.append(_Through.apply(one, *(t if dim is None else t.select(dim, place) for t, dim in kept)))
            call.box.update(one.box)
        stacked = tuple(torch.stack(column) for column in zip(*parts, strict=True))
        return stacked, (0,) * len(stacked)


def pull_back(inputs: list[Tensor], outputs: list[Tensor], gradients: list[Tensor], again: bool) -> list[Tensor]:
    """The gradients of a kept call's inputs from those of its outputs; ``again``: to be differentiated themselves."""
    to = [tensor for tensor in inputs if tensor.requires_grad]
    # The gradient of a sum: for gradients that it is handed torch imports all of sympy, which takes seconds.
    total = _total(outputs, gradients)
    got = iter(torch.autograd.grad(total, to, allow_unused=True, retain_graph=True, create_graph=again))
    return _filled(inputs, got)


def push_forward(inputs: list[Tensor], outputs: list[Tensor], tangents: list[Tensor], again: bool) -> list[Tensor]:
    """The derivatives of a kept call's outputs along tangents of its inputs, as the gradient of a gradient."""
    seeds = [torch.zeros_like(out, requires_grad=out.requires_grad) for out in outputs]
    to = [(tensor, tangent) for tensor, tangent in zip(inputs, tangents, strict=False) if tensor.requires_grad]
    total = _total(outputs, seeds)
    pulled = torch.autograd.grad(total, [tensor for tensor, _ in to], allow_unused=True, create_graph=True)
    along = [(p, tangent) for p, (_, tangent) in zip(pulled, to, strict=True) if p is not None and p.requires_grad]
    if not along:
        return [torch.zeros_like(out) for out in outputs]
    inner = _total([p for p, _ in along], [tangent for _, tangent in along])
    wanted = [seed for seed in seeds if seed.requires_grad]
    got = iter(torch.autograd.grad(inner, wanted, allow_unused=True, retain_graph=True, create_graph=again))
    return _filled(seeds, got)


def _filled(like: list[Tensor], got: Iterator[Tensor | None]) -> list[Tensor]:
    """A tensor for each: what was got for those that want a gradient, else zeros."""
    return [
        torch.zeros_like(tensor) if not tensor.requires_grad or (found := next(got)) is None else found
        for tensor in like
    ]


def _total(outputs: list[Tensor], weights: list[Tensor]) -> Tensor:
    total = torch.zeros(())
    for out, weight in zip(outputs, weights, strict=False):
        if out.requires_grad:
            total = total + ((out * weight.conj()).real if out.is_complex() else out * weight).sum()
    return total
