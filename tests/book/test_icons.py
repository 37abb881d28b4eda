"""The icons of the page frame: those that the pages have are sent, and no others."""

import re
import sys
from importlib import import_module
from pathlib import Path

import pytest
from fontTools.ttLib import TTFont

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "book/_extensions"))
icons = import_module("icons")
KINDS = {"fa-solid": "solid-900", "fas": "solid-900", "fa-brands": "brands-400", "fab": "brands-400"}


def pages(html):
    """The pages of the book, as they stand."""
    return {path: path.read_text() for path in html.rglob("*.html") if "_static" not in path.parts}


def letters(path):
    """The letters that a font draws."""
    with TTFont(path) as font:
        return set(font.getBestCmap())


def test_rules_of_other_icons_are_left_out():
    kept = '.fa-cog:before,.fa-gear:before{content:"\\f013"}.fa-lg{font-size:2em}a:before{content:"\\f105"}'
    assert icons.keep(kept + '.fa-cogs:before{content:"\\f085"}', {"fa-gear"}) == kept


def test_every_icon_of_the_pages_is_drawn(html):
    styles = (html / "_static" / icons.STYLES).read_text()
    of = {name: int(rule[1], 16) for rule in icons.RULE.finditer(styles) for name in icons.NAME.findall(rule[0])}
    fonts = {kind: letters(html / "_static" / icons.FONTS / f"fa-{file}.woff2") for kind, file in KINDS.items()}
    used = set()
    for page in pages(html).values():
        for classes in re.findall(r'class="([^"]*\bfa-[^"]*)"', page):
            names = classes.split()
            (kind,) = (kind for kind in KINDS if kind in names)
            mine = {(kind, name) for name in names if name in of}
            assert mine, classes
            used |= mine
    assert len(used) > 15
    assert [icon for icon in used if of[icon[1]] not in fonts[icon[0]]] == []


@pytest.mark.parametrize("ending", ["woff2", "ttf"])
def test_the_fonts_are_small(html, ending):
    assert 0 < sum(file.stat().st_size for file in (html / "_static" / icons.FONTS).glob(f"*.{ending}")) < 20_000


def test_the_script_that_draws_icons_is_not_there(html):
    assert not list(html.rglob("fontawesome.js"))
    assert [path for path, page in pages(html).items() if "fontawesome.js" in page] == []
