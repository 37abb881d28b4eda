"""What the exercises in a chapter's notebook are worth: which are answered, which are right, and why not."""

import ast
import os
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from odelib.course.cells import code_cells
from odelib.course.results import one_line
from odelib.course.sandbox import DATA, Sandbox
from odelib.course.wire import Ended, Garbled, Line
from odelib.data.downloads import data_folder
from odelib.teaching._display import say
from odelib.teaching.exercises import exercises

START_S = 120.0
MEMORY_MB = 8192
NOTEBOOK = "/notebook.ipynb"


@dataclass(frozen=True)
class Answer:
    """One exercise.

    Attributes:
        name: How notebooks call it.
        title: What is asked.
        state: ``correct``, ``wrong``, ``unanswered``, ``not reached`` or ``missing``, where its cell is gone.
        why: One sentence, empty where it is correct.
        cell: The code cell with its check, from 1, or None.
    """

    name: str
    title: str
    state: str
    why: str
    cell: int | None


def check_notebook(path: Path, sandbox: Sandbox, seconds: float) -> tuple[list[Answer], list[dict[str, Any]]]:
    """Run a notebook up to its last check and collect what the checks say.

    Args:
        path: A chapter's notebook with answers in it.
        sandbox: Where it runs.
        seconds: For all of its cells.

    Returns:
        The exercises, those of the chapter that the notebook does not have at the end, and the cells with errors.

    Raises:
        ValueError: It is no notebook, or has no exercise in it.
        OSError: It cannot be read.
    """
    raw = path.read_bytes()
    sources = code_cells(raw)
    asked = asked_in(sources)
    if not asked:
        raise ValueError(f'{path} has no exercise in it, expected cells with check("name", answer)')
    said, failed, end = _run(raw, max(asked.values()), sandbox, seconds)
    known = exercises()
    rooms = {known[name].check.__module__ for name in asked if name in known}
    rest = [name for name, exercise in known.items() if exercise.check.__module__ in rooms and name not in asked]
    errors = {about["cell"]: about["error"] for about in failed}
    answers = []
    for name, cell in asked.items():
        title = known[name].title if name in known else ""
        if name in said:
            answers.append(Answer(name, title, *said[name], cell))
        elif cell in errors:
            answers.append(Answer(name, title, "wrong", f"its cell stops with {errors[cell]}", cell))
        else:
            answers.append(Answer(name, title, "not reached", end or "its check is not called", cell))
    answers += [Answer(name, known[name].title, "missing", "its check is not in the notebook", None) for name in rest]
    return answers, failed


def print_answers(answers: Sequence[Answer], failed: Sequence[Mapping[str, Any]]) -> None:
    """Print a line for each cell that stopped and for each exercise, as far as the console has the characters."""
    for about in failed:
        say(f"code cell {about['cell']} stops: {about['error']}")
    for answer in answers:
        say(f"{answer.name}: {answer.state}" + (f": {answer.why}" if answer.why else ""))


def asked_in(sources: Sequence[str]) -> dict[str, int]:
    """The exercises that cells ask for, in their order, with the number of the last cell that does."""
    found: dict[str, int] = {}
    for number, source in enumerate(sources, start=1):
        try:
            tree = ast.parse(source)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            continue  # running it will tell
        for node in ast.walk(tree):
            if (
                isinstance(node, ast.Call)
                and getattr(node.func, "id", getattr(node.func, "attr", "")) == "check"
                and node.args
                and isinstance(node.args[0], ast.Constant)
                and isinstance(node.args[0].value, str)
            ):
                found[node.args[0].value] = number
    return found


def _run(
    raw: bytes, cells: int, sandbox: Sandbox, seconds: float
) -> tuple[dict[str, tuple[str, str]], list[dict[str, Any]], str]:
    """What the checks said (state and why, by name), the cells that failed, and why there is no more of it."""
    said: dict[str, tuple[str, str]] = {}
    with tempfile.TemporaryDirectory(prefix="odelib-") as folder, ExitStack() as stack:
        notebook = Path(folder, "notebook.ipynb")
        notebook.write_bytes(raw)
        shown, data = {NOTEBOOK: notebook}, data_folder()
        if data.is_dir():
            shown[str(DATA)] = data
        descriptors = [*os.pipe(), *os.pipe()]
        reads, writing, reading, writes = descriptors
        for descriptor in (writing, reading):
            stack.callback(os.close, descriptor)
        running = sandbox.start(
            *("odelib.course.checker", [NOTEBOOK]),
            shown=shown,
            stdin=reads,
            stdout=writes,
        )
        stack.callback(running.end)
        os.close(reads)
        os.close(writes)
        line, cell = Line(reading, writing), 0
        try:
            line.send({"cells": cells, "memory_mb": MEMORY_MB, "seconds": seconds}, [])
            deadline = time.monotonic() + START_S + seconds
            while True:
                header, _, _ = line.receive(deadline)
                if "failed" in header:
                    failed = [
                        {"cell": int(about["cell"]), "error": one_line(about["error"])} for about in header["failed"]
                    ]
                    return said, failed, ""
                cell = header["cell"]
                if "verdict" in header:
                    said[str(header["verdict"])] = _verdict(header)
        except Ended as error:
            return said, [], f"the notebook's process {str(error).removeprefix('it ')} at its code cell {cell}"
        except (Garbled, LookupError, TypeError, ValueError) as error:
            return said, [], f"the notebook's process was cut off at its code cell {cell}: {one_line(error)}"


def _verdict(header: Mapping[str, Any]) -> tuple[str, str]:
    state = "correct" if header["passed"] else "wrong" if header["answered"] else "unanswered"
    why = "" if header["passed"] else str(header["line"]).partition(": ")[2].removeprefix("not yet: ")
    return state, one_line(why)
