"""What a link to the book shows elsewhere, and where a wrong one leads.

Titles, descriptions, addresses and pictures come from sphinxext-opengraph; a
chapter's description is the question that the front page gives it. The root
of the site is the front page itself, and 404.html leads back to it.
"""

import html
import re
from pathlib import Path, PurePosixPath
from posixpath import normpath
from typing import Any
from urllib.parse import urlsplit

import sphinxext.opengraph
from docutils import nodes

QUESTION = re.compile(r"^\| \[\]\(([\w-]+)\) \| (.*\?) \|$", re.M)
RELATIVE = re.compile(
    r'(?<=\s)((?:href|src|action|data-content_root)=")'
    r'(?!https?:|#|data:|mailto:|/)([^"]*)"'
)
DEFAULT = sphinxext.opengraph.get_description

NOT_FOUND = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<title>Page not found \u2013 {title}</title>
<style>
:root {{ color-scheme: light dark; }}
body {{ max-width: 36rem; margin: 18vh auto 0; padding: 0 1.2rem;
  font: 1.0625rem/1.6 system-ui, sans-serif; }}
input {{ font: inherit; padding: 0.4rem 0.6rem; }}
</style>
</head>
<body>
<main>
<h1>This page does not exist</h1>
<p>Chapters may have moved since the link was made. The
<a href="{root}book/index.html">front page</a> lists them all.</p>
<form action="{root}search.html" role="search">
<label>Or search the book: <input type="search" name="q"></label>
</form>
</main>
</body>
</html>
"""


def questions(front: str) -> dict[str, str]:
    """Return what the front page asks for each chapter."""
    return dict(QUESTION.findall(front))


def moved(page: str, folder: str) -> str:
    """Return a page of a folder with its addresses as the root needs them."""

    def address(match: re.Match[str]) -> str:
        path, mark, rest = re.fullmatch(
            r"([^?#]*)([?#]?)(.*)", match[2], re.S
        ).groups()
        if not path:
            return match[0]
        new = normpath(str(PurePosixPath(folder) / path))
        new += "/" if path.endswith("/") else ""
        return f'{match[1]}{"./" if new == "./" else new}{mark}{rest}"'

    return RELATIVE.sub(address, page)


def _describe(tree: nodes.document, length: int, titles: Any) -> str:
    found = tree.get("question") or DEFAULT(tree, length, titles)
    return re.sub(r"\s*\[\s+", " [", found)  # of citations


def _ask(app: Any, page: str, template: str, context: Any, tree: Any) -> None:
    front = Path(app.srcdir, "book/index.md")
    if tree is not None and front.exists():
        asked = questions(front.read_text())
        if page == app.config.root_doc:
            context["docstitle"] = ""  # its title is the book's already
        own = app.env.metadata.get(page, {}).get("description", "")
        tree["question"] = asked.get(PurePosixPath(page).name, own)


def _write_doors(app: Any, error: Any) -> None:
    """Write the root page and the page for addresses that do not exist."""
    if error is not None or app.builder.name != "html":
        return
    out, first = Path(app.outdir), app.config.root_doc
    front = out / f"{first}.html"
    if front.exists() and "/" in first:
        page = moved(front.read_text(), str(PurePosixPath(first).parent))
        (out / "index.html").write_text(page)
    root = urlsplit(app.config.html_baseurl).path or "/"
    title = html.escape(app.config.html_title)
    (out / "404.html").write_text(NOT_FOUND.format(title=title, root=root))


def setup(app: Any) -> dict[str, bool]:
    """Register with Sphinx."""
    app.setup_extension("sphinxext.opengraph")
    sphinxext.opengraph.get_description = _describe
    app.connect("html-page-context", _ask, priority=100)
    # After the contents, which lead the root elsewhere.
    app.connect("build-finished", _write_doors, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
