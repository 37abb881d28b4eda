"""No number of a chapter's prose without a cell that has measured it; the finder of such numbers finds them."""

import importlib.util
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).parents[2]
CHAPTERS = sorted((ROOT / "book").glob("*.ipynb"))

_spec = importlib.util.spec_from_file_location("prose", Path(__file__).with_name("prose.py"))
prose = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(prose)


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_every_number_of_the_prose_has_a_source(path):
    found = [f"{path.stem}:{index}: ... {near} ..." for index, near in prose.unmeasured(nbformat.read(path, 4))]
    assert found == [], "glue these numbers from the cells that measure them (see `unmeasured` for what needs no glue)"


@pytest.fixture(scope="module")
def used():
    pages = [*CHAPTERS, *(ROOT / "book").rglob("*.md")]
    return {name for page in pages for name in prose.GLUED.findall(page.read_text(encoding="utf-8"))}


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_every_number_that_is_reported_is_on_a_page(path, used):
    found = [f"{path.stem}:{index}: {name}" for index, name in prose.idle(nbformat.read(path, 4), used)]
    assert found == [], "no page uses these numbers: leave the reports out, or make what they back a claim"


def chapter(text, code="steps = 64\nrate = 0.97"):
    return nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(code), nbformat.v4.new_markdown_cell("A text.\n\n" + text)]
    )


@pytest.mark.parametrize(
    "planted",
    [
        "The slope is 1.98.",
        "The slope is $1.98$.",
        "The slope is $p = 1.98 \\pm 0.02$, as {eq}`eq-slope` says.",
        "It costs 437 evaluations.",
        "It costs 12,300 evaluations.",
        "It costs sixteen times as much.",
        "It costs two hundred evaluations.",
        "It gets 9 % of the images wrong.",
        "It gets $9\\,\\%$ of the images wrong.",
        "It is 5 times faster.",
        "It is 3x faster and takes 8 ms.",
        "| rule | accuracy |\n| --- | --- |\n| Euler | 87.4 |",
        "````{prf:theorem} Convergence\n:label: thm-437\nThe slope is 1.98.\n````",
        "````{prf:proof}\nShort.\n````\n\nThe slope is 1.98.\n\n````{prf:proof}\nShort.\n````",
        "````{prf:proof}\nShort.\n````\n\nIt costs 437.\n\n```python\nx = 1\n```",
        "```{figure} a.svg\n:alt: none\nThe slope is 1.98.\n```",
        "````{solution} ex-1\n```python\nx = 1\n```\n````\n\nThe slope is 1.98.",
        "- **The 437 evaluations.** They count.",
    ],
)
def test_a_planted_number_is_found(planted):
    found = list(prose.unmeasured(chapter(planted)))
    assert found
    assert {index for index, _ in found} == {1}


@pytest.mark.parametrize(
    "planted", ["alt='The slope is 1.98.'", "caption='Near 437: ' + 'see there'", "alt=f'{steps} steps, near 1.98'"]
)
def test_a_planted_number_is_found_in_what_is_said_of_a_figure(planted):
    notebook = chapter("No numbers.", f"steps = 64\nshow(fig, name='x', {planted})")
    assert [index for index, _ in prose.unmeasured(notebook)] == [0]


@pytest.mark.parametrize(
    "sourced",
    [
        "The slope is {glue:text}`slope-2` after {glue:text}`steps`.",
        "With 64 steps and the rate $0.97$, that is 97 % of it.",
        "$$\nh' = 0.9\\, h\\, E^{-0.7}\n$$ (eq-17)\n\nWith the usual caution, 0.9, it is {eq}`eq-17`.",
        "A derivation: $\\tfrac1{24} h^4 + 120 x$.",
        "Two networks, of order 4, in twelve layers, at $t = 0$.",
        "RK4, DeiT-Ti, CIFAR-100 and GPT-2 are names; ViT-22B too; in 2018 {cite:p}`chen2018`.",
        "The bars are 95 % intervals of the mean.",
        "1. First.\n2. Second, see [there](https://example.org/437).",
        "(section-437)=\n## A section",
        "```console\n$ odelib train --epochs 437\n```",
        "Take `steps=437`. With 437 steps it ends.",
        "````{exercise} Count\n:label: ex-1\n*Easy, 25 minutes.* It tries 437 steps.\n````",
        "````{solution} ex-1\n:class: dropdown\n$1 + 3 \\cdot 50 = 151$, or 15.1.\n````",
    ],
)
def test_a_number_with_a_source_is_let_through(sourced):
    assert list(prose.unmeasured(chapter(sourced))) == []


def test_a_report_that_no_page_uses_is_found():
    code = 'report("used", 1)\nreport("idle", 2)\nclaim("claimed", 3, above=2)\nfor k in range(2):\n'
    code += '    report(f"{k}-used", k)\n    report(f"{k}-idle", k)'
    found = [name for _, name in prose.idle(chapter("No numbers.", code), {"used", "1-used"})]
    assert found == ["'idle'", "f'{k}-idle'"]
