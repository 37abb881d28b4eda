"""The checks of the book catch what they are there to catch."""

import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).parents[2]
SANITIZE = ROOT / "tests/book/nbval_sanitize.cfg"


def output(text):
    return nbformat.v4.new_output("stream", name="stdout", text=text)


def chapter():
    """A chapter of three cells with its outputs, as a run leaves them."""
    cell = nbformat.v4.new_code_cell
    cells = [
        cell("errors = [0.1 * 2**-k for k in range(5)]", execution_count=1),
        cell("ratio = errors[0] / errors[1]\nassert ratio > 1.9", execution_count=2),
        cell("print(f'ratio {ratio:.2f}')", execution_count=3, outputs=[output("ratio 2.00\n")]),
    ]
    return nbformat.v4.new_notebook(cells=cells)


def nbval(notebook, folder):
    nbformat.write(notebook, folder / "chapter.ipynb")
    command = [sys.executable, "-m", "pytest", "chapter.ipynb", "--nbval", "--nbval-current-env", "-q"]
    command += ["--nbval-sanitize-with", str(SANITIZE), "-p", "no:cacheprovider"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True)


def test_nbval_accepts_a_true_chapter(tmp_path):
    run = nbval(chapter(), tmp_path)
    assert run.returncode == 0, run.stdout
    assert "3 passed" in run.stdout


def test_nbval_finds_a_planted_error(tmp_path):
    planted = chapter()
    planted.cells[1].source = planted.cells[1].source.replace("1.9", "2.1")
    run = nbval(planted, tmp_path)
    assert run.returncode == 1
    assert "AssertionError" in run.stdout


def test_nbval_finds_a_changed_number(tmp_path):
    planted = chapter()
    planted.cells[2].outputs = [output("ratio 1.98\n")]
    run = nbval(planted, tmp_path)
    assert run.returncode == 1
    assert "1.98" in run.stdout
    assert "1 failed, 2 passed" in run.stdout


def build(folder, page):
    """Build a book of one page with the book's own configuration and bibliography."""
    book = folder / "book"
    book.mkdir()
    for needed in ("_static", "_extensions"):
        shutil.copytree(ROOT / "book" / needed, book / needed)
    shutil.copy(ROOT / "book/references.bib", book)
    shutil.copy(ROOT / "_config.yml", folder)
    (folder / "_toc.yml").write_text("format: jb-book\nroot: book/index\n")
    (book / "index.md").write_text(page)
    command = [str(Path(sys.executable).with_name("jupyter-book")), "build", str(folder), "-W", "--keep-going"]
    return subprocess.run(command, capture_output=True, text=True)


@pytest.mark.parametrize(("key", "status"), [("zhong2022neural", 0), ("zhong2022neutral", 1)])
def test_build_finds_a_broken_citation(tmp_path, key, status):
    run = build(tmp_path, f"# One page\n\nAs {{cite:t}}`{key}` show.\n\n```{{bibliography}}\n```\n")
    assert run.returncode == status, run.stderr
    assert ("could not find bibtex key" in run.stderr) == bool(status)
