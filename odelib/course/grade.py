"""Grade a folder of submissions, each in a sandbox of its own, and go on where a stop left it.

A submission's code and the tests never share a process. The submission runs in one, in a sandbox without the tests, the
secret, a network or a second process; the tests run in another, and call the submission's functions over a pair of
pipes, by values that are judged before they are used. So there is no result to forge and no test to read or to patch.

What remains possible: a submission may answer each call with whatever it likes, however it came by it; it sees the
inputs of the tests, and can carry them into its error messages, which stand in the feedback; it can use up its own time
and memory, and with a loop that nothing interrupts lose the points of later questions; and it runs on the same kernel,
so a hole in the kernel is a hole in the sandbox.
"""

import hashlib
import json
import os
import stat
import subprocess
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from odelib import __version__
from odelib.course.examiner import START_S
from odelib.course.parameters import parameters_for, read_secret, student_of
from odelib.course.results import (
    Graded,
    load,
    nothing,
    one_line,
    read_questions,
    save,
    scores_of,
    write_plot,
    write_table,
)
from odelib.course.sandbox import Running, Sandbox, keep_out

LARGEST_MB = 50
"""The largest notebook that is opened."""
NOTEBOOK = "/submission.ipynb"
TESTS = "/tests"
_REFUSED = "No points: {}."


@dataclass(frozen=True)
class Assignment:
    """An autograder's folder, read and judged."""

    folder: Path
    content: Mapping[str, Any]
    questions: Sequence[Mapping[str, Any]]
    digest: str

    @classmethod
    def read(cls, folder: Path) -> "Assignment":
        """Read one.

        Raises:
            ValueError: It is none.
            OSError: A file of it cannot be read.
        """
        path, tests = folder / "assignment.json", folder / "tests.py"
        for needed in (path, tests):
            if not needed.is_file():
                raise ValueError(f"{folder} has no {needed.name}: name an autograder that `odelib course build` made")
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise ValueError(f"{path} is not JSON ({error}): build it again") from None
        if not isinstance(content, dict):
            raise ValueError(f"{path} is no assignment, expected an object with name, questions and limits")
        for limit in ("timeout_s", "memory_mb"):
            value = content.get(limit)
            if isinstance(value, bool) or not isinstance(value, int | float) or not 1 <= value <= 1_000_000:
                raise ValueError(f"{path} has {limit} {value!r}, expected a number of at least 1")
        try:
            compile(tests.read_bytes(), str(tests), "exec")
        except SyntaxError as error:
            raise ValueError(f"{tests} is not Python ({error}): build it again") from None
        files = sorted(file for file in folder.rglob("*.py") if file.is_file())
        parts = [path.read_bytes(), *(file.read_bytes() for file in files)]
        return cls(folder, content, read_questions(content), hashlib.sha256(b"\0".join(parts)).hexdigest())

    def limits(self) -> dict[str, float]:
        """Time and memory: half of the time at most for the cells, the other half shared by the questions' calls."""
        timeout = float(self.content["timeout_s"])
        automatic = sum(not question.get("manual") for question in self.questions)
        return {
            "timeout_s": timeout,
            "memory_mb": int(self.content["memory_mb"]),
            "cells_s": timeout / 2,
            "call_s": timeout / 2 / max(automatic, 1),
        }


