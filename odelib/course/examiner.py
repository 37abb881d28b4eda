"""The process of the tests of one submission: ``python -m odelib.course.examiner``. No student's code runs in it.

It reads from standard input what ``odelib.course.grade`` gives it, calls ``grade`` of ``tests.py`` with stand-ins for
the submission's functions, and writes to standard output what came of it.
"""

import importlib.util
import json
import os
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from odelib.course.cells import TooLong, time_limit
from odelib.course.confine import confine
from odelib.course.errors import StudentError
from odelib.course.remote import Peer
from odelib.course.wire import Ended, Garbled, Line

START_S = 120.0
"""How long the submission's process may take to import torch."""
OWN_MEMORY_MB = 4096


class Names(Mapping[str, Any]):
    """The names of the submission: each value is asked for when it is needed."""

    def __init__(self, peer: Peer, names: list[str]) -> None:
        self._peer, self._names = peer, dict.fromkeys(names)

    def __getitem__(self, name: str) -> Any:
        if name not in self._names:
            raise KeyError(name)
        return self._peer.ask({"do": "name"}, (name,))

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


def main() -> None:
    """Examine one submission."""
    job = json.loads(sys.stdin.read())
    answers = os.dup(1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # tests may print
    try:
        result = examine(Path(sys.argv[1]), job)
    except (Exception, TooLong) as error:
        why = f"the tests stopped with {type(error).__name__}: {str(error)[:300]}"
        result = {"refused": None, "failed": [], "stopped": why, "look": True, "scores": []}
    with os.fdopen(answers, "w") as file:
        json.dump(result, file)


def examine(folder: Path, job: Mapping[str, Any]) -> dict[str, Any]:
    """Let the submission run, then the tests.

    Args:
        folder: Has ``tests.py``.
        job: ``parameters``, the descriptors ``reading`` and ``writing``, and the limits
            ``timeout_s``, ``memory_mb``, ``cells_s``, ``call_s``.

    Returns:
        ``refused``: why it did not run, or null; ``failed``: the cells with errors; ``stopped``: why the tests did not
        end, or null; ``look``: whether that is no fault of the submission; ``scores``: what ``grade`` returned.
    """
    result: dict[str, Any] = {"refused": None, "failed": [], "stopped": None, "look": False, "scores": []}
    line = Line(job["reading"], job["writing"])
    peer = Peer(line, trusting=False)
    cell = 0
    try:
        limits = {name: job[name] for name in ("timeout_s", "memory_mb", "cells_s", "call_s")}
        line.send(limits, [], deadline=time.monotonic() + START_S)
        header, _, _ = line.receive(time.monotonic() + START_S)
        if header["refused"] is not None:
            return {**result, "refused": header["refused"]}
        grade = load(folder)
        confine(OWN_MEMORY_MB, 4 * job["timeout_s"])
        began = time.monotonic()
        line.send({"go": True}, [], deadline=began + job["cells_s"])
        while "names" not in header:
            header, _, _ = line.receive(began + job["cells_s"] + 10)
            cell = _cell_of(header, cell)
        names = [name for name in header["names"] if isinstance(name, str)]
        result["failed"] = [
            {"cell": int(about["cell"]), "error": str(about["error"])[:300]} for about in header["failed"]
        ]
    except (Ended, Garbled, LookupError, TypeError, ValueError) as error:
        where = f"while its code cell {cell} ran" if cell else "before its first cell ran"
        why = f"its process has ended {where}" if "ended" in str(error) else f"{error}, {where}"
        return {**result, "refused": why}
    peer.seconds, peer.until = job["call_s"] + 5, began + job["timeout_s"]
    try:
        with time_limit(job["timeout_s"] + 5):  # an answer may send the tests themselves on a long way
            result["scores"] = grade(Names(peer, names), job["parameters"])
        json.dumps(result["scores"])
    except StudentError as error:
        result["scores"], result["stopped"] = [], f"an error of the submission stopped the tests: {error}"
    return result


def _cell_of(header: Mapping[str, Any], cell: int) -> int:
    values = header.get("values")
    number = values.get("cell") if isinstance(values, dict) else None
    return number if type(number) is int else cell


def load(folder: Path) -> Any:
    """The function ``grade`` of a folder's ``tests.py``."""
    # A name that nothing can import: what is defined there is called from there, and not sent.
    spec = importlib.util.spec_from_file_location("the tests", folder / "tests.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.grade


if __name__ == "__main__":
    main()
