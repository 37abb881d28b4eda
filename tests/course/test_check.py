"""``odelib check``: what is answered, what is right, what is missing and why."""

import json

import pytest
from hostile import notebook

from odelib.cli import main
from odelib.course.check import asked_in, check_notebook
from odelib.course.sandbox import find

EULER = "def euler_steps(F, x, h, steps):\n    for n in range(steps):\n        x = x + h * F(n * h, x)\n    return x\n"


def test_the_exercises_that_cells_ask_for():
    cells = [
        "x = 1",
        "check('a', x)\ncheck('b', 2)",
        "def (:",
        "teaching.check('a', 3)",
        "check(name, 4)",
        "# check('c')",
    ]
    assert asked_in(cells) == {"a": 4, "b": 2}


@pytest.mark.slow
def test_a_chapter_with_answers(tmp_path, capsys):
    path = tmp_path / "chapter.ipynb"
    cells = [
        "from odelib.teaching import check",
        EULER + "check('euler-step', euler_steps)",
        "check('merging-step', (0.4, 6))",
    ]
    path.write_bytes(notebook(*cells, "check('half-turn', around)", "1 / 0"))
    assert main(["check", str(path)]) == 0
    said = capsys.readouterr().out
    result = json.loads((tmp_path / "chapter.check.json").read_text())
    states = {one["name"]: one["state"] for one in result["exercises"]}
    assert states == {"euler-step": "correct", "merging-step": "wrong", "half-turn": "wrong", "deeper": "missing"}
    assert [about["cell"] for about in result["cells_with_errors"]] == [4]
    assert "NameError: name 'around' is not defined" in said
    assert "swaps the points" in said
    assert "1 correct, 2 wrong, 1 missing" in said


@pytest.mark.nightly
def test_a_chapter_that_ends_itself_or_does_not_end(tmp_path):
    path = tmp_path / "chapter.ipynb"
    first = ["from odelib.teaching import check", "check('euler-step', ...)"]
    for cell, why in (
        ("import os; os._exit(1)", "has ended at its code cell 3"),
        ("while True: pass", "stops with it did not end"),
    ):
        path.write_bytes(notebook(*first, f"{cell}\ncheck('half-turn', 1)"))
        answers, _ = check_notebook(path, find(unsafe=True), 5)
        assert [answer.state for answer in answers[:1]] == ["unanswered"]
        assert why in answers[1].why


def test_a_notebook_without_exercises(tmp_path, capsys):
    path = tmp_path / "other.ipynb"
    for content, said in ((notebook("x = 1"), "has no exercise in it"), (b"{", "not JSON")):
        path.write_bytes(content)
        assert main(["check", str(path)]) == 2
        assert said in capsys.readouterr().err
    assert main(["check", str(tmp_path / "none.ipynb")]) == 2
    assert not list(tmp_path.glob("*.json"))