def grade_folder(
    folder: Path,
    assignment: Assignment,
    out: Path,
    sandbox: Sandbox,
    *,
    secret: Path | None = None,
    jobs: int = 1,
    say: Callable[[str], None] = print,
) -> list[Graded]:
    """Grade all submissions of a folder that are not graded yet, and write ``points.csv`` and ``points.png``.

    Args:
        folder: Has one file for each submission.
        assignment: Says how.
        out: Gets the table, the picture, and in ``submissions`` a file for each that is graded.
        sandbox: Where they run.
        secret: The file with the secret that the assignment was built with.
        jobs: How many at a time.
        say: Called with a line for each.

    Raises:
        ValueError: There is nothing to grade, the secret is not the right one, or submissions could read the tests.
        OSError: The folder cannot be read or ``out`` cannot be written.
    """
    if sandbox.kind != "none":
        keep_out([assignment.folder, folder, out, *([secret] if secret else [])])
    key = None if secret is None else read_secret(secret)
    parameters_for({**assignment.content, "students": None}, "anyone", key)  # refuses a secret that is not its own
    found = submissions(folder)
    (out / "submissions").mkdir(parents=True, exist_ok=True)
    waiting = [_prepare(path, found, assignment, out, key) for path in found]
    alive: set[Running] = set()
    stopped, turn = threading.Event(), threading.Lock()

    def one(prepared: "_Prepared") -> Graded:
        kept = load(prepared.result)
        if kept is not None and kept.key == prepared.graded.key and kept.outcome != "look":
            return kept
        graded = prepared.graded
        if graded.outcome == "waiting":
            graded = _grade(prepared, assignment, sandbox, alive)
        if stopped.is_set():  # what was ended tells nothing about the submission
            return graded
        save(prepared.result, graded)
        with turn:  # or two lines come out as one
            say(f"{one_line(graded.file)}: {graded.points:g} points, {graded.outcome}. {graded.reason}".strip())
        return graded

    with ThreadPoolExecutor(jobs) as pool:
        futures = [pool.submit(one, prepared) for prepared in waiting]
        try:
            all_graded = [future.result() for future in futures]
        except BaseException:
            stopped.set()
            pool.shutdown(wait=False, cancel_futures=True)
            for running in tuple(alive):
                running.end()
            raise
    write_table(out / "points.csv", all_graded, assignment.questions)
    write_plot(out / "points.png", all_graded, assignment.questions, str(assignment.content["name"]))
    return all_graded


def submissions(folder: Path) -> list[Path]:
    """What was handed in: everything in a folder whose name does not begin with a dot.

    Raises:
        ValueError: There is nothing.
        OSError: The folder cannot be read.
    """
    found = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    if not found:
        raise ValueError(f"{folder} is empty, expected a file STUDENT.ipynb for each submission")
    return found


@dataclass(frozen=True)
class _Prepared:
    result: Path
    graded: Graded
    raw: bytes = b""
    parameters: Mapping[str, Any] | None = None


def _prepare(path: Path, found: Sequence[Path], assignment: Assignment, out: Path, secret: bytes | None) -> _Prepared:
    name = os.fsencode(path.name).decode("utf-8", "backslashreplace")
    digest = hashlib.sha256(os.fsencode(path.name)).hexdigest()
    result = out / "submissions" / f"{digest[:16]}.json"
    student, parameters, raw = name, None, b""
    try:
        if path.suffix != ".ipynb":
            raise ValueError(f"{name} is no notebook: hand in STUDENT.ipynb")
        student = student_of(name, assignment.content)
        others = [other.name for other in found if other != path and _same_student(other, student, assignment)]
        if others:
            raise ValueError(f"{student} handed in {name} and {others[0]}: leave one of them")
        parameters = parameters_for(assignment.content, student, secret)
        raw, why = _read(path)
    except ValueError as error:
        why = str(error)
    limits = assignment.limits()
    depends = [assignment.digest, json.dumps([parameters, limits, __version__, why]), hashlib.sha256(raw).hexdigest()]
    key = hashlib.sha256("".join(depends).encode()).hexdigest()
    graded = Graded(one_line(student), one_line(name), "waiting", "", key=key)
    if why is not None:
        graded = _without_points(graded, assignment, one_line(why))
    return _Prepared(result, graded, raw, parameters)


def _same_student(other: Path, student: str, assignment: Assignment) -> bool:
    try:
        return other.suffix == ".ipynb" and student_of(other.name, assignment.content) == student
    except ValueError:
        return False


