"""How long a study will take, and how many runs fit into a GPU at once: a few steps of each variant, measured."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

import torch

from odelib.studies.study import Job
from odelib.training.config import build_model
from odelib.training.loop import Trainer
from odelib.training.options import check_options
from odelib.training.prepare import prepare
from odelib.training.run import restore
from odelib.training.runtime import Runtime

_STEPS = 3
_CONTEXT = 600 * 2**20  # what CUDA itself takes for a process


@dataclass(frozen=True)
class Estimate:
    """What a study needs."""

    minutes: float
    """Of all runs that were asked about, one after the other, measuring left out."""
    memory: int
    """Bytes of GPU memory of the largest of them; 0 on a CPU."""
    device: torch.device
    """Where they would be computed."""

    def workers(self) -> int:
        """How many processes fit into the free memory of the GPU."""
        free, _ = torch.cuda.mem_get_info(self.device)
        return max(int(0.9 * free // (1.2 * self.memory + _CONTEXT)), 1)


def estimate(jobs: Sequence[Job], *, threads: int = 1) -> Estimate:
    """Measure some steps of each setting and variant of a study.

    Args:
        jobs: The runs that are still to be done; those that differ in the seed alone are measured once.
        threads: Threads for the arithmetic of each run.

    Raises:
        ValueError: A run is none that can be.
        DataError: The data are absent.
    """
    kinds: dict[str, list[Job]] = {}
    for job in jobs:
        kinds.setdefault(job.name.rpartition("/")[0], []).append(job)
    seconds, memory, before = 0.0, 0, torch.get_num_threads()
    runtime = Runtime.choose("cpu")
    try:
        torch.set_num_threads(threads)
        for alike in kinds.values():
            options = check_options(alike[0].options)
            runtime = Runtime.choose(options.get("device", "auto"), options.get("precision", "auto"))
            step, held, steps = _measured(options, runtime)
            seconds, memory = seconds + step * steps * len(alike), max(memory, held)
    finally:
        torch.set_num_threads(before)
    return Estimate(seconds / 60, memory, runtime.device)


def _measured(options: dict[str, object], runtime: Runtime) -> tuple[float, int, int]:
    """Seconds of a step, bytes of GPU memory, and the steps of the whole run."""
    prepared = prepare(options, runtime)
    on_cuda = runtime.device.type == "cuda"
    if on_cuda:
        torch.cuda.reset_peak_memory_stats(runtime.device)
    with runtime.fork_rng():
        trainer = Trainer(prepared.config, prepared.task, lambda: build_model(prepared.config.model), runtime)
        restore(trainer, None)
        trainer.model.train()
        times = []
        start = time.perf_counter()
        for batch in islice(prepared.task.epoch(0), 1 + _STEPS):
            loss, _ = trainer.update(batch)
            loss.item()  # wait for the device
            times.append(time.perf_counter() - start)
            start = time.perf_counter()
    held = torch.cuda.max_memory_allocated(runtime.device) if on_cuda else 0
    return min(times[1:] or times), held, prepared.task.steps * prepared.config.epochs
