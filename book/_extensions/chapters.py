"""The map of the chapters: ``{chapters}`` lists them, and draws what needs what.

The chapters are those of the table of contents. What a chapter needs are the
chapters that its first cell names in the paragraph that begins "You need".
"""

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from docutils import nodes
from sphinx import addnodes
from sphinx.util.docutils import SphinxDirective

ROW, WIDTH, DOT = 54, 104, 92  # a row's height; the picture; where dots stand


class Chapter(NamedTuple):
    """A chapter: its name as 07-parallel-block, and the names it needs."""

    name: str
    needs: tuple[str, ...]

    @property
    def number(self) -> int:
        """The number with which the name begins."""
        return int(self.name[:2])


class Part(NamedTuple):
    """A part of the book: its caption and its chapters."""

    caption: str
    chapters: tuple[Chapter, ...]


def read(root: Path) -> list[Part]:
    """Return the parts that have chapters, in the order of the contents."""
    found = []
    for part in yaml.safe_load((root / "_toc.yml").read_text())["parts"]:
        files = [Path(chapter["file"]) for chapter in part["chapters"]]
        numbered = [file for file in files if re.match(r"\d\d-", file.name)]
        chapters = [
            Chapter(file.name, needs(root / f"{file}.ipynb"))
            for file in numbered
        ]
        if chapters:
            found.append(Part(part.get("caption", ""), tuple(chapters)))
    return found


def needs(notebook: Path) -> tuple[str, ...]:
    """Return the chapters that a chapter says at its beginning it needs."""
    first = "".join(json.loads(notebook.read_text())["cells"][0]["source"])
    asked = [p for p in first.split("\n\n") if p.startswith("You need")]
    if len(asked) != 1:
        raise ValueError(
            f"{notebook.name} has {len(asked)} paragraphs in its first cell "
            'that begin with "You need": say once what a reader needs'
        )
    return tuple(sorted(set(re.findall(r"\{doc\}`(\d\d-[\w-]+)`", asked[0]))))


def rows(parts: Sequence[Part]) -> dict[str, int]:
    """Return the row of each chapter; every part takes one for its caption."""
    lines = [name for part in parts for name in ("", *names(part))]
    return {name: row for row, name in enumerate(lines) if name}


def names(part: Part) -> list[str]:
    """Return the names of the chapters of a part."""
    return [chapter.name for chapter in part.chapters]


def picture(parts: Sequence[Part]) -> str:
    """Return an SVG with a dot for each chapter and an arc for each need."""
    row = rows(parts)
    chapters = [chapter for part in parts for chapter in part.chapters]
    height = ROW * (len(chapters) + len(parts))
    arcs = list(_arcs(chapters, row))
    dots = [
        f'<circle cx="{DOT}" cy="{_middle(row[name])}" r="5"/>'
        for name in row
    ]
    lit = [
        f".chapters:has(.to-{c.number} a:is(:hover, :focus-visible)) "
        f"path.to-{c.number} {{ stroke: var(--pst-color-link); "
        "stroke-opacity: 1; marker-end: url(#chapters-lit); }"
        for c in chapters
    ]
    return f"""
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}"
  role="img" aria-labelledby="chapters-title chapters-desc">
<title id="chapters-title">Which chapter needs which</title>
<desc id="chapters-desc">{describe(chapters)}</desc>
<style>{" ".join(lit)}</style>
<defs>{_marker("", "currentColor")}{_marker("-lit", "var(--pst-color-link)")}
</defs>
{"".join(arcs)}
{"".join(dots)}
</svg>"""


def describe(chapters: Sequence[Chapter]) -> str:
    """Say in words what the arcs say."""
    said = []
    for chapter in chapters:
        after = [str(int(name[:2])) for name in chapter.needs]
        needed = f"needs {' and '.join(after)}" if after else "needs none"
        said.append(f"Chapter {chapter.number} {needed}.")
    return " ".join(said)


def _arcs(chapters: Sequence[Chapter], row: dict[str, int]) -> Iterator[str]:
    longest = max(
        (row[c.name] - row[name] for c in chapters for name in c.needs),
        default=1,
    )
    for chapter in chapters:
        for name in chapter.needs:
            start, end = _middle(row[name]), _middle(row[chapter.name])
            span = (row[chapter.name] - row[name]) / longest
            left = DOT - 24 - 84 * span**0.7
            yield (
                f'<path class="to-{chapter.number}" d="M{DOT} {start} '
                f"C{left:.0f} {start} {left:.0f} {end} {DOT - 9} {end}"
                f'" marker-end="url(#chapters-end)"/>'
            )


def _middle(row: int) -> int:
    return ROW * row + ROW // 2


def _marker(name: str, fill: str) -> str:
    return (
        f'<marker id="chapters{name or "-end"}" viewBox="0 0 10 10" refX="8" '
        'refY="5" markerWidth="6" markerHeight="6" orient="auto">'
        f'<path d="M0 0.8 L10 5 L0 9.2 Z" style="fill: {fill}; '
        'stroke: none"/></marker>'
    )


class Chapters(SphinxDirective):
    """List all chapters as links, beside a picture of what needs what."""

    def run(self) -> list[nodes.Node]:
        """Return the list and the picture."""
        root = Path(self.env.srcdir)
        parts = read(root)
        for part in parts:
            for name in names(part):
                self.env.note_dependency(str(root / f"book/{name}.ipynb"))
        self.env.note_dependency(str(root / "_toc.yml"))
        box = nodes.container(classes=["chapters"])
        box += nodes.raw("", picture(parts), format="html")
        for part in parts:
            box += nodes.paragraph("", part.caption, classes=["part"])
            box += nodes.bullet_list(
                "", *(self._item(chapter) for chapter in part.chapters)
            )
        return [box]

    def _item(self, chapter: Chapter) -> nodes.list_item:
        link = addnodes.pending_xref(
            "",
            nodes.inline(chapter.name, chapter.name),
            refdomain="std",
            reftype="doc",
            reftarget=f"/book/{chapter.name}",
            refdoc=self.env.docname,
            refexplicit=False,
            refwarn=True,
            whole=True,
        )
        number = nodes.strong("", f"{chapter.number}")
        after = ", ".join(str(int(name[:2])) for name in chapter.needs)
        line = [number, nodes.Text(" "), link]
        if after:
            note = f" after {after}"
            line.append(nodes.inline(note, note, classes=["after"]))
        text = nodes.paragraph("", "", *line)
        return nodes.list_item("", text, classes=[f"to-{chapter.number}"])


def setup(app: Any) -> dict[str, bool]:
    """Register with Sphinx."""
    app.add_directive("chapters", Chapters)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
