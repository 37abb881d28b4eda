"""Kept training runs: too long for a chapter to repeat, made by one command, read from the package.

``python -m odelib.teaching.results`` makes all of them anew (or those that are named), each with ``odelib train``.
A run is a folder in ``odelib/teaching/results``: ``metrics.jsonl`` as training wrote it, and ``made.json`` with the
command, the date, the machine and the class that the trained network gives to each test image; of some small networks
also the class that the solution of their equation gives, or the weights.

Whole studies are kept in ``odelib/teaching/studies``, as ``odelib report runs/<name> --keep`` writes them; beside those
of text lies what their models write, as ``python -m odelib.teaching.samples`` keeps it.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor

from odelib.analysis import swapped
from odelib.data import ImageData, load_images, normalise
from odelib.models import CausalLM, ViT, load_pretrained, save_pretrained
from odelib.names import choose
from odelib.studies import Run, Study, read_runs, read_study
from odelib.studies.surgeries import ROWS, Row, read_table
from odelib.training import EpochMetrics, TrainConfig, load_run, read_metrics
from odelib.training.record import processor

FOLDER = Path(__file__).with_name("results")
STUDIES = Path(__file__).with_name("studies")
SAMPLES = "samples.json"

_SIX_STEPS = {
    "6x1": (6, 1, "piecewise"),  # weight sets x steps with each
    "3x2": (3, 2, "piecewise"),
    "2x3": (2, 3, "piecewise"),
    "1x6": (1, 6, "piecewise"),
    "linear": (2, 3, "linear"),  # three knots
    "fourier": (3, 2, "fourier"),
}
_FEWER_STEPS = {f"{sets}x1": (sets, 1, "piecewise") for sets in (3, 2, 1)}

_STEPPING = {
    "lie-trotter": "--step-rule lie-trotter",
    "euler": "--step-rule euler",
    "euler-half": "--step-rule euler --steps 2 --step-size 0.5",
    "euler-quarter": "--step-rule euler --steps 4 --step-size 0.25",
    "euler-eighth": "--step-rule euler --steps 8 --step-size 0.125",
    "midpoint": "--step-rule midpoint",
    "rk4": "--step-rule rk4",
}
_SMALL = "--dim 32 --mlp-ratio 2 --epochs 8"

WITH_WEIGHTS = {
    f"small-{name}-seed{seed}": f"{options} {_SMALL} --seed {seed}"
    for name, options in _STEPPING.items()
    for seed in range(5)
}
"""Networks of one size that differ in how they step (``studies/PROTOCOL.md`` says what for). Their weights are kept in
float16, for `kept_model`, and what the networks with these weights answer, also when their equation is solved
accurately."""

RUNS = (
    {
        f"{rule}-4-epochs-seed{seed}": f"--step-rule {rule} --epochs 4 --seed {seed}"
        for seed in range(5)
        for rule in ("euler", "lie-trotter")
    }
    | {
        f"{name}-seed{seed}": "--step-rule euler --dim 32 --num-heads 2 --mlp-ratio 2 --epochs 4 "
        f"--intervals {intervals} --steps {steps} --weights {weights} --seed {seed}"
        for name, (intervals, steps, weights) in (_SIX_STEPS | _FEWER_STEPS).items()
        for seed in range(5)
    }
    | WITH_WEIGHTS
)
"""Name of each kept run, and the options of ``odelib train`` that make it."""


@dataclass(frozen=True)
class KeptRun:
    """A training run that was made before and kept."""

    name: str
    """Its name in ``RUNS``."""
    command: str
    """The command that made it."""
    config: TrainConfig
    """The whole configuration."""
    history: tuple[EpochMetrics, ...]
    """One entry per epoch."""
    predictions: Tensor
    """Class given to each test image after the last epoch: int64, (images,)."""
    accurate: Tensor | None
    """The same when the network's equation is solved accurately, of the runs in ``WITH_WEIGHTS``; else None."""
    made: dict[str, Any]
    """How it came about: date (UTC), machine, cores, threads, commit, device and versions of the packages."""

    @property
    def test_accuracy(self) -> float:
        """Share of the test images that the network gets right after the last epoch."""
        return self.history[-1].test_accuracy

    @property
    def seconds_per_epoch(self) -> float:
        """Wall-clock time of the fastest epoch, in seconds: the one that the machine's other work disturbed least."""
        return min(epoch.seconds for epoch in self.history)


def kept(name: str) -> KeptRun:
    """Read a kept run.

    Raises:
        ValueError: There is no kept run of that name; the sentence gives the nearest one.
    """
    folder = FOLDER / choose(name, RUNS, "kept run")
    header, history = read_metrics(folder)
    made = json.loads((folder / "made.json").read_text(encoding="utf-8"))
    predictions = _classes(made.pop("predictions"))
    accurate = _classes(made.pop("accurate")) if "accurate" in made else None
    provenance = {key: header[key] for key in ("commit", "device", "threads", "versions")}
    config = TrainConfig.from_dict(header["config"])
    return KeptRun(name, made.pop("command"), config, history, predictions, accurate, made | provenance)


def kept_model(name: str) -> ViT:
    """Return the trained network of a kept run, in evaluation mode and float32.

    Raises:
        ValueError: There is no such run, or its weights are not kept; the sentence gives the nearest one.
    """
    return cast(ViT, load_pretrained(FOLDER / choose(name, WITH_WEIGHTS, "kept run with weights")))


