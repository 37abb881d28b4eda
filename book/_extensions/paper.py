"""The whole book as one PDF: ``python book/_extensions/paper.py _build/html book.pdf``.

The built pages are put together as one page, whose links lead within it, and
printed by Chromium: with an outline, page numbers, and formulas as MathJax
sets them. MathJax is read from a folder if one is given, else from its CDN.
"""

import argparse
import functools
import http.server
import os
import re
import shutil
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from posixpath import dirname, join, normpath

import yaml

ARTICLE = re.compile(r'<article class="bd-article">(.*)</article>', re.S)
SCRIPT = re.compile(r"<script(?![^>]*mathjax)\b.*?</script>", re.S | re.I)
SCRIPTS = re.compile(r"<script\b.*?</script>", re.S)
NEEDED = re.compile(r"mathjax|book\.js", re.I)
IDS = re.compile(
    r'(?<=[\s<])(id|for|aria-labelledby|popovertarget|name)="([^"]+)"'
)
WITHIN = re.compile(r'((?:xlink:)?href=")#([^"]*)"|url\(#([^)]+)\)')
LINK = re.compile(r'(<a\b[^>]*?\shref=")(?!https?:|mailto:|#)([^"]*)"')
SOURCE = re.compile(r'(\ssrc=")(?!https?:|data:)([^"]*)"')
BROWSERS = ("google-chrome", "chromium", "chromium-browser", "chrome")
# What paper does not show, and the colours of code, are half of all elements.
PRUNE = """() => {
  const unseen = ".claims, details.folded, button, script, .headerlink, noscript";
  document.querySelectorAll(`article :is(${unseen})`).forEach(e => e.remove());
  document.querySelectorAll("article pre > span[class^=i]")
    .forEach(line => line.replaceChildren(line.textContent));
}"""
FOOTER = (
    '<div style="width:100%;font-size:8pt;text-align:center">'
    '<span class="pageNumber"></span></div>'
)


def pages(toc: Path) -> list[str]:
    """Return the pages of the book in the order of its contents."""

    def files(entries: list[dict]) -> Iterator[str]:
        for entry in entries:
            yield entry["file"]
            yield from files(entry.get("sections", []))

    read = yaml.safe_load(toc.read_text())
    chapters = [c for part in read["parts"] for c in part["chapters"]]
    return [read["root"], *files(chapters)]


def within(body: str, page: str, names: list[str]) -> str:
    """Return the body of a page with ids and links as one big page needs."""
    mark = page.replace("/", "-")
    body = SCRIPT.sub("", body)
    body = IDS.sub(lambda m: f'{m[1]}="{_marked(m[2], mark)}"', body)

    def own(m: re.Match[str]) -> str:
        if m[1]:
            return f'{m[1]}#{mark}--{m[2]}"' if m[2] else f'{m[1]}#{mark}"'
        return f"url(#{mark}--{m[3]})"

    def other(m: re.Match[str]) -> str:
        path, _, anchor = m[2].partition("#")
        target = normpath(join(dirname(page), path)).removesuffix(".html")
        if target not in names:
            return m[0]
        there = target.replace("/", "-") + (f"--{anchor}" if anchor else "")
        return f'{m[1]}#{there}"'

    def source(m: re.Match[str]) -> str:
        return f'{m[1]}{normpath(join(dirname(page), m[2]))}"'

    # Links to other pages last: what they become begins with # as well.
    body = LINK.sub(other, WITHIN.sub(own, body))
    body = SOURCE.sub(source, body)
    return f'<section class="page" id="{mark}">{body}</section>'


def _marked(ids: str, mark: str) -> str:
    return " ".join(f"{mark}--{one}" for one in ids.split())


def together(html: Path, names: list[str]) -> str:
    """Return all pages as one."""
    first = (html / f"{names[0]}.html").read_text()
    depth = "../" * names[0].count("/")
    head = first[first.index("<head>") : first.index("</head>")]
    head = head.replace(f'"{depth}_static', '"_static')
    head = SCRIPTS.sub(lambda m: m[0] if NEEDED.search(m[0]) else "", head)
    bodies = [
        within(
            ARTICLE.search((html / f"{name}.html").read_text())[1],
            name,
            names,
        )
        for name in names
    ]
    return (
        f'<!DOCTYPE html><html lang="en" data-theme="light">{head}'
        "<style>.page{break-before:page}.page:first-child{break-before:auto}"
        "</style></head><body><main class='bd-main'><article class='bd-article'>"
        f"{''.join(bodies)}</article></main></body></html>"
    )


def print_pdf(html: Path, one: Path, out: Path, mathjax: Path | None) -> None:
    """Print a page of the site to a PDF."""
    from playwright.sync_api import sync_playwright

    found = os.environ.get("ODELIB_CHROMIUM") or next(
        filter(None, map(shutil.which, BROWSERS)), None
    )
    if not found:
        raise SystemExit(
            "no Chromium on the path: install one to print the book"
        )
    root = getattr(os, "geteuid", lambda: 1)() == 0 or "CI" in os.environ
    handler = functools.partial(Quiet, directory=str(html))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    site = f"http://127.0.0.1:{server.server_port}"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=found, args=["--no-sandbox"] if root else []
        )
        page = browser.new_page(viewport={"width": 720, "height": 1000})
        page.set_default_timeout(900_000)
        if mathjax:
            page.route(
                re.compile(r"https://cdn\.jsdelivr\.net/npm/mathjax@.*"),
                lambda route: route.fulfill(
                    path=mathjax
                    / re.split(r"mathjax@[\d.]+/", route.request.url)[1]
                ),
            )
        page.goto(f"{site}/{one.name}")
        page.evaluate("() => setFormulas()")
        if not page.evaluate("() => !!MathJax.startup?.promise"):
            sys.exit(
                "MathJax did not load from its CDN, and the formulas need it: "
                "connect to the network, or give the folder of npm's package "
                "(--mathjax node_modules/mathjax)"
            )
        page.evaluate(PRUNE)
        page.pdf(
            path=str(out),
            format="A4",
            outline=True,
            tagged=True,
            print_background=True,
            display_header_footer=True,
            header_template="<span></span>",
            footer_template=FOOTER,
            margin={
                "top": "16mm",
                "bottom": "18mm",
                "left": "16mm",
                "right": "16mm",
            },
        )
        browser.close()
    server.shutdown()


class Quiet(http.server.SimpleHTTPRequestHandler):
    """A server that says nothing."""

    def log_message(self, *args: object) -> None:
        """Say nothing."""


def main() -> None:
    """Read the command line and print the book."""
    parser = argparse.ArgumentParser(
        description="Print the built book as one PDF."
    )
    parser.add_argument("html", type=Path, help="folder of the built book")
    parser.add_argument("out", type=Path, help="the PDF to write")
    parser.add_argument("--toc", type=Path, default=Path("_toc.yml"))
    parser.add_argument(
        "--mathjax", type=Path, help="folder of MathJax's package"
    )
    given = parser.parse_args()
    given.out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(
        "w", dir=given.html, suffix=".html"
    ) as one:
        one.write(together(given.html, pages(given.toc)))
        one.flush()
        print_pdf(given.html, Path(one.name), given.out, given.mathjax)


if __name__ == "__main__":
    main()
