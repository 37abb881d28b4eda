"""What a chapter has, shown on another page: ``{borrowed}``.

    ```{borrowed} 06-particles figure counts
    A sentence about it.
    ```

A figure, an explorable, or the still picture of one, is what the chapter's
notebook has kept. A figure's caption stays behind, for what it says belongs to
the chapter, and a sentence stands in its place; the picture is a link to the
chapter. The still of README is kept as a file too, which
``python book/_extensions/borrowed.py`` writes.
"""

import base64
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.util.docutils import SphinxDirective

from odelib.teaching.figures import FIGURE_STYLE

KINDS = {
    "figure": '<figure class="ode-figure" id="fig-{}">(.*?)<figcaption',
    "explorable": '\\A(.*\\bdata-explore="{}".*)',
    "still": '\\bdata-explore="{}".*?<div class="explore-still">(.*?)</div>\n'
    '<p class="explore-note">',
}
ANCHORS = {"figure": "fig", "still": "lab"}


def kept(notebook: Path, kind: str, name: str) -> str:
    """Return a figure's body, or an explorable, as HTML.

    Raises:
        ValueError: The notebook has kept none of that name, or there is no
            such kind.
    """
    if kind not in KINDS:
        raise ValueError(f"{kind!r} came: borrow one of {', '.join(KINDS)}")
    wanted = re.compile(KINDS[kind].format(re.escape(name)), re.S)
    for data in _outputs(notebook):
        if found := wanted.search("".join(data.get("text/html", ""))):
            return found[1]
    raise ValueError(f"{notebook.name} has kept no {kind} {name!r}")


def readme_picture(book: Path) -> bytes:
    """Return the picture of README: the still of the swap, as PNG."""
    for data in _outputs(book / "10-better-integrators.ipynb"):
        if 'data-explore="swap"' in "".join(data.get("text/html", "")):
            return base64.b64decode("".join(data["image/png"]))
    raise ValueError("chapter 10 has kept no explorable 'swap'")


def _outputs(notebook: Path) -> Iterator[dict[str, Any]]:
    for cell in json.loads(notebook.read_text("utf-8"))["cells"]:
        for output in cell.get("outputs", []):
            yield output.get("data", {})


class Borrowed(SphinxDirective):
    """A picture of a chapter with a sentence of this page, or an explorable."""

    required_arguments = 3
    has_content = True

    def run(self) -> list[nodes.Node]:
        """Return what was borrowed, and the sentence."""
        chapter, kind, name = self.arguments
        _, path = self.env.relfn2path(f"{chapter}.ipynb")
        self.env.note_dependency(path)
        try:
            page = kept(Path(path), kind, name)
        except ValueError as error:
            raise self.error(str(error)) from error
        box = nodes.container(classes=["text_html"])
        if kind in ANCHORS:
            box["classes"] = ["borrowed"]
            page = (
                f'{FIGURE_STYLE}<figure class="ode-figure">'
                f'<a href="{chapter}.html#{ANCHORS[kind]}-{name}">{page}</a>'
                "</figure>"
            )
        box += nodes.raw("", page, format="html")
        self.state.nested_parse(self.content, self.content_offset, box)
        return [box]


def setup(app: Any) -> dict[str, bool]:
    """Register the directive."""
    app.add_directive("borrowed", Borrowed)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


if __name__ == "__main__":
    book = Path(__file__).parents[1]
    (book / "_static/swap.png").write_bytes(readme_picture(book))
