r"""Formulas on a line: nothing breaks before a comma, and a phone breaks more.

Browsers may break a line between a typeset formula and what follows it,
whatever that is. The style sheet forbids it in the spans written here.

A displayed formula is written for a phone: a line that only continues the one
before begins with ``&\quad``. On anything wider such lines are joined:
``\phonebreak`` breaks on a phone alone (its definition is in book.js).
"""

import re
from typing import Any

from docutils import nodes

FORMULA = re.compile(
    r'(<span class="math notranslate nohighlight">[^<]*</span>)([,.;:?!)]+)'
)
CONTINUED = re.compile(r"\\\\(?:\[[^\]]*\])?\s*&\s*(\\q?quad)\b\s*")


def together(body: str) -> str:
    """Return the body of a page with such pairs in one span."""
    return FORMULA.sub(r'<span class="unbroken">\1\2</span>', body)


def joined(formula: str) -> str:
    """Return a displayed formula whose continued lines break on phones only."""
    return CONTINUED.sub(r"\\phonebreak{\1}", formula)


def _join_lines(app: Any, tree: nodes.document) -> None:
    for block in tree.findall(nodes.math_block):
        text = joined(block.astext())
        block.clear()
        block += nodes.Text(text)
        block.rawsource = text


def _mend_page(
    app: Any, page: str, template: str, context: Any, tree: Any
) -> None:
    if "body" in context:
        context["body"] = together(context["body"])


def setup(app: Any) -> dict[str, bool]:
    """Register with Sphinx."""
    app.connect("doctree-read", _join_lines)
    app.connect("html-page-context", _mend_page)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
