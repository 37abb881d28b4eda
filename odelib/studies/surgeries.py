"""The table of one network: what is left of it after each surgery, with intervals, row by row, so that it can go on."""

import json
import math
import time
import zlib
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Shaped
from torch import nn

from odelib.analysis.surgery import Surgery, operate
from odelib.errors import TrainingError
from odelib.files import version_of
from odelib.solvers import SolverError
from odelib.studies.networks import Reading, Task
from odelib.studies.statistics import CONFIDENCE, Difference, paired
from odelib.training.record import environment, source_commit

ROWS = "rows.jsonl"
_SAME = 0.005
"""Two machines' rounding turns fewer answers of one network than this share."""


@dataclass(frozen=True)
class Row:
    """What one surgery left of a network."""

    surgery: Surgery
    values: dict[str, float]
    """By reading: the mean over all places of all items."""
    changes: dict[str, Difference]
    """By reading: that less the network's as it was trained, with the interval over items."""
    same: float
    """Share of the answers that are those of the network as it was trained."""
    misses: Shaped[np.ndarray, " items"]
    """By the first reading: how many places of each item are wrong."""
    made: dict[str, Any]
    """Seconds of the processor, commit, date and machine."""


def all_surgeries(layers: int, *, shared: bool = False) -> list[Surgery]:
    """Return what is done to every network: the controls that must fail first, then the cheap ones.

    Args:
        layers: How many layers it has.
        shared: Whether they share one weight set; then they cannot be exchanged, and any can be left out for another.
    """
    every, pairs = range(layers), range(layers - 1)
    found = [Surgery(half=True), *(Surgery(random=seed) for seed in range(3))]
    found += [] if shared else [Surgery(reverse=True)]
    found += [Surgery(refine=2), Surgery(rule="midpoint"), Surgery(rule="rk4")]
    found += [Surgery(parallel="all"), Surgery(parallel="all", form="input")]
    found += [Surgery(skip=(i,)) for i in (every[:1] if shared else every)]
    found += [] if shared else [Surgery(swap=(i, i + 1)) for i in pairs]
    found += [Surgery(together=i) for i in pairs]
    found += [Surgery(parallel=(i,), form=form) for form in ("sum", "input") for i in every]
    found += [Surgery(rule=rule, refine=n) for n, rule in ((4, "euler"), (2, "midpoint"), (2, "rk4"), (8, "euler"))]
    return [*found, *(Surgery(rule=rule, refine=n) for n in (4, 8) for rule in ("midpoint", "rk4"))]


def title(surgery: Surgery) -> str:
    """Say in words what a surgery does; layers counted from 0."""
    parts = []
    if surgery.rule != "euler" or surgery.refine != 1:
        steps = "1 step" if surgery.refine == 1 else f"{surgery.refine} steps"
        parts.append(f"{steps} of {surgery.rule} per layer")
    if surgery.parallel:
        form = "" if surgery.form == "sum" else ", norms in place"
        which = "in all layers" if surgery.parallel == "all" else f"in layer {_listed(surgery.parallel)}"
        parts.append(f"attention and MLP in parallel {which}{form}")
    if surgery.swap is not None:
        parts.append(f"layers {_listed(surgery.swap)} exchanged")
    if surgery.skip:
        parts.append(f"without layer {_listed(surgery.skip)}")
    if surgery.together is not None:
        parts.append(f"layers {surgery.together} and {surgery.together + 1} in parallel")
    parts += ["layers reversed"] * surgery.reverse + ["every second layer left out"] * surgery.half
    parts += [] if surgery.random is None else [f"random weights, seed {surgery.random}"]
    return "; ".join(parts) or "as trained"


def _listed(layers: Sequence[int]) -> str:
    return " and ".join(map(str, layers))


def measure(model: nn.Module, task: Task, surgeries: Sequence[Surgery]) -> Iterator[Row]:
    """Measure a network as it was trained, and then after each surgery.

    Args:
        model: The network.
        task: What it is measured by.
        surgeries: What is done; each to the network as it was trained.

    Yields:
        A row for the network as it was trained, and one for each surgery.

    Raises:
        ValueError: A surgery does not fit the network.
        TrainingError: A network's states overflow after a surgery.
    """
    operated = [operate(model, surgery) for surgery in surgeries]  # all are refused before the first takes its time
    trained = task.read(model)
    made = {"commit": source_commit(), **environment()}  # of the code that is running, whatever is changed meanwhile
    yield _row(task, Surgery(), trained, trained, made)
    for surgery, network in zip(surgeries, operated, strict=True):
        start = time.process_time()
        try:
            reading = task.read(network)
        except SolverError as error:
            raise TrainingError(f"{title(surgery)}: {error}") from error
        yield _row(task, surgery, reading, trained, {"cpu_seconds": round(time.process_time() - start, 1), **made})


