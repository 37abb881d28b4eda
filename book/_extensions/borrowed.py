"""``{borrowed-figure}``: a figure of a chapter, shown on another page.

    ```{borrowed-figure} 06-particles counts
    A sentence about it.
    ```

The figure is the one that the chapter's notebook has kept; its caption stays
behind, for what it says belongs to the chapter, and the sentence stands in its
place. The picture is a link to the chapter.
"""

import json
import re
from functools import cache
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.util.docutils import SphinxDirective

from odelib.teaching.figures import FIGURE_STYLE

FIGURE = re.compile(
    r'<figure class="ode-figure" id="fig-([\w-]+)">(.*?)<figcaption', re.S
)


@cache
def figures(notebook: Path) -> dict[str, str]:
    """Return the bodies of the figures that a notebook has kept, by name."""
    cells = json.loads(notebook.read_text("utf-8"))["cells"]
    shown = (
        "".join(output.get("data", {}).get("text/html", ""))
        for cell in cells
        for output in cell.get("outputs", [])
    )
    return dict(
        match.groups() for text in shown for match in FIGURE.finditer(text)
    )


def picture(notebook: Path, name: str) -> str:
    """Return the body of a figure.

    Raises:
        ValueError: The notebook has kept no figure of that name.
    """
    found = figures(notebook)
    if name not in found:
        raise ValueError(
            f"{notebook.name} has no figure {name!r}: it has {', '.join(found)}"
        )
    return found[name]


class BorrowedFigure(SphinxDirective):
    """A figure of a chapter with a sentence of this page."""

    required_arguments = 2
    has_content = True

    def run(self) -> list[nodes.Node]:
        """Return the picture, which is a link, and the sentence."""
        chapter, name = self.arguments
        notebook = Path(self.env.srcdir, "book", f"{chapter}.ipynb")
        self.env.note_dependency(str(notebook))
        try:
            body = picture(notebook, name)
        except ValueError as error:
            raise self.error(str(error)) from error
        link = f'<a href="{chapter}.html#fig-{name}">{body}</a>'
        figure = f'{FIGURE_STYLE}<figure class="ode-figure">{link}</figure>'
        box = nodes.container(classes=["borrowed"])
        box += nodes.raw("", figure, format="html")
        self.state.nested_parse(self.content, self.content_offset, box)
        return [box]


def setup(app: Any) -> dict[str, bool]:
    """Register the directive."""
    app.add_directive("borrowed-figure", BorrowedFigure)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
