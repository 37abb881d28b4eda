"""Does the size of a commutator predict what it costs to exchange two layers, or to put the halves of one in parallel?

``python -m odelib.studies.damage runs/clothes/clothes/usual/seed*/run --out ...`` measures networks of our own;
pretrained ones are read from their tables, as ``odelib surgery`` keeps them.
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import nn

from odelib.analysis import Surgery, commuting, count_layers
from odelib.files import write_json
from odelib.studies.layer_sizes import LAYERS
from odelib.studies.networks import Task
from odelib.studies.statistics import CONFIDENCE
from odelib.studies.surgeries import Row, measure, read_table
from odelib.training.record import environment, source_commit

DAMAGE = "damage.json"
_RESAMPLES = 10_000


@dataclass(frozen=True)
class Point:
    """A surgery on a network, with what was to predict its damage."""

    kind: str
    """swap or parallel."""
    layer: int
    """The layer, or the first of the two."""
    commutator: float
    """Size of the commutator of the two maps, divided by that of what they change."""
    damage: float
    """Share of the answers that change."""


@dataclass(frozen=True)
class Correlation:
    """Spearman's rank correlation over networks and their layers."""

    value: float
    """Of all points."""
    low: float
    """Lower end of the interval: networks are drawn anew, and then the points of each."""
    high: float
    """Upper end."""
    own: dict[str, float]
    """Of each network; NaN where it has fewer than three points, or equal ones."""


def points(rows: Sequence[Row], layers: Sequence[Mapping[str, float]]) -> list[Point]:
    """Join the rows of a table with the sizes of the commutators of the layers.

    Args:
        rows: As `odelib.studies.surgeries.read_table` reads them.
        layers: By layer: "update", "[A, M]", "[F, next F]", where there is one.
    """
    found = []
    for row in rows:
        done = row.surgery
        if done.swap is not None and done == Surgery(swap=done.swap) and done.swap[1] == done.swap[0] + 1:
            i, j = done.swap
            size = layers[i]["[F, next F]"] / (layers[i]["update"] + layers[j]["update"])
            found.append(Point("swap", i, size, 1.0 - row.same))
        elif len(done.parallel) == 1 and done == Surgery(parallel=done.parallel):
            (i,) = map(int, done.parallel)
            found.append(Point("parallel", i, layers[i]["[A, M]"] / layers[i]["update"], 1.0 - row.same))
    return found


def points_of_table(folder: Path, *, sequential: bool = True) -> list[Point]:
    """Return the points of a kept table with its ``layers.json``.

    Args:
        folder: As ``odelib surgery --all --out`` and ``--layers`` leave it.
        sequential: Whether the network's attention and MLP come one after the other, so that parallel is a change.

    Raises:
        OSError: One of the two files is absent.
        TrainingError: A line of the table is damaged.
    """
    _, rows = read_table(folder)
    layers = json.loads((folder / LAYERS).read_text(encoding="utf-8"))["layers"]
    return [point for point in points(rows, layers) if sequential or point.kind == "swap"]


def points_of(model: nn.Module, task: Task, items: int = 4) -> list[Point]:
    """Measure the points of a network of distinct usual layers.

    Args:
        model: The network.
        task: What damage is measured by.
        items: Along the states of how many items commutators are measured, in float64.
    """
    inputs, layers = task.sample(items), count_layers(model)
    exact = inputs.double() if inputs.is_floating_point() else inputs
    sizes = commuting(deepcopy(model).double(), exact)
    table = [
        {
            "update": float(sizes.update[i].mean()),
            "[A, M]": float(sizes.terms[i].mean()),
            "[F, next F]": float(sizes.layers[i].mean()) if i + 1 < layers else torch.nan,
        }
        for i in range(layers)
    ]
    surgeries = [Surgery(swap=(i, i + 1)) for i in range(layers - 1)]
    surgeries += [Surgery(parallel=(i,)) for i in range(layers)]
    return points(list(measure(model, task, surgeries)), table)


