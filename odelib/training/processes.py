"""The processes that train one model: this one alone, or those that torchrun or ``accelerate launch`` has started.

All of them go through the same batches. Each computes some rows of every batch, and what is a sum over the rows is
summed over the processes. Random numbers are drawn for the whole batch in each of them, so all are in equal random
states, and a run gives the same numbers, to rounding, in however many processes it goes on.
"""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch import Tensor, nn

from odelib.errors import LossError
from odelib.install import without
from odelib.layers.drops import rows_of_batch

if TYPE_CHECKING:
    from odelib.training.distributed import Distributed

Value = TypeVar("Value")


@dataclass(frozen=True)
class Part:
    """Consecutive rows of a piece of a batch: those that one process computes."""

    first: int
    """The first row, counted in the batch."""
    last: int
    """The row after the last one."""
    begin: int
    """Where the piece begins."""
    end: int
    """Where it ends."""
    weight: int = 1
    """0 where a piece has fewer rows than there are processes: the row is another process's, and counts there."""
    scale: int = 1
    """Factor of the loss: the number of processes, since they take the mean of their gradients."""

    @property
    def alone(self) -> bool:
        """Whether these rows are all of the batch, so that nothing is shared with anybody."""
        return self.scale == 1 and (self.first, self.last) == (self.begin, self.end) and self.begin == 0

    def draws(self) -> AbstractContextManager[None]:
        """Context in which dropout draws for the whole piece."""
        return rows_of_batch(self.first - self.begin, self.last - self.begin, self.end - self.begin)


class Processes:
    """This process, which trains alone. `Distributed` is one of several."""

    rank = 0
    world_size = 1

    @property
    def main(self) -> bool:
        """Whether this process is the one that writes and speaks."""
        return self.rank == 0

    def parts(self, rows: int, pieces: int = 1) -> list[Part]:
        """Which rows of a batch this process computes: of each of at most ``pieces`` pieces nearly equal shares.

        Every process has equally many parts, and none of them is empty.
        """
        parts = []
        for begin, end in _cut(0, rows, min(pieces, rows)):
            first, last = _cut(begin, end, self.world_size)[self.rank]
            mine = (first, last, begin, end, 1) if first < last else (end - 1, end, begin, end, 0)
            parts.append(Part(*mine, scale=self.world_size))
        return parts

    def rows(self, rows: int, pieces: int = 1) -> Tensor:
        """The rows of ``parts`` as indices into the batch, int64."""
        return torch.cat([torch.arange(part.first, part.last) for part in self.parts(rows, pieces)])

    def raise_in_all(self) -> AbstractContextManager[None]:
        """Context whose exceptions are raised in all processes; within it, no process may wait for another."""
        return nullcontext()

    def broadcast(self, value: Value) -> Value:
        """The value that the main process has (torch.distributed.broadcast_object_list)."""
        return value

    def all_reduce(self, values: Tensor) -> Tensor:
        """The sum over all processes, on the device of the run (torch.distributed.all_reduce)."""
        return values

    waiting: tuple[signal.Signals, ...] = (signal.SIGTERM,)
    """Signals that stop a run at the next good moment; Ctrl-C stops a single process at once."""
    _asked = False
    terminated = False
    """Whether the signal that this process heard was SIGTERM."""

    @contextmanager
    def signals(self) -> Iterator[None]:
        """Context in which the signals of ``waiting`` are heard of by ``stopping`` alone."""
        self._asked = self.terminated = False
        if threading.current_thread() is not threading.main_thread():  # signals do not come here
            yield
            return
        kept = {kind: signal.signal(kind, self._ask) for kind in self.waiting}
        try:
            yield
        finally:
            for kind, handler in kept.items():
                signal.signal(kind, handler)

    def _ask(self, kind: int, _: object) -> None:
        self._asked, self.terminated = True, kind == signal.SIGTERM

    def stopping(self, due: bool) -> tuple[bool, bool]:
        """Whether one of the processes was told to stop, and whether the main one finds a checkpoint ``due``."""
        return self._asked, due

    def wrap(self, model: nn.Module, average: nn.Module | None, *, shard: bool) -> Callable[..., Tensor]:
        """What to call for the model in training; its gradients are then the means over the processes.

        Args:
            model: Equal in all processes; changed in place where it is sharded.
            average: Another model of its kind, which is not trained.
            shard: Whether each process is to hold a part of the weights only.
        """
        return model

    def no_sync(self, forward: Any, *, last: bool) -> AbstractContextManager[None]:
        """Context of a forward and backward pass; only the ``last`` of a step waits for the gradients of the others."""
        return nullcontext()

    def full_state_dict(self, state: Value, *, everywhere: bool = False) -> Value:
        """A ``state_dict`` with whole tensors, which all processes must ask for: in the main one, or everywhere."""
        return state

    def shard_optimizer_state(self, optimizer: torch.optim.Optimizer, state: dict[str, Any]) -> dict[str, Any]:
        """The whole ``state_dict`` of an optimiser, spread as its parameters are."""
        return state


ALONE = Processes()
_joined: "Distributed | None" = None


def launched() -> int:
    """How many processes torchrun or ``accelerate launch`` has started together with this one; 1 without them."""
    return int(os.environ.get("WORLD_SIZE", "1")) if "RANK" in os.environ else 1


def join(device: torch.device) -> Processes:
    """Meet the processes that were started with this one; the second call gives the same.

    Args:
        device: The one of this process.

    Raises:
        ValueError: Accelerate is not installed, is set up for something else, or the device is of another kind than
            in the first call.
    """
    global _joined
    if launched() == 1:
        return ALONE
    if _joined is None:
        try:
            from odelib.training.distributed import Distributed
        except ImportError as error:
            what = f"training in {launched()} processes"
            raise ValueError(without("accelerate", "distributed", what)) from error
        _joined = Distributed(device)
    if _joined.device.type != device.type:
        raise ValueError(f"device is {device}, but these processes compute on {_joined.device.type}: use one kind")
    return _joined


def leave(error: BaseException | None = None) -> None:
    """Part from the other processes, unless they know nothing of the ``error`` because of which this one ends."""
    if _joined is not None and (error is None or known_to_all(error)):
        _joined.leave()


def speaks(error: BaseException) -> bool:
    """Whether an error is to be reported by this process, so that it is reported once.

    What all know of, the main process says; what one knows of, that one; and before they have met, one per machine.
    """
    if _joined is None:
        return first_here()
    return _joined.main or not known_to_all(error)


def known_to_all(error: BaseException) -> bool:
    """Whether all processes have raised this error together."""
    return isinstance(error, LossError) or getattr(error, "known_to_all", False)


def first_here() -> bool:
    """Whether this process is alone, or the first of those that were started on this machine."""
    return launched() == 1 or os.environ.get("LOCAL_RANK", "0") == "0"


@contextmanager
def quiet_unless_first() -> Iterator[None]:
    """Context in which only the first process on a machine prints."""
    from contextlib import redirect_stderr, redirect_stdout

    if first_here():
        yield
        return
    with open(os.devnull, "w", encoding="utf-8") as nowhere, redirect_stdout(nowhere), redirect_stderr(nowhere):
        yield


def _cut(first: int, last: int, number: int) -> list[tuple[int, int]]:
    """Cut a range into ``number`` ranges of nearly equal length, the longer ones first."""
    length, longer = divmod(last - first, number)
    edges = [first + i * length + min(i, longer) for i in range(number + 1)]
    return list(pairwise(edges))
