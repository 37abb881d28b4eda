"""Plots of what `odelib.analysis` returns: each gives a figure and its description in words, both for `show`.

``fig, alt = plots.orders(...)``, then ``show(fig, name, alt, caption)``. The description holds the numbers that
matter, to two digits; where they differ from machine to machine, the cell carries nbval's tag, or the chapter writes
its own words.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import cycle
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from odelib.analysis import NfeStudy, SplittingProfile, SwapStudy, convergence_order
from odelib.solvers import step_rule
from odelib.teaching.claims import format_number
from odelib.teaching.figures import style
from odelib.teaching.palette import meaning_of, palette

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Numbers = Sequence[float] | Tensor

_DASHES = ("-", "--", "-.", ":", (0, (6, 1.5, 1, 1.5, 1, 1.5)))


def orders(
    step_sizes: Numbers, errors: Mapping[str, Numbers], *, ylabel: str = "largest error", fit: int = 3
) -> tuple[Figure, str]:
    """Draw errors against step size on two logarithmic axes; the legend gives each slope.

    Args:
        step_sizes: The step sizes.
        errors: For each name, one error per step size, as `global_errors` or `refinement_errors` return them.
        ylabel: What the errors are.
        fit: The slope is that of this many smallest step sizes.
    """
    sizes = _floats(step_sizes)
    smallest = sorted(range(len(sizes)), key=sizes.__getitem__)[:fit]
    fig, ax = _axes()
    said = []
    looks = _looks(list(errors))
    for look, (name, values) in zip(looks, errors.items(), strict=True):
        error = _floats(values)
        slope = f"{convergence_order([sizes[j] for j in smallest], [error[j] for j in smallest]):.2f}"
        ax.loglog(sizes, error, label=f"{name}: slope {slope}", **look)
        said.append(f"{name} falls with slope {slope}")
    _label(ax, "step size $h$", ylabel)
    return fig, f"Log-log plot of {_plain(ylabel)} against step size. {_sentence(said)}"


def splitting(profile: SplittingProfile) -> tuple[Figure, str]:
    """Draw splitting defect and commutator by step, in per cent of the update; median and middle 80 % of samples.

    Args:
        profile: What `splitting_profile` returns.
    """
    shares = {
        "splitting defect": 100 * profile.defect / profile.update,
        "commutator, $h^2/2\\,[A, M]$": 100 * profile.commutator / profile.update,
    }
    fig, alt = over_depth(profile.times, shares, ylabel="per cent of the update")
    fig.axes[0].set_ylim(bottom=0)
    return fig, alt


def over_depth(times: Numbers, values: Mapping[str, Tensor], *, ylabel: str) -> tuple[Figure, str]:
    """Draw how a measure changes over depth: the median, and a band that holds the middle 80 % of paths or samples.

    Args:
        times: Where in depth, (points,).
        values: For each name, (points, ...); NaN is left out.
        ylabel: What is measured.
    """
    at = _floats(times)
    fig, ax = _axes()
    said = []
    for look, (name, measured) in zip(_looks(list(values)), values.items(), strict=True):
        low, middle, high = _spread(measured)
        ax.plot(at, middle, label=name, **look)
        if measured.ndim > 1:
            ax.fill_between(at, low, high, color=look["color"], alpha=0.2, linewidth=0)
        said.append(f"{_plain(name)} goes from {_short(middle[0])} to {_short(middle[-1])}")
    _label(ax, "depth $t$", ylabel, legend=len(values) > 1)
    return fig, f"Plot of {_plain(ylabel)} against depth. {_sentence(said)}"


def paths(plane: Tensor, share: Tensor | float, *, names: Sequence[str] = ()) -> tuple[Figure, str]:
    """Draw paths in a plane, from hollow to filled markers; each group has its own colour, dash and marker.

    Args:
        plane: Coordinates, (points, groups, paths, 2), as `principal_plane` returns them for tokens of samples.
        share: The share of the variance in the plane.
        names: A name for each group; none leaves out the legend.
    """
    points, groups, count, _ = plane.shape
    fig, ax = _axes(figsize=(5.6, 4.2))
    looks = _looks(names or [str(group) for group in range(groups)])
    for group, lines in enumerate(plane.detach().cpu().double().unbind(1)):
        look = looks[group]
        color, marker = look["color"], look["marker"]
        for xy in lines.unbind(1):
            ax.plot(*xy.T.numpy(), color=color, linestyle=look["linestyle"], linewidth=1.2)
        ax.plot(*lines[0].T.numpy(), marker, color=color, markerfacecolor=palette.paper)
        ax.plot(*lines[-1].T.numpy(), marker, color=color, label=names[group] if names else None)
    ax.set_aspect("equal", adjustable="datalim")
    _label(ax, "first principal component", "second principal component", legend=bool(names))
    of = f" of {groups} groups ({', '.join(names)})" if names else ""
    return fig, (
        f"{groups * count} paths{of} through {points} states each, from hollow to filled markers, in a plane that "
        f"holds {_short(100 * float(share))} per cent of the variance."
    )


def spectra(times: Numbers, values: Tensor) -> tuple[Figure, str]:
    """Draw the singular values of each step's Jacobian over depth; a line at 1 marks what is not stretched.

    Args:
        times: The time at the beginning of each step, (steps,).
        values: (steps, count) or (steps, batch, count), as `singular_values_by_step` returns them; the median over
            samples is drawn.
    """
    middle = values if values.ndim == 2 else values.median(dim=1).values
    at, lines = _floats(times), middle.detach().cpu().double().T.tolist()
    fig, ax = _axes()
    ax.axhline(1.0, color=palette.ink, linewidth=1, linestyle="--")
    for i, line in enumerate(lines):
        first = i == 0
        ax.plot(at, line, "o-", color=palette.blue, linewidth=2 if first else 1, markersize=6 if first else 3)
    _label(ax, "depth $t$ at the beginning of the step", "singular values", legend=False)
    return fig, (
        f"The {len(lines)} largest singular values of each step's Jacobian against depth. The largest is between "
        f"{_short(min(lines[0]))} and {_short(max(lines[0]))}; the line at 1 marks lengths that are kept."
    )


def exponents(values: Tensor) -> tuple[Figure, str]:
    """Draw Lyapunov exponents by rank: the mean over samples, with a bar over all of them.

    Args:
        values: (batch, count), as `lyapunov_exponents` or `finite_time_exponents` return them.
    """
    table = values.detach().cpu().double()
    mean, low, high = table.mean(dim=0), table.amin(dim=0), table.amax(dim=0)
    ranks = range(1, table.shape[1] + 1)
    fig, ax = _axes()
    ax.axhline(0.0, color=palette.ink, linewidth=1, linestyle="--")
    ax.vlines(ranks, low.numpy(), high.numpy(), color=palette.blue, linewidth=4, alpha=0.4)
    ax.plot(ranks, mean.numpy(), "o", color=palette.blue)
    ax.locator_params(axis="x", integer=True)
    _label(ax, "rank", "Lyapunov exponent", legend=False)
    return fig, (
        f"{len(ranks)} Lyapunov exponents by rank, from {_short(float(mean[0]))} down to {_short(float(mean[-1]))}; "
        f"{int((mean > 0).sum())} of them are above 0 in the mean over {len(table)} samples."
    )


def swaps(study: SwapStudy, rules: Sequence[Any], refine: Sequence[int]) -> tuple[Figure, str]:
    """Draw the accuracy of a trained model under other step rules and finer steps; a line marks it as trained.

    Args:
        study: What `swap_study` returns.
        rules: The step rules it was made with.
        refine: The refinements it was made with.
    """
    table = 100 * study.accuracy.cpu()
    fig, ax = _axes()
    ax.axhline(100 * study.as_it_is, color=palette.ink, linewidth=1, linestyle="--", label="as trained")
    said = []
    labels = [step_rule(rule).name for rule in rules]
    for i, (name, look) in enumerate(zip(labels, _looks(labels), strict=True)):
        ax.plot(refine, table[i].tolist(), label=name, **look)
        said.append(f"{name} goes from {_short(float(table[i, 0]))} to {_short(float(table[i, -1]))} per cent")
    ax.set_xscale("log", base=2)
    ax.set_xticks(list(refine), [str(times) for times in refine])
    _label(ax, "steps in place of one", "right answers, per cent")
    return fig, (
        f"Accuracy against refinement of the steps. As trained: {_short(100 * study.as_it_is)} per cent. "
        f"{_sentence(said)}"
    )


def evaluations(study: NfeStudy) -> tuple[Figure, str]:
    """Draw how many inputs cost an adaptive solver how many evaluations of the field.

    Args:
        study: What `nfe_by_input` returns.
    """
    totals = study.nfe.sum(dim=0)
    fig, ax = _axes()
    ax.hist(totals.tolist(), bins="auto", color=palette.blue, edgecolor=palette.paper)
    ax.locator_params(axis="y", integer=True)
    _label(ax, "field evaluations", "inputs", legend=False)
    least, middle, most = (
        format_number(round(float(value)), None) for value in (totals.min(), totals.median(), totals.max())
    )
    return fig, (
        f"Histogram of the field evaluations that each of {len(totals)} inputs takes: from {least} to {most}, "
        f"half of them at most {middle}."
    )


def shares(parts: Mapping[str, float], *, xlabel: str) -> tuple[Figure, str]:
    """Draw parts of a whole as bars with their numbers, such as the operations of a model by layer kind.

    Args:
        parts: A size for each name.
        xlabel: What is measured, with its unit.
    """
    names, sizes = list(parts), [float(size) for size in parts.values()]
    fig, ax = _axes(figsize=(5.6, 0.9 + 0.45 * len(parts)))
    bars = ax.barh(names, sizes, color=palette.blue)
    ax.bar_label(bars, [_short(size) for size in sizes], padding=4, color=palette.ink, fontsize=11)
    ax.invert_yaxis()
    ax.margins(x=0.15)
    ax.grid(False, axis="y")
    ax.set_xlabel(xlabel)
    return fig, f"Bars of {_plain(xlabel)}: {', '.join(f'{name} {_short(size)}' for name, size in parts.items())}."


def _axes(figsize: tuple[float, float] | None = None) -> tuple[Figure, Axes]:
    from matplotlib import pyplot as plt

    with style():
        return plt.subplots(figsize=figsize)


def _looks(labels: Sequence[str]) -> list[dict[str, Any]]:
    """Colour, dash and marker of each line: the book's own for its three curves, and for others what these leave."""
    own = [palette.look(label) if meaning_of(label) else None for label in labels]
    taken = {look["color"] for look in own if look}
    rows = zip(palette.cycle, palette.markers, _DASHES, strict=True)
    left = cycle([{"color": color, "marker": m, "linestyle": dash} for color, m, dash in rows if color not in taken])
    return [look or next(left) for look in own]


def _label(ax: Axes, xlabel: str, ylabel: str, legend: bool = True) -> None:
    """Name the axes; the legend stands above them, where it covers nothing."""
    ax.set(xlabel=xlabel, ylabel=ylabel)
    if legend:
        with style():
            ax.figure.legend(loc="outside upper center", ncols=2)


def _spread(values: Tensor) -> tuple[list[float], list[float], list[float]]:
    """The 10 %, 50 % and 90 % quantiles at each point."""
    rows = values.detach().cpu().double().flatten(1) if values.ndim > 1 else values.detach().cpu().double()[:, None]
    low, middle, high = torch.nanquantile(rows, torch.tensor([0.1, 0.5, 0.9], dtype=rows.dtype), dim=1).tolist()
    return low, middle, high


def _floats(values: Numbers) -> list[float]:
    return [float(value) for value in values]


def _short(value: float) -> str:
    return format_number(float(value), 2)


def _plain(name: str) -> str:
    """A name without its formula, for a voice that reads it aloud."""
    return re.sub(r",? ?\$[^$]*\$", "", name)


def _sentence(parts: Sequence[str]) -> str:
    text = "; ".join(parts) + "."
    return text[0].upper() + text[1:]
