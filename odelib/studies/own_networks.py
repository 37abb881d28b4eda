"""Small classifiers of our own, each asked whether it is an equation.

Each is refined, its layers are put in another order, and its steps are compared with the critical ones.

``python -m odelib.studies.own_networks runs/loops --out ...`` measures the runs of a study whose checkpoints are there.
"""

import argparse
import json
import statistics
import time
from collections.abc import Sequence
from copy import deepcopy
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
from odelib.studies.job import read_result, run_folder
from odelib.studies.networks import Reading, Task
from odelib.studies.runs import open_study
from odelib.training import load_run
from odelib.training.record import environment, source_commit

MEASURED = "measured.json"
REFINE = (4, 8, 16, 32, 64)
"""How many steps of RK4 are taken in place of each step of a network, until twice as many change next to nothing."""
SETTLED = 0.005
"""Next to nothing: the share of answers that change, and the difference of the losses in nats."""
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


def measure_own(model: nn.Module, task: Pictures, images: int = 16, seed: int = 0) -> dict[str, Any]:
    """Measure one network.

    Args:
        model: A classifier with one depth.
        task: Its test images.
        images: Along the states of how many images stability is measured, in float64.
        seed: Of the random orders of its layers.

    Returns:
        Plain values: ``accuracy`` and ``loss`` as trained, ``accurate`` (the same on the accurate solution of its
        equation, with the steps of RK4 that this took in place of each and the share of answers that the last doubling
        changed), ``kept`` (the share of answers that stay), ``ratio`` (the median of step size to critical step) and
        ``ratios`` by step; with distinct weights ``shuffled`` and ``neighbours``, the mean loss over five random orders
        of the layers, none of them their own, and over exchanges of two neighbours.
    """
    trained = task.read(model)
    fine, steps, unsettled = _solved(model, task)
    ratios = step_ratios(model, task.sample(images))
    found: dict[str, Any] = {
        **_means(trained),
        "accurate": {**_means(fine), "steps": steps, "unsettled": unsettled},
        "kept": float((fine.answers == trained.answers).mean()),
        "ratio": float(ratios.quantile(0.5)),
        "ratios": [round(float(row.quantile(0.5)), 4) for row in ratios],
    }
    layers = len(depth_of(model).fields)
    if layers > 1:
        orders = _random_orders(layers, torch.Generator().manual_seed(seed))
        pairs = [[*range(i), i + 1, i, *range(i + 2, layers)] for i in range(layers - 1)]
        found["shuffled"] = _mean_loss(model, task, orders)
        found["neighbours"] = _mean_loss(model, task, pairs)
    return found


def step_ratios(model: nn.Module, images: Float[Tensor, "images *shape"]) -> Float[Tensor, "steps images"]:
    """Return the size of each step divided by the critical step of its field, along the network's own states.

    Greater than 1 where Euler's method with this step would let a small change of the state grow that decays along the
    equation; 0 where none decays. A step of size 1 of a rule other than Euler's counts as one of the whole layer.

    Raises:
        ValueError: The rule is not Euler's, and the steps are not of size 1.
    """
    euler, found = step_rule("euler"), []
    for step in steps_of(deepcopy(model).double(), images.double()):
        if step.rule != euler and step.h != 1.0:
            raise ValueError(f"a step of {step.rule} has size {step.h}: only one of size 1 is a layer as a whole")
        field = step.field if step.rule == euler else WholeLayer(step.field, step.rule)  # type: ignore[arg-type]
        found.append(step.h / critical_steps(field, step.before, t=step.t))
    return torch.stack(found)


def _solved(model: nn.Module, task: Pictures) -> tuple[Reading, int, float]:
    """Solve a network's equation until twice as many steps change next to nothing, or there are the most of them."""
    last, changed = None, 1.0
    for refine in REFINE:
        with swapped(model, "rk4", refine=refine):
            fine = task.read(model)
        if last is not None:
            changed = float((fine.answers != last.answers).mean())
            apart = abs(_means(fine)["loss"] - _means(last)["loss"])
            if max(changed, apart) <= SETTLED:
                break
        last = fine
    return fine, refine, changed


def _random_orders(layers: int, generator: torch.Generator) -> list[list[int]]:
    found: list[list[int]] = []
    while len(found) < _ORDERS:
        order = torch.randperm(layers, generator=generator).tolist()
        if order != list(range(layers)):
            found.append(order)
    return found


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
        where = run_folder(folder / run.name)
        if not (where / "checkpoint.pt").is_file():
            continue
        start = time.process_time()
        model, task, commit = open_run(where)
        values = measure_own(model, task, seed=run.seed)
        known = {"train_loss": run.metrics["train_loss"], "trained at": commit, "training_seconds": run.seconds}
        seconds = round(time.process_time() - start, 1)
        found.append({"variant": run.variant, "seed": run.seed, **values, **known, "cpu_seconds": seconds})
        steps = values["accurate"]["steps"]
        print(f"{run.name}: ratio {values['ratio']:.3f}, kept {values['kept']:.3f}, {steps} steps", flush=True)
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
