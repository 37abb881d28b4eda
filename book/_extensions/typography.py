"""Minus signs, spaces that do not break, and columns of numbers that align.

All of it is done to text on its way to the page; sources keep their keyboard's
hyphens and blanks.
"""

import re
from typing import Any

from docutils import nodes

NBSP, MINUS = "\N{NO-BREAK SPACE}", "\N{MINUS SIGN}"
UNITS = (
    r"%|ms|s|h|min|[kMG]B|bytes|bits?|nats|px|seconds?|minutes?|hours?"
    r"|points?|times|epochs?|steps?|layers?|seeds?|tokens?|images?|runs?"
    r"|letters?|evaluations?|parameters?|cores?|percent"
)
MEASURE = re.compile(rf"(?<![\w-])(\d[\d.,]*) (?=(?:{UNITS})(?!\w))")
UNIT_FIRST = re.compile(rf"^ (?=(?:{UNITS})(?![\w]))")
POWER = re.compile(r"(?<=\d) × (?=\d)")
NEGATIVE = re.compile(r"(?<![\w\d)\]\N{NO-BREAK SPACE}/.])-(?=\d|\.\d)")
NUMBER = re.compile(
    rf"[\s<>~≈+±{MINUS}-]*\d[\d.,\s×±–{MINUS}⁰¹²³⁴⁵⁶⁷⁸⁹⁻-]*(?:{UNITS}|x)?"
)
VERBATIM = (nodes.literal, nodes.literal_block, nodes.math, nodes.math_block)
SKIPPED = re.compile(
    r"(<(svg|style|script|code|pre)\b.*?</\2>|<[^>]*>)", re.S
)


def set_text(text: str) -> str:
    """Return text with minus signs and with spaces that do not break."""
    text = POWER.sub(f"{NBSP}×{NBSP}", MEASURE.sub(rf"\1{NBSP}", text))
    return NEGATIVE.sub(MINUS, text)


def set_html(html: str) -> str:
    """Do the same to the text of HTML, leaving code and drawings alone."""
    parts = SKIPPED.split(html)
    # Each match adds itself and the name of its tag to the list.
    return "".join(
        part if kind == 1 else set_text(part)
        for kind, part in ((n % 3, p) for n, p in enumerate(parts))
        if kind != 2
    )


def is_number(text: str) -> bool:
    """Whether an entry of a table is a number, perhaps with its unit."""
    return bool(NUMBER.fullmatch(text.strip()))


def _set_page(app: Any, tree: nodes.document, page: str) -> None:
    if app.builder.format != "html":
        return
    _set_within(tree)
    for table in tree.findall(nodes.tgroup):
        _align(table)


def _set_within(above: nodes.Element) -> None:
    """Set the text of an element and of all that is in it."""
    for place, child in enumerate(above.children):
        if isinstance(child, VERBATIM):
            continue
        if isinstance(child, nodes.Element):
            _set_within(child)
        elif isinstance(above, nodes.raw):
            if "<button" not in child:
                above.children[place] = nodes.Text(set_html(child))
        else:
            text = set_text(child)
            if place and _ends_in_number(above.children[place - 1]):
                text = UNIT_FIRST.sub(NBSP, text)
            above.children[place] = nodes.Text(text)


def _ends_in_number(node: nodes.Node) -> bool:
    return isinstance(node, nodes.inline) and node.astext()[-1:].isdigit()


def _align(table: nodes.tgroup) -> None:
    """Mark the columns whose entries are all numbers."""
    rows = list(table.findall(nodes.row))
    body = [row for row in rows if isinstance(row.parent, nodes.tbody)]
    if any(len(row) != len(body[0]) for row in rows):
        return
    for column in range(len(body[0])):
        entries = [row[column].astext().strip() for row in body]
        numbers = [is_number(entry) for entry in entries if entry]
        if numbers and all(numbers):
            for row in rows:
                row[column]["classes"].append("number")


def setup(app: Any) -> dict[str, bool]:
    """Register with Sphinx."""
    app.connect("doctree-resolved", _set_page, priority=950)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
