"""What the benchmarks share: interleaved runs, training steps, tables, counts of kernels."""

import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.profiler_util import FunctionEvent
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode


def interleaved(contenders: Mapping[str, Callable[[], Any]], runs: int, warm_up: int = 2) -> dict[str, float]:
    """Median seconds of each; in turns, so that whatever else the machine does falls on all alike."""
    times: dict[str, list[float]] = {name: [] for name in contenders}
    for i in range(-warm_up, runs):
        for name, call in contenders.items():
            begin = time.perf_counter()
            call()
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            if i >= 0:
                times[name].append(time.perf_counter() - begin)
    return {name: statistics.median(values) for name, values in times.items()}


def forward_backward(module: nn.Module, x: Tensor) -> Callable[[], None]:
    """One training pass without an optimiser; the gradient of x too, as inside a network."""
    x = x.detach().requires_grad_()
    ones = torch.ones_like(module(x))

    def call() -> None:
        module.zero_grad(set_to_none=True)
        x.grad = None
        torch.autograd.backward(module(x), ones)

    return call


def machine() -> str:
    """What the times were taken on."""
    cpu = torch.backends.cpu.get_cpu_capability()
    return f"torch {torch.__version__}, {torch.get_num_threads()} threads, CPU capability {cpu}"


def table(title: str, rows: Mapping[str, float], baseline: str) -> None:
    """Print milliseconds, and what they are in units of the baseline and of the fastest."""
    print(f"\n{title}\n{'':34}{'ms':>9}{'/ ' + baseline:>14}{'/ fastest':>11}")
    for name, seconds in rows.items():
        shares = f"{seconds / rows[baseline]:14.2f}{seconds / min(rows.values()):11.2f}"
        print(f"{name:34}{1e3 * seconds:9.3f}{shares}")


# What only looks at memory in another way, or makes room.
_FREE = set(
    "view _unsafe_view _reshape_alias reshape as_strided expand transpose t numpy_T permute unbind split chunk flatten "
    "split_with_sizes slice select narrow unsqueeze squeeze detach alias resolve_conj resolve_neg set_ resize_ "
    "empty empty_like empty_strided new_empty".split()
)


class CountKernels(TorchDispatchMode):
    """Counts the operations that compute, by name."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run and note the operation."""
        name = func.overloadpacket.__name__
        if func.namespace == "aten" and name not in _FREE:
            self.names.append(name)
        return func(*args, **(kwargs or {}))


class OneAttention(TorchFunctionMode):
    """Takes attention as one kernel, as it is on a real device; on a fake one torch would write it out."""

    def __init__(self, counter: CountKernels) -> None:
        super().__init__()
        self.counter = counter

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Note attention and return a tensor of its layout; run everything else."""
        if func is not nn.functional.scaled_dot_product_attention:
            return func(*args, **(kwargs or {}))
        self.counter.names.append("attention")
        batch, heads, tokens, width = args[0].shape
        return args[0].new_empty(batch, tokens, heads, width).transpose(1, 2)


def profiled_kernels(call: Callable[[], Any]) -> int:
    """Operations that compute and call no other that does, as the profiler sees them on the CPU."""

    def count(event: FunctionEvent) -> int:
        inside = sum(count(child) for child in event.cpu_children)
        return inside or int(event.name.removeprefix("aten::") not in _FREE)

    call()
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
        call()
    events = [e for e in profile.events() if e.name.startswith("aten::") and e.cpu_parent is None]
    return sum(count(event) for event in events)
