"""What a model costs: parameters, floating-point operations, memory."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from odelib.modes import evaluation


def count_parameters(model: nn.Module) -> int:
    """Return how many numbers a model learns; a tensor that two parts share counts once."""
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


def count_flops(function: Callable[..., Any], *inputs: Any) -> int:
    """Return the floating-point operations of the matrix products and convolutions in one call.

    A multiplication and an addition are two operations. Counted by torch's own counter as the call runs, so a model
    and inputs made under ``torch.device("meta")`` are counted without computing anything. Attention runs unfused for
    it, since the counter knows no fused kernel of the CPU; a causal mask saves nothing then.

    Args:
        function: A model or any other callable.
        *inputs: What it is called with.
    """
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        function(*inputs)
    return int(counter.get_total_flops())


def field_flops(tokens: int, dim: int, hidden: int) -> tuple[int, int]:
    """Return the operations of one evaluation of attention and of the MLP of `TransformerField`, for one sample.

    Per token, attention takes 8 dim^2 for its four projections and 4 tokens dim for scores and mixing, and the MLP
    4 dim hidden; the number of heads is no matter. Counted as in `count_flops`.

    Args:
        tokens: Length of the sequence.
        dim: Width of the state.
        hidden: Hidden width of the MLP.
    """
    return tokens * (8 * dim**2 + 4 * tokens * dim), tokens * 4 * dim * hidden


def activation_memory(function: Callable[..., Tensor], *inputs: Any) -> int:
    """Return the bytes that one call keeps for its backward pass, besides parameters and inputs.

    On a CPU: the sum over the storages that autograd saves, each counted once however many views of it are saved.
    On CUDA: by how much the memory that the caching allocator holds for tensors has grown when the call returns, the
    result included.

    Args:
        function: A model or another callable whose result needs a gradient.
        *inputs: What it is called with; the first tensor among them says which device is measured.

    Raises:
        ValueError: The result needs no gradient, so nothing is kept.
    """
    tensors = [value for value in inputs if isinstance(value, Tensor)]
    device = tensors[0].device if tensors else torch.device("cpu")
    if device.type == "cuda":
        before = torch.cuda.memory_allocated(device)
        result = function(*inputs)
        _check_gradient(result)
        return torch.cuda.memory_allocated(device) - before
    kept: dict[int, torch.UntypedStorage] = {}

    def pack(saved: Tensor) -> Tensor:
        owner = saved if saved._base is None else saved._base
        if not (owner.is_leaf and owner.requires_grad):  # else a parameter, which is there anyhow
            storage = saved.untyped_storage()
            kept[storage._cdata] = storage  # held, so that no later storage takes its place in memory
        return saved

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda saved: saved):
        result = function(*inputs)
    _check_gradient(result)
    given = {tensor.untyped_storage()._cdata for tensor in tensors}
    return sum(storage.nbytes() for key, storage in kept.items() if key not in given)


def _check_gradient(result: Tensor) -> None:
    if not result.requires_grad:
        raise ValueError(
            "the result needs no gradient, so nothing is kept for one: call it outside torch.no_grad, "
            "with parameters or inputs that require a gradient"
        )


@dataclass(frozen=True)
class Cost:
    """What a forward pass of a model costs, counted and not timed."""

    parameters: int
    """Numbers that training changes."""
    nfe: float
    """Field evaluations per forward pass; evaluating one of several terms counts as its share."""
    flops: float
    """Floating-point operations of a forward pass, as of `count_flops`, per image (window, request, pair)."""


def cost_of(model: nn.Module, *inputs: Any) -> Cost:
    """Count what ``model`` needs for a batch; nothing is drawn, and its mode stays as it was.

    Args:
        model: Has a number ``nfe``.
        *inputs: What it is called with; the operations are the mean over the batch, padding included.
    """
    with evaluation(model):
        flops = count_flops(model, *inputs)
    return Cost(count_parameters(model), cast(float, model.nfe), flops / len(inputs[0]))
