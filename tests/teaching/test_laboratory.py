"""Laboratories: one definition, a page that needs no kernel, and a twin that computes."""

import re
import sys
import xml.etree.ElementTree as ET

import pytest

from odelib.teaching import Choice, Laboratory, Slider, figures, laboratory


def _draw(fig, n, kind="line"):
    ax = fig.subplots()
    ax.set(xlim=(0, 5), ylim=(0, 10), xlabel="x", title=f"n = {n}")
    ax.plot([0, 5], [0, n], linestyle="-" if kind == "line" else ":")
    if kind == "dots":
        ax.plot([n], [1], "o")


def _describe(n, kind="line"):
    return f"A {kind} up to {n} & *x*."


SLIDER = Slider("n", "Height *n*", [1, 2, 4], default=2, unit="cm")
CHOICE = Choice("kind", "Kind", ["line", "dots"])


@pytest.fixture(scope="module")
def lab():
    return Laboratory("heights", "How high?", _draw, [SLIDER, CHOICE], _describe, figsize=(4, 2))


@pytest.fixture(scope="module")
def page(lab):
    return lab.page()


def _drawing(page):
    return ET.fromstring(re.search(r"<svg[\s\S]*</svg>", page)[0])


def _visible(svg, frame):
    """The drawing as the script leaves it for a frame."""
    for node in svg.iter():
        for child in list(node):
            if child.get("data-f") is not None and str(frame) not in child.get("data-f").split():
                node.remove(child)
            else:
                child.attrib.pop("data-f", None)
                child.attrib.pop("display", None)
    return [node.attrib for node in svg.iter() if node.tag in ("path", "use") and node.get("id") is None]


def test_each_frame_shows_what_drawing_it_alone_would(lab, page):
    from odelib.teaching import _svg

    for number, values in enumerate(lab._combinations()):
        with figures.style():
            root = _svg.to_tree(lab._figure(values, lab._places))
        _svg.rename_ids(root, "heights-")
        alone = [node.attrib for node in root.iter() if node.tag in ("path", "use") and node.get("id") is None]
        assert _visible(_drawing(page), number) == alone


def test_a_slider_can_have_words_for_its_values():
    slider = Slider("n", "n", [1, 2], default=2, names=["left out", "exchanged"])
    page = Laboratory("words", "T", _draw, [slider], _describe, figsize=(4, 2)).page()
    assert 'data-steps="left out|exchanged"' in page
    assert 'aria-valuetext="exchanged"' in page
    assert "<td>left out</td>" in page


def test_default_frame_is_the_visible_one(page):
    marked = [node for node in _drawing(page).iter() if node.get("data-f")]
    assert marked
    for node in marked:
        assert ("2" in node.get("data-f").split()) == (node.get("display") != "none")


def test_frames_share_what_they_can(lab, page):
    frames = len(lab._combinations())
    drawing = len(re.search(r"<svg[\s\S]*</svg>", page)[0])
    with figures.style():
        from odelib.teaching import _svg

        single = len(_svg.from_figure(lab._figure((2, "line"), []), "x-").content)
    assert drawing < single * frames / 2


def test_page_can_be_used_by_keyboard_and_read_aloud(page):
    assert '<label for="heights-n">Height <em>n</em></label>' in page
    assert 'type="range" id="heights-n" min="0" max="2" step="1" value="1"' in page
    assert 'aria-valuetext="2 cm"' in page
    assert 'data-steps="1 cm|2 cm|4 cm"' in page
    assert '<output for="heights-n">2 cm</output>' in page
    assert "<legend>Kind</legend>" in page
    assert 'aria-live="polite">A line up to 2 &amp; <em>x</em>.</p>' in page
    assert page.count("<tr>") == 1 + 6
    assert "<noscript>" in page
    assert "http" not in page  # nothing is fetched


def test_frames_are_counted_as_the_script_counts_them(lab):
    assert lab._combinations()[1 * 2 + 1] == (2, "dots")


def test_show_sends_page_picture_and_words(lab, monkeypatch):
    bundles = []
    monkeypatch.setattr(laboratory, "emit", bundles.append)
    lab.show()
    assert set(bundles[0]) == {"text/html", "image/png", "text/plain"}
    assert bundles[0]["text/plain"] == "Laboratory: How high?. A line up to 2 & *x*."


def test_live_twin_draws_again_when_a_control_moves(lab):
    pytest.importorskip("ipywidgets")
    slider, choice, picture = lab.live().children
    assert (slider.value, choice.value) == (2, "line")
    seen = [picture.value]
    slider.value = 4
    seen.append(picture.value)
    choice.value = "dots"
    seen.append(picture.value)
    for page, text in zip(seen, ("A line up to 2", "A line up to 4", "A dots up to 4"), strict=True):
        assert "<svg" in page
        assert text in page
    assert len(set(seen)) == 3


def test_without_ipywidgets_the_frames_serve(lab, monkeypatch, capsys):
    bundles = []
    monkeypatch.setattr(laboratory, "emit", bundles.append)
    monkeypatch.setitem(sys.modules, "ipywidgets", None)
    assert lab.live() is None
    assert capsys.readouterr().out.startswith("Live controls need the package ipywidgets, which is not installed")
    assert [set(bundle) for bundle in bundles] == [{"text/html", "image/png", "text/plain"}]


def test_one_slider_alone():
    page = Laboratory("solo", "Solo", _draw, [Slider("n", "n", [1, 2])], _describe, figsize=(4, 2)).page()
    assert "fieldset>" not in page.split("</style>")[-1]
    assert page.count("<tr>") == 3


@pytest.mark.parametrize(
    ("name", "controls", "complaint"),
    [
        ("Bad Name", [SLIDER], "cannot be an id"),
        ("lab", [], "one Slider"),
        ("lab", [CHOICE], "one Slider"),
        ("lab", [CHOICE, SLIDER], "one Slider"),
        ("lab", [Slider("n", "n", [1])], "has 1 values: give it 2 to 24"),
        ("lab", [SLIDER, Choice("kind", "k", list("abcde"))], "give it 2 to 4"),
        ("lab", [Slider("n", "n", [1, 2], default=3)], "default 3 of n"),
        ("lab", [Slider("n", "n", [1, 2], names=["one"])], "has 1 names for 2 values"),
    ],
)
def test_bad_definition_is_refused(name, controls, complaint):
    with pytest.raises(ValueError, match=complaint):
        Laboratory(name, "T", _draw, controls, _describe)


def test_frames_of_different_size_are_refused():
    def resize(fig, n):
        _draw(fig, n)
        fig.set_size_inches(4, n)

    with pytest.raises(ValueError, match="differ in size"):
        Laboratory("sizes", "T", resize, [Slider("n", "n", [1, 2])], _describe).page()
