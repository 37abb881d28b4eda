"""Parameters of students: the same each time, other for others, and nothing derived from what does not fit."""

import json
import re

import pytest

from odelib.course.parameters import (
    check_specification,
    fingerprint,
    parameters_for,
    read_secret,
    read_students,
    student_of,
)

SECRET = b"sixteen bytes or more"
SPECIFICATION = {"seed": {"integer": [3, 5]}, "rate": {"number": [1.0, 2.0, 3]}, "field": {"choice": ["a", "b", "c"]}}
STUDENTS = [f"s{number}" for number in range(300)]
ASSIGNMENT = {
    "name": "one",
    "parameters": SPECIFICATION,
    "public": {"seed": 3, "rate": 1.5, "field": "a"},
    "students": STUDENTS,
    "fingerprint": fingerprint(SECRET),
}
PUBLIC = ASSIGNMENT | {"students": None, "fingerprint": None}


def test_students_draw_from_the_whole_range_evenly():
    drawn = [parameters_for(ASSIGNMENT, student, SECRET) for student in STUDENTS]
    assert {values["seed"] for values in drawn} == {3, 4, 5}
    assert all(70 < sum(values["field"] == field for values in drawn) < 130 for field in "abc")
    rates = [values["rate"] for values in drawn]
    assert min(rates) < 1.02
    assert max(rates) > 1.98
    assert sum(rates) / len(rates) == pytest.approx(1.5, abs=0.05)
    assert all(rate == round(rate, 3) for rate in rates)


def test_they_follow_from_student_assignment_and_secret_alone():
    one = [parameters_for(ASSIGNMENT, student, SECRET)["rate"] for student in STUDENTS]
    shuffled = json.loads(json.dumps(ASSIGNMENT)) | {"students": STUDENTS[::-1]}
    assert [parameters_for(shuffled, student, SECRET)["rate"] for student in STUDENTS] == one
    for other, secret in ((ASSIGNMENT | {"name": "two"}, SECRET), (ASSIGNMENT, b"another, as long as it")):
        built = other | {"fingerprint": fingerprint(secret)}
        again = [parameters_for(built, student, secret)["rate"] for student in STUDENTS]
        assert sum(a == b for a, b in zip(one, again, strict=True)) < 5


def test_without_a_secret_all_share_the_public_ones():
    assert parameters_for(PUBLIC, "anyone", None) == PUBLIC["public"]


@pytest.mark.parametrize(
    ("assignment", "student", "secret", "said"),
    [
        (ASSIGNMENT, "s300", SECRET, "'s300' is no student in the list that one was built for"),
        (ASSIGNMENT, "S1", SECRET, "'S1' is no student in"),
        (ASSIGNMENT, "s1", None, "one came without a secret, and was built with one"),
        (
            ASSIGNMENT,
            "s1",
            b"another, as long as it",
            "one came with a secret that is not its own, and was built with one",
        ),
        (PUBLIC, "s1", SECRET, "came with a secret that is not its own, and was built without one"),
    ],
)
def test_what_does_not_fit_is_refused(assignment, student, secret, said):
    with pytest.raises(ValueError, match=re.escape(said)):
        parameters_for(assignment, student, secret)


@pytest.mark.parametrize(
    ("file", "student"),
    [("s1.ipynb", "s1"), ("s1_77_live.ipynb", "s1"), ("s12_1-solvers.ipynb", "s12"), ("a_b_live.ipynb", "a_b")],
)
def test_a_file_name_says_whose_it_is(file, student):
    assert student_of(file, ASSIGNMENT | {"students": [*STUDENTS, "a", "a_b"]}) == student


def test_without_a_list_the_student_ends_at_the_underscore():
    assert student_of("who_1.ipynb", PUBLIC) == "who"


@pytest.mark.parametrize("file", ["s1-copy.ipynb", "t1.ipynb", ".ipynb", "s1x_1.ipynb"])
def test_a_file_of_nobody_is_refused(file):
    with pytest.raises(ValueError, match="is of no student in the list"):
        student_of(file, ASSIGNMENT)


def test_a_secret_is_long_enough(tmp_path):
    (tmp_path / "secret").write_bytes(b"\n 123456789012345 \n")
    with pytest.raises(ValueError, match="has 15 bytes, expected at least 16"):
        read_secret(tmp_path / "secret")
    (tmp_path / "secret").write_bytes(b"1234567890123456\n")
    assert read_secret(tmp_path / "secret") == b"1234567890123456"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("# nobody\n\n", "names no student"),
        ("a\nb\na\n", "names 'a' twice"),
        ("../a\n", "'../a' in"),
        ("a b\n", "'a b' in"),
        (".\n", "'.' in"),
    ],
)
def test_a_list_of_students_is_refused(tmp_path, text, said):
    (tmp_path / "students.txt").write_text(text)
    with pytest.raises(ValueError, match=re.escape(said)):
        read_students(tmp_path / "students.txt")


def test_a_list_of_students_is_read(tmp_path):
    (tmp_path / "students.txt").write_bytes("\ufeff# ids\r\nanna@uni.de\r\n  b.c \r\n".encode())
    assert read_students(tmp_path / "students.txt") == ["anna@uni.de", "b.c"]


@pytest.mark.parametrize(
    "kinds", [{}, 3, {"integer": [1]}, {"integer": [2, 1]}, {"number": [1, 2]}, {"choice": []}, {"range": [1, 2]}]
)
def test_parameters_that_cannot_be_drawn_are_refused(kinds):
    with pytest.raises(ValueError, match="parameter 'a' is"):
        check_specification({"a": kinds})
