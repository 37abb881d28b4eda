"""The tests of the assignments are tested: right answers keep their points, wrong ones lose some."""

import inspect
import math
import re
import sys
from functools import cache
from itertools import pairwise
from pathlib import Path

import pytest
import torch

from odelib.course.autograder import describe, grader_text
from odelib.course.build import check_solution, default_dtype, run_solution
from odelib.course.cells import code_cells, run_cells
from odelib.course.editions import editions, with_parameters
from odelib.course.masters import read_master
from odelib.course.parameters import parameters_for

ROOT = Path(__file__).parents[2]
ASSIGNMENTS = ROOT / "book" / "assignments"
MASTERS = [path.stem for path in sorted(ASSIGNMENTS.glob("*.ipynb"))]
SECRET = b"the secret of the tests"
RIGHT, WRONG = 3, 8  # answers that each question needs


@cache
def master(name):
    return read_master(ASSIGNMENTS / f"{name}.ipynb")


@cache
def grader(name):
    names = {"__name__": "tests"}
    with default_dtype(torch.float32):  # tests may choose another
        exec(grader_text(master(name)), names)
    return names


@cache
def solved(name):
    return run_solution(master(name), parameters(name))


@cache
def parameters(name, student="a student"):
    return parameters_for(describe(master(name), SECRET, None), student, SECRET)


def answers(name):
    """What stands in answers/, as (question, right or wrong, label, code)."""
    text = (ASSIGNMENTS / "answers" / f"{name}.py").read_text()
    return re.findall(r"^# %% (\w+) (right|wrong): (.*)\n((?:(?!# %%).*\n?)*)", text, re.MULTILINE)


def points(name, question, code):
    """The share of a question's points, and what is said, when answers replace what the solution says."""
    names, dtype = solved(name)
    namespace, tests = dict(names), grader(name)["TESTS"][question]
    with default_dtype(dtype):
        exec(compile(code, question, "exec"), namespace)
        wrong = [(worth, grader(name)["run_test"](test, namespace, parameters(name))) for worth, test in tests]
    lost = sum(worth for worth, message in wrong if message)
    return 1 - lost / sum(worth for worth, _ in tests), "; ".join(message for _, message in wrong if message)


@pytest.mark.parametrize("name", MASTERS)
def test_each_question_has_right_and_wrong_answers(name):
    marked = [question.name for question in master(name).questions if not question.manual]
    kinds = [(question, kind) for question, kind, _, _ in answers(name)]
    assert {question for question, _ in kinds} == set(marked)
    assert [q for q in marked if kinds.count((q, "right")) < RIGHT or kinds.count((q, "wrong")) < WRONG] == []
    labels = [answer[:3] for answer in answers(name)]
    assert len(set(labels)) == len(labels)


@pytest.mark.parametrize("name", MASTERS)
def test_each_assignment_mixes_a_derivation_code_and_a_conclusion(name):
    assert 20 <= master(name).points <= 40
    assert 60 <= master(name).minutes <= 12 * 60
    by_hand = sum(question.points for question in master(name).questions if question.manual)
    assert 0.2 <= by_hand / master(name).points <= (0.8 if "project" in name else 0.5)


class Agrees:
    """What equals everything, is less and more than everything, and counts as any number."""

    def __eq__(self, other):
        return True

    __ne__ = __lt__ = __le__ = __gt__ = __ge__ = __contains__ = __eq__
    __hash__ = None

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return self

    def __call__(self, *given, **named):
        return self

    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __truediv__ = __pow__ = __abs__ = __getitem__ = (
        __call__
    )

    def __float__(self):
        return 0.0

    def __int__(self):
        return 0

    def __len__(self):
        return 4

    def __iter__(self):
        return iter((self, self))


class UnsayableError(Exception):
    def __str__(self):
        raise RuntimeError


def _raise(error):
    raise error


def _for_ever():
    while True:
        yield 0.5


