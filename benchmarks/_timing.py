"""Interleaved timing of contenders against their own bare field evaluations, and the table of the results."""

import gc
import random
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from _fields import Run, Work, forward, forward_backward, reference, relative_error, result_of, work_of
from torch import Tensor

CLOCKS: dict[str, Callable[[], float]] = {"wall": time.perf_counter, "cpu": time.process_time}


@dataclass(frozen=True)
class Timer:
    """How is measured.

    Attributes:
        rounds: Samples of each contender.
        seconds: Least length of a sample; short solves are repeated within it.
        clock: "wall", or "cpu": time of this process, for one thread on a busy machine.
    """

    rounds: int
    seconds: float
    clock: str

    def interleaved(self, calls: dict[Any, Callable[[], Any]]) -> dict[Any, list[float]]:
        """Return the seconds per call of each: one sample of each per round, in another order in every round."""
        repeats = {}
        for key, call in calls.items():
            call()  # warm up
            once = self._sample(call, 1)
            repeats[key] = max(1, round(self.seconds / max(once, 1e-7)))
        samples: dict[Any, list[float]] = {key: [] for key in calls}
        order, shuffle = list(calls), random.Random(0).shuffle
        for _ in range(self.rounds):
            shuffle(order)
            for key in order:
                samples[key].append(self._sample(calls[key], repeats[key]))
        return samples

    def _sample(self, call: Callable[[], Any], repeats: int) -> float:
        now = CLOCKS[self.clock]
        gc.collect()
        gc.disable()
        try:
            _wait()
            begin = now()
            for _ in range(repeats):
                call()
            _wait()
            return (now() - begin) / repeats
        finally:
            gc.enable()


def _wait() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


@dataclass(frozen=True)
class Contender:
    """One way to solve a problem.

    Attributes:
        name: Its name in the table.
        run: The solve.
        bound: What its ratio must reach; None for one that is only compared with.
        counted: The same solve where ``run`` can't be counted, being compiled.
    """

    name: str
    run: Run
    bound: float | None = None
    counted: Run | None = None


@dataclass(frozen=True)
class Case:
    """Contenders on one problem.

    Attributes:
        title: Heading in the table.
        field: The field.
        y0: Initial state.
        end: Final time; the first is 0.
        backward: Whether the gradient is computed too.
        contenders: Who takes part.
        relative: (name, name, bound): the time of the first must not exceed bound times that of the second.
        rtol: Tolerance of the reference.
    """

    title: str
    field: Any
    y0: Tensor
    end: float
    backward: bool
    contenders: Sequence[Contender]
    relative: Sequence[tuple[str, str, float]] = ()
    rtol: float = 1e-11


def ratio(above: Sequence[float], below: Sequence[float]) -> tuple[float, float]:
    """Return the median over rounds of a / b, and half the distance of its quartiles."""
    ratios = [a / b for a, b in zip(above, below, strict=True)]
    quartiles = statistics.quantiles(ratios, n=4) if len(ratios) > 1 else [ratios[0]] * 3
    return quartiles[1], (quartiles[2] - quartiles[0]) / 2


def verdict(value: float, bound: float | None) -> str:
    """Return what stands in the last two columns."""
    return "" if bound is None else f"<= {bound:<6.4g} {'PASS' if value <= bound else 'over'}"


def run_case(case: Case, timer: Timer) -> None:
    """Measure a case and print its rows."""
    print(f"\n{case.title}", flush=True)
    head = "contender", "evals", "ms", "ratio", "error"
    print("  {:<26}{:>6}{:>11}{:>8} {:<7}{:>9}   bound".format(*head[:4], "±", head[4]))
    solve = forward_backward if case.backward else forward
    field, y0 = case.field, case.y0
    works: dict[str, Work] = {}
    calls: dict[Any, Callable[[], Any]] = {}
    for contender in case.contenders:
        works[contender.name] = work = work_of(field, y0, contender.counted or contender.run, case.backward)
        calls[work] = partial(work.bare, field, y0)
        calls[contender.name] = partial(solve, field, y0, contender.run)
    samples = timer.interleaved(calls)
    exact = reference(field, y0, case.end, case.backward, case.rtol)
    for contender in case.contenders:
        times, work = samples[contender.name], works[contender.name]
        value, spread = ratio(times, samples[work])
        error = relative_error(result_of(field, y0, contender.run, case.backward), exact)
        print(
            f"  {contender.name:<26}{work.count:>6}{1e3 * statistics.median(times):>11.3f}{value:>8.3f} "
            f"{spread:<7.3f}{error:>9.1e}   {verdict(value, contender.bound)}",
            flush=True,
        )
    for above, below, bound in case.relative:
        value, spread = ratio(samples[above], samples[below])
        label = f"{above} / {below}"
        print(f"  {label:<43}{value:>8.3f} {spread:<7.3f}{'':>9}   {verdict(value, bound)}", flush=True)
