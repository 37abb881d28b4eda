"""What each command of ``odelib`` takes and does."""

import argparse
import json
import os
import re
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from odelib.arguments import kind_of, said
from odelib.data import DATA_SETS
from odelib.data.describe import describe
from odelib.data.load import is_own
from odelib.errors import TrainingError
from odelib.export import FORMATS, export_run
from odelib.names import choose
from odelib.training import Runtime, YamlFile, check_options, load, load_checkpoint, measure, merge, preset, train
from odelib.training.evaluate import mean_nfe, rule_of, swap
from odelib.training.folder import CONFIG
from odelib.training.processes import launched
from odelib.training.record import METRICS
from odelib.training.run import prepare


class Command:
    """One command; its docstring is its help."""

    name: ClassVar[str]

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Say what it takes."""
        raise NotImplementedError(f"{type(self).__name__} does not say what it takes: define add_arguments(parser)")

    def check(self, given: argparse.Namespace) -> None:
        """Refuse what cannot be, before anything is done."""

    def run(self, given: argparse.Namespace) -> int:
        """Do it, and return the exit code."""
        raise NotImplementedError(f"{type(self).__name__} does nothing: define run(given), which returns the exit code")

    def after_stop(self, given: argparse.Namespace, arguments: Sequence[str]) -> str:
        """What to say to who pressed Ctrl-C."""
        return "nothing was changed"


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
            "in --out; a larger --epochs goes on beyond its end",
        )
        add("--tensorboard", action="store_true", help="write the epochs for TensorBoard too, into the run folder")

    def check(self, given: argparse.Namespace) -> None:
        """Check the options before any process waits for another."""
        if given.resume and given.out:
            raise ValueError(f"--resume {given.resume} names the run folder, and --out another: leave --out out")
        self.options(given)

    def options(self, given: argparse.Namespace) -> dict[str, Any]:
        """All options of the run, checked."""
        base = layers(argparse.Namespace(**{"resume": "", **vars(given)}))
        kind = kind_of(merge(base, {"data": given.data} if "data" in given else {}))
        return check_options(merge(base, said(given, kind)))

    def folder(self, given: argparse.Namespace) -> Path:
        """The run folder."""
        if given.out or given.resume:
            return Path(given.out or given.resume)
        options = self.options(given)
        data = str(options.get("data", "fashion-mnist-subset"))
        rule = re.sub(r"\W+", "-", str(options.get("model", {}).get("step_rule", "euler"))).strip("-")
        data = (Path(data).resolve().stem or "data") if is_own(data) else data
        return Path("runs") / f"{data}-{rule}-seed{options.get('seed', 0)}"

    def run(self, given: argparse.Namespace) -> int:
        """Train."""
        folder, resume = self.folder(given), given.resume is not None
        result = train(self.options(given), folder, resume=resume, tensorboard=given.tensorboard)
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
            type=_whole,
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
        data = given.data or run.config.data
        if data not in DATA_SETS and not is_own(data):
            raise ValueError(
                f"the data {data!r} of the run in {given.folder} are not here: say where they are (--data), or, if "
                "they were given in Python, measure there by odelib.training.evaluate"
            )
        if data not in DATA_SETS and run.config.data in DATA_SETS:
            raise ValueError(
                f"the run in {given.folder} learned from {run.config.data}, not from {data}: leave --data out"
            )
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
    """Let a trained model answer: pictures or folders of such, or texts in quotation marks."""

    name = "predict"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Say what it takes."""
        add = parser.add_argument
        add("folder", type=Path, help="run folder that `odelib train` left")
        add("inputs", nargs="+", help="pictures, folders of pictures, or texts")
        add("--json", action="store_true", help="one JSON object per input and line, with all probabilities")
        add("--top", type=_whole, default=5, help="how many classes to print (default: 5)")
        add("--length", type=_whole, default=200, help="most characters to continue a text by (default: 200)")
        add("--temperature", type=float, default=0.0, help="of the continuation; 0 (the default): the most probable")
        add("--seed", type=int, default=0, help="of the continuation's draws")
        add("--device", default="auto", help="where to compute: cpu, cuda, mps, or auto (the default)")

    def run(self, given: argparse.Namespace) -> int:
        """Predict."""
        run = load(given.folder)
        run.model.to(Runtime.choose(given.device).device)
        answers = run.predict(given.inputs, length=given.length, temperature=given.temperature, seed=given.seed)
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
    """Write a trained model for others to use: its weights, or the whole computation, with a model card."""

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


