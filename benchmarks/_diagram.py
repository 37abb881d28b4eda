"""Work-precision: the error that is reached against the time and the evaluations that it takes."""

import math
import statistics
from functools import partial
from itertools import pairwise
from pathlib import Path

import torch
import torchdiffeq
from _contenders import door, ours_adaptive, torchode, torchode_run
from _fields import Field, Run, lorenz, lotka_volterra, mlp, reference, relative_error, result_of, work_of
from _timing import Timer
from torch import Tensor

Point = tuple[float, float, int]
"""Error, seconds, evaluations."""

LEVELS = (1e-4, 1e-6, 1e-8)


def problems() -> dict[str, tuple[Field, Tensor, float]]:
    """Return field, initial state and final time by name, in float64."""
    field, state = mlp(1, "cpu")
    return {
        "Lorenz": (lorenz, torch.tensor([[1.0, 1.0, 25.0]], dtype=torch.float64), 2.0),
        "Lotka-Volterra": (lotka_volterra, torch.tensor([[1.0, 1.0]], dtype=torch.float64), 10.0),
        "2-50-2 MLP": (field.double(), state.double(), 10.0),
    }


def solvers(tolerance: float, end: float) -> dict[str, Run]:
    """Return the solvers at one tolerance, rtol = atol."""
    found: dict[str, Run] = {}
    for method in ("dopri5", "tsit5", "dopri8"):
        found[f"odelib {method}"] = ours_adaptive(method, tolerance, tolerance, end)
    for method in ("dopri5", "dopri8"):
        run = door(torchdiffeq, method, end, rtol=tolerance, atol=tolerance)
        found[f"torchdiffeq {method}"] = run
    if torchode is not None:
        for method in ("dopri5", "tsit5"):
            found[f"torchode {method}"] = torchode_run(method, tolerance, tolerance, end)
    return found


def curves(field: Field, y0: Tensor, end: float, tolerances: list[float], timer: Timer) -> dict[str, list[Point]]:
    """Measure all solvers at all tolerances, in turns."""
    exact = reference(field, y0, end, backward=False, rtol=1e-12)
    runs = {(name, tolerance): run for tolerance in tolerances for name, run in solvers(tolerance, end).items()}
    with torch.no_grad():
        samples = timer.interleaved({key: partial(run, field, y0) for key, run in runs.items()})
    found: dict[str, list[Point]] = {}
    for (name, tolerance), run in runs.items():
        error = relative_error(result_of(field, y0, run, backward=False), exact)
        evaluations = work_of(field, y0, run, backward=False).count
        found.setdefault(name, []).append((error, statistics.median(samples[name, tolerance]), evaluations))
    return found


def at_error(points: list[Point], level: float, column: int) -> float:
    """Return the cost at an error, between two points on a log-log line; NaN outside of them."""
    ordered = sorted(points)
    for low, high in pairwise(ordered):
        if low[0] <= level <= high[0] and low[0] < high[0]:
            x = math.log(level / low[0]) / math.log(high[0] / low[0])
            return math.exp((1 - x) * math.log(low[column]) + x * math.log(high[column]))
    return math.nan


def run_diagram(timer: Timer, tolerances: list[float], path: Path | None) -> None:
    """Print times and evaluations at equal error, and draw the diagram if there is a path."""
    print("\nAt equal measured error (float64, one sample): milliseconds and evaluations, read off between tolerances")
    everything = {}
    for name, (field, y0, end) in problems().items():
        everything[name] = found = curves(field, y0, end, tolerances, timer)
        print(f"  {name:<26}" + "".join(f"{f'error {level:.0e}':>22}" for level in LEVELS))
        for solver, points in found.items():
            cells = (f"{1e3 * at_error(points, x, 1):.2f} ms, {at_error(points, x, 2):.0f}" for x in LEVELS)
            print(f"    {solver:<24}" + "".join(f"{cell if 'nan' not in cell else '-':>22}" for cell in cells))
    if path is not None:
        draw(everything, path)
        print(f"  diagram: {path}")


def draw(everything: dict[str, dict[str, list[Point]]], path: Path) -> None:
    """Draw error against time and against evaluations, one row per problem."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt
    from matplotlib.ticker import LogLocator, NullFormatter

    colours = {"odelib": "C0", "torchdiffeq": "C1", "torchode": "C2"}
    lines = {"dopri5": ("-", "o"), "tsit5": ("--", "s"), "dopri8": (":", "^")}
    figure, rows = plt.subplots(len(everything), 2, figsize=(10, 3.4 * len(everything)), squeeze=False)
    for (name, found), row in zip(everything.items(), rows, strict=True):
        for axes, column, label, scale in zip(row, (1, 2), ("time in ms", "field evaluations"), (1e3, 1), strict=True):
            for solver, points in found.items():
                library, method = solver.split()
                line, marker = lines[method]
                axes.loglog(
                    [scale * point[column] for point in points],
                    [max(point[0], 1e-16) for point in points],
                    line,
                    marker=marker,
                    markersize=4,
                    color=colours[library],
                    label=solver,
                )
            axes.set(title=name, xlabel=label, ylabel="relative error at the end")
            axes.grid(alpha=0.3)
            # A decade or less along the axis: plain numbers, and few of them.
            axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
            axes.xaxis.set_major_formatter("{x:g}")
            axes.xaxis.set_minor_formatter(NullFormatter())
    rows[0][0].legend(fontsize=7)
    figure.tight_layout()
    figure.savefig(path)
    plt.close(figure)
