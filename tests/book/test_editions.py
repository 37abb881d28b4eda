"""The editions outside the book say what the pages say, in plain Markdown, with the same code."""

import json
import re
import sys
import zipfile
from importlib import import_module
from pathlib import Path

import nbformat
import pytest
import yaml

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "book/_extensions"))
editions = import_module("editions")
launch = import_module("launch")
plain_markdown = import_module("plain_markdown")
BOOK = plain_markdown.Book(ROOT)
SPECIAL = re.compile(r"\{[a-z:]+\}`|^\s*(?:`{3,}|:{3,})\{|^:(?:label|class):|^\([\w-]+\)=$", re.M)


def sources(notebook, kind):
    return ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == kind]


@pytest.fixture(params=BOOK.notebooks, ids=lambda path: path.stem)
def path(request):
    return request.param


@pytest.mark.parametrize("kind", ["colab", "jupyter", "student"])
def test_no_role_and_no_directive_is_left(path, kind):
    for text in sources(editions.edition(path, BOOK, kind), "markdown"):
        assert SPECIAL.findall(text) == []


@pytest.mark.parametrize("kind", ["colab", "jupyter", "student"])
def test_the_code_is_the_source_s(path, kind):
    assert sources(editions.edition(path, BOOK, kind), "code") == sources(BOOK.notebooks[path], "code")


def test_links_between_chapters_need_no_network(path):
    texts = {kind: "\n".join(sources(editions.edition(path, BOOK, kind), "markdown")) for kind in ("colab", "jupyter")}
    chapter = re.compile(rf"\]\({re.escape(BOOK.address)}({'|'.join(BOOK.chapters)})\.html")
    assert len(chapter.findall(texts["colab"])) >= 3
    assert set(chapter.findall(texts["jupyter"])) <= {path.stem}  # the line that says whose edition this is
    linked = re.findall(r"\]\(([\w-]+)\.ipynb\)", texts["jupyter"])
    assert set(linked) <= set(BOOK.chapters) - {path.stem}
    assert linked


def test_the_student_edition_has_no_solution_and_no_output(path):
    text = "\n".join(sources(editions.edition(path, BOOK, "jupyter"), "markdown"))
    student = editions.edition(path, BOOK, "student")
    solutions = re.findall(r"<summary>Solution to .*?</details>", text, re.S)
    assert len(solutions) >= 3
    assert "Solution to" not in "\n".join(sources(student, "markdown"))
    assert [cell for cell in student["cells"] if cell.get("outputs")] == []


def test_figures_show_without_trust(path):
    kept = [o for cell in editions.edition(path, BOOK, "colab")["cells"] for o in cell.get("outputs", [])]
    pictures = [output for output in kept if "image/png" in output.get("data", {})]
    assert len(pictures) >= 3
    assert all("text/html" not in output["data"] for output in pictures)
    assert [output for output in kept if "scrapbook" in output.get("metadata", {})] == []
    below = [output["data"]["text/markdown"] for output in kept if "text/markdown" in output.get("data", {})]
    captions = [text for text in below if text.startswith("**Figure ")]
    number = BOOK.chapters[path.stem]
    assert [text.split(" ")[1] for text in captions] == [f"{number}.{i}.**" for i in range(1, len(captions) + 1)]
    assert len(captions) >= 2
    assert "<" not in "".join(re.sub(r"\$[^$]*\$", "", text) for text in captions)
    laboratories = [output for output in pictures if output["data"]["text/plain"].startswith("Laboratory: ")]
    assert sum(bool(re.match(r"\*\*Laboratory: [^*]+[?.]\*\* ", text)) for text in below) == len(laboratories) >= 1


def test_numbers_are_those_of_the_pages(html):
    for name, (shown, where) in BOOK.labels.items():
        if not name:
            continue
        page, anchor = where.removeprefix(BOOK.address).split("#")
        body = (html / "book" / page).read_text()
        found = re.search(rf'id="{re.escape(anchor)}".*?class="(?:eqno|caption-number)">(.*?)<', body, re.S)
        assert found, where
        assert found[1].strip().lower() == shown


