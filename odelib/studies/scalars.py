"""At most fifty scalars fitted to a network whose weights are frozen, measured on inputs that they were not fitted to.

``python -m odelib.studies.scalars minilm --fitting 300 --items 1500`` fits the three kinds of ``studies/PROTOCOL.md``
(e) and keeps what they change.
"""

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from odelib.analysis import count_layers, operate, shares_weights, with_scalars
from odelib.analysis.surgery import Surgery
from odelib.files import write_json
from odelib.studies.networks import Reading, Task
from odelib.studies.open_network import open_network, open_task
from odelib.studies.statistics import Difference, paired
from odelib.studies.verdicts import ERROR
from odelib.training.record import environment, source_commit

SCALARS = "scalars.json"
QUESTIONS = 12
"""Three fits for each of four networks."""
LEVEL = 1.0 - ERROR / QUESTIONS
POINT = 0.01
"""A change of accuracy that matters."""
_RATE, _PASSES, _BATCH = 0.02, 5, 25


@dataclass(frozen=True)
class Fit:
    """What scalars have made of a network."""

    name: str
    """sizes, two-step or fewer."""
    skip: tuple[int, ...]
    """Layers that are left out."""
    scalars: list[float]
    """As fitted."""
    values: dict[str, float]
    """By reading: the mean over the inputs that nothing was fitted to."""
    changes: dict[str, Difference]
    """By reading: that less the network's as it was trained."""
    untouched: dict[str, Difference] | None
    """The same with as many layers and steps of size 1; None where no layer is left out."""
    seconds: float
    """Of the processor, for fitting."""


def fit(
    model: nn.Module, task: Task, fitting: int, *, skip: Sequence[int] = (), memory: bool = False
) -> tuple[nn.Module, list[float]]:
    """Return a network with step sizes that are fitted to the first items of a task, and these; its weights are frozen.

    By Adam, at the rate 0.02, in five passes of batches of 25.

    Args:
        model: A network; it stays as it is.
        task: Where the items and their loss come from.
        fitting: To how many items.
        skip: Layers that are left out.
        memory: Whether each step keeps something of the last one, too.

    Raises:
        ValueError: As in `odelib.analysis.with_scalars`.
    """
    fitted, depth = with_scalars(model, skip=skip, memory=memory)
    wanted = [weight.requires_grad for weight in model.parameters()]
    model.requires_grad_(False)
    optimizer = torch.optim.Adam(depth.scalars, lr=_RATE)
    generator = torch.Generator().manual_seed(0)
    for _ in range(_PASSES):
        for chosen in torch.split(torch.randperm(fitting, generator=generator), _BATCH):
            optimizer.zero_grad()
            task.loss(fitted, chosen.tolist()).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
    for weight, was in zip(model.parameters(), wanted, strict=True):
        weight.requires_grad_(was)
    return fitted, [value for scalar in depth.scalars for value in scalar.detach().tolist()]


def measure_fits(model: nn.Module, task: Task, fitting: int) -> tuple[dict[str, float], list[Fit]]:
    """Fit step sizes, two-step weights, and the sizes of fewer steps, and measure each on the items that are left.

    Args:
        model: The network as trained.
        task: Its items; the first ``fitting`` are fitted to.
        fitting: How many these are.

    Returns:
        What the network as trained makes of the other items, by reading; and the fits.

    Raises:
        ValueError: No item would be left to measure on.
    """
    if not 0 < fitting < len(task.places):
        raise ValueError(f"fitting is {fitting} of {len(task.places)} items: fit to some, and leave some to measure on")
    rest = slice(fitting, None)
    places = task.places[rest]

    def less(reading: Reading, other: Reading) -> dict[str, Difference]:
        return {name: paired(sums[rest], other.sums[name][rest], places, LEVEL) for name, sums in reading.sums.items()}

    def means(reading: Reading) -> dict[str, float]:
        return {name: float(sums[rest].sum() / places.sum()) for name, sums in reading.sums.items()}

    trained, found = task.read(model), []
    for name, skip in (("sizes", ()), ("two-step", ()), ("fewer", least_missed(model, task, fitting))):
        start = time.process_time()
        fitted, scalars = fit(model, task, fitting, skip=skip, memory=name == "two-step")
        seconds = round(time.process_time() - start, 1)
        reading = task.read(fitted)
        untouched = less(task.read(operate(model, Surgery(skip=skip))), trained) if skip else None
        found.append(Fit(name, skip, scalars, means(reading), less(reading, trained), untouched, seconds))
    return means(trained), found


