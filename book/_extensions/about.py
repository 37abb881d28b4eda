"""What a reader wants to know about a page: how long it takes, how to cite it."""

import html
import re
from pathlib import Path
from typing import Any

import yaml
from docutils import nodes
from numbering import chapter_of

WORDS_A_MINUTE = 200
FORMULA = 10  # seconds that a displayed formula takes
SKIPPED = (nodes.literal_block, nodes.math_block, nodes.raw, nodes.comment)


def minutes(tree: nodes.document) -> int:
    """Return how many minutes a page takes to read, to the next five."""
    words = sum(
        len(text.split())
        for text in tree.findall(nodes.Text)
        if not isinstance(text.parent, SKIPPED)
    )
    formulas = sum(1 for _ in tree.findall(nodes.math_block))
    took = words / WORDS_A_MINUTE + formulas * FORMULA / 60
    return max(5, 5 * round(took / 5))


def bibtex(title: str, chapter: int | None, address: str, cff: Any) -> str:
    """Return an entry for a chapter of the book, or, without one, for it."""
    author = " and ".join(
        a.get("name") or f"{a['family-names']}, {a['given-names']}"
        for a in cff["authors"]
    )
    part = {"booktitle": cff["title"], "chapter": str(chapter)}
    fields = {
        "author": f"{{{author}}}",
        "title": title,
        **(part if chapter else {}),
        "note": f"Version {cff['version']}",
        "url": address,
    }
    lines = "".join(f"  {k} = {{{v}}},\n" for k, v in fields.items())
    key = re.sub(r"\W+", "-", title.lower()).strip("-")
    kind = "incollection" if chapter else "misc"
    return f"@{kind}{{{key},\n{lines}}}"


def _measure(app: Any, tree: nodes.document) -> None:
    app.env.metadata[app.env.docname]["minutes"] = str(minutes(tree))


def _add(app: Any, page: str, template: str, context: Any, tree: Any) -> None:
    chapter = chapter_of(app.env, page)
    whole = page == app.config.root_doc
    if not (chapter or whole) or "body" not in context:
        return
    body, cff = context["body"], Path(app.srcdir, "CITATION.cff")
    took = app.env.metadata[page]["minutes"]
    time = f'<p class="about">{took}\N{NO-BREAK SPACE}minutes to read</p>'
    if chapter:
        body = body.replace("</h1>", f"</h1>\n{time}", 1)
    if cff.exists():
        entry = bibtex(
            app.env.titles[page].astext(),
            chapter,
            context.get("pageurl") or f"{page}.html",
            yaml.safe_load(cff.read_text()),
        )
        body += (
            '<details class="folded cite"><summary>'
            f"Cite this {'book' if whole else 'chapter'}</summary>"
            '<div class="highlight"><pre>'
            f"{html.escape(entry)}</pre></div></details>"
        )
    context["body"] = body


def setup(app: Any) -> dict[str, bool]:
    """Register with Sphinx."""
    app.connect("doctree-read", _measure)
    app.connect("html-page-context", _add)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
