"""``odelib course build``: from master notebooks to all that students and teachers get."""

import contextlib
import io
import os
import shutil
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import torch

from odelib.course.autograder import describe, grader_text, write_autograder, write_gradescope
from odelib.course.editions import editions, with_parameters
from odelib.course.leaks import find_leaks
from odelib.course.masters import Master, read_master
from odelib.course.parameters import parameters_for, read_secret, read_students
from odelib.course.teacher import checklist, rubric

EVERYONE = "everyone"
"""The folder of the students, where there is no list of them."""


def build(
    masters: Sequence[Path], out: Path, secret_file: Path | None = None, students_file: Path | None = None
) -> None:
    """Build a course; nothing is written unless all of it can be.

    Args:
        masters: Master notebooks; none: those in ``book/assignments`` of the current folder.
        out: Folder to be made: ``students``, ``autograder``, ``gradescope``, ``teacher`` and a checklist.
        secret_file: What parameters of students are derived from; None: all have the public ones.
        students_file: Their ids, one a line; with a secret only.

    Raises:
        ValueError: A master cannot be used, its solution does not get all points, the secret is too short, the list of
            students is none, something that students would get gives away a solution, or ``out`` is not empty.
        OSError: A file cannot be read or written.
    """
    secret = None if secret_file is None else read_secret(secret_file)
    students = None if students_file is None else read_students(students_file)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ValueError(f"{out} is there and not empty: name a new folder")
    read = [read_master(path) for path in masters or sorted(Path("book/assignments").glob("*.ipynb"))]
    if not read:
        raise ValueError("there is no master in book/assignments of this folder: name the masters, or go to a clone")
    _need_otter()
    out.parent.mkdir(parents=True, exist_ok=True)
    made = Path(mkdtemp(prefix=f".{out.name}-", dir=out.parent))
    try:
        for master in read:
            _assignment(made, master, secret, students)
        for folder in sorted((made / "students").iterdir()):
            shutil.make_archive(str(folder), "zip", folder)
        if leaks := find_leaks(made / "students", read, secret):
            raise ValueError(f"students would get what they must not, nothing is written: {leaks[0]}")
        (made / "CHECKLIST.md").write_text(checklist(read, students), encoding="utf-8")
        made.chmod(0o755)
        if out.exists():
            out.rmdir()
        made.rename(out)
    finally:
        shutil.rmtree(made, ignore_errors=True)
    print(f"{len(read)} assignments in {out}, for {len(students or [EVERYONE])}: begin with {out}/CHECKLIST.md")


@contextlib.contextmanager
def default_dtype(dtype: torch.dtype) -> Iterator[None]:
    """Make tensors of another dtype where none is named, inside the ``with`` block."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


def run_solution(master: Master, parameters: Mapping[str, Any]) -> tuple[dict[str, Any], torch.dtype]:
    """Run a master's cells with a student's parameters; torch is afterwards as it was.

    Returns:
        The names that they leave, and the default dtype that they chose, in which their functions are to be called.

    Raises:
        ValueError: A cell raises.
    """
    namespace: dict[str, Any] = {"__name__": "__main__"}
    quiet = contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings(action="ignore")
    with default_dtype(torch.get_default_dtype()), torch.random.fork_rng(), quiet[0], quiet[1]:
        for number, source in enumerate(master.code, 1):
            try:
                exec(compile(source, f"{master.path.name}, code cell {number}", "exec"), namespace)
            except Exception as error:
                said = f"{type(error).__name__}: {error}"
                raise ValueError(f"master {master.path.name}: code cell {number} raises {said}: mend it") from error
            if "parameters" in namespace:
                namespace["parameters"] = dict(parameters)
        return namespace, torch.get_default_dtype()


def check_solution(master: Master, tests: str, parameters: Mapping[str, Any]) -> None:
    """Refuse a master whose solution does not get all points.

    Raises:
        ValueError: It does not.
    """
    grader: dict[str, Any] = {"__name__": "tests"}
    namespace, dtype = run_solution(master, parameters)
    with default_dtype(dtype):  # which tests may set, too
        exec(compile(tests, f"tests of {master.name}", "exec"), grader)
        results = grader["grade"](namespace, parameters)
    for result in results:
        if result["points"] != result["out_of"]:
            raise ValueError(
                f"master {master.path.name}: its solution gets {result['points']:g} of {result['out_of']:g} points in "
                f"{result['question']} ({result['message']}) with {dict(parameters)}: mend the solution or the test"
            )


def _assignment(made: Path, master: Master, secret: bytes | None, students: Sequence[str] | None) -> None:
    assignment, tests = describe(master, secret, students), grader_text(master)
    whose = {student: parameters_for(assignment, student, secret) for student in students or [EVERYONE]}
    os.environ.setdefault("MPLBACKEND", "agg")
    check_solution(master, tests, next(iter(whose.values())))
    student, teacher = editions(master)
    for name, parameters in whose.items():
        _write(made / "students" / name / f"{master.name}.ipynb", with_parameters(student, parameters))
    _write(made / "teacher" / f"{master.name}.ipynb", with_parameters(teacher, next(iter(whose.values()))))
    _write(made / "teacher" / f"{master.name}-rubric.md", rubric(master))
    write_autograder(made / "autograder" / master.name, assignment, tests)
    (made / "gradescope").mkdir(exist_ok=True)
    write_gradescope(made / "gradescope" / f"{master.name}.zip", master, assignment, tests, secret)


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def _need_otter() -> None:
    try:
        import otter  # noqa: F401
    except ModuleNotFoundError as error:
        raise ValueError(
            "building a course needs otter-grader, which is not installed: in a clone, run pip install '.[course]'"
        ) from error
