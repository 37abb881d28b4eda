"""What becomes of a trained model: ``odelib evaluate``, ``predict`` and ``export``."""

import argparse
import json
import os
import sys
from pathlib import Path

from odelib.commands.command import Command, whole
from odelib.data.pictures import PictureError, listed
from odelib.export import FORMATS, export_run
from odelib.names import choose
from odelib.training import Runtime, load, measure
from odelib.training.evaluate import mean_nfe, rule_of, swap
from odelib.training.prepare import prepare, where_data_are


class Evaluate(Command):
    """Measure a trained model on its test data, with its own step rule or another one on the same weights."""

    name = "evaluate"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Say what it takes."""
        add = parser.add_argument
        add("folder", type=Path, help="run folder that `odelib train` left")
        add("--step-rule", help="integrate the trained field by this rule instead")
        add(
            "--refine",
            type=whole,
            default=1,
            help="take so many steps in place of each one, each smaller by that factor",
        )
        add(
            "--tolerance",
            type=float,
            help="adapt the steps to this tolerance, by tsit5 or a rule that estimates its error",
        )
        add("--data", help="where the data of the run are now, if they were your own and have moved")
        add("--device", default="auto", help="where to compute: cpu, cuda, cuda:1, ..., mps, or auto (the default)")

    def run(self, given: argparse.Namespace) -> int:
        """Measure."""
        run = load(given.folder)
        swap(run.model, given.step_rule, refine=given.refine, tolerance=given.tolerance)
        runtime = Runtime.choose(given.device, run.config.precision)
        data = where_data_are(run.config.data, given.data, given.folder)
        prepared = prepare({**run.config.to_dict(), "init": None, "data": data}, runtime, known=run.data)
        model = run.model.to(runtime.device)
        with mean_nfe(model) as nfe:
            loss, accuracy = measure(model, prepared.task.test(), runtime=runtime)
        count = sum(batch.count for batch in prepared.task.test())
        scores = "".join(f", {name} {value:.4g}" for name, value in prepared.task.scores(model).items())
        print(
            f"test accuracy {accuracy:.4f}, test loss {loss:.4f} nats{scores} on {count} {prepared.task.unit}; "
            f"step rule {rule_of(model)}, {nfe():g} field evaluations"
        )
        return 0


class Predict(Command):
    """Let a trained model answer: pictures or folders of such, or texts in quotation marks.

    A model of texts refuses what is a file or a folder here: give a file's text as "$(cat FILE)".
    """

    name = "predict"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Say what it takes."""
        add = parser.add_argument
        add("folder", type=Path, help="run folder that `odelib train` left")
        add("inputs", nargs="+", help="pictures, folders of pictures, or texts")
        add("--skip-bad", action="store_true", help="leave out pictures that cannot be read; else they are refused")
        add("--json", action="store_true", help="one JSON object per input and line, with all probabilities")
        add("--top", type=whole, default=5, help="how many classes to print (default: 5)")
        add("--length", type=whole, default=200, help="most characters to continue a text by (default: 200)")
        add("--temperature", type=float, default=0.0, help="of the continuation; 0 (the default): the most probable")
        add("--seed", type=int, default=0, help="of the continuation's draws")
        add("--device", default="auto", help="where to compute: cpu, cuda, mps, or auto (the default)")

    def run(self, given: argparse.Namespace) -> int:
        """Predict."""
        run = load(given.folder)
        run.model.to(Runtime.choose(given.device).device)
        # The shell gives words alone: one that is a path here is meant as one.
        inputs = [Path(each) if os.path.exists(each) else each for each in given.inputs]
        skipped: list[PictureError] = []
        answers = run.predict(
            inputs,
            length=given.length,
            temperature=given.temperature,
            seed=given.seed,
            skipped=skipped if given.skip_bad else None,
        )
        if skipped:
            print(f"odelib: left out, since they cannot be read: {listed(skipped)}", file=sys.stderr)
        for found in answers:
            if given.json:
                print(json.dumps(vars(found), ensure_ascii=False))
            elif found.probabilities:
                best = list(found.probabilities.items())[: given.top]
                print(f"{found.input}: " + ", ".join(f"{name} {share:.3f}" for name, share in best))
            else:
                print(found.answer)
        return 0


class Export(Command):
    """Write a trained model for others to use: its weights, or the whole computation, with a model card.

    The whole computation (onnx, torch) takes any number of images or texts at once, and texts of any length up to the
    model's longest; a model that chooses its steps by the error has none, and is exported as weights (safetensors).
    """

    name = "export"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Say what it takes."""
        parser.add_argument("folder", type=Path, help="run folder that `odelib train` left")
        parser.add_argument(
            "--to", default="safetensors", help=f"what to write: {', '.join(FORMATS)} (default: the first)"
        )
        parser.add_argument("--out", type=Path, help="folder to write into (default: `export` in the run folder)")

    def check(self, given: argparse.Namespace) -> None:
        """Refuse an unknown format."""
        choose(given.to, FORMATS, "format")

    def run(self, given: argparse.Namespace) -> int:
        """Export."""
        path = export_run(given.folder, given.to, given.out or given.folder / "export")
        print(f"wrote {path}; beside it is README.md, the model card")
        return 0
