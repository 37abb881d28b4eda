"""Buttons that open a chapter as a notebook lead to its edition for there.

``make notebooks`` writes the editions, and they are published on the branch
``notebooks``. As long as the repository has no address the buttons say so.
What the download button brings lies beside the pages.
"""

import json
import re
from pathlib import Path
from typing import Any

from editions import edition
from plain_markdown import Book, NotExecutedError

BRANCH = "notebooks"
MISSING = "needs the repository's address: run make address TO=owner/name"
HOSTS = {"colab.research.google.com": "colab", "mybinder.org": "jupyter"}
GITHUB = re.compile(r"https://github\.com/([\w-]+)/([\w.-]+)")


def led(button: dict[str, Any], page: str, repository: str) -> dict[str, Any]:
    """Return a button as it is to be: to the edition, or saying what is missing."""
    host = re.match(r"https://([^/]+)/", button.get("url", ""))
    edition = HOSTS.get(host[1]) if host else None
    if edition is None:
        return button
    if "OWNER" in repository:
        said = f"{button['text']} {MISSING}"
        return {
            **{k: v for k, v in button.items() if k != "url"},
            "type": "javascript",
            "javascript": f"alert('{said}')".replace(
                "repository's", "repository\\'s"
            ),
            "text": f"{button['text']} (no address yet)",
            "tooltip": said,
        }
    owner, name = GITHUB.fullmatch(repository).groups()
    file = f"{edition}/{page.rsplit('/', 1)[-1]}.ipynb"
    where = {
        "colab": f"https://{host[1]}/github/{owner}/{name}/blob/{BRANCH}/{file}",
        "jupyter": f"https://{host[1]}/v2/gh/{owner}/{name}/{BRANCH}"
        f"?urlpath=lab/tree/{file}",
    }
    return {**button, "url": where[edition]}


def _lead(
    app: Any, page: str, template: str, context: Any, tree: Any
) -> None:
    repository = app.config.html_theme_options.get("repository_url", "")
    for group in context.get("header_buttons", []):
        if group.get("label") == "launch-buttons":
            group["buttons"] = [
                led(button, page, repository) for button in group["buttons"]
            ]


def _write_downloads(app: Any, error: Any) -> None:
    """Put the edition for Jupyter where the download button leads."""
    if error is not None or app.builder.name != "html":
        return
    book = Book(Path(app.srcdir))
    for path in book.notebooks:
        source = Path(app.outdir, "_sources/book", path.name)
        try:
            made = json.dumps(edition(path, book, "jupyter"), indent=1)
        except NotExecutedError:  # its author is at work on it
            continue
        if source.exists():
            source.write_text(made + "\n")


def setup(app: Any) -> dict[str, bool]:
    """Register with Sphinx, after the theme has made its buttons."""
    app.connect("html-page-context", _lead, priority=900)
    app.connect("build-finished", _write_downloads)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
