"""The colours of the figures, which the dark page lightens: from one palette.

Figures are kept with the colours of the light page. Here each becomes a
variable, so that one rule changes a colour in all figures.
"""

import re
from typing import Any

from docutils import nodes

from odelib.teaching import palette

NAMES = {colour: f"--c{n}" for n, colour in enumerate(palette.cycle, 1)}
DRAWN = re.compile(rf"(?<=:)(?:{'|'.join(NAMES)})\b")


def as_variables(html: str) -> str:
    """Return HTML with the palette's colours as variables."""
    return DRAWN.sub(lambda match: f"var({NAMES[match[0]]})", html)


def style() -> str:
    """Return the variables for both pages, and for paper."""
    light = ";".join(f"{name}:{colour}" for colour, name in NAMES.items())
    dark = ";".join(
        f"{name}:{palette.on_dark[colour]}" for colour, name in NAMES.items()
    )
    return (
        f"<style>:root{{{light}}}@media screen{{"
        f":root[data-theme=dark]{{{dark}}}}}"
        "@media screen and (prefers-color-scheme:dark){"
        f":root[data-theme=auto]{{{dark}}}}}</style>"
    )


def _recolour(app: Any, tree: nodes.document, page: str) -> None:
    for node in tree.findall(nodes.raw):
        text = node.astext()
        if "<svg" in text:
            node.clear()
            node += nodes.Text(as_variables(text))


def _add_style(
    app: Any, page: str, template: str, context: Any, tree: Any
) -> None:
    context["metatags"] = context.get("metatags", "") + style()


def setup(app: Any) -> dict[str, bool]:
    """Register with Sphinx."""
    app.connect("doctree-resolved", _recolour)
    app.connect("html-page-context", _add_style)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
