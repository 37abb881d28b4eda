"""Fold what keeps the book honest: cells that set up, draw or check.

One rule for all chapters, so that no cell needs it said by hand. Cells that
set up, cells that draw, or carry the tag ``hide-input``, fold.
Neighbours fold into one line whose name says what it hides. Claims, reports
and exercise checks leave the page with what they print; a tick beside the
sentence (see ``ticks``) opens to them.
"""

import re
from typing import Any

import bookkeeping
from docutils import nodes

DRAWS = re.compile(
    r"\bshow\(|\.show\(\)|\bLaboratory\(|\bplt\.|\bax(?:es)?\b[.\[]"
    r"|\bfig\b|\bpalette\.|\bimshow\("
)
LABORATORY = re.compile(r"\bLaboratory\(|\blaboratory\.show\(|\bexplorable\(")
SETS_UP = re.compile(r"\bimport odelib$|^start\(", re.M)
SHOWS = re.compile(r"\bshow\(|\.show\(\)")
MADE = re.compile(r"^(\w+)(?:: [^=\n]+)? [|+*-]?= ", re.M)
SEED = re.compile(r"Ready: random seed (\d+)\.")


class folded(nodes.container):  # noqa: N801 - docutils names nodes so
    """Cells behind one line, which ``summary`` names."""


def cells(tree: nodes.Node) -> list[nodes.container]:
    """Return the code cells of a page."""
    found = tree.findall(nodes.container)
    return [node for node in found if node.get("nb_element") == "cell_code"]


def part(cell: nodes.container, kind: str) -> nodes.container | None:
    """Return the source or the output of a cell, if it has one."""
    for child in cell.children:
        if child.get("nb_element") == f"cell_code_{kind}":
            return child
    return None


def fold(tree: nodes.document) -> None:
    """Take the bookkeeping out of all cells and fold those that fold."""
    for cell in cells(tree):
        _tidy(cell, tree)
        source = part(cell, "source")
        code = source.astext() if source else ""
        hide = cell.attributes.pop("hide_mode", None)
        if SETS_UP.search(code):
            cell["folds"] = "setup"
        elif code and (hide in ("input", "all") or DRAWS.search(code)):
            cell["folds"] = "draw"
        output = part(cell, "output")
        if hide == "output" and output is not None:
            box = folded(summary="What it prints", classes=["folded", "draw"])
            cell.replace(output, box)
            box += output
    for cell in cells(tree):
        if cell.get("folds"):
            _gather(cell)


def _tidy(cell: nodes.container, tree: nodes.document) -> None:
    """Leave a cell its own work, and note the claims that it printed."""
    source, output = part(cell, "source"), part(cell, "output")
    cell["claims"] = []
    if source is None:
        return
    block = next(iter(source.findall(nodes.literal_block)))
    visible, calls = bookkeeping.split(block.astext())
    claims = _quiet(output, calls, tree) if output else []
    if output is not None and not output.children:
        cell.remove(output)
    cell["claims"] = claims
    if not calls:
        return
    if visible.strip():
        block.clear()
        block += nodes.Text(visible)
        block.rawsource = visible
    else:
        cell.remove(source)
    if not cell.children:
        cell["classes"].append("empty")


def _quiet(output: Any, calls: Any, tree: Any) -> list[bookkeeping.Claim]:
    claims = []
    for block in list(output.findall(nodes.literal_block)):
        if "stream" not in block.get("classes", []):
            continue
        seed = SEED.fullmatch(block.astext().strip())
        if seed:
            tree["seed"] = seed[1]
            output.remove(block)
            continue
        left, found = bookkeeping.quiet(block.astext(), calls)
        claims += found
        if left.strip():
            block.clear()
            block += nodes.Text(left)
            block.rawsource = left
        else:
            block.parent.remove(block)
    return claims


def _gather(first: nodes.container) -> None:
    """Fold a cell and the folding cells that follow it at once."""
    place, siblings = first.parent.index(first), first.parent.children
    group, kind = [first], first["folds"]
    for other in siblings[place + 1 :]:
        empty = "empty" in other.get("classes", [])
        if not empty and other.get("folds") != kind:
            break
        group.append(other)
        if kind == "draw" and part(other, "output") is not None:
            break
    if kind == "draw" and part(first, "output") is not None:
        group = [first]
    while "empty" in group[-1]["classes"]:
        group.pop()
    sources = [part(cell, "source") for cell in group]
    code = "\n".join(source.astext() for source in sources if source)
    box = folded(summary=_name(kind, code), classes=["folded", kind])
    for cell, source in zip(group, sources, strict=True):
        if source is not None:
            cell.remove(source)
            box += source
    last = group[-1]
    last["claims"] = [claim for cell in group for claim in cell["claims"]]
    for cell in group[:-1]:
        for child in list(cell.children):  # a table before the figure
            cell.remove(child)
            last.insert(0, child)
        cell.parent.remove(cell)
    last += box
    for cell in group:
        cell.attributes.pop("folds", None)


def _name(kind: str, code: str) -> str:
    """Say what a line hides."""
    count = len([line for line in code.splitlines() if line.strip()])
    size = f"{count}\N{NO-BREAK SPACE}line{'s' if count > 1 else ''}"
    if kind == "setup":
        return f"Set-up: the library, imports, the random seed ({size})"
    if LABORATORY.search(code):
        return f"Code of the laboratory ({size})"
    if SHOWS.search(code):
        return f"Code of the figure ({size})"
    made = re.findall(r"^(?:def|class) (\w+)", code, re.M)
    made = made or MADE.findall(code)
    what = ", ".join(list(dict.fromkeys(made))[:3]) or "this step"
    return f"Code of {what} ({size})"


def _visit(self: Any, node: folded) -> None:
    classes = " ".join(node["classes"])
    self.body.append(
        f'<details class="{classes}"><summary>{node["summary"]}</summary>\n'
    )


def _depart(self: Any, node: folded) -> None:
    self.body.append("</details>\n")


def _drop_empty(app: Any, tree: nodes.document, page: str) -> None:
    for cell in cells(tree):
        if not cell.children:
            cell.parent.remove(cell)


def setup(app: Any) -> dict[str, bool]:
    """Register with Sphinx."""
    app.add_node(folded, html=(_visit, _depart))
    app.connect("doctree-read", lambda app, tree: fold(tree), priority=610)
    app.connect("doctree-resolved", _drop_empty, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
