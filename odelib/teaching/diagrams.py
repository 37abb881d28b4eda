"""Drawings that several chapters share."""

from __future__ import annotations

from typing import TYPE_CHECKING

from odelib.teaching.palette import palette

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_ARROW = {"arrowstyle": "-|>", "color": palette.ink, "linewidth": 1.4, "shrinkA": 0, "shrinkB": 0}


def wiring(ax: Axes, parallel: bool) -> None:
    """Draw how a layer wires its two sublayers: both on the same state, or one after the other.

    Args:
        ax: where to draw; its axis is switched off.
        parallel: the parallel layer, else the usual pre-norm layer.
    """
    ax.set(xlim=(0, 10), ylim=(0, 3))
    ax.set_axis_off()
    if parallel:
        _box(ax, 4.6, 2.25, "LN, MHA", palette.blue)
        _box(ax, 4.6, 0.75, "LN, MLP", palette.rust)
        for y in (2.25, 0.75):
            _path(ax, [(1.6, 1.5), (1.6, y), (3.3, y)])
            _path(ax, [(5.9, y), (8.0, y), (8.0, 1.5 + (0.28 if y > 1.5 else -0.28))])
        _path(ax, [(0.6, 1.5), (7.72, 1.5)])
        _plus(ax, 8.0, 1.5)
        _path(ax, [(8.28, 1.5), (9.4, 1.5)])
        names, level = ((0.3, "$X$"), (9.7, "$X'$")), 1.5
    else:
        _box(ax, 2.8, 0.9, "LN, MHA", palette.blue)
        _box(ax, 6.9, 0.9, "LN, MLP", palette.rust)
        for start, box, end in ((0.9, 2.8, 4.55), (5.15, 6.9, 8.65)):
            _path(ax, [(start, 0.9), (start, 2.2), (end, 2.2), (end, 1.18)])
            _path(ax, [(box + 1.3, 0.9), (end - 0.28, 0.9)])
            _plus(ax, end, 0.9)
        _path(ax, [(0.6, 0.9), (1.5, 0.9)])
        _path(ax, [(4.83, 0.9), (5.6, 0.9)])
        _path(ax, [(8.93, 0.9), (9.4, 0.9)])
        ax.text(5.1, 0.42, "$Y$", ha="center", va="center")
        names, level = ((0.3, "$X$"), (9.7, "$X'$")), 0.9
    for x, name in names:
        ax.text(x, level, name, ha="center", va="center", fontsize=13)


def _box(ax: Axes, x: float, y: float, label: str, color: str) -> None:
    from matplotlib.patches import FancyBboxPatch

    shape = "round,pad=0,rounding_size=0.18"
    ax.add_patch(
        FancyBboxPatch((x - 1.3, y - 0.45), 2.6, 0.9, boxstyle=shape, fc=palette.paper, ec=color, lw=2, zorder=3)
    )
    ax.text(x, y, label, ha="center", va="center", zorder=4)


def _plus(ax: Axes, x: float, y: float) -> None:
    ax.plot(x, y, "o", markersize=15, markerfacecolor=palette.paper, markeredgecolor=palette.ink, zorder=3)
    ax.plot(x, y, "+", markersize=9, color=palette.ink, markeredgewidth=1.6, zorder=4)


def _path(ax: Axes, points: list[tuple[float, float]]) -> None:
    """A line through the points with an arrow head at its end."""
    xs, ys = zip(*points[:-1], strict=True)
    ax.plot(xs, ys, color=palette.ink, linewidth=1.4, linestyle="-", solid_capstyle="butt", zorder=1)
    ax.annotate("", xy=points[-1], xytext=points[-2], arrowprops=_ARROW, zorder=1)
