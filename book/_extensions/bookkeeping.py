"""Tell a cell's bookkeeping from what its reader should see.

``claim``, ``report``, ``check`` and ``finish`` keep the book honest. What
they print and how they are called stands in the notebook; a page leaves it
out and opens it at a tick.
"""

import ast
import re
from collections.abc import Iterator
from typing import NamedTuple

KEEPERS = ("claim", "report", "check", "finish")
NAME = r"[a-z0-9]+(?:-[a-z0-9]+)*"
CLAIM = re.compile(
    rf"claim (?P<name>{NAME}): (?P<measured>.+), "
    r"(?P<said>(?:expected|above|below) .+?)"
    r"(?:, over (?P<seeds>\d+) seeds)?: holds"
)


class Call(NamedTuple):
    """A statement that keeps books: whose, for which names, its code."""

    keeper: str
    names: str  # a regular expression
    code: str


class Claim(NamedTuple):
    """A line that ``claim`` printed, and the statement that printed it."""

    name: str
    measured: str
    said: str
    seeds: str
    code: str


def split(source: str) -> tuple[str, list[Call]]:
    """Return what a reader sees of a cell, and its bookkeeping."""
    try:
        tree = ast.parse(source)
    except SyntaxError:  # IPython's own commands: %pip
        return source, []
    lines: list[str | None] = [*source.splitlines()]
    calls = [
        Call(
            node.value.func.id,
            _names(node.value),
            ast.get_source_segment(source, node) or "",
        )
        for node in ast.walk(tree)
        if _keeps_books(node)
    ]
    for first, last, instead in (
        list(_gone(tree.body, lines)) if calls else []
    ):
        lines[first - 1 : last] = [instead] + [None] * (last - first)
    kept = [line for line in lines if line is not None]
    return re.sub(r"\n{4,}", "\n\n\n", "\n".join(kept)).strip("\n"), calls


def quiet(printed: str, calls: list[Call]) -> tuple[str, list[Claim]]:
    """Return what a cell printed without its bookkeeping, and the claims."""
    kept, claims = [], []
    for line in printed.splitlines():
        found = CLAIM.fullmatch(line)
        call = _printed_by(line, found, calls)
        if call is None:
            kept.append(line)
        elif found:
            said = found.groupdict(default="")
            claims.append(Claim(**said, code=call.code))
    return "\n".join(kept).strip("\n"), claims


def _printed_by(
    line: str, claim: re.Match[str] | None, calls: list[Call]
) -> Call | None:
    for call in calls:
        if call.keeper == "claim":
            if claim and re.fullmatch(call.names, claim["name"]):
                return call
        elif re.match(rf"(?:{call.names}): ", line):
            return call
    return None


def _keeps_books(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Call)
        and isinstance(node.value.func, ast.Name)
        and node.value.func.id in KEEPERS
    )


def _names(call: ast.Call) -> str:
    """Return a regular expression for the names that a call may print."""
    if call.func.id == "finish":
        return "run-time|cores"
    name = call.args[0] if call.args else None
    if isinstance(name, ast.Constant):
        return re.escape(str(name.value))
    if isinstance(name, ast.JoinedStr):
        return "".join(
            re.escape(str(part.value))
            if isinstance(part, ast.Constant)
            else "[a-z0-9-]+"
            for part in name.values
        )
    return NAME


def _gone(
    body: list[ast.stmt], lines: list[str | None]
) -> Iterator[tuple[int, int, str | None]]:
    """Yield the lines that a reader need not see, and what stands instead."""
    for node in body:
        if _is_gone(node):
            yield (*_span(node, lines), None)
            continue
        for part in _bodies(node):
            if all(map(_is_gone, part)):  # Python wants something there
                yield (
                    *_span(part[0], lines),
                    " " * part[0].col_offset + "...",
                )
                part = part[1:]
            yield from _gone(part, lines)


def _bodies(node: ast.AST) -> list[list[ast.stmt]]:
    parts = [getattr(node, k, []) for k in ("body", "orelse", "finalbody")]
    return [p for p in parts if isinstance(p, list) and p]


def _is_gone(node: ast.stmt) -> bool:
    """Whether nothing is left of a statement without its bookkeeping."""
    if _keeps_books(node):
        return True
    parts = _bodies(node)
    return bool(parts) and all(_is_gone(n) for part in parts for n in part)


def _span(node: ast.stmt, lines: list[str | None]) -> tuple[int, int]:
    last = node.end_lineno or node.lineno
    before = (lines[node.lineno - 1] or "")[: node.col_offset].strip()
    after = (lines[last - 1] or "")[node.end_col_offset :].strip(" ;")
    if before or (after and not after.startswith("#")):
        raise ValueError(
            f"line {node.lineno} holds more than one statement: "
            f"{lines[node.lineno - 1]!r}"
        )
    return node.lineno, last
