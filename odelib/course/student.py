"""The process of one submission: ``python -m odelib.course.student``. It runs the cells and answers the tests' calls.

All that it knows is the notebook. The tests are in another process, and what this one says is only ever an answer.
"""

import os
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from odelib.course.cells import code_cells, run_cells, time_limit
from odelib.course.confine import confine
from odelib.course.remote import Peer
from odelib.course.wire import Line


def main(notebook: Path) -> None:
    """Serve the tests over what were standard input and output, until they are done."""
    line = own_line()
    header, _, _ = line.receive()
    memory_mb, cells_s, call_s = (header[name] for name in ("memory_mb", "cells_s", "call_s"))
    try:
        without_otter()
        without_tracing()
        raw = notebook.read_bytes()
        confine(memory_mb, 4 * header["timeout_s"])
        sources = code_cells(raw)
    except (ValueError, OSError, MemoryError) as error:
        line.send({"refused": str(error) or "the file needs too much memory"}, [])
        return
    line.send({"refused": None}, [])

    def around(call: Callable[[], Any]) -> Any:
        with time_limit(call_s):
            return call()

    peer = Peer(line, trusting=True, around=around)
    line.receive()
    names, failed = run_cells(sources, cells_s, lambda number: peer.note({"cell": number}))
    texts = [name for name in names if type(name) is str]  # a submission may put anything there
    names = {name: names[name] for name in texts if not name.startswith("_") and name != "display"}
    line.send({"names": sorted(names), "failed": failed}, [])
    peer.offer(names)
    peer.serve()


def own_line() -> Line:
    """Take standard input and output for the frames; what is printed from now on is lost, and costs nothing."""
    reading, writing = os.dup(0), os.dup(1)
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nowhere, descriptor)
    return Line(reading, writing)


def without_otter() -> None:
    """Put a stand-in where notebooks import Otter-Grader, whose local checks are not for here."""

    class Notebook:
        def __init__(self, *args: Any, **options: Any) -> None: ...

        def __getattr__(self, name: str) -> Callable[..., None]:
            return lambda *args, **options: None

    module: Any = types.ModuleType("otter")
    module.Notebook = Notebook
    sys.modules["otter"] = module


def without_tracing() -> None:
    """Let ``torch.func.linearize`` call its function again: what the tests hand over cannot be traced into a graph."""

    def linearize(func: Callable[..., Any], *primals: Any) -> tuple[Any, Callable[..., Any]]:
        return func(*primals), lambda *tangents: torch.func.jvp(func, primals, tangents)[1]

    vars(torch.func)["linearize"] = linearize


if __name__ == "__main__":
    main(Path(sys.argv[1]))
