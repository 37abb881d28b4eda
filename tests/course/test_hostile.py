"""A folder of broken and hostile submissions: each ends with its points and a reason, and harms nothing else."""

import hashlib
import os
import re
import stat
from pathlib import Path

import pytest
from hostile import HOSTILE, RIGHT, notebook

from odelib.course.grade import Assignment, grade_folder
from odelib.course.sandbox import find

AUTOGRADER = Path(__file__).parent / "autograder"
FAST = {"half", "to-passwd", "fork-bomb", "10-gigabytes", "path", "own-frames"}


def hand_in(folder, hostile):
    """Write submissions, between two honest ones."""
    folder.mkdir()
    for name in ("good-first", "good-last"):
        (folder / f"{name}.ipynb").write_bytes(notebook(RIGHT))
    for number, one in enumerate(hostile):
        one.write(folder / f"h{number:03}-{one.name.replace('_', '-')}{one.suffix}")


def state(folder):
    """What is in a folder, content and all."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.stat().st_size < 10**8]
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def report(hostile, graded):
    """A line for each: kind, name, points, outcome, reason or first message."""
    by_file = {one.file: one for one in graded}
    for number, one in enumerate(hostile):
        got = by_file[f"h{number:03}-{one.name.replace('_', '-')}{one.suffix}"]
        told = " ".join([got.reason, *(score.message for score in got.scores)])
        yield one, got, told


def check(hostile, tmp_path, jobs):
    folder, out = tmp_path / "handed-in", tmp_path / "graded"
    hand_in(folder, hostile)
    before = state(folder), state(AUTOGRADER), stat.S_IMODE(os.stat(os.devnull).st_mode)
    graded = grade_folder(folder, Assignment.read(AUTOGRADER), out, find(), jobs=jobs, say=print)
    assert before == (state(folder), state(AUTOGRADER), stat.S_IMODE(os.stat(os.devnull).st_mode))
    honest = [one.points for one in graded if one.file.startswith("good-")]
    assert honest == [6, 6]
    wrong = [
        f"{one.kind}, {one.name}: {got.points:g} points, {got.outcome}: {told}"
        for one, got, told in report(hostile, graded)
        if one.points not in (got.points, None) or got.outcome != one.outcome or not re.search(one.says, told)
    ]
    assert wrong == []
    table = (out / "points.csv").read_text(encoding="utf-8-sig")
    assert all(character.isprintable() or character in "\r\n" for character in table)
    assert not re.search(r"(^|,)\"?[=+@-](?!\d)", table, re.MULTILINE)
    assert (out / "points.png").read_bytes().startswith(b"\x89PNG")


@pytest.fixture(scope="module", autouse=True)
def a_sandbox():
    try:
        find()
    except ValueError as error:
        pytest.skip(str(error))


@pytest.mark.slow
def test_a_few_hostile_submissions(tmp_path):
    check([one for one in HOSTILE if one.name in FAST], tmp_path, jobs=1)


@pytest.mark.nightly
def test_all_hostile_submissions(tmp_path):
    assert len(HOSTILE) >= 100
    assert len({one.kind for one in HOSTILE}) >= 30
    check(HOSTILE, tmp_path, jobs=2)
