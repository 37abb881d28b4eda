"""How often a solve waits for the device: the values that the host reads, per adaptive step."""

from typing import Any

import torch
import torchdiffeq
from _contenders import door, ours_adaptive, torchdyn, torchdyn_run, torchode, torchode_run
from _fields import Run, counted, forward, mlp
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

import odelib


class _Scalars(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts aten::_local_scalar_dense: item(), float(), bool()."""

    count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += func is torch.ops.aten._local_scalar_dense.default
        return func(*args, **(kwargs or {}))


class _Lists(TorchFunctionMode):
    """Counts tolist() and numpy(), which read a whole tensor at once."""

    count = 0

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += func in (torch.Tensor.tolist, torch.Tensor.numpy)
        return func(*args, **(kwargs or {}))


def host_reads(run: Run, field: Any, y0: torch.Tensor) -> tuple[int, int]:
    """Return the reads of a solve without a graph, and its field evaluations."""
    noted = counted(field)
    with _Scalars() as scalars, _Lists() as lists:  # type: ignore[no-untyped-call]
        forward(noted, y0, run)
    return scalars.count + lists.count, len(noted.log)


def run_reads() -> None:
    """Print the reads of all solvers with dopri5 on the 2-50-2 field."""
    field, y0 = mlp(1, "cpu")
    rtol, atol, end = 1e-5, 1e-7, 5.0
    solvers: dict[str, Run] = {
        "odelib.solve": ours_adaptive("dopri5", rtol, atol, end),
        "odelib.odeint": door(odelib, "dopri5", end, rtol=rtol, atol=atol),
        "torchdiffeq": door(torchdiffeq, "dopri5", end, rtol=rtol, atol=atol),
    }
    if torchdyn is not None:
        solvers["torchdyn"] = torchdyn_run("dopri5", end, rtol=rtol, atol=atol)
    if torchode is not None:
        solvers["torchode"] = torchode_run("dopri5", rtol, atol, end)
    print(f"\nHost reads: 2-50-2 MLP, dopri5, rtol {rtol:.0e}, t from 0 to {end:g}")
    for name, run in solvers.items():
        reads, evaluations = host_reads(run, field, y0)
        steps = (evaluations - 2) // 6  # two evaluations choose the first step, each step tried takes six
        bound = steps + 2 + (name == "odelib.odeint")  # and one read for a tensor of times
        note = f"<= steps + 2   {'PASS' if reads <= bound else 'over'}" if name.startswith("odelib") else ""
        print(f"  {name:<20}{reads:>5} reads in {steps:>3} steps: {reads / steps:>5.1f} per step   {note}")
