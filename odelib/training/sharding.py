"""Weights shared out over processes (fully sharded data parallelism, Zhao et al. 2023, arXiv 2304.11277).

It is PyTorch's own FSDP2. Accelerate leads to the same on GPUs, but leaves models on CPUs whole, so that there it
could not be tested.
"""

import warnings
from collections.abc import Iterator
from typing import Any

import torch
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.utils._pytree import tree_map_only

from odelib.layers import DepthBlock, TransformerField


def shard_model(model: nn.Module, device: torch.device, count: int) -> None:
    """Leave each process its part of every parameter; the rest comes when it is needed, and goes again after.

    Args:
        model: Equal in all processes; changed in place.
        device: The one of this process.
        count: Number of processes.
    """
    # It warns of changes in place, of which the solvers make none on a graph.
    warnings.filterwarnings("ignore", message="FSDP2-wrapped module .* returned a view tensor")
    mesh = init_device_mesh(device.type, (count,))
    for unit in (*_units(model), model):
        fully_shard(unit, mesh=mesh, reshard_after_forward=True)


def _units(model: nn.Module) -> Iterator[nn.Module]:
    """The parts that are brought together one at a time: the terms of each field, where they are all that is called.

    The gradient modes other than backpropagation take the weights of a field as arguments, weights that change with
    time mix those of several fields, and a shared norm belongs to several terms: there the model is brought together
    as a whole.
    """
    for block in model.modules():
        if not isinstance(block, DepthBlock) or block.steps is not None:
            continue
        if block.gradient != "backprop" or block.schedule.weights != "piecewise":
            continue
        for field in block.fields:
            # Not a subclass, such as the fused form: it may use the weights without calling the terms.
            terms = field.terms if type(field) is TransformerField else ()
            norms = {id(term.norm) for term in terms}
            if len(norms) == len(terms):
                yield from terms


def gather_whole(state: Any, *, keep: bool = True) -> Any:
    """A ``state_dict`` with every tensor whole, on the CPU where it was shared out; all processes must ask for it.

    Args:
        state: Nested mappings and sequences.
        keep: Whether this process wants it; else what it gets is empty.
    """

    def whole(tensor: DTensor) -> torch.Tensor:
        found = tensor.full_tensor()
        return found.cpu() if keep else found.new_empty(0)

    return tree_map_only(DTensor, whole, state)


def share_out(optimizer: torch.optim.Optimizer, state: dict[str, Any]) -> dict[str, Any]:
    """The ``state_dict`` of an optimiser with its tensors shared out like the parameters that they belong to."""
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]

    def entry(parameter: Any, value: Any) -> Any:
        if not isinstance(parameter, DTensor) or not isinstance(value, torch.Tensor) or value.shape != parameter.shape:
            return value
        return distribute_tensor(value.to(parameter.device), parameter.device_mesh, parameter.placements)

    entries = {
        i: {name: entry(parameters[i], value) for name, value in values.items()} for i, values in state["state"].items()
    }
    return {**state, "state": entries}