def _read(path: Path) -> tuple[bytes, str | None]:
    """The bytes of a submission, or why they are not read."""
    try:
        # A pipe must not keep us waiting, and a link leads who knows where.
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        return b"", "it is a link" if path.is_symlink() else f"it cannot be read ({error.strerror})"
    about = os.fstat(descriptor)
    if not stat.S_ISREG(about.st_mode):
        os.close(descriptor)
        return b"", "it is a folder" if stat.S_ISDIR(about.st_mode) else "it is no file"
    with os.fdopen(descriptor, "rb") as file:
        if about.st_size > LARGEST_MB * 2**20:
            return b"", f"it has {about.st_size / 2**20:.0f} MiB, expected at most {LARGEST_MB}: clear its outputs"
        return file.read(LARGEST_MB * 2**20 + 1), None


def _without_points(graded: Graded, assignment: Assignment, why: str, outcome: str = "refused") -> Graded:
    message = _REFUSED.format(why.rstrip("."))
    return replace(graded, outcome=outcome, reason=message, scores=nothing(assignment.questions, message))


def _grade(prepared: _Prepared, assignment: Assignment, sandbox: Sandbox, alive: set[Running]) -> Graded:
    result, why = _run(prepared, assignment, sandbox, alive)
    if result is None:
        return _without_points(prepared.graded, assignment, why, "look")
    if result["refused"] is not None:
        return _without_points(prepared.graded, assignment, one_line(result["refused"]))
    reason = "; ".join(f"cell {about['cell']}: {about['error']}" for about in result["failed"][:3])
    more = len(result["failed"]) - 3
    reason = one_line(f"Cells with errors: {reason}{f'; and {more} more' if more > 0 else ''}" if reason else "")
    if result["stopped"] is not None:
        outcome = "look" if result["look"] else "refused"
        return _without_points(prepared.graded, assignment, one_line(f"{result['stopped']}. {reason}"), outcome)
    try:
        scores = scores_of(result["scores"], assignment.questions)
    except ValueError as error:
        return _without_points(prepared.graded, assignment, f"tests.py: {error}", "look")
    return replace(prepared.graded, outcome="graded", reason=reason, scores=scores)


def _run(
    prepared: _Prepared, assignment: Assignment, sandbox: Sandbox, alive: set[Running]
) -> tuple[dict[str, Any] | None, str]:
    """Start the submission and its examiner, and give what the examiner says; or None, and why it says nothing."""
    limits = assignment.limits()
    tests = sandbox if sandbox.kind in ("bwrap", "none") else Sandbox("none")
    with tempfile.TemporaryDirectory(prefix="odelib-") as folder, ExitStack() as stack:
        notebook = Path(folder, "submission.ipynb")
        notebook.write_bytes(prepared.raw)
        descriptors = [*os.pipe(), *os.pipe()]
        student_reads, writing, reading, student_writes = descriptors
        stack.callback(_close, descriptors)

        def start(sandbox: Sandbox, module: str, *arguments: str, **options: Any) -> Running:
            running = sandbox.start(f"odelib.course.{module}", arguments, **options)
            alive.add(running)
            stack.callback(alive.discard, running)
            stack.callback(running.end)
            return running

        shown = {NOTEBOOK: notebook}
        start(*(sandbox, "student", NOTEBOOK), shown=shown, stdin=student_reads, stdout=student_writes)
        shown = {TESTS: assignment.folder.absolute()}
        passed, pipe = (reading, writing), subprocess.PIPE
        examiner = start(tests, "examiner", TESTS, shown=shown, stdin=pipe, stdout=pipe, passed=passed)
        _close(descriptors)
        job = {**limits, "parameters": prepared.parameters, "reading": reading, "writing": writing}
        try:
            seconds = 2 * START_S + limits["timeout_s"] + 30
            said, _ = examiner.process.communicate(json.dumps(job).encode(), timeout=seconds)
        except subprocess.TimeoutExpired:
            return None, "the tests did not end in time"
        try:
            return json.loads(said), ""
        except ValueError:
            return None, f"the tests' own process ended with exit code {examiner.process.wait()}"


def _close(descriptors: list[int]) -> None:
    while descriptors:
        os.close(descriptors.pop())