@torch.no_grad()
def least_missed(model: nn.Module, task: Task, fitting: int) -> tuple[int, ...]:
    """Which quarter of the layers, rounded, costs least on the fitting items when each is left out alone.

    Of layers that share their weights it is the last ones: which they are makes no difference.
    """
    layers = count_layers(model)
    count = max(1, round(layers / 4))
    if shares_weights(model):
        return tuple(range(layers - count, layers))
    parts = torch.split(torch.arange(fitting), _BATCH)
    costs = []
    for i in range(layers):
        cut = operate(model, Surgery(skip=(i,)))
        costs.append(sum(float(task.loss(cut, part.tolist())) * len(part) for part in parts))
    return tuple(sorted(np.argsort(costs)[:count].tolist()))


def keep_fits(network: str, fitting: int, items: int | None, out: Path) -> dict[str, Any]:
    """Fit scalars to a network, measure them, and write ``scalars.json`` into a folder.

    Args:
        network: Its name, or its folder.
        fitting: How many of the items are fitted to.
        items: How many there are, drawn with a fixed seed; None: all.
        out: The folder; made if absent.

    Raises:
        DataError: The network or its data are absent.
        ValueError: No item would be left to measure on.
    """
    model, folder = open_network(network)
    made = {"commit": source_commit(), **environment(), "threads": torch.get_num_threads()}
    task = open_task(network, model, folder, items=items)
    trained, fits = measure_fits(model, task, fitting)
    kept = {
        "network": network,
        "fitting": fitting,
        "items": len(task.places),
        "trained": trained,
        "fits": [_plain(each) for each in fits],
        "made": {
            **made,
            "command": f"python -m odelib.studies.scalars {network} --fitting {fitting}"
            + (f" --items {items}" if items else ""),
        },
    }
    out.mkdir(parents=True, exist_ok=True)
    write_json(out / SCALARS, kept)
    return kept


def read_fits(folder: Path) -> dict[str, Any]:
    """Return what `keep_fits` wrote, with `Fit`s under "fits".

    Raises:
        OSError: There is no such file.
    """
    kept: dict[str, Any] = json.loads((folder / SCALARS).read_text(encoding="utf-8"))
    count = kept["items"] - kept["fitting"]

    def back(changes: dict[str, Any] | None) -> Any:
        if changes is None:
            return None
        return {name: Difference((count, count), mean, low, high, LEVEL) for name, (mean, low, high) in changes.items()}

    kept["fits"] = [
        Fit(
            each["name"],
            tuple(each["skip"]),
            each["scalars"],
            each["values"],
            back(each["changes"]),
            back(each["untouched"]),
            each["seconds"],
        )
        for each in kept["fits"]
    ]
    return kept


def said(fit: Fit) -> str:
    """Return what the interval of the first reading's change says, in the words of the protocol."""
    gain = next(iter(fit.changes.values()))
    if fit.skip:
        return "cheaper" if gain.low > -POINT else "not cheaper" if gain.high < -POINT else "undecided"
    if gain.low > 0.0:
        return "better by what matters" if gain.low > POINT else "better"
    return "worse" if gain.high < 0.0 else "undecided"


def _plain(each: Fit) -> dict[str, Any]:
    def plain(changes: dict[str, Difference]) -> dict[str, list[float]]:
        return {name: [gain.mean, gain.low, gain.high] for name, gain in changes.items()}

    untouched = None if each.untouched is None else plain(each.untouched)
    return {**vars(each), "changes": plain(each.changes), "untouched": untouched}


def main(arguments: Sequence[str] | None = None) -> int:
    """Fit scalars to the network that the command line names."""
    parser = argparse.ArgumentParser(
        prog="python -m odelib.studies.scalars", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("network", help="its name, or its folder")
    parser.add_argument("--fitting", type=int, required=True, help="to how many items the scalars are fitted")
    parser.add_argument("--items", type=int, help="how many items there are (default: all)")
    parser.add_argument("--out", type=Path, required=True, help="the folder for scalars.json")
    given = parser.parse_args(arguments)
    kept = keep_fits(given.network, given.fitting, given.items, given.out)
    for each in kept["fits"]:
        name, (mean, low, high) = next(iter(each["changes"].items()))
        print(f"{each['name']:9} {name} {mean:+.4f} [{low:+.4f}, {high:+.4f}]  without layers {each['skip']}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
