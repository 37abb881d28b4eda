"""Plots: what they draw is what they are given, their words hold the numbers, and nothing is cut off or covered."""

import re

import matplotlib as mpl
import matplotlib.pyplot as plt
import pytest
import torch

from odelib.analysis import NfeStudy, SplittingProfile, SwapStudy
from odelib.teaching import figures, palette, plots

F64 = torch.float64


@pytest.fixture(autouse=True)
def no_window_and_no_figure_left(monkeypatch):
    mpl.use("agg")
    monkeypatch.setattr(figures, "emit", lambda bundle: None)
    yield
    plt.close("all")


def straight(slope):
    return [3.0 * h**slope for h in (0.5, 0.25, 0.125)]


EXAMPLES = {
    "orders": lambda: plots.orders((0.5, 0.25, 0.125), {"euler": straight(1), "rk4": straight(4)}),
    "splitting": lambda: plots.splitting(
        SplittingProfile(torch.arange(3.0), torch.full((3, 2), 2.0), torch.ones(3, 2), torch.full((3, 2), 0.5))
    ),
    "over_depth": lambda: plots.over_depth(
        torch.arange(4.0), {"mean cosine": torch.rand(4, 5), "spread": torch.rand(4)}, ylabel="clustering"
    ),
    "paths": lambda: plots.paths(torch.randn(4, 3, 5, 2), 0.7, names=("coat", "boot", "bag")),
    "spectra": lambda: plots.spectra((0.0, 1.0), torch.tensor([[3.0, 1.0], [2.0, 0.5]])),
    "exponents": lambda: plots.exponents(torch.tensor([[0.9, 0.0, -14.6], [0.7, 0.0, -14.4]])),
    "swaps": lambda: plots.swaps(
        SwapStudy(torch.tensor([[0.8, 0.6], [0.5, 0.5]]), torch.ones(2, 2), 0.8), ("euler", "rk4"), (1, 4)
    ),
    "evaluations": lambda: plots.evaluations(
        NfeStudy(
            torch.zeros(2),
            torch.tensor([[8.0, 14.0, 20.0], [8.0, 8.0, 14.0]]),
            torch.ones(2, 3, dtype=torch.int64),
            torch.zeros(2, 3, dtype=torch.int64),
        )
    ),
    "shares": lambda: plots.shares({"attention": 1.06, "MLP": 1.39}, xlabel="operations, $10^9$"),
}

WORDS = {
    "orders": ("euler falls with slope 1.00; rk4 falls with slope 4.00",),
    "splitting": ("Splitting defect goes from 50 to 50; commutator goes from 25 to 25", "per cent of the update"),
    "over_depth": ("clustering against depth", "Mean cosine goes from"),
    "paths": ("15 paths of 3 groups (coat, boot, bag) through 4 states", "70 per cent"),
    "spectra": ("The 2 largest singular values", "between 2.0 and 3.0"),
    "exponents": ("from 0.80 down to -14", "1 of them are above 0 in the mean over 2 samples"),
    "swaps": ("As trained: 80 per cent. Euler goes from 80 to 60 per cent; rk4 goes from 50 to 50",),
    "evaluations": ("each of 3 inputs takes: from 16 to 34, half of them at most 22",),
    "shares": ("Bars of operations: attention 1.1, MLP 1.4.",),
}


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_description_holds_the_numbers_and_no_formula(name):
    _, alt = EXAMPLES[name]()
    for words in WORDS[name]:
        assert words.lower() in alt.lower()
    assert not re.search(r"[$\\]", alt)
    assert alt.endswith(".")


@pytest.mark.parametrize("name", EXAMPLES)
def test_all_texts_are_inside_the_figure_and_apart(name):
    fig, _ = EXAMPLES[name]()
    with figures.style():
        fig.canvas.draw()
    frame, renderer = fig.bbox, fig.canvas.get_renderer()
    for ax in fig.axes:
        labels = [ax.xaxis.label, ax.yaxis.label, *ax.texts]
        boxes = [text.get_window_extent(renderer) for text in labels if text.get_text()]
        boxes += [legend.get_window_extent(renderer) for legend in fig.legends]
        for i, box in enumerate(boxes):
            assert frame.x0 <= box.x0 + 1
            assert box.x1 <= frame.x1 + 1
            assert frame.y0 <= box.y0 + 1
            assert box.y1 <= frame.y1 + 1
            assert not any(box.overlaps(other) for other in boxes[:i])
        assert not any(legend.get_window_extent(renderer).overlaps(ax.bbox) for legend in fig.legends)


@pytest.mark.parametrize("name", EXAMPLES)
def test_colours_are_the_books_own_and_the_figure_can_be_shown(name):
    fig, alt = EXAMPLES[name]()
    allowed = {*palette.cycle, palette.ink, palette.paper}
    for ax in fig.axes:
        assert {line.get_color() for line in ax.lines} <= allowed
        assert {text.get_color() for text in ax.texts} <= {palette.ink}
    figures.show(fig, name.replace("_", "-"), alt, "A caption.")


def test_lines_are_the_numbers_that_came():
    errors = straight(2)
    fig, _ = plots.orders((0.5, 0.25, 0.125), {"heun": errors})
    (line,) = fig.axes[0].lines
    assert line.get_ydata().tolist() == errors
    assert fig.legends[0].get_texts()[0].get_text() == "heun: slope 2.00"


def test_the_slope_is_that_of_the_smallest_steps():
    _, alt = plots.orders((1.0, 0.25, 0.125), {"bent": [100.0, 0.25, 0.125]}, fit=2)
    assert "slope 1.00" in alt


def test_the_band_holds_the_middle_of_the_samples_and_leaves_out_nan():
    values = torch.linspace(0, 1, 11, dtype=F64).repeat(2, 1)
    values[1, 3:] = torch.nan
    fig, _ = plots.over_depth((0.0, 1.0), {"x": values}, ylabel="y")
    (line,) = fig.axes[0].lines
    assert line.get_ydata() == pytest.approx([0.5, 0.1])
    (band,) = fig.axes[0].collections
    low, high = band.get_paths()[0].get_extents().get_points()[:, 1]
    assert (low, high) == pytest.approx((0.02, 0.9))


def test_paths_begin_hollow_and_end_filled():
    plane = torch.tensor([[0.0, 0.0], [1.0, 2.0]]).view(2, 1, 1, 2)
    fig, _ = plots.paths(plane, 1.0)
    line, start, end = fig.axes[0].lines
    assert line.get_xydata().tolist() == [[0.0, 0.0], [1.0, 2.0]]
    assert (start.get_xydata().tolist(), start.get_markerfacecolor()) == ([[0.0, 0.0]], palette.paper)
    assert (end.get_xydata().tolist(), end.get_markerfacecolor()) == ([[1.0, 2.0]], palette.blue)
    assert fig.legends == []
