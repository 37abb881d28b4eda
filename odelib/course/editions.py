"""From a master to the notebooks of students and teachers, by Otter's ``assign``."""

import ast
import contextlib
import copy
import io
import logging
import re
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import nbformat

from odelib.course.masters import Cell, Master, Test, is_parameters, is_settings
from odelib.install import REPOSITORY

_INSTALL = f"""\
try:
    import odelib
except ModuleNotFoundError:  # in Colab; torch and numpy stay as they are
    %pip install -q git+{REPOSITORY}
    import odelib

from odelib.course.running import try_out"""

_PYTHON = {
    "kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"},
    "language_info": {"name": "python"},
}


def editions(master: Master) -> tuple[Cell, Cell]:
    """The notebooks of students and of teachers, with the public parameters.

    Otter takes the solutions out. Two things are done without it: a check stands in the notebook as code, for in Colab
    Otter cannot read the tests in a notebook's metadata and would have to be installed; and a first cell brings
    odelib.
    """
    from otter.assign import main as assign

    notebook = copy.deepcopy(master.notebook)
    notebook.cells = [cell for cell in notebook.cells if not is_settings(cell)]
    notebook.metadata = nbformat.from_dict(_PYTHON)
    with TemporaryDirectory() as temporary:
        path = Path(temporary) / f"{master.name}.ipynb"
        nbformat.write(notebook, path)
        logging.getLogger("otter").setLevel(logging.ERROR)
        try:
            with contextlib.redirect_stdout(io.StringIO()):
                assign(str(path), str(path.parent / "dist"), no_pdfs=True, no_run_tests=True)
        except Exception as error:  # of many kinds; Otter asserts, too
            raise ValueError(
                f"master {master.path.name}: Otter refuses it ({type(error).__name__}: {error})"
            ) from error
        made = [nbformat.read(path.parent / "dist" / who / path.name, 4) for who in ("student", "autograder")]
    for notebook, hidden in zip(made, (False, True), strict=True):
        _finish(notebook, master, hidden)
    return made[0], made[1]


def with_parameters(notebook: Cell, parameters: Mapping[str, Any]) -> str:
    """The text of a notebook with a student's parameters in place of the public ones."""
    own = copy.deepcopy(notebook)
    (cell,) = (cell for cell in own.cells if is_parameters(cell))
    lines = "".join(f"    {name!r}: {value!r},\n" for name, value in parameters.items())
    cell.source = f"# Your own: the grader computes with the same, whatever stands here.\nparameters = {{\n{lines}}}"
    return str(nbformat.writes(own)) + "\n"


def _finish(notebook: Cell, master: Master, hidden: bool) -> None:
    """Put checks where Otter would be called, the first cell in front, and take out all that nobody reads."""
    tests = {question.name: question.tests for question in master.questions}
    cells = [nbformat.v4.new_code_cell(text) for text in (_INSTALL, *([master.helpers] if hidden else []))]
    for cell in notebook.cells:
        if cell.cell_type == "code" and cell.source.startswith("grader.check("):
            shown = [test for test in tests[cell.source.split('"')[1]] if hidden or not test.hidden]
            cells += [nbformat.v4.new_code_cell(_check(test)) for test in shown]
        else:
            cell.source = re.sub(r"<!-- (BEGIN|END) QUESTION -->\n*", "", cell.source)
            cells += [cell] if cell.source else []
    for number, cell in enumerate(cells):
        kept = ["parameters"] if is_parameters(cell) else []
        cell.metadata = nbformat.from_dict({"tags": kept} if kept else {})
        cell.id = f"cell-{number}"
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
            _expect_whole(cell.source, master)
    notebook.cells = cells
    notebook.metadata = nbformat.from_dict(_PYTHON)
    notebook.nbformat_minor = 5


def _expect_whole(source: str, master: Master) -> None:
    """Refuse a cell that is no Python once the solution is out of it."""
    try:
        ast.parse(source.replace("%pip", "# %pip"))
    except SyntaxError as error:
        raise ValueError(
            f"master {master.path.name}: without the solution a cell is no Python any more, {source[-60:]!r}: "
            "a line that ends in # SOLUTION must be whole, for more use # BEGIN SOLUTION and # END SOLUTION"
        ) from error


def _check(test: Test) -> str:
    return f"{test.source}\n\n\ntry_out({test.name}, globals())"
