"""A chapter is read in one sitting: its main text has at most 2,400 words, that of the first ten 21,000."""

from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from tests.book.prose import words

CHAPTERS = sorted((Path(__file__).parents[2] / "book").glob("[0-9]*.ipynb"))


def length(path):
    return words(nbformat.read(path, as_version=4))


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_a_chapter_is_no_longer_than_a_sitting(path):
    assert length(path) <= 2400


def test_the_first_ten_chapters_are_no_book_of_their_own():
    assert sum(length(path) for path in CHAPTERS if int(path.stem[:2]) <= 10) <= 21_000


def test_main_text_is_counted():
    text = (
        "(label)=\n## Two words\n\nIt's {glue:text}`slope` by {eq}`eq-a`: $x = 1$, see [two words](https://a.b/c).\n\n"
        "$$\nx = y\n$$ (eq-a)\n\n```python\nx = 1\n```\n\n````{exercise} Title here\n:label: ex\nNot counted.\n````\n\n"
        "````{prf:theorem} Counted title\n:label: thm\nCounted `code` text.\n````\n"
    )
    notebook = new_notebook(cells=[new_markdown_cell(text), new_code_cell("# nothing of a cell")])
    assert words(notebook) == len("Two words It's slope by eq see two words".split()) + 4
