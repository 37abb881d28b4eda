"""The checks of the book catch what they are there to catch."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]


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


@pytest.fixture
def check(nbval, plain, tmp_path):
    """Write a notebook, run nbval over it, and return the process and the notebook as executed, if it was kept."""

    def run(notebook):
        nbformat.write(notebook, tmp_path / "chapter.ipynb")
        finished, executed = nbval(tmp_path / "chapter.ipynb", {**os.environ, "PYTHONPATH": str(plain)})
        return finished, nbformat.read(executed, 4) if executed.exists() else None

    return run


def test_nbval_accepts_a_true_chapter_and_keeps_what_it_executed(check):
    shown = chapter()
    shown.cells += [
        nbformat.v4.new_code_cell("print('one', flush=True)\nprint('two')\ndisplay(3)\nprint('four')\n5"),
        nbformat.v4.new_markdown_cell("The end."),
    ]
    shown.cells[3].metadata.tags = ["nbval-ignore-output"]
    run, executed = check(shown)
    assert run.returncode == 0, run.stdout
    assert "4 passed" in run.stdout
    assert [cell.source for cell in executed.cells] == [cell.source for cell in shown.cells]
    assert executed.cells[2].outputs == [output("ratio 2.00\n")]
    kinds = [(out.output_type, out.get("text") or out.data["text/plain"]) for out in executed.cells[3].outputs]
    assert kinds == [
        ("stream", "one\ntwo\n"),
        ("display_data", "3"),
        ("stream", "four\n"),
        ("execute_result", "5"),
    ]
    assert [cell.execution_count for cell in executed.cells[:4]] == [1, 2, 3, 4]


def test_nbval_finds_a_planted_error(check):
    planted = chapter()
    planted.cells[1].source = planted.cells[1].source.replace("1.9", "2.1")
    run, executed = check(planted)
    assert run.returncode == 1
    assert "AssertionError" in run.stdout
    assert executed is None


def test_nbval_finds_a_changed_number(check):
    planted = chapter()
    planted.cells[2].outputs = [output("ratio 1.98\n")]
    run, executed = check(planted)
    assert run.returncode == 1
    assert "1.98" in run.stdout
    assert "1 failed, 2 passed" in run.stdout
    assert executed is None


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


@pytest.mark.parametrize(("line", "passes"), [("0.5 ms on this machine, below 10⁻¹²", True), ("below 10⁻¹¹", False)])
def test_nbval_leaves_a_machine_its_own_rounding_and_times(check, line, passes):
    shown = chapter()
    shown.cells[2].source = "from odelib.teaching import claim\nclaim('gap', 7e-17, below=1e-12, digits=None)"
    glued = {"application/papermill.record/text/plain": repr("10⁻¹²")}
    name = {"scrapbook": {"name": "gap", "mime_prefix": "application/papermill.record/"}}
    shown.cells[2].outputs = [
        output(f"claim gap: {line}: holds\n"),
        nbformat.v4.new_output("display_data", data=glued, metadata=name),
    ]
    run, _ = check(shown)
    assert (run.returncode == 0) == passes, run.stdout
