"""Minus signs, spaces that do not break, columns that align, and what a page says of itself."""

import sys
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "book/_extensions"))
typography = import_module("typography")
about = import_module("about")
paper = import_module("paper")

NBSP, MINUS = "\N{NO-BREAK SPACE}", "\N{MINUS SIGN}"


@pytest.mark.parametrize(
    ("typed", "set_"),
    [
        ("a share of 14 % and 3 ms", f"a share of 14{NBSP}% and 3{NBSP}ms"),
        ("slopes of -1.5 and (-2)", f"slopes of {MINUS}1.5 and ({MINUS}2)"),
        ("1.2 × 10⁻⁷", f"1.2{NBSP}×{NBSP}10⁻⁷"),
        ("GPT-2, 2018-2020, rk4 steps, x-1", "GPT-2, 2018-2020, rk4 steps, x-1"),
    ],
)
def test_text_is_set(typed, set_):
    assert typography.set_text(typed) == set_


def test_html_is_set_without_its_tags_code_and_drawings():
    page = '<p data-x="-1">at -1 <code>f(-1)</code><svg><text>-1</text></svg></p>'
    assert typography.set_html(page) == page.replace("at -1", f"at {MINUS}1")


@pytest.mark.parametrize(
    ("entry", "number"),
    [("117,514", True), ("4.6 h", True), ("33 × 10^15", False), ("-0.5", True), ("RK4", False), ("4 of 5", False)],
)
def test_numbers_of_tables_are_told_from_words(entry, number):
    assert typography.is_number(entry.replace("-", MINUS)) == number


def test_a_chapter_is_cited_as_part_of_the_book():
    cff = {"authors": [{"name": "The authors"}], "title": "The book", "version": "1.2"}
    entry = about.bibtex("The parallel block", 7, "https://a.b/c.html", cff)
    assert entry.startswith("@incollection{the-parallel-block,\n  author = {{The authors}},\n")
    assert "chapter = {7}" in entry
    assert "url = {https://a.b/c.html}" in entry
    assert entry.count("{") == entry.count("}")
    whole = about.bibtex("The book", None, "https://a.b/", cff)
    assert whole.startswith("@misc{the-book,\n")
    assert "chapter" not in whole
    assert "booktitle" not in whole


def test_links_lead_within_the_one_page_of_the_pdf():
    body = (
        '<h1 id="t">T</h1><a class="x" href="#t">1</a><a href="02-b.html#u">2</a><a href="../search.html">3</a>'
        '<svg aria-labelledby="f"><use xlink:href="#g"/><path style="clip-path:url(#h)"/></svg><img src="../i/p.png">'
    )
    one = paper.within(body, "book/01-a", ["book/01-a", "book/02-b"])
    for kept in (
        '<section class="page" id="book-01-a">',
        'id="book-01-a--t"',
        'href="#book-01-a--t"',
        'href="#book-02-b--u"',
        'href="../search.html"',
        'aria-labelledby="book-01-a--f"',
        'xlink:href="#book-01-a--g"',
        "url(#book-01-a--h)",
        'src="i/p.png"',
    ):
        assert kept in one