ODD = {
    "nothing": None,
    "dots": ...,
    "zero": 0,
    "one": 1.0,
    "nan": math.nan,
    "a text": "left to the reader",
    "bytes": b"0.5",
    "an empty list": [],
    "an empty dictionary": {},
    "a set": {1, 2},
    "an object": object(),
    "a type": float,
    "print": print,
    "a module": math,
    "a coin": True,
    "what agrees with all": Agrees(),
    "gives nothing": lambda *given, **named: None,
    "gives dots": lambda *given, **named: ...,
    "gives zero": lambda *given, **named: 0,
    "gives nan": lambda *given, **named: torch.tensor(math.nan),
    "gives infinity": lambda *given, **named: math.inf,
    "gives a text": lambda *given, **named: "0.5",
    "gives an empty list": lambda *given, **named: [],
    "gives what it was given": lambda *given, **named: given[0],
    "gives for ever": lambda *given, **named: _for_ever(),
    "gives what agrees with all": lambda *given, **named: Agrees(),
    "gives a tensor of the wrong shape": lambda *given, **named: torch.zeros(2, 3, 5),
    "takes nothing": lambda: 0,
    "divides by zero": lambda *given, **named: 1 / 0,
    "ends the program": lambda *given, **named: exit(),
    "is interrupted": lambda *given, **named: _raise(KeyboardInterrupt()),
    "raises what cannot be said": lambda *given, **named: _raise(UnsayableError()),
    "calls itself": lambda *given, **named: again(*given),
    "random": lambda *given, **named: torch.rand(3),
}


def again(*given):
    return again(*given)


@pytest.mark.nightly
@pytest.mark.parametrize(
    ("name", "question"), [(name, q.name) for name in MASTERS for q in master(name).questions if not q.manual]
)
def test_odd_answers_lose_points_and_say_why(name, question):
    run, tests = grader(name)["run_test"], grader(name)["TESTS"][question]
    asked = {argument for _, test in tests for argument in inspect.signature(test).parameters} - {"parameters"}
    names, dtype = solved(name)
    for answer in asked:
        for what, odd in ODD.items():
            with default_dtype(dtype):
                said = {test: run(test, names | {answer: odd}, parameters(name)) for worth, test in tests if worth}
            assert any(said.values()), f"{answer} that {what} keeps all points"
            if what in ("nothing", "gives nothing"):
                assert all(line for test, line in said.items() if answer in inspect.signature(test).parameters)
            assert all("\n" not in line and len(line) < 400 for line in said.values())


@pytest.mark.slow
@pytest.mark.parametrize("name", MASTERS)
def test_what_students_get_has_no_points_as_it_is(name, monkeypatch):
    pytest.importorskip("otter", reason="otter-grader is not installed: pip install '.[course]' brings it")
    notebook = with_parameters(editions(master(name))[0], parameters(name))
    monkeypatch.setitem(sys.modules, "__main__", None)  # the cells put a module of theirs there
    with default_dtype(torch.float32):  # they may choose another
        names, _ = run_cells(code_cells(notebook.encode()), 100)
        assert [one["points"] for one in grader(name)["grade"](names, parameters(name)) if one["points"]] == []


@pytest.mark.slow
@pytest.mark.parametrize("name", MASTERS)
def test_the_solution_has_all_points(name):
    check_solution(master(name), grader_text(master(name)), parameters(name))


@pytest.mark.slow
def test_the_model_conclusions_say_what_is_measured():
    first, second, third = (run_solution(master(name), master(name).public)[0] for name in MASTERS[:3])

    def slopes(values):
        return [math.log2(a / b) for a, b in pairwise(values)]

    errors, needed = first["errors"], first["needed"]
    assert slopes(errors["ab2"]) == pytest.approx([2, 2, 2], abs=0.06)
    assert slopes(errors["third"]) == pytest.approx([3, 3, 3], abs=0.06)
    assert needed["third"] < needed["ab2"]
    equal = errors["third"][-1] * 480**3 / (errors["ab2"][-1] * 161**2)  # evaluations where the two lines cross
    assert errors["ab2"][-1] * (161 / equal) ** 2 > 0.1
    assert second["slope"] == pytest.approx(3, abs=0.05)
    assert (second["best_segment"](120), second["states_held"](120, 12)) == (12, 21)
    assert slopes(third["difference"].values()) == pytest.approx([2] * 6, abs=0.05)
    assert slopes(third["rest"].values()) == pytest.approx([3] * 6, abs=0.05)
    assert third["explained"] == pytest.approx(0.8, abs=0.01)


@pytest.mark.nightly
@pytest.mark.parametrize("student", ["anna", "ben", "chloe", "dan"])
@pytest.mark.parametrize("name", MASTERS)
def test_the_solution_has_all_points_for_every_student(name, student):
    check_solution(master(name), grader_text(master(name)), parameters(name, student))


@pytest.mark.nightly
@pytest.mark.parametrize(
    ("name", "question", "kind", "label", "code"),
    [
        pytest.param(name, *answer, id=f"{name}-{'-'.join(answer[:3])}".replace(" ", "-"))
        for name in MASTERS
        for answer in answers(name)
    ],
)
def test_right_answers_keep_their_points_and_wrong_ones_do_not(name, question, kind, label, code):
    share, message = points(name, question, code)
    if kind == "right":
        assert share == 1, message
    else:
        assert share < 1
        assert len(message) > 10
