"""Points, the table and the picture, from whatever the tests and the submissions said."""

import csv
import math

import pytest

from odelib.course.results import (
    Graded,
    Score,
    load,
    nothing,
    one_line,
    read_questions,
    save,
    scores_of,
    write_plot,
    write_table,
)

QUESTIONS = [{"name": "a", "points": 2, "manual": False}, {"name": "b", "points": 3, "manual": True}]
GOOD = {"question": "a", "points": 1.5, "out_of": 2, "message": "well\ndone"}


def test_scores_keep_their_order_and_a_person_gives_the_rest():
    assert scores_of([GOOD], QUESTIONS) == [
        Score("a", 1.5, 2, "well done"),
        Score("b", None, 3, "by hand, with the rubric"),
    ]


@pytest.mark.parametrize(
    "given",
    [None, [], [GOOD, GOOD], [{**GOOD, "question": "b"}], [{**GOOD, "points": 3}], [{**GOOD, "points": -1}], ["a"]]
    + [[{**GOOD, "points": wrong}] for wrong in (math.nan, math.inf, True, "2", None)],
    ids=str,
)
def test_scores_that_tests_may_not_give(given):
    with pytest.raises(ValueError, match=r"grade\(\) gave"):
        scores_of(given, QUESTIONS)


@pytest.mark.parametrize(
    ("questions", "said"),
    [
        ([], "names no questions"),
        ("a", "names no questions"),
        ([QUESTIONS[0], QUESTIONS[0]], "'a' twice"),
        ([{"name": "a", "points": 0}], "expected {name, points, manual}"),
        ([{"points": 1}], "expected {name, points, manual}"),
        (["a"], "expected {name, points, manual}"),
    ],
)
def test_an_assignment_without_proper_questions(questions, said):
    with pytest.raises(ValueError, match=said):
        read_questions({"questions": questions})


def test_a_text_of_somebody_else_is_one_harmless_line():
    assert one_line("\x1b[2Ja\r\n\tb\u202e\x00") == "[2Ja b"
    assert len(one_line("x" * 10**6)) == 500
    one_line("\ud800").encode()


def test_a_table_that_no_spreadsheet_computes(tmp_path):
    texts = ["=1+1", "+1", "-1", "@a", 'say "a", b', "\ud800", "a\x1b\nb"]
    graded = [Graded(text, "f", "graded", text, [Score("a", 1, 2, text), Score("b", None, 3)]) for text in texts]
    write_table(tmp_path / "points.csv", graded, QUESTIONS)
    with open(tmp_path / "points.csv", encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["student"] for row in rows] == ["'=1+1", "'+1", "'-1", "'@a", 'say "a", b', "", "a b"]
    assert {(row["points"], row["out_of"], row["a points"], row["b points"]) for row in rows} == {("1", "5", "1", "")}


def test_a_picture_of_nobody_and_of_odd_names(tmp_path):
    questions = [{"name": "$x$ \x1b" + "y" * 100, "points": 2}]
    write_plot(tmp_path / "none.png", [], questions, "$")
    write_plot(tmp_path / "one.png", [Graded("s", "f", "refused", "", nothing(questions, "no"))], questions, "a_b^c$")
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in tmp_path.iterdir())


def test_what_is_kept_is_whole_or_nothing(tmp_path):
    graded = Graded("s", "f", "graded", "r", [Score("a", 1, 2, "m")], "key")
    save(tmp_path / "s.json", graded)
    assert load(tmp_path / "s.json") == graded
    (tmp_path / "s.json").write_text((tmp_path / "s.json").read_text()[:50])
    assert load(tmp_path / "s.json") is None
    assert load(tmp_path / "other.json") is None