def kept_study(name: str) -> tuple[Study, list[Run]]:
    """Read a kept study: what was asked, and the runs, as ``odelib report runs/<name> --keep`` wrote them.

    Raises:
        ValueError: There is no kept study of that name; the sentence gives the nearest one.
    """
    folder = STUDIES / choose(name, sorted(path.parent.name for path in STUDIES.glob("*/study.yaml")), "kept study")
    study = read_study(folder / "study.yaml")
    runs, _ = read_runs(study, folder)
    return study, runs


@dataclass(frozen=True)
class KeptSamples:
    """What the trained models of a study of text write, of one seed."""

    samples: dict[str, Any]
    """By variant: texts by temperature, numbers of intents, or translations (see `odelib.teaching.samples`)."""
    made: dict[str, Any]
    """How they came about: command, commit, that of the training, seed, versions, date and machine."""


def kept_samples(name: str) -> KeptSamples:
    """Read what the models of a kept study of text write.

    Raises:
        ValueError: No samples are kept of a study of that name; the sentence gives the nearest one that has some.
    """
    folder = STUDIES / choose(name, sorted(path.parent.name for path in STUDIES.glob(f"*/{SAMPLES}")), "study")
    return KeptSamples(**json.loads((folder / SAMPLES).read_text(encoding="utf-8")))


def kept_table(network: str) -> tuple[dict[str, Any], list[Row]]:
    """Read the kept table of a published network: what it is of, and a row for each surgery.

    Raises:
        ValueError: There is no kept table of that network; the sentence gives the nearest one.
    """
    return read_table(network_study(network))


def network_study(network: str) -> Path:
    """Return the folder in which the table of a published network is kept, and what else was measured of it.

    Raises:
        ValueError: There is none; the sentence gives the nearest network.
    """
    found = {path.parent.name.removeprefix("networks-"): path.parent for path in STUDIES.glob(f"networks-*/{ROWS}")}
    return found[choose(network, sorted(found), "network with a kept table")]


def kept_writer() -> CausalLM:
    """Return the character model of ``text-characters`` whose weights are kept (in float16), in float32."""
    return cast(CausalLM, load_pretrained(STUDIES / "text-characters"))


def make(name: str) -> KeptRun:
    """Train a kept run anew and put it in the place of the old one.

    Raises:
        ValueError: There is no kept run of that name.
        RuntimeError: The training failed; it has said why.
    """
    from odelib import cli

    options = RUNS[choose(name, RUNS, "kept run")]
    with tempfile.TemporaryDirectory() as scratch:
        run = Path(scratch) / name
        if code := cli.main(["train", *options.split(), "--out", str(run)]):
            raise RuntimeError(f"odelib train {options} ended with exit code {code}: nothing was kept")
        config, model = load_run(run)
        data = load_images(config.data)
        command = f"odelib train {options}"
        (FOLDER / name).mkdir(parents=True, exist_ok=True)
        if name in WITH_WEIGHTS:
            save_pretrained(model.half(), FOLDER / name, {"command": command, "data": config.data})
            model = kept_model(name)  # the answers are to be those of the weights that are kept
        made = {
            "command": command,
            "date": datetime.now(UTC).date().isoformat(),
            "machine": processor(),
            "cores": os.cpu_count(),
            "predictions": _digits(predict(model, data)),
        }
        if name in WITH_WEIGHTS:
            with swapped(model, "rk4", refine=_accurately(model)):
                made["accurate"] = _digits(predict(model, data))
        shutil.copyfile(run / "metrics.jsonl", FOLDER / name / "metrics.jsonl")
        (FOLDER / name / "made.json").write_text(json.dumps(made, indent=2) + "\n", encoding="utf-8")
    return kept(name)


def predict(model: torch.nn.Module, data: ImageData) -> Tensor:
    """The class with the largest logit for each test image of ``data``: int64, (images,), on the CPU."""
    device = next(model.parameters()).device
    with torch.inference_mode():
        return torch.cat(
            [
                model(normalise(images.to(device), data.mean, data.std)).argmax(dim=1).cpu()
                for images in torch.split(data.test_images, 500)
            ]
        )


def _accurately(model: Any) -> int:
    """How many steps of RK4 to take in place of each step of a model, to have four or more in each layer."""
    steps: int = model.depth.schedule.steps
    return max(1, 4 // steps)


def _digits(classes: Tensor) -> str:
    return "".join(str(digit) for digit in classes.tolist())


def _classes(digits: str) -> Tensor:
    return torch.tensor([int(digit) for digit in digits])


def main(arguments: Sequence[str] | None = None) -> None:
    """Make the kept runs that the command line names, or all of them."""
    parser = argparse.ArgumentParser(prog="python -m odelib.teaching.results", description=__doc__.split("\n")[0])
    parser.add_argument("runs", nargs="*", metavar="run", help=f"some of: {', '.join(RUNS)}; none: all")
    names = parser.parse_args(arguments).runs or list(RUNS)
    for name in names:
        choose(name, RUNS, "kept run")
    for name in names:
        run = make(name)
        print(f"kept {name}: test accuracy {run.test_accuracy:.4f}")


if __name__ == "__main__":
    main()
