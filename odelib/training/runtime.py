"""The one place that decides where and in which number format a run computes."""

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor

from odelib.names import choose
from odelib.training.config import PRECISIONS
from odelib.training.processes import ALONE, Processes, join, launched

_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


@dataclass(frozen=True)
class Runtime:
    """Device, number format and optimiser kernels of a run."""

    device: torch.device
    """Where parameters, images and the arithmetic live."""
    dtype: torch.dtype
    """Number format of matrix products; parameters and optimiser state are float32 always."""
    fused: bool
    """Whether AdamW updates all parameters in one kernel."""
    processes: Processes = ALONE
    """Who computes the run."""

    @classmethod
    def choose(cls, device: str = "auto", precision: str = "auto") -> "Runtime":
        """Settle ``auto`` on this machine, and meet the processes that were started together with this one.

        Args:
            device: ``auto``, ``cpu``, ``cuda``, ``cuda:<index>`` or ``mps``. Of several processes each takes
                a CUDA device of its own.
            precision: ``auto``, ``float32`` or ``bfloat16``.

        Raises:
            ValueError: The device is unknown, or CUDA was asked for and this machine has no such device, or not one
                for each process.
        """
        where = _find_device(device)
        on_cuda = where.type == "cuda"
        if choose(precision, PRECISIONS, "precision") == "auto":
            precision = "bfloat16" if on_cuda and torch.cuda.is_bf16_supported(including_emulation=False) else "float32"
        return cls(device=where, dtype=_DTYPES[precision], fused=on_cuda, processes=join(where))

    def autocast(self) -> AbstractContextManager[object]:
        """Context for forward passes: matrix products in ``dtype``, sums and norms in float32."""
        enabled = self.dtype != torch.float32
        return torch.autocast(self.device.type, dtype=self.dtype, enabled=enabled)

    def hold(self, values: Tensor) -> Tensor:
        """Move a whole data set to the device if it leaves half of the free memory there, else keep it.

        Batches are cut from what is returned, so data that stays behind is moved batch by batch.
        """
        if self.device.type == "cuda":
            free, _ = torch.cuda.mem_get_info(self.device)
            if values.nbytes > free // 2:
                return values.pin_memory()
        return values.to(self.device)

    @contextmanager
    def fork_rng(self) -> Iterator[None]:
        """Context that gives the caller's torch random state back at the end, on the CPU and the device."""
        before = self.rng_state()
        try:
            yield
        finally:
            self.set_rng_state(before)

    def seed(self, seed: int) -> None:
        """Seed torch's generators of the CPU and of this device, and of no other device."""
        torch.default_generator.manual_seed(seed)
        if self.device.type == "cuda":
            with torch.cuda.device(self.device):
                torch.cuda.manual_seed(seed)
        elif self.device.type == "mps":
            torch.mps.manual_seed(seed)

    def rng_state(self) -> dict[str, Tensor]:
        """The torch random state that dropout and drop-path draw from."""
        state = {"cpu": torch.get_rng_state()}
        if self.device.type == "cuda":
            state["cuda"] = torch.cuda.get_rng_state(self.device)
        elif self.device.type == "mps":
            state["mps"] = torch.mps.get_rng_state()
        return state

    def set_rng_state(self, state: dict[str, Tensor]) -> None:
        """Restore what ``rng_state`` gave; the state of a kind of device that is not in use is skipped."""
        torch.set_rng_state(state["cpu"])
        if self.device.type == "cuda" and "cuda" in state:
            torch.cuda.set_rng_state(state["cuda"], self.device)
        elif self.device.type == "mps" and "mps" in state:
            torch.mps.set_rng_state(state["mps"])


def _find_device(name: str) -> torch.device:
    if launched() > 1 and (name == "auto" or name.startswith("cuda")):
        return _own_device(name)
    if name == "auto":
        return torch.device("cuda", 0) if torch.cuda.is_available() else torch.device("cpu")
    kind, _, index = name.partition(":")
    choose(kind, ("auto", "cpu", "cuda", "mps"), "device")
    if index and not (kind == "cuda" and index.isdecimal()):
        raise ValueError(f"unknown device {name!r}: expected auto, cpu, cuda, cuda:<index> or mps")
    if kind == "cpu":
        return torch.device("cpu")
    if kind == "mps":
        if not torch.backends.mps.is_available():
            raise ValueError("device 'mps' was asked for, but torch finds no Apple GPU here: use cpu or auto")
        return torch.device("mps")
    if not torch.cuda.is_available():
        raise ValueError(f"device {name!r} was asked for, but torch finds no CUDA device here: use cpu or auto")
    if int(index or 0) >= torch.cuda.device_count():
        count = torch.cuda.device_count()
        raise ValueError(f"device {name!r} was asked for, but there are {count}: use cuda:0 to cuda:{count - 1}")
    return torch.device("cuda", int(index or 0))


def _own_device(name: str) -> torch.device:
    """The device of this one of several processes on the machine."""
    if name == "auto" and not torch.cuda.is_available():
        return torch.device("cpu")
    if name not in ("auto", "cuda"):
        raise ValueError(
            f"device {name!r} was asked for by {launched()} processes: ask for cuda, and each takes its own"
        )
    index, count = int(os.environ.get("LOCAL_RANK", "0")), torch.cuda.device_count()
    if index >= count:
        here = os.environ.get("LOCAL_WORLD_SIZE", index + 1)
        raise ValueError(
            f"{here} processes were started on a machine with {count} CUDA devices: "
            "start one process per device, or choose the device cpu"
        )
    return torch.device("cuda", index)
