"""The three curves of the book look the same in every figure, and a figure that says otherwise is refused."""

import re

import matplotlib.pyplot as plt
import pytest

from odelib.teaching import figures, palette
from odelib.teaching.palette import meaning_of


@pytest.mark.parametrize(
    ("label", "meaning"),
    [
        ("usual layer", "usual"),
        ("the usual layers", "usual"),
        ("sequential", "usual"),
        ("lie-trotter", "usual"),
        ("Parallel network", "parallel"),
        ("RK4, $h=1$", "rk4"),
        ("RK4: backprop to ODE", None),
        ("shared-rk4", None),
        ("parallel, quarter steps", None),
        ("euler", None),
    ],
)
def test_a_label_means_one_of_the_three_or_another_curve(label, meaning):
    assert meaning_of(label) == meaning


def test_the_looks_are_the_voice_of_the_book():
    assert palette.look("usual") == {"color": palette.rust, "marker": "s", "linestyle": "-."}
    assert palette.look("parallel layer") == {"color": palette.blue, "marker": "o", "linestyle": "--"}
    assert palette.look("RK4") == {"color": palette.teal, "marker": "^", "linestyle": "-"}
    with pytest.raises(ValueError, match="'midpoint' has no colour of its own"):
        palette.look("midpoint")


def luminance(colour):
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("colour", palette.cycle)
def test_on_the_dark_page_a_line_is_as_clear_as_text(colour):
    assert (luminance(palette.on_dark[colour]) + 0.05) / (luminance("#14181e") + 0.05) >= 4.5


@pytest.mark.parametrize(("label", "colour"), [("usual", palette.pink), ("parallel layer", palette.rust)])
def test_a_figure_with_another_s_colour_is_refused(label, colour):
    fig, ax = plt.subplots()
    ax.plot([0, 1], color=colour, label=label)
    with pytest.raises(ValueError, match=re.escape(f"use palette.look({label!r})")):
        figures.check_colours(fig, "planted")
    plt.close(fig)


@pytest.mark.parametrize("draw", ["bar", "scatter", "errorbar"])
def test_bars_dots_and_error_bars_are_judged_too(draw):
    fig, ax = plt.subplots()
    getattr(ax, draw)([0, 1], [1, 2], color=palette.rust, label="usual")
    figures.check_colours(fig, "right")
    getattr(ax, draw)([0, 1], [1, 2], color=palette.rust, label="RK4")
    with pytest.raises(ValueError, match="draws 'RK4' in "):
        figures.check_colours(fig, "planted")
    plt.close(fig)


def test_a_figure_with_the_book_s_colours_is_let_through():
    fig, ax = plt.subplots()
    for name in ("usual", "parallel", "RK4"):
        ax.plot([0, 1], label=name, **palette.look(name))
    ax.plot([0, 1], color=palette.rust, label="midpoint")
    figures.check_colours(fig, "right")
    plt.close(fig)
