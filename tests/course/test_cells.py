"""Notebooks as plain Python, cell by cell, whatever was handed in."""

import time

import pytest
from hostile import notebook

from odelib.course.cells import TooLong, code_cells, interruptible, plain, run_cells, time_limit
from odelib.teaching.notebook import FIRST_CELL


@pytest.mark.parametrize(
    ("source", "runs"),
    [
        ("x = 1", "x = 1\n"),
        ("%matplotlib inline\nx = 5 % 3", "pass\nx = 5 % 3\n"),
        ("if True:\n    !pip install x\n", "if True:\n    pass\n"),
        ("files = !ls", "pass\n"),
        ("%time y = f(2)", "y = f(2)\n"),
        ("%%time\nx = 1", "x = 1\n"),
        ("%%bash\nrm -rf /", ""),
        ("print?", "pass\n"),
        ("??torch.ones", "pass\n"),
        ("x = a[0] if a else b", "x = a[0] if a else b\n"),
    ],
)
def test_what_only_jupyter_knows_is_left_out(source, runs):
    assert plain(source) == runs


def test_the_first_cell_of_a_chapter_is_python():
    compile(plain(FIRST_CELL), "cell", "exec")


def test_an_error_ends_a_cell_and_not_the_next():
    cells = ["x = 1", "y = x + z", "w = x + 1", "def (:", "raise SystemExit", "display(w)"]
    names, failed = run_cells(code_cells(notebook(*cells)), 10)
    assert (names["x"], names["w"]) == (1, 2)
    assert {about["cell"]: about["error"].partition(":")[0] for about in failed} == {
        2: "NameError",
        4: "SyntaxError",
        5: "it ends the program",
    }


def test_a_loop_ends_and_later_cells_get_what_time_is_left():
    began = time.monotonic()
    names, failed = run_cells(["while True: pass", "import time; time.sleep(9)", "x = 1"], 0.9)
    assert names["x"] == 1
    assert [about["cell"] for about in failed] == [1, 2]
    assert time.monotonic() - began < 5


def test_what_a_cell_defines_can_be_looked_into():
    head = "from dataclasses import dataclass\n@dataclass\nclass A:\n    b: 'int' = 3\n"
    names, failed = run_cells([head + "def f():\n    return A()", "import inspect\ns = inspect.getsource(f)"], 10)
    assert failed == []
    assert names["s"] == "def f():\n    return A()"
    assert names["f"]().b == 3


def test_a_conversation_is_not_cut_but_ends_late():
    heard = []

    def converse():
        with time_limit(0.05):
            with interruptible(False):
                time.sleep(0.2)
                heard.append("all of it")
            heard.append("more")

    with pytest.raises(TooLong):
        converse()
    assert heard == ["all of it"]
