"""On paper a page is black on white, whichever theme it was printed from, and its laboratories are stills."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module", params=["light", "dark"])
def printed(request, browser, site):
    context = browser.new_context(viewport={"width": 700, "height": 990}, color_scheme=request.param)
    context.route(lambda url: not url.startswith(site), lambda route: route.abort())
    page = context.new_page()
    page.goto(f"{site}/book/07-parallel-block.html")
    page.evaluate("theme => { document.documentElement.dataset.theme = theme; }", request.param)
    page.emulate_media(media="print", color_scheme=request.param)
    yield page
    context.close()


def test_text_is_black_on_white(printed):
    colours = printed.evaluate(
        """() => [...document.querySelectorAll('article, article *')]
        .filter(e => e.checkVisibility() && !e.closest('svg'))
        .flatMap(e => { const s = getComputedStyle(e); return [s.color, s.backgroundColor]; })"""
    )
    assert set(colours) == {"rgb(0, 0, 0)", "rgba(0, 0, 0, 0)"}
    assert printed.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    inks = printed.locator("article figure svg").evaluate_all("all => all.map(e => getComputedStyle(e).color)")
    assert set(inks) == {"rgb(0, 0, 0)"}


def test_an_equation_stays_with_its_number(printed):
    kept = printed.locator("article div.math").evaluate_all("all => all.map(e => getComputedStyle(e).breakInside)")
    assert len(kept) > 5
    assert set(kept) == {"avoid"}


def test_a_laboratory_is_a_still_with_the_address_of_the_live_one(printed):
    assert printed.locator(".ode-explore svg").first.is_visible()
    assert printed.locator(".ode-explore :is(input, summary):visible").count() == 0
    address = printed.locator("p.on-paper").first
    assert address.is_visible()
    assert address.inner_text().endswith("/book/07-parallel-block.html#lab-race")


def test_nothing_to_click_is_printed(printed):
    assert printed.locator("button:visible, details.folded:visible, .bd-sidebar:visible").count() == 0
    assert printed.locator("article h1:visible").count() == 1


PAGE = """<!DOCTYPE html><html><head><script>
window.MathJax = {{ startup: {{ promise: Promise.resolve() }} }};  // mathjax
window.setFormulas = () => MathJax.startup.promise;
</script></head><body><article class="bd-article"><h1 id="top">{title}</h1>{body}</article></body></html>"""


@pytest.mark.slow
def test_the_book_becomes_one_pdf_with_outline_and_links(tmp_path, chromium_path):
    (tmp_path / "_toc.yml").write_text("root: index\nparts:\n  - chapters:\n      - file: one\n")
    unseen = '<div class="claims">unseen</div><a href="one.html#top">there</a><a href="https://a.b/c">away</a>'
    (tmp_path / "index.html").write_text(PAGE.format(title="First", body=unseen))
    (tmp_path / "one.html").write_text(PAGE.format(title="Second", body='<a href="index.html">back</a>'))
    out = tmp_path / "made/book.pdf"
    command = [sys.executable, str(ROOT / "book/_extensions/paper.py"), str(tmp_path), str(out)]
    environment = {**os.environ, "ODELIB_CHROMIUM": chromium_path}
    subprocess.run([*command, "--toc", str(tmp_path / "_toc.yml")], check=True, env=environment)
    pdf = out.read_bytes()
    assert pdf.startswith(b"%PDF")
    assert len(re.findall(rb"/Type /Page\b", pdf)) == 2
    assert b"/Outlines" in pdf
    assert len(re.findall(rb"/Dest ?/[\w-]+|/Dest ?\(", pdf)) >= 2
    assert re.findall(rb"/URI \((.*?)\)", pdf) == [b"https://a.b/c"]
    assert sorted(path.name for path in tmp_path.glob("*.html")) == ["index.html", "one.html"]