@pytest.mark.parametrize("path", list(BOOK.notebooks), ids=lambda path: path.stem)
def test_the_download_is_the_edition_for_jupyter(html, path):
    (button,) = set(re.findall(r'href="([^"]*\.ipynb)"', (html / f"book/{path.stem}.html").read_text()))
    kept = json.loads((html / "book" / button).read_text())
    assert kept == editions.edition(path, BOOK, "jupyter")


def test_a_number_that_no_output_has_is_named():
    with pytest.raises(plain_markdown.NotExecutedError, match="no output has slope: execute the chapter"):
        plain_markdown.plain("{glue:text}`slope`", BOOK, {}, solutions=True)


def test_words_become_plain():
    number = BOOK.chapters["07-parallel-block"]
    text = (
        "(here)=\n## A\n\nIt is {glue:text}`slope` by {eq}`eq-ode` in {doc}`01-residual-euler`, "
        "see {cite:t}`chen2018` and others {cite:p}`chen2018,queiruga2020`.\n\n"
        "````{prf:theorem} A title\n:label: thm-agree\nSay {term}`field`.\n````\n\n"
        "````{solution} ex-fold-norm\n:class: dropdown\n```python\nx = 1\n```\n````\n"
    )
    said = plain_markdown.plain(text, BOOK, {"slope": "1.98"}, solutions=True)
    assert SPECIAL.findall(said) == []
    assert f"It is 1.98 by [({number}.5)](" in said
    assert "[chapter 1](" in said
    assert "[Chen et al. (2018)](https://" in said
    assert re.search(r"others \(\[Chen et al\., 2018\]\([^)]*\); \[Queiruga et al\., 2020\]\([^)]*\)\)\.", said)
    assert f"> **Theorem {number}.1 (A title).**\n>\n> Say [field](" in said
    assert re.search(rf"<details><summary>Solution to exercise {number}\.\d</summary>\n\n```python\nx = 1\n```", said)


def test_a_button_leads_to_the_edition_or_says_what_is_missing():
    colab = {"type": "link", "text": "Colab", "url": "https://colab.research.google.com/github/a/b/blob/main/x.ipynb"}
    there = launch.led(colab, "book/07-x", "https://github.com/a/b")
    assert there["url"] == "https://colab.research.google.com/github/a/b/blob/notebooks/colab/07-x.ipynb"
    nowhere = launch.led(colab, "book/07-x", "https://github.com/OWNER/b")
    assert "url" not in nowhere
    assert "run make address" in nowhere["tooltip"]
    other = {"type": "link", "text": "Repository", "url": "https://github.com/a/b"}
    assert launch.led(other, "book/07-x", "https://github.com/a/b") == other


@pytest.mark.parametrize("old", BOOK.moved)
def test_a_notebook_under_an_old_name_says_where_it_went(old):
    new = BOOK.moved[old]
    assert old not in BOOK.chapters
    assert BOOK.chapters[new]
    (cell,) = nbformat.reads(editions.pointer(new, BOOK), as_version=4).cells
    assert f"({new}.ipynb)" in cell.source
    assert f"{BOOK.address}{new}.html" in cell.source


def test_editions_are_zipped_and_binder_finds_odelib(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["editions.py", str(tmp_path / "out"), "--root", str(ROOT)])
    editions.main()
    with zipfile.ZipFile(tmp_path / "out/student.zip") as pack:
        assert pack.namelist() == [path.name for path in BOOK.notebooks]
    wanted = yaml.safe_load((tmp_path / "out/.binder/environment.yml").read_text())["dependencies"][-1]["pip"]
    assert f"odelib[book,text] @ git+{BOOK.repository}" in wanted
