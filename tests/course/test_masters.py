"""The tests of the assignments are tested: right answers keep their points, wrong ones lose some."""

import re
from functools import cache
from pathlib import Path

import pytest

from odelib.course.autograder import describe, grader_text
from odelib.course.build import check_solution, run_solution
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
    namespace, tests = dict(solved(name)), grader(name)["TESTS"][question]
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
