"""Numbers by chapter: figures count within theirs, and references follow.

Sphinx numbers chapters, equations, theorems and exercises once the contents
are numbered. Figures are HTML that cells have displayed, so they are counted
here: ``{fig}`name``` refers to one. ``{doc}`07-name``` becomes "chapter 7",
or "Chapter 7" where a sentence begins; ``[](07-name)`` becomes the title with
its number, as the contents have it.
"""

import re
from collections.abc import Iterator
from typing import Any

from docutils import nodes
from sphinx import addnodes
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util import docname_join, logging

FIGURE = re.compile(r'<figure class="ode-figure" id="fig-([\w-]+)">')
CAPTION = re.compile(r"<figcaption\b[^>]*>")
LABORATORY = re.compile(r'(<p class="ode-lab-title"><span>Laboratory)</span>')
BEGINS = re.compile(r"(?:^|[.!?:]\s+)$")
LOG = logging.getLogger(__name__)


def chapter_of(env: Any, page: str) -> int | None:
    """Return the number of a chapter; of any other page, None."""
    number = env.toc_secnumbers.get(page, {}).get("")
    return number[0] if number else None


def figures(tree: nodes.Node) -> Iterator[tuple[str, nodes.raw]]:
    """Yield the name and the node of each figure, as they follow."""
    for node in tree.findall(nodes.raw):
        found = FIGURE.search(node.astext())
        if found:
            yield found[1], node


def numbered(html: str, label: str) -> str:
    """Return the HTML of a figure with its number before the caption."""
    start = f'<span class="caption-number">{label}.</span> '
    return CAPTION.sub(lambda match: match[0] + start, html, count=1)


def begins_sentence(node: nodes.Node) -> bool:
    """Whether what stands before a node in its paragraph ends a sentence."""
    before = ""
    for sibling in node.parent.children:
        if sibling is node:
            break
        before += sibling.astext()
    return bool(BEGINS.search(before)) and isinstance(
        node.parent, nodes.paragraph
    )


def _count_figures(app: Any, tree: nodes.document) -> None:
    page = app.env.docname
    known = _known(app.env)
    _forget(app, app.env, page)
    for count, (name, _) in enumerate(figures(tree), 1):
        known[name] = (*known.get(name, ()), (page, count))


def _known(env: Any) -> dict[str, tuple[tuple[str, int], ...]]:
    if not hasattr(env, "book_figures"):
        env.book_figures = {}
    return env.book_figures


def _forget(app: Any, env: Any, page: str) -> None:
    known = _known(env)
    for name in list(known):
        kept = tuple(place for place in known[name] if place[0] != page)
        known[name] = kept
        if not kept:
            del known[name]


def _merge(app: Any, env: Any, pages: Any, other: Any) -> None:
    for name, places in _known(other).items():
        here = [place for place in places if place[0] in pages]
        _known(env)[name] = (*_known(env).get(name, ()), *here)


class ChapterReferences(SphinxPostTransform):
    """Say "chapter 7" where the text refers to a chapter by ``{doc}``."""

    default_priority = 5

    def run(self, **kwargs: Any) -> None:
        """Give each such reference its text."""
        for link in list(self.document.findall(addnodes.pending_xref)):
            kind = link.get("reftype")
            if kind not in ("doc", "myst") or link.get("refexplicit"):
                continue
            if link.get("whole"):
                continue
            page = docname_join(link["refdoc"], link["reftarget"])
            number = chapter_of(self.env, page)
            if number is None:
                continue
            text = f"{number}. {self.env.titles[page].astext()}"
            if kind == "doc":
                word = "Chapter" if begins_sentence(link) else "chapter"
                text = f"{word}\N{NO-BREAK SPACE}{number}"
            link["refexplicit"] = True
            link.clear()
            link += nodes.inline(text, text)


class FigureReferences(SphinxPostTransform):
    """Resolve ``{fig}`` to a link that names the figure by its number."""

    default_priority = 5

    def run(self, **kwargs: Any) -> None:
        """Replace each such reference."""
        for link in list(self.document.findall(addnodes.pending_xref)):
            if link.get("refdomain") != "book":
                continue
            name, here = link["reftarget"], self.env.docname
            places = _known(self.env).get(name, ())
            same = [place for place in places if place[0] == here]
            if len(same or places) != 1:
                LOG.warning("no single figure is named %s", name)
                link.replace_self(nodes.Text(name))
                continue
            ((page, count),) = same or places
            text = f"figure\N{NO-BREAK SPACE}{_label(self.env, page, count)}"
            if begins_sentence(link):
                text = text.capitalize()
            builder = self.app.builder
            target = (
                "" if page == here else builder.get_relative_uri(here, page)
            )
            link.replace_self(
                nodes.reference(
                    "", text, internal=True, refuri=f"{target}#fig-{name}"
                )
            )


def _label(env: Any, page: str, count: int) -> str:
    chapter = chapter_of(env, page)
    return f"{chapter}.{count}" if chapter else f"{count}"


def _number_figures(app: Any, tree: nodes.document, page: str) -> None:
    if app.builder.format != "html":
        return
    for count, (_, node) in enumerate(figures(tree), 1):
        label = f"Figure {_label(app.env, page, count)}"
        _write(node, numbered(node.astext(), label))
    labs = [
        n for n in tree.findall(nodes.raw) if LABORATORY.search(n.astext())
    ]
    chapter = chapter_of(app.env, page)
    for count, node in enumerate(labs if chapter else [], 1):
        number = f"{chapter}.{count}" if len(labs) > 1 else f"{chapter}"
        _write(node, LABORATORY.sub(rf"\1 {number}</span>", node.astext()))


def _write(node: nodes.raw, html: str) -> None:
    node.clear()
    node += nodes.Text(html)


def figure_role(
    name: str, raw: str, text: str, line: int, inliner: Any, *_: Any
) -> tuple[list[nodes.Node], list[nodes.Node]]:
    """Read ``{fig}`name```."""
    page = inliner.document.settings.env.docname
    link = addnodes.pending_xref(
        raw, refdomain="book", reftype="fig", reftarget=text, refdoc=page
    )
    return [link], []


def setup(app: Any) -> dict[str, Any]:
    """Register with Sphinx."""
    app.add_role("fig", figure_role)
    app.add_post_transform(ChapterReferences)
    app.add_post_transform(FigureReferences)
    # After the contents have come from _toc.yml, and before they are kept.
    app.connect("doctree-read", _count_figures, priority=600)
    app.connect("env-purge-doc", _forget)
    app.connect("env-merge-info", _merge)
    app.connect("doctree-resolved", _number_figures)
    return {
        "env_version": 1,
        "parallel_read_safe": True,
        "parallel_write_safe": True,
    }
