"""odelib course build: what comes out, and what it refuses before it writes anything."""

import contextlib
import json
import re
import zipfile
from pathlib import Path

import nbformat
import pytest
import torch

from odelib.cli import main
from odelib.course.build import build
from odelib.course.editions import editions, with_parameters
from odelib.course.errors import error_of
from odelib.course.masters import read_master
from odelib.course.running import run_test

MASTER = Path(__file__).parents[2] / "book" / "assignments" / "1-solvers-and-order.ipynb"
SECRET = "a secret of the tests, 0123456789"

SETTINGS = """# COURSE
points: 5
minutes: 30
timeout_s: 20
memory_mb: 1000
parameters:
  start: {integer: [2, 9000]}
rubric:
  q2:
    - {points: 2, for: "says why"}
"""
TEST = '''""" # BEGIN TEST CONFIG
points: 1
hidden: false
""" # END TEST CONFIG
def test_it_is_a_number(double):
    assert isinstance(double(1), int), "it is no number"
'''
HIDDEN = TEST.replace("false", "true").replace("points: 1", "points: 2").replace("it_is_a_number", "it_doubles")
HIDDEN = HIDDEN.replace("(double)", "(double, parameters)").replace(
    'isinstance(double(1), int), "it is no number"',
    'double(parameters["start"]) == 2 * parameters["start"], f"{double(1)} comes from 1"',
)
CELLS = [
    ("raw", "# ASSIGNMENT CONFIG\ninit_cell: false\nexport_cell: false\ngenerate: false\ntests:\n  ok_format: false"),
    ("raw", SETTINGS),
    ("markdown", "# A small assignment"),
    ("parameters", 'parameters = {"start": 3}'),
    ("raw", "# BEGIN QUESTION\nname: q1\npoints: 3"),
    ("markdown", "Write `double(n)`."),
    ("raw", "# BEGIN SOLUTION"),
    ("code", "def double(n):\n    # BEGIN SOLUTION\n    return n + n + 0 * n\n    # END SOLUTION"),
    ("raw", "# END SOLUTION"),
    ("raw", "# BEGIN TESTS"),
    ("code", TEST),
    ("code", HIDDEN),
    ("raw", "# END TESTS"),
    ("raw", "# END QUESTION"),
    ("raw", "# BEGIN QUESTION\nname: q2\npoints: 2\nmanual: true"),
    ("markdown", "Why?"),
    ("raw", "# BEGIN SOLUTION"),
    ("markdown", "Because twice a number is the number and itself once more."),
    ("raw", "# END SOLUTION"),
    ("raw", "# END QUESTION"),
]


def write(path, change=lambda text: text, without=()):
    """A small master, each of its cells changed."""
    make = {"raw": nbformat.v4.new_raw_cell, "markdown": nbformat.v4.new_markdown_cell}
    cells = []
    for number, (kind, text) in enumerate(CELLS):
        if number not in without:
            cell = make.get(kind, nbformat.v4.new_code_cell)(change(text))
            cell.metadata["tags"] = ["parameters"] if kind == "parameters" else []
            cells.append(cell)
    nbformat.write(nbformat.v4.new_notebook(cells=cells), path)
    return path


@pytest.fixture
def files(tmp_path):
    (tmp_path / "secret").write_text(SECRET)
    (tmp_path / "students.txt").write_text("anna\nben\n")
    return tmp_path


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    pytest.importorskip("otter", reason="otter-grader is not installed: pip install '.[course]' brings it")
    here = tmp_path_factory.mktemp("course")
    (here / "secret").write_text(SECRET)
    (here / "students.txt").write_text("anna\nben\n")
    with contextlib.chdir(here):
        build([write(Path("small.ipynb")), MASTER], Path("out"), Path("secret"), Path("students.txt"))
    return here / "out"


def code(path):
    return [cell.source for cell in nbformat.read(path, 4).cells if cell.cell_type == "code"]


def test_all_of_it_is_there(built):
    made = {str(path.relative_to(built)) for path in built.rglob("*") if path.is_file()}
    names = ("small", "1-solvers-and-order")
    assert made == {
        "CHECKLIST.md",
        *(f"students/{student}.zip" for student in ("anna", "ben")),
        *(f"students/{student}/{name}.ipynb" for student in ("anna", "ben") for name in names),
        *(f"autograder/{name}/{file}" for name in names for file in ("assignment.json", "tests.py")),
        *(f"gradescope/{name}.zip" for name in names),
        *(f"teacher/{name}{end}" for name in names for end in (".ipynb", "-rubric.md")),
    }


def test_students_get_parameters_of_their_own_and_the_checks_that_they_may_see(built):
    anna, ben = (code(built / "students" / student / "small.ipynb") for student in ("anna", "ben"))
    assert [a for a, b in zip(anna, ben, strict=True) if a != b] == [anna[1]]
    assert "def double(n):\n    ..." in anna
    assert any("try_out(test_it_is_a_number, globals())" in source for source in anna)
    assert "it_doubles" not in "".join(anna)


