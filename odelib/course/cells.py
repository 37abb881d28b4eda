"""The code cells of a notebook, run one after the other as a kernel would, without one."""

import builtins
import json
import linecache
import re
import signal
import sys
import time
import types
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

MOST_CELLS = 1000


class TooLong(BaseException):
    """The time is over; no ``except Exception`` of a student stops it."""


class _Alarm:
    """Whether an interruption has to wait, and one that does."""

    waits = False
    rung: TooLong | None = None


@contextmanager
def interruptible(now: bool) -> Iterator[None]:
    """Let time limits interrupt what runs, or hold them back until it is done: a conversation must not be cut."""
    before, _Alarm.waits = _Alarm.waits, not now
    try:
        yield
    finally:
        _Alarm.waits = before
        rung, _Alarm.rung = _Alarm.rung, _Alarm.rung if before else None
        if rung is not None and not before:
            raise rung


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Interrupt Python code that runs longer; within another limit, that one holds."""
    if signal.getitimer(signal.ITIMER_REAL)[0]:
        yield
        return

    def interrupt(number: int, frame: FrameType | None) -> None:
        late = TooLong(f"it did not end within {seconds:.3g} seconds")
        if not _Alarm.waits:
            raise late
        _Alarm.rung = late

    signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, max(seconds, 0.001), 1.0)  # again, where the first was caught
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def code_cells(raw: bytes) -> list[str]:
    """The sources of a notebook's code cells, as plain Python.

    Raises:
        ValueError: It is no notebook, or has no code; one sentence.
    """
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"the file is not text in UTF-8 (byte {error.start})") from None
    try:
        notebook = json.loads(text)
    except ValueError as error:
        raise ValueError(f"the file is no notebook: it is not JSON ({error})") from None
    except RecursionError:
        raise ValueError("the file is no notebook: its JSON is nested too deep") from None
    cells = notebook.get("cells") if isinstance(notebook, dict) else None
    if not isinstance(cells, list):
        older = isinstance(notebook, dict) and "worksheets" in notebook
        raise ValueError(
            "the notebook is of format 3: open it in Jupyter and save it again"
            if older
            else "the file is no notebook: it has no list of cells"
        )
    sources = [
        plain(_text(cell.get("source"))) for cell in cells if isinstance(cell, dict) and cell.get("cell_type") == "code"
    ]
    if not any(source.strip() for source in sources):
        raise ValueError("the notebook has no code in it")
    if len(sources) > MOST_CELLS:
        raise ValueError(f"the notebook has {len(sources)} code cells, expected at most {MOST_CELLS}")
    return sources


def _text(source: Any) -> str:
    parts = source if isinstance(source, list) else [source]
    return "".join(part for part in parts if isinstance(part, str))


def plain(source: str) -> str:
    """A cell without ``%magic``, ``!command`` and ``name?``, which only Jupyter knows; of another language nothing."""
    first = source.lstrip()
    if first.startswith("%%"):
        line, _, rest = first.partition("\n")
        return plain(rest) if re.match(r"%%(time|timeit|capture)\b", line) else ""
    lines = []
    for line in source.splitlines():
        timed = re.match(r"(\s*)%time\s+(.*)", line)
        if timed:
            line = timed[1] + timed[2]
        elif re.match(r"\s*([%!]|\w+ *= *[%!])", line) or re.match(r"\s*(\?{1,2}[\w.]+|[\w.]+\?{1,2})\s*$", line):
            line = re.sub(r"\S.*", "pass", line)
        lines.append(line)
    return "\n".join(lines) + "\n"


def run_cells(
    sources: list[str], seconds: float, before: Callable[[int], None] = lambda number: None, *, share: float = 1 / 3
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Run cells in a module ``__main__`` of their own, going on after an error.

    Args:
        sources: As ``code_cells`` gives them.
        seconds: For all of them.
        before: Called with the number of each cell, from 1, before it runs.
        share: Of the seconds, what one cell may take.

    Returns:
        The names that they leave, and for each cell that failed its number and the error.
    """
    module = types.ModuleType("__main__")
    names = vars(module)
    names["__builtins__"] = builtins
    names["display"] = lambda *things, **options: None
    sys.modules["__main__"] = module
    failed: list[dict[str, Any]] = []
    left = seconds
    for number, source in enumerate(sources, start=1):
        if not source.strip():
            continue
        before(number)
        if left <= 0:
            failed.append({"cell": number, "error": "it did not run: the time was used up"})
            continue
        file = f"<cell {number}>"
        linecache.cache[file] = len(source), None, source.splitlines(keepends=True), file
        began = time.monotonic()
        try:
            with time_limit(min(left, seconds * share)):
                exec(compile(source, file, "exec"), names)
        except BaseException as error:  # whatever a cell raises, the next one runs
            failed.append({"cell": number, "error": said(error)})
        left -= time.monotonic() - began
    return names, failed


def said(error: BaseException) -> str:
    """Kind and message of an error on one line."""
    if isinstance(error, SystemExit):
        return "it ends the program: leave out exit()"
    if isinstance(error, TooLong):
        return str(error)
    try:
        message = str(error).strip().partition("\n")[0][:200].rstrip(".")
    except BaseException:  # a message that cannot be made is none
        message = ""
    return type(error).__name__[:80] + (f": {message}" if message else "")
