"""An index of sections for the search: each section, term and name of the library.

The theme searches pages, and a chapter is a long page. What is written here
is one record a section, with the words of its text and without its TeX; the
search page ranks them (search.js).
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from docutils import nodes
from numbering import chapter_of
from sphinx import addnodes

UNREAD = (
    nodes.literal_block,
    nodes.math,
    nodes.math_block,
    nodes.raw,
    nodes.comment,
    nodes.title,
    nodes.section,
    addnodes.toctree,
    addnodes.desc,
)
CAPTION = re.compile(r"<figcaption[^>]*>(.*?)</figcaption>", re.S)
TAG = re.compile(r"<[^>]*>")


def records(
    tree: nodes.document, page: str
) -> Iterator[tuple[str, str, str]]:
    """Yield anchor, title and words of each section and term of a page."""
    for section in tree.findall(nodes.section):
        title = section.next_node(nodes.title)
        if title is None or title.parent is not section:
            continue
        top = isinstance(section.parent, nodes.document)
        anchor = "" if top else section["ids"][0]
        yield anchor, title.astext(), " ".join(_words(section))
    for item in tree.findall(nodes.definition_list_item):
        term = item.next_node(nodes.term)
        if term is not None and term["ids"]:
            words = " ".join(_words(item[-1]))
            yield term["ids"][0], term.astext(), words
    for name in tree.findall(addnodes.desc_signature):
        if name["ids"]:
            words = " ".join(_words(name.parent[-1]))
            yield name["ids"][0], name["ids"][0], words


def _words(node: nodes.Node) -> Iterator[str]:
    for child in node.children:
        if isinstance(child, nodes.raw):
            for caption in CAPTION.findall(child.astext()):
                yield TAG.sub("", caption)
        elif isinstance(child, nodes.math):
            yield "\u2026"
        elif isinstance(child, nodes.Text):
            yield " ".join(child.split())
        elif not isinstance(child, UNREAD):
            yield from _words(child)


def _collect(app: Any, tree: nodes.document, page: str) -> None:
    if not hasattr(app, "book_sections"):
        app.book_sections = {}
    app.book_sections[page] = [
        (page, anchor, title, re.sub(r"\s+([.,;:?!)])", r"\1", words))
        for anchor, title, words in records(tree, page)
    ]


def _write(app: Any, error: Any) -> None:
    if error is not None or app.builder.name != "html":
        return
    target = Path(app.outdir, "sections.js")
    found = getattr(app, "book_sections", {})
    # Pages that did not change are not read again: keep what is written.
    kept = {}
    if target.exists():
        text = target.read_text()
        for row in json.loads(text[text.index("[") : text.rindex("]") + 1]):
            kept.setdefault(row[0], []).append(row[:4])
    pages = {
        page: found.get(page, kept.get(page, []))
        for page in sorted(app.env.found_docs)
    }
    rows = [
        [*row, _place(app.env, row[0])]
        for rows in pages.values()
        for row in rows
    ]
    target.write_text(
        f"const SECTIONS = {json.dumps(rows, ensure_ascii=False)};\n"
    )


def _place(env: Any, page: str) -> str:
    """Say where a section stands: its chapter, or its page."""
    number = chapter_of(env, page)
    title = env.titles[page].astext()
    return f"{number}. {title}" if number else title


def setup(app: Any) -> dict[str, bool]:
    """Register with Sphinx."""
    app.connect("doctree-resolved", _collect, priority=800)
    app.connect("build-finished", _write)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