class Study(Command):
    """Do all runs of a study that are not done yet: variants, settings and seeds, as a YAML file says."""

    name = "study"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Say what it takes."""
        add = parser.add_argument
        add("file", type=Path, help="the study, such as studies/images.yaml")
        add("--out", type=Path, help="folder for all runs (default: runs/<name of the file>)")
        add(
            "--workers",
            type=_whole,
            help="processes on this machine (default: as many as its cores, or the memory of its GPU, are enough for)",
        )
        add("--threads", type=_whole, default=1, help="threads for the arithmetic of each run (default: 1)")
        add(
            "--scheduler",
            help="let the workers of a Dask cluster do the runs, such as tcp://host:8786; they must share the folder",
        )

    def folder(self, given: argparse.Namespace) -> Path:
        """Folder for all runs."""
        return Path(given.out or Path("runs") / given.file.stem).absolute()

    def run(self, given: argparse.Namespace) -> int:
        """Do the runs."""
        from odelib.studies.estimate import estimate
        from odelib.studies.execute import dask_cluster, local_processes, run_study, waiting

        folder, workers = self.folder(given), given.workers
        left = waiting(given.file, folder)
        if left and not given.scheduler:
            needed = estimate(left, threads=given.threads)
            if workers is None:
                cores = max((os.cpu_count() or 1) // given.threads, 1)
                workers = min(cores, len(left), needed.workers() if needed.device.type == "cuda" else cores)
            # Processes that share a GPU take turns, so that it is no faster than one after the other.
            shared = 1 if needed.device.type == "cuda" else workers
            _say(
                f"{len(left)} runs on {needed.device} in {workers} process(es): about {needed.minutes / shared:.1f} "
                "minutes of training, by a few measured steps of each variant"
            )
        executors = dask_cluster(given.scheduler) if given.scheduler else local_processes(workers or 1)
        outcomes = run_study(given.file, folder, executors, threads=given.threads, say=_say)
        failed = [outcome for outcome in outcomes if not outcome.done]
        print(
            f"{len(outcomes) - len(failed)} of {len(outcomes)} runs are done in {folder}; "
            f"the table: odelib report {shlex.quote(str(folder))}"
        )
        for outcome in failed:
            print(f"  failed: {outcome.name}: {outcome.message}")
        if failed:
            print("the same command tries the failed ones again")
        return 1 if failed else 0

    def after_stop(self, given: argparse.Namespace, arguments: Sequence[str]) -> str:
        """Say how to go on."""
        return f"what is done stays; go on with: {shlex.join(['odelib', *arguments])}"


class Report(Command):
    """Write what a study has so far as tables, figures and verdicts, or one run as curves."""

    name = "report"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Say what it takes."""
        add = parser.add_argument
        add("folder", type=Path, help="folder that `odelib study` or `odelib train` left, or that `--keep` made")
        add("--out", type=Path, help="where to write (default: the folder `report` in it)")
        add(
            "--keep",
            type=Path,
            help="write no report but this folder: the study in short, its file and one line per finished run, to keep",
        )

    def run(self, given: argparse.Namespace) -> int:
        """Report."""
        from odelib.studies.report import write_report
        from odelib.studies.run_report import write_run_report
        from odelib.studies.runs import keep_runs

        if given.keep is not None:
            if given.out is not None:
                raise ValueError("--out is for a report and --keep writes none: give one of them")
            count = keep_runs(given.folder, given.keep)
            print(f"{count} runs are kept in {given.keep}; the report: odelib report {shlex.quote(str(given.keep))}")
        elif (given.folder / METRICS).is_file():
            print(f"the report is {write_run_report(given.folder, given.out)}")
        else:
            path = write_report(given.folder, given.out)
            print(f"the report is {path}; beside it are table.csv, LaTeX tables and the figures")
        return 0

    def after_stop(self, given: argparse.Namespace, arguments: Sequence[str]) -> str:
        """Say what may be wrong now."""
        return "the report may be incomplete, so write it again"


class Info(Command):
    """Say what there is: for each data set what it is, its sizes, licence, citation, address, and where it is here."""

    name = "info"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Say what it takes."""
        parser.add_argument("topic", choices=("data",), help="what to tell about")
        parser.add_argument("names", nargs="*", help="data sets, such as cifar10; none named: all of them")

    def run(self, given: argparse.Namespace) -> int:
        """Tell."""
        print("\n\n".join(describe(name) for name in given.names or DATA_SETS))
        return 0


COMMANDS: tuple[Command, ...] = (Train(), Evaluate(), Predict(), Export(), Study(), Report(), Info())


def _whole(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"it is {number}, expected at least 1")
    return number


def _say(line: str) -> None:
    print(line, flush=True)  # also into a file or a pipe, where somebody may be waiting for it