def _row(task: Task, surgery: Surgery, reading: Reading, trained: Reading, made: dict[str, Any]) -> Row:
    total, first = float(task.places.sum()), next(iter(reading.sums.values()))
    return Row(
        surgery,
        {name: float(sums.sum()) / total for name, sums in reading.sums.items()},
        {name: paired(sums, trained.sums[name], task.places) for name, sums in reading.sums.items()},
        float((reading.answers == trained.answers).mean()),
        np.rint(task.places - first).astype(np.uint16),
        made,
    )


def keep_table(
    folder: Path,
    head: dict[str, Any],
    model: nn.Module,
    task: Task,
    surgeries: Sequence[Surgery],
    say: Callable[[Row], object],
) -> list[Row]:
    """Measure what is not measured yet, and write each row as soon as it is there.

    Args:
        folder: Where ``rows.jsonl`` is or will be; made if absent.
        head: What the rows are of, as plain values: network, data, items.
        model: The network.
        task: What it is measured by.
        surgeries: What is done.
        say: Told each row.

    Returns:
        All rows of the file.

    Raises:
        ValueError: The file is of another network, of other data or of another number of items; or the network reads
            otherwise there, as it was trained.
        TrainingError: A line of it is damaged.
    """
    path = folder / ROWS
    rows: list[Row] = []
    if path.is_file():
        found, rows = read_table(folder)
        differing = [name for name in head if found.get(name) != head[name]]
        if differing:
            shown = ", ".join(f"{name} is {found.get(name)!r} there and {head[name]!r} here" for name in differing)
            raise ValueError(f"{path} is another table ({shown}): choose another folder")
    else:
        folder.mkdir(parents=True, exist_ok=True)
        versions = {"torch": str(torch.__version__), "odelib": version_of()}
        _append(path, {"record": "header", **head, "versions": versions, "threads": torch.get_num_threads()})
    done = {row.surgery for row in rows}
    left = [surgery for surgery in surgeries if surgery not in done]
    for row in measure(model, task, left) if left or not rows else ():
        if row.surgery in done:
            _check_same_network(path, next(known for known in rows if known.surgery == row.surgery), row)
        else:
            _append(path, plain(row))
            say(row)
            rows.append(row)
    return rows


def _check_same_network(path: Path, kept: Row, row: Row) -> None:
    """Refuse to go on with the rows of a network that has the same name, and other weights or other items."""
    for name, value in row.values.items():
        known = kept.values.get(name)
        if known is None or abs(value - known) > _SAME:
            raise ValueError(
                f"{path} is of another network or other items ({name} as trained is {known} there and {value} here): "
                "choose another folder"
            )


def read_table(folder: Path) -> tuple[dict[str, Any], list[Row]]:
    """Return the header and the rows of a kept table.

    Raises:
        TrainingError: A line is damaged; the sentence names it.
        OSError: There is no table.
    """
    path, head, rows = folder / ROWS, {}, []
    for number, text in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        try:
            record = json.loads(text)
            if record.pop("record") == "header":
                head = record
            else:
                rows.append(_row_of(record))
        except (ValueError, KeyError, TypeError, AttributeError, zlib.error) as error:
            raise TrainingError(
                f"{path}, line {number} is no row of a table ({error}): remove that line, and it is measured again"
            ) from error
    return head, rows


def line(row: Row) -> str:
    """Return a row as a line of text: what was done, and each reading with the 95 % interval of its change."""
    parts = [f"{title(row.surgery):62}"]
    for name, value in row.values.items():
        gain = row.changes[name]
        bare = row.surgery == Surgery() or math.isnan(gain.low)
        interval = "" if bare else f" [{gain.low:+.4f}, {gain.high:+.4f}]"
        parts.append(f"{name} {value:.4f}{interval}")
    return "  ".join([*parts, f"same answers {row.same:.4f}"])


def _append(path: Path, record: dict[str, Any]) -> None:
    with open(path, "a", encoding="utf-8") as file:
        file.write(json.dumps(record, allow_nan=False) + "\n")


def plain(row: Row) -> dict[str, Any]:
    """Return a row as plain values, ready for JSON."""
    return {
        "record": "row",
        "title": title(row.surgery),
        "surgery": row.surgery.changes(),
        "values": row.values,
        "changes": {name: _ends(gain) for name, gain in row.changes.items()},
        "same": row.same,
        "misses": b64encode(zlib.compress(row.misses.tobytes(), 9)).decode(),
        "made": row.made,
    }


def _ends(gain: Difference) -> list[float | None]:
    """The change and its interval; JSON has no NaN, so that an interval that there is not is null."""
    return [gain.mean, *(None if math.isnan(end) else end for end in (gain.low, gain.high))]


def _row_of(record: dict[str, Any]) -> Row:
    misses = np.frombuffer(zlib.decompress(b64decode(record["misses"])), dtype=np.uint16)
    changes = {}
    for name, ends in record["changes"].items():
        mean, low, high = (math.nan if end is None else end for end in ends)
        changes[name] = Difference((len(misses), len(misses)), mean, low, high, CONFIDENCE)
    values: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in record["surgery"].items()}
    surgery = Surgery(**values)
    return Row(surgery, record["values"], changes, record["same"], misses, record["made"])
