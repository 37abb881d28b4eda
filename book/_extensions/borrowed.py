"""What a chapter has, shown on another page: ``{borrowed}``.

    ```{borrowed} 06-particles figure counts
    A sentence about it.
    ```

A figure, or an explorable, is the one that the chapter's notebook has kept. A
figure's caption stays behind, for what it says belongs to the chapter, and a
sentence stands in its place; the picture is a link to the chapter.
"""

import json
import re
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.util.docutils import SphinxDirective

from odelib.teaching.figures import FIGURE_STYLE

KINDS = {
    "figure": '<figure class="ode-figure" id="fig-{}">(.*?)<figcaption',
    "explorable": '(.*\\bdata-explore="{}".*)',
}


def kept(notebook: Path, kind: str, name: str) -> str:
    """Return a figure's body, or an explorable, as HTML.

    Raises:
        ValueError: The notebook has kept none of that name, or there is no
            such kind.
    """
    if kind not in KINDS:
        raise ValueError(f"{kind!r} came: borrow one of {', '.join(KINDS)}")
    wanted = re.compile(KINDS[kind].format(re.escape(name)), re.S)
    for cell in json.loads(notebook.read_text("utf-8"))["cells"]:
        for output in cell.get("outputs", []):
            page = "".join(output.get("data", {}).get("text/html", ""))
            if found := wanted.search(page):
                return found[1]
    raise ValueError(f"{notebook.name} has kept no {kind} {name!r}")


class Borrowed(SphinxDirective):
    """A figure of a chapter with a sentence of this page, or an explorable."""

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
        if kind == "figure":
            box["classes"] = ["borrowed"]
            page = (
                f'{FIGURE_STYLE}<figure class="ode-figure">'
                f'<a href="{chapter}.html#fig-{name}">{page}</a></figure>'
            )
        box += nodes.raw("", page, format="html")
        self.state.nested_parse(self.content, self.content_offset, box)
        return [box]


def setup(app: Any) -> dict[str, bool]:
    """Register the directive."""
    app.add_directive("borrowed", Borrowed)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