def rank_correlation(
    networks: Mapping[str, Sequence[Point]], *, resamples: int = _RESAMPLES, level: float = CONFIDENCE
) -> Correlation:
    """Correlate the ranks of commutators and damages over all points of some networks.

    Args:
        networks: By name, the points of each; three or more in all.
        resamples: How often networks, and then the points of each, are drawn anew, from a fixed seed.
        level: Of the interval, by percentiles.

    Raises:
        ValueError: There are fewer than three points.
    """
    arrays = [np.array([(p.commutator, p.damage) for p in each], float) for each in networks.values() if each]
    if sum(map(len, arrays)) < 3:
        raise ValueError(f"{sum(map(len, arrays))} points came: a rank correlation takes three or more")
    rng = np.random.default_rng(0)
    sizes = [len(each) for each in arrays]
    ends = np.cumsum(sizes)
    counts = np.zeros((resamples, ends[-1]))  # how often each point is drawn
    for row in counts:
        for i in rng.integers(len(sizes), size=len(sizes)):
            drawn = rng.integers(sizes[i], size=sizes[i])
            row[ends[i] - sizes[i] : ends[i]] += np.bincount(drawn, minlength=sizes[i])
    pooled = np.concatenate(arrays)
    low, high = np.nanquantile(_spearman(pooled, counts), [0.5 - level / 2, 0.5 + level / 2])
    own = {name: _spearman_of([(p.commutator, p.damage) for p in each]) for name, each in networks.items()}
    return Correlation(_spearman_of(pooled), float(low), float(high), own)


def said(correlation: Correlation) -> str:
    """Return what the interval of a correlation says, in the words of the protocol."""
    if correlation.low > 0.5:
        return "predicts, well enough to choose by"
    if correlation.low > 0.0:
        return "predicts, but not well enough to choose by" if correlation.high < 0.5 else "predicts"
    return "does not predict" if correlation.high < 0.5 else "undecided"


def _spearman_of(pairs: Sequence[tuple[float, float]] | np.ndarray) -> float:
    array = np.asarray(pairs, dtype=np.float64).reshape(-1, 2)
    return float(_spearman(array, np.ones((1, len(array))))[0])


def _spearman(
    pairs: Float[np.ndarray, "points 2"], counts: Float[np.ndarray, "samples points"]
) -> Float[np.ndarray, " samples"]:
    """Of samples that have each point so often; NaN for fewer than three points, or where one side is constant."""
    total = counts.sum(axis=1, keepdims=True)
    if not pairs.size:
        return np.full(len(counts), np.nan)
    one, other = (_ranks(values, counts) for values in pairs.T)
    one, other = (ranks - (counts * ranks).sum(axis=1, keepdims=True) / total for ranks in (one, other))
    size = np.sqrt((counts * one**2).sum(axis=1) * (counts * other**2).sum(axis=1))
    fit = (size > 0) & (total[:, 0] >= 3)
    found = np.full(len(counts), np.nan)
    found[fit] = (counts * one * other).sum(axis=1)[fit] / size[fit]
    return found


def _ranks(
    values: Float[np.ndarray, " points"], counts: Float[np.ndarray, "samples points"]
) -> Float[np.ndarray, "samples points"]:
    """The rank of each point in each sample; equal ones share the middle of theirs."""
    distinct, place = np.unique(values, return_inverse=True)
    of_each = counts @ np.eye(len(distinct))[place]
    return (of_each.cumsum(axis=1) - of_each + (of_each + 1) / 2)[:, place]


def read_points(folder: Path) -> dict[str, list[Point]]:
    """Return the kept points of our own networks, by network.

    Raises:
        OSError: There are none.
    """
    kept = json.loads((folder / DAMAGE).read_text(encoding="utf-8"))["networks"]
    return {name: [Point(**point) for point in each["points"]] for name, each in kept.items()}


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure the points of our own networks."""
    from odelib.studies.own_networks import open_run

    parser = argparse.ArgumentParser(prog="python -m odelib.studies.damage", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("runs", nargs="+", type=Path, help="run folders of a study, each with a checkpoint")
    parser.add_argument("--out", type=Path, required=True, help="the folder for damage.json")
    given = parser.parse_args(arguments)
    kept: dict[str, Any] = {}
    for folder in given.runs:
        model, task, trained = open_run(folder)
        name = "/".join(folder.parts[-3:-1])
        kept[name] = {"trained at": trained, "points": [asdict(point) for point in points_of(model, task)]}
        print(name, flush=True)
    made = {"commit": source_commit(), **environment(), "threads": torch.get_num_threads()}
    given.out.mkdir(parents=True, exist_ok=True)
    write_json(given.out / DAMAGE, {"networks": kept, "made": made})
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
