"""Keep a formula and the comma, full stop or bracket behind it on one line.

Browsers may break a line between a typeset formula and what follows it,
whatever that is. The style sheet forbids it in the spans written here.
"""

import re
from typing import Any

FORMULA = re.compile(
    r'(<span class="math notranslate nohighlight">[^<]*</span>)([,.;:?!)]+)'
)


def together(body: str) -> str:
    """Return the body of a page with such pairs in one span."""
    return FORMULA.sub(r'<span class="unbroken">\1\2</span>', body)


def _mend_page(
    app: Any, page: str, template: str, context: Any, tree: Any
) -> None:
    if "body" in context:
        context["body"] = together(context["body"])


def setup(app: Any) -> dict[str, bool]:
    """Register with Sphinx."""
    app.connect("html-page-context", _mend_page)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
