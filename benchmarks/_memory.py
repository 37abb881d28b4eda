"""Peak memory of one solve with its gradient, beyond what was allocated before: on the CPU and on a GPU.

On the CPU every allocation and release of torch's allocator is taken from the profiler and added up; on a GPU the
allocator's own peak is read.
"""

import gc
import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import accumulate
from pathlib import Path
from typing import Any

import torch
import torchdiffeq
from _contenders import door, hand_adjoint, hand_fixed, ours_adaptive, ours_fixed
from _fields import Run, forward_backward, transformer
from _timing import verdict
from torch.profiler import ProfilerActivity, profile

MEGABYTE = 1e6


def peak_bytes(call: Callable[[], Any], device: str) -> int:
    """Return the most memory that was allocated at once while ``call`` ran, less what was before it."""
    gc.collect()
    if device == "cuda":
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        call()
        torch.cuda.synchronize()
        return torch.cuda.max_memory_allocated() - before
    # The cycles that a solve leaves are its own doing: they are not collected while it is measured.
    gc.disable()
    try:
        with _silent(), profile(activities=[ProfilerActivity.CPU], profile_memory=True, acc_events=True) as record:
            call()
    finally:
        gc.enable()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "trace.json"
        record.export_chrome_trace(str(path))
        events = json.loads(path.read_text())["traceEvents"]
    changes = sorted((e["ts"], e["args"]["Ev Idx"], e["args"]["Bytes"]) for e in events if e.get("name") == "[memory]")
    return int(max(accumulate((change for *_, change in changes), initial=0)))


@contextmanager
def _silent() -> Iterator[None]:
    """Drop what the profiler writes to stderr on a machine without a GPU; exceptions come through."""
    sys.stderr.flush()
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def validate(device: str) -> None:
    """Measure tensors of known size.

    Raises:
        RuntimeError: The meter is off by more than 2 percent.
    """

    def known() -> None:
        a = torch.empty(10, 1000, 1000, device=device)  # 40 MB
        b = a + a  # 80 MB
        del a
        c = torch.empty(5, 1000, 1000, device=device)  # 60 MB
        d = torch.nn.functional.gelu(b) + 1.0  # 140 MB at its peak: b, c, gelu(b) and the sum
        del b, c, d

    known()
    for _ in range(2):
        found = peak_bytes(known, device) / MEGABYTE
        if abs(found - 140.0) > 0.02 * 140.0:
            raise RuntimeError(f"the meter on {device} finds {found:.1f} MB where 140.0 MB are allocated")
    print(f"  the meter finds {found:.1f} MB for tensors of 140.0 MB")


def run_memory(device: str, steps: int, batch: int = 8) -> None:
    """Print the peaks of all gradient modes with rk4 on the field of DeiT-Ti's size."""
    print(f"\nPeak memory on {device}: DeiT-Ti-size field, batch {batch}, rk4, {steps} steps, forward + backward")
    validate(device)
    field, y0 = transformer(batch, device)

    def peak(run: Run) -> float:
        for parameter in field.parameters():
            parameter.grad = None
        return peak_bytes(lambda: forward_backward(field, y0, run), device) / MEGABYTE

    def row(name: str, value: float, against: str = "", bound: float | None = None) -> None:
        note = "" if bound is None else f"{value / bound:.3f} of it   {'PASS' if value <= bound else 'over'}"
        print(f"  {name:<34}{value:>10.1f} MB   {against:<58}{note}", flush=True)

    step = 1.0 / steps
    forward_backward(field, y0, hand_fixed("rk4", 1))
    hand = peak(hand_fixed("rk4", steps))
    adjoint_there = peak(door(torchdiffeq, "rk4", adjoint=True, options={"step_size": step}))
    row("hand loop", hand)
    row("torchdiffeq", peak(door(torchdiffeq, "rk4", options={"step_size": step})))
    row("torchdiffeq adjoint", adjoint_there)
    row("hand adjoint", peak(hand_adjoint(steps)))
    row("odelib backprop", peak(ours_fixed("rk4", steps)), "the hand loop; 1 %", 1.01 * hand)
    one_step = peak(ours_fixed("rk4", 1))
    kept = steps * y0.numel() * y0.element_size() / MEGABYTE
    summed = sum(p.numel() * p.element_size() for p in field.parameters()) / MEGABYTE
    row("odelib checkpoint", peak(ours_fixed("rk4", steps, gradient="checkpoint")),
        f"{steps} states, one step's backprop, gradients' sum; 5 %", 1.05 * (kept + one_step + summed))  # fmt: skip
    row("odelib adjoint", peak(ours_fixed("rk4", steps, gradient="adjoint")),
        "0.6 times torchdiffeq's adjoint", 0.6 * adjoint_there)  # fmt: skip
    short = peak(ours_fixed("rk4", 4, gradient="reversible"))
    row("odelib reversible, 4 steps", short)
    row(f"odelib reversible, {steps} steps", peak(ours_fixed("rk4", steps, gradient="reversible")),
        "1.1 times that of 4 steps", 1.1 * short)  # fmt: skip
    left = _left_behind(field, y0, steps=4, device=device)
    print(f"  memory that waits for the collector of cycles after a solve: {left / MEGABYTE:.3f} MB", end="   ")
    print(verdict(left / MEGABYTE, 0.01))


def _left_behind(field: Any, y0: torch.Tensor, steps: int, device: str) -> int:
    """Return the bytes of tensors that only the collector of cycles frees after a solve in any mode."""
    gc.collect()
    gc.disable()
    try:
        before = _alive()
        for gradient in ("backprop", "checkpoint", "adjoint", "reversible"):
            for run in (
                ours_fixed("rk4", steps, gradient=gradient),
                ours_adaptive("dopri5", 1e-3, 1e-3, gradient=gradient),
            ):
                forward_backward(field, y0, run)
        for parameter in field.parameters():
            parameter.grad = None
        return _alive() - before
    finally:
        gc.enable()


def _alive() -> int:
    storages = {}
    for thing in gc.get_objects():
        if issubclass(type(thing), torch.Tensor):
            storage = thing.untyped_storage()
            storages[storage.data_ptr()] = storage.nbytes()
    return sum(storages.values())
