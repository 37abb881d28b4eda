"""Give each line of code an element, so that a long one hangs when it wraps."""

import re
from typing import Any

PRE = re.compile(
    r'(<div class="highlight"><pre>)(<span></span>)?(.*?)(</pre>)', re.S
)
TAG = re.compile(r"<[^>]*>")
DEEPEST = 24


def hang(body: str) -> str:
    """Return the body with every line of code in a span named by its indent."""
    return PRE.sub(_lines, body)


def _lines(block: re.Match[str]) -> str:
    lines = block[3].removesuffix("\n").split("\n")
    if any(line.count("<span") != line.count("</span") for line in lines):
        return block[0]  # a span goes over several lines
    return block[1] + "".join(map(_line, lines)) + block[4]


def _line(line: str) -> str:
    text = TAG.sub("", line)
    indent = len(text) - len(text.lstrip(" "))
    return f'<span class="i{min(indent // 2 * 2, DEEPEST)}">{line}\n</span>'


def _mend_page(
    app: Any, page: str, template: str, context: Any, tree: Any
) -> None:
    if "body" in context:
        context["body"] = hang(context["body"])


def setup(app: Any) -> dict[str, bool]:
    """Register with Sphinx."""
    app.connect("html-page-context", _mend_page)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
