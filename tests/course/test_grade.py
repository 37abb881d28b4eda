"""Grading a folder: what is refused before it begins, and how it goes on after a stop."""

import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hostile import RIGHT, notebook

from odelib.cli import main
from odelib.course import grade, sandbox
from odelib.course.grade import Assignment, grade_folder
from odelib.course.results import nothing
from odelib.course.sandbox import Sandbox

AUTOGRADER = Path(__file__).parent / "autograder"


@pytest.fixture
def autograder(tmp_path):
    """A copy of the autograder, to be spoilt."""
    return Path(shutil.copytree(AUTOGRADER, tmp_path / "autograder"))


@pytest.fixture
def handed_in(tmp_path):
    folder = tmp_path / "handed-in"
    folder.mkdir()
    for name in ("ann", "bob_1234", "cem"):
        (folder / f"{name}.ipynb").write_bytes(notebook(RIGHT))
    return folder


def change(autograder, **values):
    path = autograder / "assignment.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"timeout_s": 0}, "timeout_s 0"),
        ({"memory_mb": "much"}, "memory_mb 'much'"),
        ({"questions": []}, "names no questions"),
    ],
)
def test_an_assignment_that_cannot_be(autograder, values, said):
    change(autograder, **values)
    with pytest.raises(ValueError, match=said):
        Assignment.read(autograder)


@pytest.mark.parametrize(("file", "text"), [("assignment.json", "{"), ("assignment.json", "3"), ("tests.py", "def (:")])
def test_an_autograder_that_is_broken(autograder, file, text):
    (autograder / file).write_text(text)
    with pytest.raises(ValueError, match=file):
        Assignment.read(autograder)


def test_an_autograder_that_is_none(tmp_path):
    with pytest.raises(ValueError, match=r"has no assignment\.json"):
        Assignment.read(tmp_path)


@pytest.fixture
def quick(monkeypatch):
    """Grading without a sandbox or a process; remembers whom."""
    seen = []

    def give(prepared, assignment, sandbox, alive):
        seen.append(prepared.graded.student)
        if seen[-1] == "cem" and len(seen) == 3:
            raise KeyboardInterrupt
        points = nothing(assignment.questions, prepared.raw[:1].decode() + str(prepared.parameters["h"]))
        return grade.replace(prepared.graded, outcome="graded", scores=points)

    monkeypatch.setattr(grade, "_grade", give)
    return seen


def test_it_goes_on_where_it_was_stopped(handed_in, tmp_path, quick):
    def run():
        return grade_folder(handed_in, Assignment.read(AUTOGRADER), tmp_path / "out", Sandbox("none"), say=str)

    with pytest.raises(KeyboardInterrupt):
        run()
    assert not (tmp_path / "out/points.csv").exists()
    assert [one.student for one in run()] == ["ann", "bob", "cem"]
    assert quick == ["ann", "bob", "cem", "cem"]
    (handed_in / "ann.ipynb").write_bytes(notebook(RIGHT, "x = 1"))
    (next((tmp_path / "out/submissions").glob("*.json"))).write_text("{")
    again = run()
    assert quick[4:] in (["ann"], ["ann", "bob"], ["ann", "cem"])
    assert {score.message for one in again for score in one.scores} == {"{0.25"}


def test_two_files_of_one_student_and_one_of_nobody(handed_in, tmp_path, autograder, quick):
    change(autograder, students=["ann", "bob"])
    (handed_in / "ann_2.ipynb").write_bytes(notebook(RIGHT))
    graded = grade_folder(handed_in, Assignment.read(autograder), tmp_path / "out", Sandbox("none"), say=str)
    assert {one.file: one.outcome for one in graded} == {
        "ann.ipynb": "refused",
        "ann_2.ipynb": "refused",
        "bob_1234.ipynb": "graded",
        "cem.ipynb": "refused",
    }
    assert "leave one of them" in graded[0].reason
    assert "no student in the list" in graded[-1].reason


def test_what_cannot_be_graded_is_said_before_anything_is_written(handed_in, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(sandbox, "find", lambda named, unsafe: Sandbox("none"))
    out, empty, secret = tmp_path / "out", tmp_path / "empty", tmp_path / "secret"
    empty.mkdir()
    secret.write_text("s" * 20)
    common = ["--assignment", str(AUTOGRADER), "--out", str(out)]
    for arguments, said in (
        ([str(empty), *common], "is empty"),
        ([str(tmp_path / "nowhere"), *common], "nowhere"),
        ([str(handed_in), *common, "--secret", str(secret)], "was built without one"),
        ([str(handed_in), "--assignment", str(empty)], "has no assignment.json"),
    ):
        assert main(["course", "grade", *arguments]) == 2
        error = capsys.readouterr().err
        assert said in error
        assert error.count("\n") == 1
    assert not out.exists()


@pytest.mark.nightly
def test_killed_in_between_it_leaves_nothing_behind_and_goes_on(handed_in, tmp_path):
    sandbox.find()
    (handed_in / "bob_1234.ipynb").write_bytes(
        notebook("while True:\n    try: import time; time.sleep(99)\n    except BaseException: pass", RIGHT)
    )
    out = tmp_path / "out"
    command = [sys.executable, "-m", "odelib", "course", "grade", str(handed_in), "--jobs", "1", "--out", str(out)]
    command += ["--assignment", str(AUTOGRADER)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline().startswith("ann.ipynb: 6 points")
    time.sleep(3)
    process.send_signal(signal.SIGKILL)
    process.wait()
    time.sleep(1)
    left = [path for path in Path("/proc").glob("[0-9]*/cmdline") if b"odelib.course.student" in _text(path)]
    assert [path for path in left if str(tmp_path).encode() in _text(path)] == []
    (handed_in / "bob_1234.ipynb").write_bytes(notebook(RIGHT))
    done = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "ann" not in done
    assert done.count("6 points") == 2
    assert len((out / "points.csv").read_text().splitlines()) == 4


def _text(path):
    try:
        return path.read_bytes()
    except OSError:
        return b""
