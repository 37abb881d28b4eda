"""Figures: colours that can be seen, markup that can be read aloud, the same bytes on every run."""

import base64
import itertools
import re
import xml.etree.ElementTree as ET
from pathlib import Path

import matplotlib as mpl
import pytest
from matplotlib.figure import Figure

from odelib.teaching import figures, palette

WHITE, DARK_PAGES = "#ffffff", ("#121212", "#14181e")


def _luminance(colour):
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _contrast(a, b):
    low, high = sorted((_luminance(a), _luminance(b)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("page", [WHITE, *DARK_PAGES])
@pytest.mark.parametrize("colour", palette.cycle)
def test_line_colours_stand_out_on_both_pages(colour, page):
    assert _contrast(colour, page) >= 3


def test_line_colours_differ_in_grey():
    lightness = sorted(116 * _luminance(colour) ** (1 / 3) - 16 for colour in palette.cycle)
    assert min(b - a for a, b in itertools.pairwise(lightness)) > 3


def test_every_line_has_its_own_dash_and_marker():
    with figures.style():
        cycle = list(mpl.rcParams["axes.prop_cycle"])
    assert len({str(entry["linestyle"]) for entry in cycle}) == len(palette.cycle) == len(set(palette.markers))


def _example(width=5.6):
    with figures.style():
        fig = Figure(figsize=(width, 3.4))
        ax = fig.subplots()
        ax.plot([0, 1, 2], [0.1, 1.123456, 4], marker="o", label="$x^2$")
        ax.plot([0, 2], [0, 4], color="black")
        ax.set_xlabel("time")
        ax.legend()
    return fig


@pytest.fixture
def shown(monkeypatch):
    bundles = []
    monkeypatch.setattr(figures, "emit", bundles.append)
    return bundles


def _svg(bundle):
    return ET.fromstring(re.search(r"<svg[\s\S]*</svg>", bundle["text/html"])[0])


def test_show_describes_the_figure_and_follows_the_page(shown):
    figures.show(_example(), "a-parabola", "A curve <rises>.", "It rises with *t*; see `x < 3`.")
    (bundle,) = shown
    svg = _svg(bundle)
    assert svg.get("role") == "img"
    title = svg.find("title")
    assert (title.get("id"), title.text) == (svg.get("aria-labelledby"), "A curve <rises>.")
    assert "It rises with <em>t</em>; see <code>x &lt; 3</code>.</figcaption>" in bundle["text/html"]
    assert bundle["text/plain"] == "Figure: A curve <rises>. It rises with *t*; see `x < 3`."
    assert base64.b64decode(bundle["image/png"]).startswith(b"\x89PNG")
    text = bundle["text/html"]
    assert "stroke:currentColor" in text
    assert palette.blue in text
    for fixed in (palette.ink, palette.paper, "#000000", "#ffffff"):
        assert fixed not in text


def test_ids_are_the_figures_own_and_every_reference_resolves(shown):
    figures.show(_example(), "first", "A", "B")
    figures.show(_example(), "second", "A", "B")
    ids = []
    for bundle, name in zip(shown, ("first", "second"), strict=True):
        svg = _svg(bundle)
        own = [node.get("id") for node in svg.iter() if node.get("id")]
        assert all(ident.startswith(f"{name}-") for ident in own)
        text = ET.tostring(svg, encoding="unicode")
        references = set(re.findall(r'(?:url\(#|href="#)([^)"]+)', text))
        assert references
        assert references <= set(own)
        ids += own
    assert len(ids) == len(set(ids))


def test_output_is_the_same_every_time_and_carries_no_style_sheet(shown):
    for _ in range(2):
        figures.show(_example(), "again", "A", "B")
    assert shown[0] == shown[1]
    drawing = re.search(r"<svg[\s\S]*</svg>", shown[0]["text/html"])[0]
    assert "<style" not in drawing  # it would restyle the whole page
    assert "<metadata" not in drawing
    assert "DOCTYPE" not in drawing
    assert not re.search(r' d="[^"]*\.\d{3}', drawing)
    assert len(drawing) < 25_000


def test_only_a_wide_figure_scrolls_in_its_own_box(shown):
    figures.show(_example(), "narrow", "A", "B")
    figures.show(_example(width=9), "wide", "A", "B")
    assert 'class="ode-scroll">' in shown[0]["text/html"]
    assert 'tabindex="0" role="region" aria-label="Wide figure wide"' in shown[1]["text/html"]


def test_show_closes_the_figure(shown):
    import matplotlib.pyplot as plt

    with figures.style():
        fig, _ = plt.subplots()
    figures.show(fig, "closed", "A", "B")
    assert not plt.fignum_exists(fig.number)


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("Not An Id", "A", "B"), "cannot be an id"),
        (("name", " ", "B"), "empty alt"),
        (("name", "A", ""), "empty caption"),
    ],
)
def test_missing_words_are_refused(words, complaint, shown):
    with pytest.raises(ValueError, match=complaint):
        figures.show(_example(), *words)
    assert shown == []


def test_style_ends_with_its_block():
    before = mpl.rcParams["font.size"]
    with figures.style():
        assert mpl.rcParams["font.size"] == 12
    assert mpl.rcParams["font.size"] == before


def test_nbval_ignores_drawings_but_not_words(shown):
    nbval = pytest.importorskip("nbval.plugin")
    config = Path(__file__).parents[1] / "book" / "nbval_sanitize.cfg"

    def sanitized(text):
        for pattern, replacement in nbval.get_sanitize_patterns(config.read_text()):
            text = re.sub(pattern, replacement, text)
        return text

    figures.show(_example(), "f", "A", "Order 2.")
    page = shown[0]["text/html"]
    moved = re.sub(r'd="M\d+', 'd="M7', page)
    assert moved != page
    assert sanitized(moved) == sanitized(page)
    assert sanitized(page.replace("Order 2.", "Order 3.")) != sanitized(page)