def test_a_notebook_of_a_student_runs_from_top_to_bottom_and_says_what_is_missing(built, capsys):
    names = {}
    for source in code(built / "students" / "anna" / "1-solvers-and-order.ipynb"):
        if "%pip" in source:
            source = "from odelib.course.running import try_out"
        with contextlib.suppress(TypeError):  # `a, b = third_order(...)`, which returns nothing yet
            exec(source, names)
    torch.set_default_dtype(torch.float32)  # the notebook has chosen another
    said = capsys.readouterr().out.splitlines()
    assert len(said) == 4
    assert all(re.fullmatch(r"test_\w+: not yet: .{10,}", line) for line in said)


def test_the_teacher_s_notebook_has_the_solution_and_passes_all_tests(built, capsys):
    names = {}
    for source in code(built / "teacher" / "small.ipynb"):
        exec("from odelib.course.running import try_out" if "%pip" in source else source, names)
    assert capsys.readouterr().out == "test_it_is_a_number: passed\ntest_it_doubles: passed\n"


def test_the_autograder_grades_what_a_student_s_code_leaves(built):
    folder = built / "autograder" / "small"
    about = json.loads((folder / "assignment.json").read_text())
    assert about["questions"] == [
        {"name": "q1", "points": 3, "manual": False},
        {"name": "q2", "points": 2, "manual": True},
    ]
    assert about["students"] == ["anna", "ben"]
    assert SECRET not in json.dumps(about)
    names = {}
    exec((folder / "tests.py").read_text(), names)

    def graded(double):
        (result,) = names["grade"]({"double": double, "parameters": {"start": 0}}, {"start": 4})
        return result["question"], result["points"], result["out_of"], result["message"]

    assert graded(lambda n: 2 * n) == ("q1", 3, 3, "all right")
    assert graded(lambda n: n) == ("q1", 1, 3, "1 comes from 1")
    assert graded(...) == ("q1", 0, 3, "double is not there yet")
    assert graded(exit) == ("q1", 0, 3, "the answer raised SystemExit: 1; the answer raised SystemExit: 4")


def test_an_assertion_of_the_answer_does_not_pass_for_the_test_s():
    def stop(said):
        def test(answer):
            raise error_of({"name": "AssertionError", "kinds": ["AssertionError"], "message": said})

        return run_test(test, {"answer": 1}, {})

    assert stop("") == "the answer raised AssertionError"
    assert stop("all right") == "the answer raised AssertionError: all right"


def test_gradescope_s_zip_has_parameters_and_no_secret(built):
    with zipfile.ZipFile(built / "gradescope" / "small.zip") as archive:
        texts = {name: archive.read(name).decode() for name in archive.namelist()}
    assert {"run_autograder", "setup.sh", "tests/q1.py", "files/course_parameters.json"} <= set(texts)
    assert "tests/q2.py" not in texts
    assert set(json.loads(texts["files/course_parameters.json"])) == {"anna", "ben"}
    assert not any(SECRET in text for text in texts.values())


def test_the_rubric_has_every_point(built):
    rubric = (built / "teacher" / "small-rubric.md").read_text()
    assert "small: 5 points, 30 minutes" in rubric
    assert sum(int(points) for points in re.findall(r"^- (\d+):", rubric, re.MULTILINE)) == 5
    assert "| small | 5 | 2 | 30 | 20 |" in (built / "CHECKLIST.md").read_text()


def test_parameters_replace_the_public_ones(files):
    master = read_master(write(files / "small.ipynb"))
    text = with_parameters(master.notebook, {"start": 8})
    (cell,) = (cell for cell in nbformat.reads(text, 4).cells if "parameters" in cell.metadata["tags"])
    names = {}
    exec(cell.source, names)
    assert names["parameters"] == {"start": 8}


BAD = {
    "a solution that fails": (
        lambda text: text.replace("n + n + 0 * n", "n + 1 + 0 * n"),
        r"master bad\.ipynb: its solution gets 1 of 3 points in q1 \(2 comes from 1\) with \{'start': \d+\}: mend",
    ),
    "a solution that raises": (
        lambda text: text.replace('{"start": 3}', '{"start": 3}\n1 / 0'),
        "master bad.ipynb: code cell 1 raises ZeroDivisionError: division by zero: mend it",
    ),
    "two questions of one name": (
        lambda text: text.replace("name: q2", "name: q1").replace("  q2:", "  q1:"),
        "master bad.ipynb: 'q1' is the name of two questions or tests: rename one",
    ),
    "two tests of one name": (
        lambda text: text.replace("it_doubles", "it_is_a_number"),
        "master bad.ipynb: 'test_it_is_a_number' is the name of two questions or tests: rename one",
    ),
    "points of tests": (
        lambda text: text.replace("points: 3", "points: 4").replace("points: 5", "points: 6"),
        "master bad.ipynb: q1 has 4 points, but its tests 3: make them equal",
    ),
    "points of a rubric": (
        lambda text: text.replace("{points: 2,", "{points: 1,"),
        "master bad.ipynb: q2 has 2 points, but its rubric 1: make them equal",
    ),
    "points of the whole": (
        lambda text: text.replace("points: 5", "points: 7"),
        "master bad.ipynb: it says 7 points, but its questions have 5: make them equal",
    ),
    "a parameter of no kind": (
        lambda text: text.replace("{integer: [2, 9000]}", "{range: [2, 9000]}"),
        "master bad.ipynb: parameter 'start' is",
    ),
    "a parameter that is not set": (
        lambda text: text.replace('{"start": 3}', '{"begin": 3}'),
        "master bad.ipynb: its cell sets ['begin'], but parameters are ['start']: make them the same",
    ),
    "a setting that is missing": (
        lambda text: text.replace("minutes: 30\n", ""),
        "master bad.ipynb cannot be read (KeyError: 'minutes')",
    ),
    "a test without points": (
        lambda text: text.replace('""" # BEGIN TEST CONFIG\npoints: 1', '""" # BEGIN TEST CONFIG\nworth: 1'),
        "expected its settings with points",
    ),
    "a test that is no function": (
        lambda text: text.replace("def test_it_is_a_number", "if 1: test"),
        "cannot be read",
    ),
}


