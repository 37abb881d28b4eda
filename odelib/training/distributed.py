"""Several processes with one model, through Hugging Face Accelerate: a copy in each, or its weights shared out.

A single process does without: its numbers are then those of the plain loop, bit for bit, and Accelerate, which takes
a second to import, need not be installed.
"""

import signal
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import DistributedDataParallelKwargs, DistributedType, broadcast_object_list, gather_object
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.utils._pytree import tree_map_only

from odelib.errors import TrainingError
from odelib.layers import DepthBlock, TransformerField
from odelib.training.processes import Processes, Value

_PLAIN = (DistributedType.MULTI_CPU, DistributedType.MULTI_GPU)


class Distributed(Processes):
    """This process as one of several.

    Args:
        device: The one of this process. The processes talk through gloo where it is a CPU, and through NCCL else.

    Raises:
        ValueError: ``accelerate launch`` was told to spread the model in a way of its own.
    """

    def __init__(self, device: torch.device) -> None:
        # Number formats are chosen by Runtime, in one process as in many.
        self._accelerator = Accelerator(cpu=device.type == "cpu", mixed_precision="no")
        if self._accelerator.distributed_type not in _PLAIN:
            raise ValueError(
                f"accelerate is set up for {self._accelerator.distributed_type.value}: set it up for plain processes "
                "on CPUs or GPUs, and share out the weights by --shard"
            )
        self.device: torch.device = self._accelerator.device
        self.rank: int = self._accelerator.process_index
        self.world_size: int = self._accelerator.num_processes

    @contextmanager
    def raise_in_all(self) -> Iterator[None]:
        """Raise in all processes what one of them raises; the others raise it as a TrainingError."""
        error: BaseException | None = None
        try:
            yield
        except BaseException as raised:  # Ctrl-C too: the others wait for this process
            error = raised
        mine = None if error is None else (isinstance(error, KeyboardInterrupt), str(error) or type(error).__name__)
        found = [said for said in gather_object([mine]) if said is not None]
        if found and error is None:
            stopped, sentence = found[0]
            error = KeyboardInterrupt() if stopped else TrainingError(sentence)
        if error is not None:
            error.known_to_all = True  # type: ignore[attr-defined]
            raise error

    def broadcast(self, value: Value) -> Value:
        """The value that the main process has; it is sent as a pickle."""
        values = [value]
        broadcast_object_list(values)
        return values[0]

    def all_reduce(self, values: Tensor) -> Tensor:
        """The sum over all processes, on the device of the run."""
        total: Tensor = self._accelerator.reduce(values.to(self.device), reduction="sum")
        return total

    waiting = (signal.SIGTERM, signal.SIGINT)  # a process that left at once would leave the others waiting

    def stopping(self, due: bool) -> tuple[bool, bool]:
        """Whether one of the processes was told to stop, and whether the main one finds a checkpoint ``due``."""
        asked, wanted = self.all_reduce(torch.tensor([float(self._asked), float(due and self.main)])).tolist()
        return bool(asked), bool(wanted)

    def wrap(self, model: nn.Module, average: nn.Module | None, *, shard: bool) -> Callable[..., Tensor]:
        """What to call for the model in training; its gradients are then the means over the processes."""
        if shard:
            for each in (model, average):
                if each is not None:
                    shard_model(each, self.device, self.world_size)
            return model
        self._accelerator.ddp_handler = DistributedDataParallelKwargs(find_unused_parameters=_may_leave_some(model))
        wrapped: nn.Module = self._accelerator.prepare_model(model)
        return wrapped

    @contextmanager
    def no_sync(self, forward: Any, *, last: bool) -> Iterator[None]:
        """Context of a forward and backward pass; only the last of a step waits for the gradients of the others."""
        model = getattr(forward, "_orig_mod", forward)  # what torch.compile has wrapped
        waiting: AbstractContextManager[object] = nullcontext()
        if hasattr(model, "set_requires_gradient_sync"):
            model.set_requires_gradient_sync(last)
        elif not last:
            waiting = self._accelerator.no_sync(model)
        with waiting:
            yield

    def full_state_dict(self, state: Value, *, everywhere: bool = False) -> Value:
        """A ``state_dict`` with whole tensors, which all processes must ask for: in the main one, or everywhere."""
        return full_state_dict(state, keep=self.main or everywhere)  # type: ignore[no-any-return]

    def shard_optimizer_state(self, optimizer: torch.optim.Optimizer, state: dict[str, Any]) -> dict[str, Any]:
        """The whole ``state_dict`` of an optimiser, spread as its parameters are."""
        return shard_state(optimizer, state)

    def leave(self) -> None:
        """Close the connections; nothing that waits for the others may follow."""
        self._accelerator.end_training()


def _may_leave_some(model: nn.Module) -> bool:
    """Whether a step may leave parameters without a gradient: a weight set that has no share at any stage's time."""
    return any(isinstance(part, DepthBlock) and part.schedule.weights != "piecewise" for part in model.modules())


def shard_model(model: nn.Module, device: torch.device, count: int) -> None:
    """Leave each process its part of every parameter; the rest comes when it is needed, and goes again after.

    Fully sharded data parallelism (Zhao et al. 2023, arXiv 2304.11277) by PyTorch's own FSDP2. Accelerate leads to the
    same on GPUs, but leaves models on CPUs whole, so that there it could not be tested.

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


def full_state_dict(state: Any, *, keep: bool = True) -> Any:
    """A ``state_dict`` with every tensor whole, on the CPU where it was shared out; all processes must ask for it.

    Args:
        state: Nested mappings and sequences.
        keep: Whether this process wants it; else what it gets is empty.
    """

    def whole(tensor: DTensor) -> torch.Tensor:
        found = tensor.full_tensor()
        return found.cpu() if keep else found.new_empty(0)

    return tree_map_only(DTensor, whole, state)


def shard_state(optimizer: torch.optim.Optimizer, state: dict[str, Any]) -> dict[str, Any]:
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
