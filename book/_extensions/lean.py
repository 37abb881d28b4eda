"""Leave out what the pages do not need: scripts without work, and waiting.

Jupyter Book adds Thebe's scripts to each page, twice, and the book has no
live cells; and those of toggle buttons, where the browser's own details
serve. Scripts that the page would wait for before it shows a word run when
it has been read, and `book.js` fetches MathJax when it has been painted.
"""

import re
from typing import Any

from sphinx.builders.html._assets import _JavaScript

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


def _fetch_formulas_late(
    app: Any, page: str, template: str, context: Any, tree: Any
) -> None:
    def named(script: Any, name: str) -> bool:
        return name in str(getattr(script, "filename", script))

    files = context["script_files"]
    address = app.config.mathjax_path
    if any(named(script, address) for script in files):
        context["script_files"] = [
            _JavaScript(
                script.filename,
                priority=script.priority,
                **(script.attributes | {"data-mathjax": address}),
            )
            if named(script, "book.js")
            else script
            for script in files
            if not named(script, address)
        ]


def setup(app: Any) -> dict[str, bool]:
    """Register with Sphinx, after those that add scripts."""
    app.connect("html-page-context", _drop_idle, priority=900)
    app.connect("html-page-context", _defer, priority=901)
    app.connect("html-page-context", _fetch_formulas_late, priority=902)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
