"""A tick beside each claimed sentence, which opens to what was measured.

A sentence is claimed if a number in it was glued by ``claim``. The tick opens
what was measured, the bound that the text may not leave, over how many seeds,
and the statement that checked it. A claim whose number no sentence quotes has
its tick at its cell, or at the paragraph before a cell that has gone.
"""

import html
import re
from collections.abc import Iterator
from typing import Any

import folded
from bookkeeping import Claim
from docutils import nodes
from myst_nb.ext.glue.domain import NbGlueDomain
from myst_nb.ext.glue.roles import PasteTextRole

END = re.compile(r"[.!?](?=[)\"\u201d]*(?:\s|$))[)\"\u201d]*|[:;](?=\s*$)")
BLOCKS = (nodes.paragraph, nodes.term, nodes.title)


class tick(nodes.raw):  # noqa: N801 - docutils names nodes so
    """A button that opens the claims of one sentence."""


class NamedText(PasteTextRole):
    """``{glue:text}``, which remembers the name of the number."""

    def run(self) -> Any:
        """Return the number, with its name."""
        found, messages = super().run()
        for node in found:
            node["glued"] = self.text.split("::")[-1].split(":")[0]
        return found, messages


def place(tree: nodes.document) -> None:
    """Put the ticks of a page in place, and what they open at its end."""
    cells = folded.cells(tree)
    claims = {c.name: c for cell in cells for c in cell.get("claims", [])}
    cited, notes = set(), []
    for block, names in list(_sentences(tree, claims)):
        cited.update(names)
        notes.append([claims[name] for name in names])
        block(button(len(notes), notes[-1]))
    for cell in cells:
        rest = [
            c
            for c in cell.attributes.pop("claims", [])
            if c.name not in cited
        ]
        if rest:
            notes.append(rest)
            _beside(cell, button(len(notes), rest))
    if notes:
        seed = tree.attributes.pop("seed", "0")
        text = "".join(note(n, c, seed) for n, c in enumerate(notes, 1))
        end = next(iter(tree.findall(nodes.section)))
        end += nodes.raw("", text, format="html")


def _sentences(tree: nodes.document, claims: Any) -> Iterator[Any]:
    """Yield where to put a tick, and the claims that its sentence makes."""
    tables = set()
    for block in tree.findall(lambda node: isinstance(node, BLOCKS)):
        glued = [
            n for n in block.findall(nodes.inline) if n.get("glued") in claims
        ]
        if not glued:
            continue
        table = _above(block, nodes.table)
        if table is not None:
            if id(table) not in tables:
                tables.add(id(table))
                every = table.findall(nodes.inline)
                names = [
                    n["glued"] for n in every if n.get("glued") in claims
                ]
                yield _after(table), list(dict.fromkeys(names))
            continue
        sentences: dict[tuple[int, int], list[str]] = {}
        for node in glued:
            top = node
            while top.parent is not block:
                top = top.parent
            sentences.setdefault(_end(top), []).append(node["glued"])
        for where, names in sorted(sentences.items(), reverse=True):
            yield _within(block, where), list(dict.fromkeys(names))


def _above(node: nodes.Node, kind: type) -> Any:
    while node is not None and not isinstance(node, kind):
        node = node.parent
    return node


def _end(node: nodes.Node) -> tuple[int, int]:
    """Return where the sentence of a node ends: which child, which letter."""
    siblings = node.parent.children
    index = node.parent.index(node)
    for later in range(index + 1, len(siblings)):
        if isinstance(siblings[later], nodes.Text):
            found = END.search(siblings[later].astext())
            if found:
                return later, found.end()
    return len(siblings), 0


def _within(block: Any, where: tuple[int, int]) -> Any:
    def put(mark: tick) -> None:
        index, letter = where
        if index >= len(block.children):
            block.append(mark)
            return
        text = block.children[index].astext()
        block.children[index : index + 1] = []
        for new in (text[letter:], mark, text[:letter]):
            if new:
                child = nodes.Text(new) if isinstance(new, str) else new
                block.insert(index, child)

    return put


def _after(table: nodes.Node) -> Any:
    def put(mark: tick) -> None:
        line = nodes.paragraph("", "", mark, classes=["ticks"])
        table.parent.insert(table.parent.index(table) + 1, line)

    return put


def _beside(cell: nodes.container, mark: tick) -> None:
    before = cell.parent.children[: cell.parent.index(cell)]
    if cell.children:
        cell["classes"].append("ticked")
        cell += mark
    elif before and isinstance(before[-1], nodes.paragraph):
        before[-1] += mark
    else:
        line = nodes.paragraph("", "", mark, classes=["ticks"])
        cell.parent.insert(cell.parent.index(cell), line)


def button(number: int, claims: list[Claim]) -> tick:
    """Return the tick of a sentence."""
    what = claims[0].name.replace("-", " ")
    more = f" and {len(claims) - 1} more" if len(claims) > 1 else ""
    label = html.escape(f"Checked: {what}{more}")
    text = (
        f'<button type="button" class="tick" popovertarget="claims-{number}"'
        f' aria-label="{label}"><span aria-hidden="true">\u2713</span></button>'
    )
    return tick("", text, format="html")


def _runs(claims: list[Claim], seed: str) -> Iterator[str]:
    """Yield how often the claims were measured, by name where they differ."""
    over: dict[str, list[str]] = {}
    for claim in claims:
        names = over.setdefault(claim.seeds, [])
        names.append(claim.name.replace("-", " "))
    for seeds, names in sorted(over.items(), reverse=True):
        what = f" ({', '.join(names)})" if len(over) > 1 else ""
        if seeds:
            yield f"Measured over {seeds} seeds{what}."
        else:
            yield (
                "Measured once, when this page was built, with random seed"
                f" {seed}{what}."
            )


def note(number: int, claims: list[Claim], seed: str) -> str:
    """Return what a tick opens."""
    rows = "".join(
        f"<tr><th scope=row>{html.escape(c.name.replace('-', ' '))}</th>"
        f"<td>{html.escape(c.measured)}</td>"
        f"<td>{html.escape(c.said)}</td></tr>"
        for c in claims
    )
    runs = " ".join(_runs(claims, seed))
    code = "\n".join(dict.fromkeys(c.code for c in claims))
    return (
        f'<div popover id="claims-{number}" class="claims" role="dialog"'
        f' aria-label="How this is checked"><table><thead><tr><td></td>'
        "<th scope=col>measured</th><th scope=col>the text says</th></tr>"
        f"</thead><tbody>{rows}</tbody></table><p>{runs} If it were false, the"
        f" book would not be built.</p><pre>{html.escape(code)}</pre></div>\n"
    )


def setup(app: Any) -> dict[str, bool]:
    """Register with Sphinx."""
    NbGlueDomain.roles["text"] = NamedText()
    app.add_node(tick, html=(_visit, None), override=True)
    app.connect("doctree-read", lambda app, tree: place(tree), priority=620)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _visit(self: Any, node: tick) -> None:
    self.body.append(node.astext())
    raise nodes.SkipNode
