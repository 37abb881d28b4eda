"""The frame around a page: drawers that open, and ids that are unique."""

import re
from pathlib import Path
from typing import Any

LABORATORY = re.compile(
    r'(<section class="ode-(?:lab|explore) ode-figure") '
    r'(data-(?:lab|explore)="([\w-]+)")'
)
CONTENT_ID = re.compile(
    r'(<(?:section|div)\b[^>]*?) id="(?:(?:proof|exercise|solution)-content|proof)"'
)


def without_repeated_ids(body: str) -> str:
    """Return the body without the ids that all theorems and exercises share."""
    return CONTENT_ID.sub(r"\1", body)


def with_anchors(body: str, address: str) -> tuple[str, str | None]:
    """Return the body with an address for each laboratory, and the first id.

    The address is seen on paper, where the laboratory is a still picture.
    """
    found = LABORATORY.search(body)
    body = LABORATORY.sub(
        rf'<p class="on-paper">Move it at {address}#lab-\3</p>\n'
        r'\1 id="lab-\3" tabindex="-1" \2',
        body,
    )
    return body, f"lab-{found[3]}" if found else None


def _mend_page(
    app: Any, page: str, template: str, context: Any, tree: Any
) -> None:
    if "body" in context:
        body = without_repeated_ids(context["body"])
        address = context.get("pageurl") or f"{page}.html"
        body, context["laboratory"] = with_anchors(body, address)
        context["body"] = body


def _add_templates(app: Any, config: Any) -> None:
    config.templates_path.append(str(Path(__file__).with_name("templates")))


def setup(app: Any) -> dict[str, bool]:
    """Register with Sphinx."""
    app.connect("config-inited", _add_templates)
    app.connect("html-page-context", _mend_page)
    # Before MathJax, which reads what the first of them says.
    for script in ("book.js", "previews.js", "laboratories.js"):
        app.add_js_file(script, loading_method="defer", priority=400)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
