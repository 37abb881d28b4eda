"""Execute the chapters under other seeds, and say which of their sentences do not hold there: ``make seeds``.

Every seed is shifted: that with which a chapter starts, those of its generators, those of the trainings that it calls;
and of a kept network that of another seed is taken. A claim that fails is noted, and the chapter goes on.
"""

import argparse
import json
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import nbformat
from joblib import Parallel, delayed
from nbclient import NotebookClient

FALSE = "A claim is false: "
SHIFTED = "shifted"  # the module in this folder that the kernels import


class Found(NamedTuple):
    """What a chapter under shifted seeds has shown."""

    chapter: str
    shift: int
    claims: int
    false: list[str]
    raised: list[str]
    seconds: float


def execute(path: Path, shift: int) -> Found:
    """Execute a chapter with its seeds shifted, to its end whatever its cells raise."""
    notebook: Any = nbformat.read(path, as_version=4)
    folder = json.dumps(str(Path(__file__).parent))
    first = f"import sys\nsys.path.insert(0, {folder})\nimport {SHIFTED}\n{SHIFTED}.shift({shift})"
    notebook.cells.insert(0, nbformat.v4.new_code_cell(first))
    begun = time.perf_counter()
    NotebookClient(
        notebook, timeout=900, kernel_name="python3", allow_errors=True, resources={"metadata": {"path": path.parent}}
    ).execute()
    lines = [line for cell in notebook.cells for line in printed(cell)]
    raised = [
        f"cell {index - 1}: {output.ename}: {output.evalue.splitlines()[0] if output.evalue else ''}"
        for index, cell in enumerate(notebook.cells)
        for output in cell.get("outputs", [])
        if output.output_type == "error"
    ]
    false = [line.removeprefix(FALSE) for line in lines if line.startswith(FALSE)]
    held = sum(line.startswith("claim ") and line.endswith(": holds") for line in lines)
    return Found(path.stem, shift, held + len(false), false, raised, time.perf_counter() - begun)


def printed(cell: Any) -> Iterator[str]:
    """Yield the lines that a cell has printed."""
    for output in cell.get("outputs", []):
        if output.output_type == "stream":
            yield from output.text.splitlines()


def main() -> None:
    """Execute the chapters that are named under each shift; exit 1 if a claim fails or a cell raises."""
    today = int(datetime.now(UTC).strftime("%y%m%d"))
    parser = argparse.ArgumentParser(description="Execute chapters under shifted seeds.")
    parser.add_argument("chapters", nargs="+", type=Path)
    parser.add_argument("--shifts", type=int, default=3, help="how many shifts")
    parser.add_argument("--seed", type=int, default=today, help="the first shift; the day's date if left out")
    parser.add_argument("--workers", type=int, default=2)
    given = parser.parse_args()
    shifts = [given.seed + 1000 * k for k in range(given.shifts)]
    print(f"shifts: {', '.join(map(str, shifts))}")
    jobs = (delayed(execute)(path, shift) for shift in shifts for path in given.chapters)
    found = list(Parallel(given.workers, verbose=0)(jobs))
    for one in found:
        print(f"{one.chapter}, shift {one.shift}: {one.claims} claims, {len(one.false)} false, ", end="")
        print(f"{len(one.raised)} cells raise, {one.seconds:.0f} s")
        for line in (*one.false, *one.raised):
            print(f"    {line}")
    wrong = sum(len(one.false) + len(one.raised) for one in found)
    print(f"{sum(one.claims for one in found)} claims under {len(shifts)} shifts: {wrong} do not hold or raise.")
    sys.exit(wrong > 0)


if __name__ == "__main__":
    main()
