"""Leave out what the pages do not need: scripts without work, icons twice, waiting.

Jupyter Book adds Thebe's scripts to each page, twice, and the book has no
live cells; and those of toggle buttons, where the browser's own details
serve. The theme draws its icons by a script of a megabyte and a half,
and brings them as a font too: here the font draws them. Scripts that the
page would wait for before it shows a word run when it has been read.
"""

import re
from pathlib import Path
from typing import Any

from sphinx.builders.html._assets import _JavaScript
from sphinx.errors import ExtensionError

IDLE = re.compile("thebe|togglebutton|togglehint|toggleopen", re.I)


def _is_idle(script: Any) -> bool:
    about = (
        getattr(script, "filename", script),
        getattr(script, "attributes", ""),
    )
    return bool(IDLE.search(str(about)))


def _drop_idle(
    app: Any, page: str, template: str, context: Any, tree: Any
) -> None:
    for kind in ("script_files", "css_files"):
        kept = [file for file in context[kind] if not _is_idle(file)]
        context[kind] = kept


def _defer(
    app: Any, page: str, template: str, context: Any, tree: Any
) -> None:
    if page == "search":  # there, scripts in the page use those at once
        return
    at_once = "_static/documentation_options.js"  # as on all pages this one
    context["script_files"] = [
        _JavaScript(
            script.filename,
            priority=script.priority,
            **({"defer": "defer"} | script.attributes),
        )
        if script.filename not in ("", None, at_once)
        else script
        for script in context["script_files"]
    ]


def _empty_icons(app: Any, exception: Any) -> None:
    if exception is None and app.builder.name == "html":
        script = Path(app.outdir, "_static/scripts/fontawesome.js")
        if not script.exists():
            raise ExtensionError(
                f"the theme brings no {script.name} any more"
            )
        script.write_text("// The icons are drawn by the theme's font.\n")


def setup(app: Any) -> dict[str, bool]:
    """Register with Sphinx, after those that add scripts."""
    app.connect("html-page-context", _drop_idle, priority=900)
    app.connect("html-page-context", _defer, priority=901)
    app.connect("build-finished", _empty_icons)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
