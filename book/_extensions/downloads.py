"""What a reader can take away: ``downloads.py _build/html FILE...``.

The files (the PDF, the notebooks) are put beside the pages, with a copy of the
pages for a computer without internet: MathJax is in it, as SVG, which needs no
fonts from elsewhere. Then the front page shows its links to them, which are
hidden as long as they would lead nowhere.
"""

import argparse
import re
import shutil
import urllib.request
import zipfile
from pathlib import Path

FOLDER, OFFLINE = "downloads", "offline.zip"
MATHJAX = re.compile(r'https://[^"]*/mathjax@[\d.]+/es5/(?=[\w-]+\.js")')
SCRIPT = "tex-mml-svg.js"
LINE = re.compile(r'(<p class="downloads") hidden(?:="hidden")?>')
LEFT_OUT = {FOLDER, "_sources", "404.html", "objects.inv"}
FRONT = ("index.html", "book/index.html")


def offline(html: Path, mathjax: bytes, out: Path) -> None:
    """Write a zip of the pages, which open from a folder as they are."""
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as pack:
        pack.writestr(f"book/_static/{SCRIPT}", mathjax)
        for file in sorted(html.rglob("*")):
            name = file.relative_to(html)
            if file.is_dir() or name.parts[0] in LEFT_OUT:
                continue
            where = f"book/{name.as_posix()}"
            if file.suffix == ".html":
                pack.writestr(where, at_home(file.read_text("utf-8"), name))
            else:
                pack.write(file, where)


def at_home(page: str, name: Path) -> str:
    """Return a page that takes MathJax from its own folder."""
    static = "../" * (len(name.parts) - 1) + "_static/"
    page = re.sub(rf"{MATHJAX.pattern}[\w-]+\.js", static + SCRIPT, page)
    return page.replace(
        '<p class="downloads">', '<p class="downloads" hidden>'
    )


def mathjax_of(html: Path, folder: Path | None) -> bytes:
    """Return MathJax in one file, from a folder or from where pages have it."""
    if folder is not None:
        return (folder / "es5" / SCRIPT).read_bytes()
    found = MATHJAX.search((html / FRONT[1]).read_text("utf-8"))
    if found is None:
        raise SystemExit(
            f"{html / FRONT[1]} names no MathJax: build the book first"
        )
    with urllib.request.urlopen(found[0] + SCRIPT, timeout=60) as answer:
        return answer.read()


def shown(page: str) -> str:
    """Return the front page with its links to what is there now."""
    page, count = LINE.subn(r"\1>", page)
    if not count and '<p class="downloads">' not in page:
        raise SystemExit("the front page has no line of downloads to show")
    return page


def main() -> None:
    """Read the command line, put the files in place and show the links."""
    parser = argparse.ArgumentParser(
        description="Put downloads beside the pages."
    )
    parser.add_argument("html", type=Path, help="folder of the built book")
    parser.add_argument(
        "files", type=Path, nargs="+", help="what to put there"
    )
    parser.add_argument(
        "--mathjax", type=Path, help="folder of MathJax's package"
    )
    given = parser.parse_args()
    folder = given.html / FOLDER
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for file in given.files:
        shutil.copy(file, folder)
    offline(
        given.html, mathjax_of(given.html, given.mathjax), folder / OFFLINE
    )
    for name in FRONT:
        page = given.html / name
        page.write_text(shown(page.read_text("utf-8")), "utf-8")


if __name__ == "__main__":
    main()
