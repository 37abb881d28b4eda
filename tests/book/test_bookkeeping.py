"""What keeps the book honest leaves the page, and opens at a tick; nothing else leaves it."""

import ast
import html as markup
import json
import re
import sys
from importlib import import_module
from pathlib import Path

import pytest

from odelib.teaching import claim

ROOT = Path(__file__).parents[2]
CHAPTERS = sorted((ROOT / "book").glob("*.ipynb"))
sys.path.insert(0, str(ROOT / "book/_extensions"))
bookkeeping = import_module("bookkeeping")
lines = import_module("lines")
folded = import_module("folded")
formulas = import_module("formulas")
ticks = import_module("ticks")


@pytest.mark.parametrize(
    ("source", "visible"),
    [
        ("x = 1\nclaim('a', x, expected=1)", "x = 1"),
        ("claim(\n    'a',\n    1,\n    expected=1,\n);\nx = 1", "x = 1"),
        (
            "for n in (1, 2):\n    y = f(n)\n    report(f'a-{n}', y)\nprint(y)",
            "for n in (1, 2):\n    y = f(n)\nprint(y)",
        ),
        ("for n in (1, 2):\n    claim(f'a-{n}', n, above=0)\nx = 1", "x = 1"),
        ("if a:\n    claim('a', 1, above=0)\nelse:\n    x = 1", "if a:\n    ...\nelse:\n    x = 1"),
        ("report('a', 1)", ""),
        ("disclaim('a')\nx.claim('b')", "disclaim('a')\nx.claim('b')"),
        ("%pip install x", "%pip install x"),
    ],
)
def test_only_bookkeeping_leaves_a_cell(source, visible):
    left, calls = bookkeeping.split(source)
    assert left == visible
    assert bool(calls) == bool(re.search(r"(?<![.\w])(?:claim|report)\(", source))


def test_a_claim_and_what_it_printed_find_each_other():
    _, calls = bookkeeping.split("claim('by-hand', x, below=1, digits=None)\nfor n in a: claim(f'at-{n}', x, below=1)")
    printed = (
        "claim by-hand: 2 × 10⁻⁹ on this machine, below 1: holds\n"
        "claim at-2: 0.5 s, below 1 s, over 5 seeds: holds\nslope: 2\nclaim other: 1"
    )
    left, claims = bookkeeping.quiet(printed, calls)
    assert left == "slope: 2\nclaim other: 1"
    assert [(c.name, c.measured, c.said, c.seeds) for c in claims] == [
        ("by-hand", "2 × 10⁻⁹ on this machine", "below 1", ""),
        ("at-2", "0.5 s", "below 1 s", "5"),
    ]


def test_a_tick_says_over_how_many_seeds(capsys):
    sample = [0.42, 0.35, 0.48, 0.21, 0.3]
    cell = "claim('each', sample, above=0)\nclaim('mean', sample, above=0.1, of='mean')\nclaim('once', 2, expected=2)"
    exec(cell, {"claim": claim, "sample": sample})
    left, claims = bookkeeping.quiet(capsys.readouterr().out, bookkeeping.split(cell)[1])
    assert left == ""
    assert [(c.name, c.measured, c.said, c.seeds) for c in claims] == [
        ("each", "0.210 to 0.480", "above 0 in each", "5"),
        ("mean", "0.352 (0.222 to 0.482)", "above 0.1 for the mean, with its 95 % interval", "5"),
        ("once", "2", "expected 2 exactly", ""),
    ]
    each, mean, once = claims
    assert "<p>Measured over 5 seeds. If it were" in ticks.note(1, [each, mean], "7")
    assert "<p>Measured once, when this page was built, with random seed 7. If" in ticks.note(1, [once], "7")
    mixed = "Measured over 5 seeds (each). Measured once, when this page was built, with random seed 7 (once)."
    assert mixed in ticks.note(1, [each, once], "7")


def test_a_line_with_two_statements_is_refused():
    with pytest.raises(ValueError, match="more than one statement"):
        bookkeeping.split("x = 1; claim('a', x, expected=1)")


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_each_claim_says_what_was_measured(path):
    outputs = [out for cell in json.loads(path.read_text())["cells"] for out in cell.get("outputs", [])]
    printed = [line for out in outputs for line in "".join(out.get("text", "")).splitlines()]
    claims = [line for line in printed if re.match(r"claim [a-z0-9-]+: ", line)]
    assert len(claims) > 5
    assert [line for line in claims if not bookkeeping.CLAIM.fullmatch(line)] == []


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_what_is_left_of_a_cell_is_python(path):
    for cell in json.loads(path.read_text())["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] == "code" and "%pip" not in source:
            ast.parse(bookkeeping.split(source)[0])


@pytest.mark.parametrize(
    ("code", "name"),
    [
        ("def one():\n    x = 2\n\n\ny = 1", "Code of one (3\N{NO-BREAK SPACE}lines)"),
        ("kept: dict[str, int] = {}\nrates = 2\nkept |= {}\nx.y = 3", "Code of kept, rates (4\N{NO-BREAK SPACE}lines)"),
        ("print(1)", "Code of this step (1\N{NO-BREAK SPACE}line)"),
    ],
)
def test_a_line_says_what_it_hides(code, name):
    assert folded._name("draw", code) == name


def test_a_long_line_hangs_under_its_own_beginning():
    body = '<div class="highlight"><pre><span></span><span class="k">if</span> x:\n    y\n\nz\n</pre></div>'
    assert lines.hang(body) == (
        '<div class="highlight"><pre><span class="i0"><span class="k">if</span> x:\n</span>'
        '<span class="i4">    y\n</span><span class="i0">\n</span><span class="i0">z\n</span></pre></div>'
    )


def test_a_formula_is_broken_for_a_phone_alone():
    assert formulas.joined("x &= a\\\\\n  &\\quad + b\\\\\n&= c") == "x &= a\\phonebreak{\\quad}+ b\\\\\n&= c"


class TestPage:
    @pytest.fixture
    def body(self, html, chapter_name):
        return (html / f"{chapter_name}.html").read_text()

    def test_no_claim_and_no_report_is_in_view(self, body):
        shown = re.sub(r"<div popover.*?</div>|<svg.*?</svg>", "", body, flags=re.S)
        text = markup.unescape(re.sub(r"<[^>]*>", "", shown))
        assert re.findall(r"^\s*(?:claim|report|check)\(.*|^claim .*: holds$|^run-time: .*", text, re.M) == []

    def test_every_claim_is_behind_a_tick(self, body, chapter_name):
        cells = json.loads((ROOT / f"{chapter_name}.ipynb").read_text())["cells"]
        printed = "".join(
            line for cell in cells for output in cell.get("outputs", []) for line in output.get("text", [])
        )
        claimed = re.findall(r"^claim ([\w-]+): .*: holds$", printed, re.M)
        noted = re.findall(r"<tr><th scope=row>(.*?)</th>", body)
        assert len(claimed) > 5
        assert {name.replace("-", " ") for name in claimed} <= set(noted)
        buttons, notes = re.findall(r'popovertarget="([\w-]+)"', body), re.findall(r'<div popover id="([\w-]+)"', body)
        assert sorted(buttons) == sorted(notes)

    def test_the_set_up_is_one_line(self, body):
        assert body.count('<details class="folded setup">') == 1
        assert "Show code cell source" not in body

    def test_no_folded_line_follows_another_at_once(self, body):
        assert re.findall(r"</details>\s*(?:</div>\s*)*<div class=\"cell[^>]*>\s*<details class=\"folded", body) == []
