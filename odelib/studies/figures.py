"""The figures of a report: learning curves, gains with their intervals, the metric over compute and parameters."""

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from odelib.files import replacing
from odelib.studies.runs import Run
from odelib.studies.study import METRICS
from odelib.studies.tables import UNITS, Row
from odelib.studies.verdicts import Verdict

# Paul Tol's colours, which are told apart without seeing red and green, and markers for those who print in grey.
_COLOURS = ("#4477AA", "#EE6677", "#228833", "#CCBB44", "#66CCEE", "#AA3377", "#555555")
_MARKERS = "osD^vP*X"
_FEW = 6


def learning_curves(runs: Sequence[Run], metric: str, variants: Sequence[str], path: Path) -> str:
    """Draw the mean over seeds after each epoch, and a band from the lowest to the highest seed.

    Args:
        runs: Those of one setting.
        metric: The setting's; BLEU is known after the last epoch only, so its curve is that of the loss.
        variants: The ones to draw, the best first; at most six are, the rest would hide them.
        path: Where to write the figure.

    Returns:
        What is to be seen, in one sentence, for those who cannot see it.
    """
    metric = metric if hasattr(runs[0].history[0], metric) else "test_loss"
    label, factor = UNITS[metric]
    figure, ax = axes("epoch", label)
    for variant, style in zip(variants[:_FEW], _styles(), strict=False):
        curves = [[factor * getattr(epoch, metric) for epoch in run.history] for run in runs if run.variant == variant]
        epochs = range(1, 1 + min(map(len, curves)))
        seeds = list(zip(*curves, strict=False))
        ax.plot(epochs, [sum(seed) / len(seed) for seed in seeds], label=variant, color=style["color"], lw=1.6)
        ax.fill_between(epochs, [*map(min, seeds)], [*map(max, seeds)], color=style["color"], alpha=0.15, lw=0)
    ax.legend(frameon=False, fontsize=8)
    write(figure, path)
    more = f"; the best {_FEW} of {len(variants)} variants" if len(variants) > _FEW else ""
    return f"{label.capitalize()} after each epoch, mean and range over seeds, by variant{more}."


def scatter(rows: Sequence[Row], of: Callable[[Row], float], label: str, path: Path) -> str:
    """Draw the metric of each variant, with its 95 % interval, over what it costs.

    Args:
        rows: Those of one setting.
        of: What is drawn to the right.
        label: What that is, with its unit.
        path: Where to write the figure.

    Returns:
        What is to be seen, in one sentence.
    """
    metric = UNITS[rows[0].metric][0]
    figure, ax = axes(label, metric, width=7.2)  # wide, for the legend beside it
    for row, style in zip(rows, _styles(len(rows)), strict=True):
        ends = None if math.isnan(row.low) else [[row.mean - row.low], [row.high - row.mean]]
        ax.errorbar([of(row)], [row.mean], ends, label=row.variant, ms=5, lw=1, **style)
    values = [of(row) for row in rows]
    if max(values) > 3 * min(values) > 0:
        ax.set_xscale("log", base=2)
        ax.xaxis.set_major_formatter("{x:g}")
    ax.legend(frameon=False, fontsize=7, ncols=2 if len(rows) > 8 else 1, loc="center left", bbox_to_anchor=(1.0, 0.5))
    write(figure, path)
    better = "higher" if METRICS[rows[0].metric] else "lower"
    return f"{metric.capitalize()} over {label}, with 95 % intervals of the means; {better} is better."


_WORDS = {
    "supported": ("#228833", "o"),
    "smaller than matters": ("#CCBB44", "s"),
    "worse": ("#EE6677", "X"),
    "undecided": ("#4477AA", "D"),
    "no verdict": ("#555555", "|"),
}


def gains(verdicts: Sequence[Verdict], path: Path) -> str:
    """Draw the gain of each claim with the interval that its verdict is read off.

    Args:
        verdicts: Those of one setting, each with a gain.
        path: Where to write the figure.

    Returns:
        What is to be seen, in one sentence.
    """
    label, unit = UNITS[verdicts[0].comparison.metric]
    figure, ax = axes(f"gain ({label})", "", width=7.2)
    for place, verdict in enumerate(verdicts):
        claim, gain = verdict.comparison.claim, verdict.gain
        colour, marker = _WORDS[verdict.word]
        ax.hlines(-place, unit * gain.low, unit * gain.high, color=colour, lw=2)
        ax.plot(unit * gain.mean, -place, marker, color=colour, ms=7, label=verdict.word)
        ax.plot([unit * claim.relevant] * 2, [-place - 0.3, -place + 0.3], ":", color="#555555")
    ax.axvline(0, color="#555555", lw=1)
    names = [f"{v.comparison.claim.better}\nover {v.comparison.claim.than}" for v in verdicts]
    ax.set_yticks([-place for place in range(len(names))], names, fontsize=8)
    ax.set_ylim(0.6 - len(names), 0.6)
    known = dict(zip(*reversed(ax.get_legend_handles_labels()), strict=True))
    ax.legend(known.values(), known.keys(), frameon=False, fontsize=8)
    write(figure, path)
    return (
        f"What each claim gains ({label}), with the interval that its verdict is read off; dotted: the smallest gain "
        "that matters."
    )


def _styles(count: int = _FEW) -> list[dict[str, Any]]:
    return [
        {"color": _COLOURS[i % len(_COLOURS)], "marker": _MARKERS[(i + 2 * (i // len(_COLOURS))) % len(_MARKERS)]}
        for i in range(count)
    ]


def axes(right: str, up: str, width: float = 5.6) -> tuple[Any, Any]:
    """A figure and its axes, with what is drawn to the right and upwards."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, 3.4), layout="constrained")
    ax = figure.subplots()
    ax.set(xlabel=right, ylabel=up)
    ax.grid(alpha=0.3, lw=0.5)
    ax.spines[["top", "right"]].set_visible(False)
    return figure, ax


def write(figure: Any, path: Path) -> None:
    """Write a figure as SVG, the same bytes for the same figure."""
    import matplotlib as mpl

    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "odelib"}), replacing(path) as partial:
        figure.savefig(partial, format="svg", metadata={"Date": None})
