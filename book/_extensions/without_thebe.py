"""Leave Thebe's scripts out of the pages.

Jupyter Book adds them to each page, twice, and the book has no live cells.
"""

from typing import Any


def _concerns_thebe(script: Any) -> bool:
    about = (
        getattr(script, "filename", script),
        getattr(script, "attributes", ""),
    )
    return "thebe" in str(about).lower()


def _drop(
    app: Any, page: str, template: str, context: Any, tree: Any
) -> None:
    kept = [s for s in context["script_files"] if not _concerns_thebe(s)]
    context["script_files"] = kept


def setup(app: Any) -> dict[str, bool]:
    """Register with Sphinx, after those that add scripts."""
    app.connect("html-page-context", _drop, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
