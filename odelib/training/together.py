"""Several processes with one model, through Hugging Face Accelerate: a copy in each, or its weights shared out.

A single process does without: its numbers are then those of the plain loop, bit for bit, and Accelerate, which takes
a second to import, need not be installed.
"""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import DistributedDataParallelKwargs, DistributedType, broadcast_object_list, gather_object
from torch import Tensor, nn

from odelib.layers import DepthBlock
from odelib.training.errors import TrainingError
from odelib.training.processes import Processes, Value
from odelib.training.sharding import gather_whole, shard_model, share_out

_PLAIN = (DistributedType.MULTI_CPU, DistributedType.MULTI_GPU)


class Together(Processes):
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
        self.count: int = self._accelerator.num_processes
        self.agreed_on: BaseException | None = None
        """The last error that all processes know of."""
        self._asked = False

    @contextmanager
    def agreed(self) -> Iterator[None]:
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
            self.agreed_on = error
            raise error

    def same(self, value: Value) -> Value:
        """The value that the main process has; it is sent as a pickle."""
        values = [value]
        broadcast_object_list(values)
        return values[0]

    def sum(self, values: Tensor) -> Tensor:
        """The sum over all processes, on the device of the run."""
        total: Tensor = self._accelerator.reduce(values.to(self.device), reduction="sum")
        return total

    @contextmanager
    def stoppable(self) -> Iterator[None]:
        """Let Ctrl-C wait for ``stop_if_asked``: a process that left at once would leave the others waiting."""
        if threading.current_thread() is not threading.main_thread():  # signals do not come here
            yield
            return
        before = signal.signal(signal.SIGINT, self._ask)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)

    def _ask(self, *_: object) -> None:
        self._asked = True

    def stop_if_asked(self) -> None:
        """Raise KeyboardInterrupt in all processes, if Ctrl-C has reached one of them."""
        if self.sum(torch.tensor(float(self._asked))).item():
            self._asked = False
            self.agreed_on = KeyboardInterrupt()
            raise self.agreed_on

    def spread(self, model: nn.Module, average: nn.Module | None, *, shard: bool) -> Callable[..., Tensor]:
        """What to call for the model in training; its gradients are then the means over the processes."""
        if shard:
            for each in (model, average):
                if each is not None:
                    shard_model(each, self.device, self.count)
            return model
        self._accelerator.ddp_handler = DistributedDataParallelKwargs(find_unused_parameters=_may_leave_some(model))
        wrapped: nn.Module = self._accelerator.prepare_model(model)
        return wrapped

    @contextmanager
    def adding_up(self, forward: Any, *, last: bool) -> Iterator[None]:
        """Context of a forward and backward pass; only the last of a step waits for the gradients of the others."""
        model = getattr(forward, "_orig_mod", forward)  # what torch.compile has wrapped
        waiting: AbstractContextManager[object] = nullcontext()
        if hasattr(model, "set_requires_gradient_sync"):
            model.set_requires_gradient_sync(last)
        elif not last:
            waiting = self._accelerator.no_sync(model)
        with waiting:
            yield

    def whole(self, state: Value, *, everywhere: bool = False) -> Value:
        """A ``state_dict`` with whole tensors, which all processes must ask for: in the main one, or everywhere."""
        return gather_whole(state, keep=self.main or everywhere)  # type: ignore[no-any-return]

    def shared_out(self, optimizer: torch.optim.Optimizer, state: dict[str, Any]) -> dict[str, Any]:
        """The whole ``state_dict`` of an optimiser, spread as its parameters are."""
        return share_out(optimizer, state)

    def leave(self) -> None:
        """Close the connections; nothing that waits for the others may follow."""
        self._accelerator.end_training()


def _may_leave_some(model: nn.Module) -> bool:
    """Whether a step may leave parameters without a gradient: a weight set that has no share at any stage's time."""
    return any(isinstance(part, DepthBlock) and part.schedule.weights != "piecewise" for part in model.modules())
