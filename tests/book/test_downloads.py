"""What readers take away: a copy of the pages that opens from a folder, and links that lead to what is there."""

import re
import sys
import zipfile
from importlib import import_module
from pathlib import Path

import pytest

from odelib import __version__

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "book/_extensions"))
downloads = import_module("downloads")
LINKS = {"transformers-as-odes.pdf", "jupyter.zip", "student.zip", "offline.zip"}


def run(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["downloads.py", *map(str, arguments)])
    downloads.main()


@pytest.fixture
def built(tmp_path):
    """A built book of two pages, and a folder with MathJax."""
    html, mathjax = tmp_path / "html", tmp_path / "mathjax"
    (html / "book").mkdir(parents=True)
    (mathjax / "es5").mkdir(parents=True)
    (mathjax / "es5" / downloads.SCRIPT).write_text("mathjax")
    script = '<script src="https://cdn.jsdelivr.net/npm/mathjax@3.2.2/es5/startup.js"></script>'
    line = re.search(r"<p class=\"downloads\".*?</p>", (ROOT / "book/index.md").read_text(), re.S)[0]
    (html / "book/index.html").write_text(script + line)
    (html / "index.html").write_text(script + line.replace("../", ""))
    return html, mathjax


def test_links_are_shown_when_they_lead_somewhere(built, tmp_path, monkeypatch):
    html, mathjax = built
    files = [tmp_path / name for name in LINKS - {"offline.zip"}]
    for file in files:
        file.write_text("content")
    assert 'class="downloads" hidden' in (html / "book/index.html").read_text()
    for _ in range(2):  # once more is the same
        run(monkeypatch, html, *files, "--mathjax", mathjax)
        for page in (html / "index.html", html / "book/index.html"):
            assert "hidden" not in page.read_text()
            links = re.findall(r'href="([^"]*)"', page.read_text())
            assert {Path(link).name for link in links} == LINKS
            assert all((page.parent / link).exists() for link in links)


def test_the_copy_asks_nothing_of_the_network(built, tmp_path, monkeypatch):
    html, mathjax = built
    run(monkeypatch, html, mathjax / "es5" / downloads.SCRIPT, "--mathjax", mathjax)
    with zipfile.ZipFile(html / "downloads/offline.zip") as pack:
        pack.extractall(tmp_path / "copy")
    for name, script in (("index.html", "_static/"), ("book/index.html", "../_static/")):
        page = (tmp_path / "copy/book" / name).read_text()
        assert f'src="{script}{downloads.SCRIPT}"' in page
        assert "https://" not in page
        assert 'class="downloads" hidden' in page  # where there are no downloads
    assert (tmp_path / "copy/book/_static" / downloads.SCRIPT).read_text() == "mathjax"
    assert not (tmp_path / "copy/book/downloads").exists()


def test_a_page_without_the_line_is_refused():
    with pytest.raises(SystemExit, match="no line of downloads"):
        downloads.shown("<p>Nothing</p>")


def test_the_copy_opens_from_a_folder(html, cdn, browser, tmp_path):
    mathjax = (cdn / "mathjax/es5" / downloads.SCRIPT).read_bytes()
    downloads.offline(html, mathjax, tmp_path / "offline.zip")
    with zipfile.ZipFile(tmp_path / "offline.zip") as pack:
        pack.extractall(tmp_path)
    context = browser.new_context(offline=True)
    page = context.new_page()
    asked, errors = [], []
    page.on("requestfailed", lambda request: asked.append(request.url))
    page.on("request", lambda request: asked.append(request.url) if request.url.startswith("http") else None)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto((tmp_path / "book/index.html").as_uri())
    page.locator("article a[href$='07-parallel-block.html']").first.click()
    page.wait_for_function("window.MathJax?.startup?.promise")
    page.evaluate("setFormulas()")
    assert page.locator("article mjx-container svg").count() >= page.locator("article .math").count() > 10
    assert page.locator("mjx-merror, [data-mjx-error]").count() == 0
    assert page.locator(".ode-explore .explore-still svg").is_visible()  # a folder serves no modules
    page.goto(page.url.replace("07-parallel-block", "05-anatomy"))
    slider = page.locator(".ode-lab input[type=range]").first
    before = slider.get_attribute("aria-valuetext")
    slider.press("ArrowRight")
    assert slider.get_attribute("aria-valuetext") != before
    context.close()
    assert asked == errors == []


def test_what_is_new_begins_with_this_version():
    (version, *_) = re.findall(r"^## Version (.*)$", (ROOT / "book/whats-new.md").read_text(), re.M)
    assert __version__.startswith(f"{version}.")
    (logged, *_) = re.findall(r"^## \[(.*)\]", (ROOT / "CHANGELOG.md").read_text(), re.M)
    assert logged == __version__
