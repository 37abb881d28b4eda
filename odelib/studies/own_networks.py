"""Small classifiers of our own, each asked whether it is an equation.

Each is refined, its layers are put in another order, and its steps are compared with the critical ones.

``python -m odelib.studies.own_networks runs/loops --out ...`` measures the runs of a study whose checkpoints are there.
"""

import argparse
import json
import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor, nn

from odelib.analysis import critical_steps, permuted, steps_of, swapped
from odelib.analysis.depth import depth_of
from odelib.data import load_images, normalise
from odelib.errors import TrainingError
from odelib.files import write_json
from odelib.layers import WholeLayer
from odelib.solvers import step_rule
from odelib.studies.job import read_result
from odelib.studies.networks import Reading, Task
from odelib.studies.runs import open_study
from odelib.training import load_run
from odelib.training.record import environment, source_commit

MEASURED = "measured.json"
REFINE = 4
"""How many steps of RK4 are taken in place of each step of a network, to solve its equation accurately."""
_ORDERS = 5


class Pictures(Task):
    """The classes of test images.

    Readings: "accuracy" and "loss" (nats).

    Args:
        images: Normalised as in training.
        labels: The right classes.
    """

    def __init__(self, images: Float[Tensor, "images channels height width"], labels: Int64[Tensor, " images"]) -> None:
        self._images, self._labels = images, labels
        self.places, self.tokens = np.ones(len(images)), []

    @torch.inference_mode()
    def read(self, model: nn.Module) -> Reading:
        """Measure a network."""
        logits = torch.cat([model(part) for part in torch.split(self._images, 500)]).double()
        losses = F.cross_entropy(logits, self._labels, reduction="none")
        answers = logits.argmax(dim=1)
        hits = (answers == self._labels).double()
        return Reading({"accuracy": hits.numpy(), "loss": losses.numpy()}, answers.numpy())

    def sample(self, items: int) -> Tensor:
        """Return the first images."""
        return self._images[:items]


def open_run(folder: Path) -> tuple[nn.Module, Pictures, str]:
    """Bring back a network of a run folder, the test images of its data, and the commit that it was trained at.

    Raises:
        CheckpointError: The folder has no checkpoint.
    """
    config, model = load_run(folder)
    data = load_images(config.data)
    task = Pictures(normalise(data.test_images, data.mean, data.std), data.test_labels)
    return model, task, str(read_result(folder.parent)["provenance"]["commit"])


def measure_own(model: nn.Module, task: Pictures, images: int = 16) -> dict[str, Any]:
    """Measure one network.

    Args:
        model: A classifier with one depth.
        task: Its test images.
        images: Along the states of how many images stability is measured, in float64.

    Returns:
        Plain values: ``accuracy`` and ``loss`` as trained, ``accurate`` (the same when every step is divided and taken
        with RK4), ``kept`` (the share of answers that stay), ``ratio`` (the median of step size to critical step) and
        ``ratios`` by step; with distinct weights ``shuffled`` and ``neighbours``, the mean loss with all layers in a
        random order and with two neighbours exchanged.
    """
    trained = task.read(model)
    with swapped(model, "rk4", refine=REFINE):
        fine = task.read(model)
    ratios = step_ratios(model, task.sample(images))
    found: dict[str, Any] = {
        **_means(trained),
        "accurate": _means(fine),
        "kept": float((fine.answers == trained.answers).mean()),
        "ratio": float(ratios.median()),
        "ratios": [round(float(row.median()), 4) for row in ratios],
    }
    layers = len(depth_of(model).fields)
    if layers > 1:
        generator = torch.Generator().manual_seed(0)
        orders = [torch.randperm(layers, generator=generator).tolist() for _ in range(_ORDERS)]
        pairs = [[*range(i), i + 1, i, *range(i + 2, layers)] for i in range(layers - 1)]
        found["shuffled"] = _mean_loss(model, task, orders)
        found["neighbours"] = _mean_loss(model, task, pairs)
    return found


def step_ratios(model: nn.Module, images: Float[Tensor, "images *shape"]) -> Float[Tensor, "steps images"]:
    """Return the size of each step divided by the critical step of its field, along the network's own states.

    Greater than 1 where Euler's method with this step would let a small change of the state grow that decays along the
    equation; 0 where none decays. A step of a rule other than Euler's counts as one Euler step of the whole layer.
    """
    euler, found = step_rule("euler"), []
    for step in steps_of(model.double(), images.double()):
        field = step.field if step.rule == euler else WholeLayer(step.field, step.rule)  # type: ignore[arg-type]
        found.append(step.h / critical_steps(field, step.before, t=step.t))
    model.float()
    return torch.stack(found)


def _means(reading: Reading) -> dict[str, float]:
    return {name: float(sums.mean()) for name, sums in reading.sums.items()}


def _mean_loss(model: nn.Module, task: Pictures, orders: Sequence[Sequence[int]]) -> float:
    return statistics.fmean(float(task.read(permuted(model, order)).sums["loss"].mean()) for order in orders)


def measure_study(folder: Path, variants: Sequence[str] = ()) -> list[dict[str, Any]]:
    """Measure the networks of a study whose checkpoints are there.

    Args:
        folder: The study's, as ``odelib study`` leaves it.
        variants: Which are measured; none: all.

    Raises:
        TrainingError: No finished run has a checkpoint.
    """
    _, runs, _ = open_study(folder)
    found = []
    for run in runs:
        if variants and run.variant not in variants:
            continue
        where = folder / run.name / "run"
        if not (where / "checkpoint.pt").is_file():
            continue
        start = time.process_time()
        model, task, commit = open_run(where)
        values = measure_own(model, task)
        known = {"train_loss": run.metrics["train_loss"], "trained at": commit, "training_seconds": run.seconds}
        seconds = round(time.process_time() - start, 1)
        found.append({"variant": run.variant, "seed": run.seed, **values, **known, "cpu_seconds": seconds})
        print(f"{run.name}: ratio {values['ratio']:.3f}, kept {values['kept']:.3f}", flush=True)
    if not found:
        raise TrainingError(f"no finished run of {folder} has its checkpoint: do the study there again")
    return found


def read_measured(folder: Path) -> list[dict[str, Any]]:
    """Return the kept measurements of a study, one for each network.

    Raises:
        OSError: There are none.
    """
    runs: list[dict[str, Any]] = json.loads((folder / MEASURED).read_text(encoding="utf-8"))["runs"]
    return runs


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure the networks of the study that the command line names."""
    parser = argparse.ArgumentParser(
        prog="python -m odelib.studies.own_networks", description=(__doc__ or "").split("\n\n")[0].replace("\n", " ")
    )
    parser.add_argument("folder", type=Path, help="a study's folder, such as runs/loops")
    parser.add_argument("--variants", nargs="+", default=[], help="which are measured (default: all)")
    parser.add_argument("--out", type=Path, required=True, help="the folder for measured.json")
    given = parser.parse_args(arguments)
    made = {"commit": source_commit(), **environment(), "threads": torch.get_num_threads()}
    try:
        found = measure_study(given.folder, given.variants)
    except (TrainingError, ValueError) as error:
        parser.error(str(error))
    options = "".join(f" {name}" for name in given.variants)
    command = f"python -m odelib.studies.own_networks runs/{given.folder.resolve().name}"
    made["command"] = command + (f" --variants{options}" if options else "")
    given.out.mkdir(parents=True, exist_ok=True)
    write_json(given.out / MEASURED, {"made": made, "runs": found})
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
