"""``odelib train``: what the options of a run are laid over, and the run."""

import argparse
import re
import shlex
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, get_args, get_type_hints

from odelib.commands.arguments import kind_of
from odelib.commands.command import Command
from odelib.data.load import is_own
from odelib.errors import TrainingError
from odelib.models.storage import MODELS
from odelib.training import TrainConfig, YamlFile, check_options, load_checkpoint, merge, preset, train
from odelib.training.folder import CONFIG
from odelib.training.prepare import where_data_are
from odelib.training.processes import launched


def starting_point(arguments: Sequence[str]) -> dict[str, Any]:
    """What the options of ``odelib train`` are laid over: the preset, the file, or the run that is resumed.

    Which model there is to be described depends on the data, so what decides about it is read first.

    Args:
        arguments: The command line; what is not understood is left to the whole parser.

    Raises:
        ValueError: Preset or file are unknown, or the file has a mistake, given with its line.
    """
    first = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    for name in ("--preset", "--config", "--data"):
        first.add_argument(name)
    first.add_argument("--resume", nargs="?", const="", default="")
    try:
        given, _ = first.parse_known_args(list(arguments))
    except argparse.ArgumentError:  # an option without its value: the whole parser says so
        return {"model": {}}
    values = layers(given)
    if given.data:
        values["data"] = given.data
    return {"model": {}, **values}


def layers(given: argparse.Namespace) -> dict[str, Any]:
    """Checked options of the preset, the file and the run to resume that a command line names."""
    found: dict[str, Any] = preset(given.preset) if given.preset else {}
    files = [Path(given.config)] if given.config else []
    if given.resume:
        if files or found:
            raise ValueError(f"--resume {given.resume} has the options of that run: leave --preset and --config out")
        files.append(Path(given.resume) / CONFIG)
        if not files[0].is_file():
            raise ValueError(f"there is no run in {given.resume} (it has no {CONFIG}): check the folder's name")
    for path in files:
        file = YamlFile(path)
        found = merge(found, check_options(file.values, file.place))
    return found


def said(given: argparse.Namespace, kind: str) -> dict[str, Any]:
    """The options of a run that a command line names, as nested plain values, not yet checked."""
    values: dict[str, Any] = {}
    model = {field.name for field in fields(MODELS[kind][0])}
    choices = get_args(get_type_hints(MODELS[kind][0])["weights"])
    for name, value in vars(given).items():
        if name == "weights" and value not in choices:
            values["init"] = value
        elif name in model:
            values.setdefault("model", {})[name] = value
        elif name in {field.name for field in fields(TrainConfig)}:
            values[name] = value
    return values


class Train(Command):
    """Train a model; prints the test accuracy and leaves a run folder.

    An image classifier, unless the data are text. In N processes, one per GPU, with the same numbers to rounding:
    torchrun --nproc-per-node N -m odelib train ...
    """

    name = "train"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Say what it takes, besides the options of the run."""
        add = parser.add_argument
        add(
            "--preset",
            help="start from a recipe: fashion-micro (the default), cifar10-micro, cifar100-deit-ti, "
            "shakespeare-char, clinc150 or multi30k-de-en; further options change it",
        )
        add(
            "--config",
            help="start from a YAML (or JSON) file with the options below, those of the model under "
            "`model:`; it may name a preset; further options change it",
        )
        add("--out", type=Path, help="run folder (default: runs/<data>-<step rule>-seed<seed>)")
        add(
            "--resume",
            nargs="?",
            const="",
            metavar="FOLDER",
            help="go on from the last checkpoint of the run in FOLDER, with its options, or without FOLDER of the one "
            "in --out; a larger --epochs goes on beyond its end, and --data says where your own data are now",
        )
        add("--tensorboard", action="store_true", help="write the epochs for TensorBoard too, into the run folder")

    def check(self, given: argparse.Namespace) -> None:
        """Check the options before any process waits for another."""
        if given.resume and given.out:
            raise ValueError(f"--resume {given.resume} names the run folder, and --out another: leave --out out")
        given.checked = self.options(given)  # what preset, file and command line say together, found out once

    def options(self, given: argparse.Namespace) -> dict[str, Any]:
        """All options of the run, checked."""
        base = layers(argparse.Namespace(**{"resume": "", **vars(given)}))
        if given.resume:
            own = str(base.get("data", TrainConfig.data))
            base["data"] = where_data_are(own, getattr(given, "data", None), Path(given.resume))
        kind = kind_of(merge(base, {"data": given.data} if "data" in given else {}))
        return check_options(merge(base, said(given, kind)))

    def folder(self, given: argparse.Namespace) -> Path:
        """The run folder."""
        if given.out or given.resume:
            return Path(given.out or given.resume)
        options = given.checked
        data = str(options.get("data", "fashion-mnist-subset"))
        rule = re.sub(r"\W+", "-", str(options.get("model", {}).get("step_rule", "euler"))).strip("-")
        data = (Path(data).resolve().stem or "data") if is_own(data) else data
        return Path("runs") / f"{data}-{rule}-seed{options.get('seed', 0)}"

    def run(self, given: argparse.Namespace) -> int:
        """Train."""
        folder, resume = self.folder(given), given.resume is not None
        result = train(given.checked, folder, resume=resume, tensorboard=given.tensorboard)
        if not result.runtime.processes.main:
            return 0
        scores = "".join(f", {name} {value:.4g}" for name, value in result.scores().items())
        epoch = f" of epoch {result.chosen.epoch}" if result.config.keep_best else ""
        print(
            f"test accuracy {result.test_accuracy:.4f}{epoch}{scores} after {len(result.history)} epochs"
            f" in {result.seconds:.0f} seconds; run folder {folder}"
        )
        return 0

    def after_stop(self, given: argparse.Namespace, arguments: Sequence[str]) -> str:
        """Say where the run stands, and how to go on."""
        try:
            stored = load_checkpoint(self.folder(given))
        except TrainingError:
            return "no checkpoint was written yet, so start again"
        within = "" if stored.sums is None else f" and {stored.sums.shape[1]} batches of the next"
        resumed = given.resume is not None
        if launched() > 1:
            more = "" if resumed else ", with --resume at its end"
            return f"the checkpoint after epoch {stored.epoch}{within} is intact; go on with the same command{more}"
        command = shlex.join(["odelib", *arguments, *([] if resumed else ["--resume"])])
        return f"the checkpoint after epoch {stored.epoch}{within} is intact; go on with: {command}"
