"""Notebooks that read well outside the book: ``make notebooks``.

From the one source come three editions. Their text is plain Markdown (see
``plain_markdown``); the code is the source's, cell by cell. ``colab`` and
``jupyter`` keep the outputs, figures as PNG; ``student`` has neither outputs
nor solutions.
"""

import argparse
import copy
import html
import json
import re
import shutil
import zipfile
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

from plain_markdown import Book, NotExecutedError, glued, plain

PLAIN = "text/plain"
TITLE = re.compile(r"^(Laboratory: [^?.]*)(\?)?\. ")
CAPTION = re.compile(r"<figcaption[^>]*>(.*?)</figcaption>", re.S)
# Binder reads this on the editions' own branch, which has no copy of odelib.
ENVIRONMENT = """channels:
  - conda-forge
dependencies:
  - python=3.12
  - pip
  - pip:
      - --extra-index-url https://download.pytorch.org/whl/cpu
      - --constraint {address}/raw/main/constraints.txt
      - odelib[book,text] @ git+{address}
"""


def edition(path: Path, book: Book, kind: str) -> Any:
    """Return one edition of a chapter."""
    notebook = copy.deepcopy(book.notebooks[path])
    numbers, figures = glued(notebook), count(1)
    number = book.chapters[path.stem]
    for cell in notebook["cells"]:
        if cell["cell_type"] == "markdown":
            text = plain(
                "".join(cell["source"]), book, numbers, kind != "student"
            )
            if kind != "colab":
                text = beside(text, book, path.stem)
            cell["source"] = text.strip("\n").splitlines(keepends=True)
        elif kind == "student":
            cell["outputs"], cell["execution_count"] = [], None
        else:
            cell["outputs"] = [
                part
                for output in cell["outputs"]
                if not is_glue(output)
                for part in stills(output, number, figures)
            ]
        if {"hide-input", "remove-cell"} & set(
            cell["metadata"].get("tags", [])
        ):
            cell["metadata"]["jupyter"] = {"source_hidden": True}
            cell["metadata"]["cellView"] = "form"
    notebook["cells"] = [
        cell for cell in notebook["cells"] if "".join(cell["source"]).strip()
    ]
    head = notebook["cells"][0]["source"]
    head[0] = re.sub(r"^# ", f"# {number}. ", head[0])
    head.append(
        f"\n\n*This is chapter {number} of [the book]({book.address}{path.stem}.html).*"
    )
    return notebook


def beside(text: str, book: Book, own: str) -> str:
    """Let links to chapters lead to the notebooks that lie in the same folder.

    What is in this very notebook is named and needs no link.
    """

    def link(match: re.Match[str]) -> str:
        said, chapter = match.groups()
        if chapter == own:
            return said
        return (
            f"[{said}]({chapter}.ipynb)"
            if chapter in book.chapters
            else match[0]
        )

    page = rf"\[([^\[\]]*)\]\({re.escape(book.address)}([\w-]+)\.html(?:#[^)]*)?\)"
    return re.sub(page, link, text)


def is_glue(output: Any) -> bool:
    """Whether an output only carries a number to the text."""
    return "scrapbook" in output.get("metadata", {})


def stills(output: Any, chapter: int, figures: Iterator[int]) -> list[Any]:
    """Return what needs no trust: the picture, and below it the page's words."""
    data = output.get("data", {})
    if "image/png" not in data:
        return [output]
    said = "".join(data.get(PLAIN, ""))
    kept = {"image/png": data["image/png"], PLAIN: said}
    caption = CAPTION.search("".join(data.get("text/html", "")))
    if caption:
        words = re.sub(r"<em>(.*?)</em>", r"*\1*", caption[1])
        words = html.unescape(re.sub(r"<[^>]+>", "", words))
        below = f"**Figure {chapter}.{next(figures)}.** {words}"
    elif said.startswith("Laboratory: "):
        below = TITLE.sub(lambda m: f"**{m[1]}{m[2] or '.'}** ", said)
    else:
        return [{**output, "data": kept}]
    note = {"data": {"text/markdown": below}, "metadata": {}}
    return [
        {**output, "data": kept},
        {"output_type": "display_data", **note},
    ]


def pointer(new: str, book: Book) -> str:
    """Return a notebook under an old name, which says where it went."""
    text = (
        f"# This notebook has moved\n\nIt is [{new}.ipynb]({new}.ipynb) now; "
        f"read it as a page: {book.chapter(new)}."
    )
    cell = {"cell_type": "markdown", "id": "moved", "metadata": {}}
    made = {"cells": [{**cell, "source": text}], "metadata": {}}
    return json.dumps({**made, "nbformat": 4, "nbformat_minor": 5}) + "\n"


def main() -> None:
    """Write all editions, and a zip of each."""
    parser = argparse.ArgumentParser(
        description="Write the notebooks' editions."
    )
    parser.add_argument("out", type=Path)
    parser.add_argument("--root", type=Path, default=Path())
    given = parser.parse_args()
    book = Book(given.root)
    shutil.rmtree(given.out, ignore_errors=True)
    for kind in ("colab", "jupyter", "student"):
        folder = given.out / kind
        folder.mkdir(parents=True)
        for path in book.notebooks:
            try:
                made = edition(path, book, kind)
            except NotExecutedError as error:
                raise SystemExit(f"{path.name}: {error}") from error
            text = json.dumps(made, indent=1, ensure_ascii=False)
            (folder / path.name).write_text(text + "\n")
        for old, new in book.moved.items():
            (folder / f"{old}.ipynb").write_text(pointer(new, book))
        with zipfile.ZipFile(
            given.out / f"{kind}.zip", "w", zipfile.ZIP_DEFLATED
        ) as pack:
            for path in book.notebooks:
                pack.write(folder / path.name, path.name)
    binder = given.out / ".binder/environment.yml"
    binder.parent.mkdir()
    binder.write_text(ENVIRONMENT.format(address=book.repository))
    print(
        f"{len(book.notebooks)} chapters in three editions are in {given.out}."
    )


if __name__ == "__main__":
    main()