@pytest.mark.parametrize("what", BAD)
def test_a_bad_master_is_refused_before_anything_is_written(files, what, capsys):
    pytest.importorskip("otter", reason="otter-grader is not installed: pip install '.[course]' brings it")
    change, said = BAD[what]
    master = write(files / "bad.ipynb", change)
    before = sorted(files.iterdir())
    options = ["--secret", f"{files}/secret", "--students", f"{files}/students.txt"]
    assert main(["course", "build", str(master), "--out", str(files / "out"), *options]) == 2
    error = capsys.readouterr().err
    assert re.search(said if "\\" in said else re.escape(said), error), error
    assert error.count("\n") == 1
    assert sorted(files.iterdir()) == before


@pytest.mark.parametrize(
    ("without", "said"),
    [
        ((1,), "it has 0 cells of the kind raw cell # COURSE, expected one"),
        ((3,), "it has 0 cells of the kind cell tagged parameters, expected one"),
        ((8,), "`# END QUESTION` ends what has not begun"),
        ((19,), "`# BEGIN QUESTION` has no end"),
    ],
)
def test_a_master_with_a_cell_missing_is_refused(files, without, said):
    with pytest.raises(ValueError, match=re.escape(said)):
        read_master(write(files / "bad.ipynb", without=without))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--secret", "short", "--students", "students.txt"], "has 5 bytes, expected at least 16"),
        (["--secret", "secret"], "--secret came without --students"),
        (["--students", "students.txt"], "--students came without --secret"),
        (["--secret", "nothing", "--students", "students.txt"], "nothing"),
        (["--secret", "secret", "--students", "twice.txt"], "names 'anna' twice"),
        (["--out", "full"], "full is there and not empty: name a new folder"),
    ],
)
def test_bad_options_are_refused(files, options, said, capsys, monkeypatch):
    monkeypatch.chdir(files)
    Path("short").write_text("short")
    Path("twice.txt").write_text("anna\nanna\n")
    Path("full").mkdir()
    Path("full/mine").write_text("mine")
    write(files / "small.ipynb")
    out = [] if "--out" in options else ["--out", "out"]
    assert main(["course", "build", "small.ipynb", *out, *options]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
    assert not Path("out").exists()
    assert [path.name for path in Path("full").iterdir()] == ["mine"]


def test_no_notebook_and_no_master_are_refused(files, capsys, monkeypatch):
    monkeypatch.chdir(files)
    Path("not.ipynb").write_text("{]")
    assert main(["course", "build", "not.ipynb", "--out", "out"]) == 2
    assert "not.ipynb is no notebook" in capsys.readouterr().err
    assert main(["course", "build", "--out", "out"]) == 2
    assert "there is no master in book/assignments of this folder" in capsys.readouterr().err


def test_what_would_give_a_solution_away_is_not_written(files, capsys, monkeypatch):
    pytest.importorskip("otter", reason="otter-grader is not installed: pip install '.[course]' brings it")
    monkeypatch.setattr("odelib.course.build.editions", lambda master: editions(master)[::-1])  # the teacher's to all
    assert main(["course", "build", str(write(files / "small.ipynb")), "--out", str(files / "out")]) == 2
    error = capsys.readouterr().err
    assert "students would get what they must not, nothing is written: everyone/small.ipynb has" in error
    assert not (files / "out").exists()


def test_otter_s_refusal_is_one_sentence(files, capsys):
    pytest.importorskip("otter", reason="otter-grader is not installed: pip install '.[course]' brings it")
    master = write(files / "bad.ipynb", lambda text: text.replace("init_cell", "first_cell"))
    assert main(["course", "build", str(master), "--out", str(files / "out")]) == 2
    error = capsys.readouterr().err
    assert "master bad.ipynb: Otter refuses it" in error
    assert error.count("\n") == 1
