"""The process of ``odelib check``: ``python -m odelib.course.checker``. It runs a notebook and tells what checks say.

The checks run beside the reader's own code, which could answer in their place: what they say is for the reader.
"""

import sys
from pathlib import Path
from typing import Any

import odelib.teaching
from odelib.course.cells import code_cells, run_cells
from odelib.course.confine import confine
from odelib.course.student import own_line
from odelib.teaching import exercises


def main(notebook: Path) -> None:
    """Run the cells, and send a verdict for each ``check(name, answer)`` that is called."""
    line = own_line()
    header, _, _ = line.receive()
    now = 0

    def begin(number: int) -> None:
        nonlocal now
        now = number
        line.send({"cell": number}, [])

    def check(name: str, answer: Any) -> None:
        verdict = exercises.judge(name, answer)
        about = {"passed": verdict.passed, "answered": verdict.answered, "line": verdict.line}
        line.send({"verdict": name, "cell": now, **about}, [])

    odelib.teaching.check = exercises.check = check
    sources = code_cells(notebook.read_bytes())[: header["cells"]]
    confine(header["memory_mb"], 4 * header["seconds"])
    _, failed = run_cells(sources, header["seconds"], begin, share=1.0)
    line.send({"failed": failed}, [])


if __name__ == "__main__":
    main(Path(sys.argv[1]))
