"""The command line: ``odelib train``, ``evaluate``, ``study``, ``report`` and ``info``."""

import os
import re
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from odelib.cli_options import RunOptions, starting_point
from odelib.data import DATA_SETS, DataError
from odelib.data.describe import describe
from odelib.training import Runtime, TrainingError, load_checkpoint, load_run, measure, prepare, train_prepared
from odelib.training.execute import dask_cluster, local_processes, run_study
from odelib.training.folder import claim_folder
from odelib.training.processes import launched, leave, quiet_unless_first, speaks
from odelib.training.report import write_report
from odelib.training.runs import keep_runs
from odelib.training.swap import mean_nfe, rule_of, swap

_DESCRIPTION = (
    "Transformers as differential equations. "
    "Start with `odelib train`: a parallel vision transformer on bundled images, minutes on a laptop."
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        argv: Arguments without the program's name; None takes those of the process.

    Returns:
        Exit code: 0 done, 1 runs of a study failed, 2 bad input (one sentence on stderr), 130 stopped by Ctrl-C.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        with quiet_unless_first():
            command = _read(arguments)
    except SystemExit as stop:  # tyro has printed help, or what it could not read and the nearest options
        return int(stop.code or 0) if speaks(stop) else 0
    except (ValueError, OSError) as error:
        return _refuse(error)
    try:
        if launched() > 1 and not isinstance(command, _Train):
            raise ValueError(
                f"{launched()} processes were started, but only `odelib train` works in several: start one"
            )
        code: int = command.run() or 0
        leave()
    except (ValueError, DataError, TrainingError, OSError) as error:
        return _refuse(error)
    except KeyboardInterrupt as stop:
        leave(stop)
        if not speaks(stop):
            return 0
        print(f"odelib: stopped; {command.after_stop(arguments)}", file=sys.stderr)
        return 130
    return code


def _refuse(error: Exception) -> int:
    leave(error)
    if not speaks(error):
        return 0  # another of several processes says it, and its exit code is that of all
    print(f"odelib: error: {error}", file=sys.stderr)
    return 2


def _read(arguments: Sequence[str]) -> Any:
    """One of the commands below: it has ``run`` and, for who pressed Ctrl-C, ``after_stop``."""
    start = starting_point(arguments[1:]) if list(arguments[:1]) == ["train"] else RunOptions()
    commands: Any = (
        Annotated[_Train, tyro.conf.subcommand("train", default=_Train(**vars(start)))]
        | Annotated[_Evaluate, tyro.conf.subcommand("evaluate")]
        | Annotated[_Study, tyro.conf.subcommand("study")]
        | Annotated[_Report, tyro.conf.subcommand("report")]
        | Annotated[_Info, tyro.conf.subcommand("info")]
    )
    return tyro.cli(
        commands, prog="odelib", description=_DESCRIPTION, args=arguments, config=(tyro.conf.OmitArgPrefixes,)
    )


@dataclass(frozen=True)
class _Train(RunOptions):
    """Train a model, an image classifier unless the data are text; prints the test accuracy, leaves a run folder.

    In N processes, one per GPU, with the same numbers to rounding: torchrun --nproc-per-node N -m odelib train ...
    """

    out: Path | None = None
    """Run folder. None: runs/<data>-<step rule>-seed<seed>."""
    resume: tyro.conf.FlagCreatePairsOff[bool] = False
    """Go on from the last checkpoint in the run folder."""
    tensorboard: tyro.conf.FlagCreatePairsOff[bool] = False
    """Write the epochs for TensorBoard too, into the run folder."""

    @property
    def folder(self) -> Path:
        if self.out is not None:
            return self.out
        rule = re.sub(r"\W+", "-", self.model.step_rule).strip("-")
        return Path("runs") / f"{self.data.data}-{rule}-seed{self.recipe.seed}"

    def run(self) -> None:
        processes = Runtime.choose(self.compute.device, self.compute.precision).processes
        with processes.agreed():
            if processes.main:
                claim_folder(self.folder, resume=self.resume)
            prepared = prepare(self.values())
        config, task = prepared.config, prepared.task
        if processes.main:
            together = f" in {processes.count} processes" if processes.count > 1 else ""
            print(f"training on {task.name} ({prepared.note or 'official set'}){together}; run folder {self.folder}")
        result = train_prepared(prepared, self.folder, resume=self.resume, tensorboard=self.tensorboard)
        if not processes.main:
            return
        scores = "".join(f", {name} {value:.4g}" for name, value in prepared.scores(result.model).items())
        print(
            f"test accuracy {result.test_accuracy:.4f}{scores} after {config.epochs} epochs"
            f" in {result.seconds:.0f} seconds; run folder {self.folder}"
        )

    def after_stop(self, arguments: Sequence[str]) -> str:
        try:
            epoch = load_checkpoint(self.folder).epoch
        except TrainingError:
            return "no checkpoint was written yet, so start again"
        if launched() > 1:
            more = "" if self.resume else ", with --resume at its end"
            return f"the checkpoint after epoch {epoch} is intact; go on with the same command{more}"
        command = shlex.join(["odelib", *arguments, *([] if self.resume else ["--resume"])])
        return f"the checkpoint after epoch {epoch} is intact; go on with: {command}"


@dataclass(frozen=True)
class _Evaluate:
    """Measure a trained model on its test data, with its own step rule or another one on the same weights."""

    folder: tyro.conf.Positional[Path]
    """Run folder that `odelib train` left."""
    step_rule: str | None = None
    """Integrate the trained field by this rule instead. None: the rule it was trained with."""
    refine: int = 1
    """Take so many steps in place of each one, each smaller by the same factor."""
    tolerance: float | None = None
    """Adapt the steps to this tolerance instead, by tsit5 or by a step rule that estimates its error."""
    device: str = "auto"
    """Where to compute: cpu, cuda, cuda:1, ..., or auto."""

    def run(self) -> None:
        config, model = load_run(self.folder)
        swap(model, self.step_rule, refine=self.refine, tolerance=self.tolerance)
        prepared = prepare({**config.to_dict(), "device": self.device})
        runtime, model = prepared.runtime, model.to(prepared.runtime.device)
        with mean_nfe(model) as nfe:
            loss, accuracy = measure(model, prepared.task.test(), runtime=runtime)
        count = sum(batch.count for batch in prepared.task.test())
        scores = "".join(f", {name} {value:.4g}" for name, value in prepared.scores(model).items())
        print(
            f"test accuracy {accuracy:.4f}, test loss {loss:.4f} nats{scores} on {count} {prepared.task.unit}; "
            f"step rule {rule_of(model)}, {nfe():g} field evaluations"
        )

    def after_stop(self, arguments: Sequence[str]) -> str:
        return "nothing was changed"


@dataclass(frozen=True)
class _Study:
    """Do all runs of a study that are not done yet: variants, settings and seeds, as a YAML file says."""

    file: tyro.conf.Positional[Path]
    """The study, such as studies/images.yaml."""
    out: Path | None = None
    """Folder for all runs. None: runs/<name of the file>."""
    workers: int | None = None
    """Processes on this machine. None: as many as there are cores for, with the threads of each."""
    threads: int = 1
    """Threads for the arithmetic of each run."""
    scheduler: str | None = None
    """Let the workers of a Dask cluster do the runs, such as tcp://host:8786; they must share the folder."""

    @property
    def folder(self) -> Path:
        return (self.out or Path("runs") / self.file.stem).absolute()

    def run(self) -> int:
        for name, value in (("workers", self.workers), ("threads", self.threads)):
            if value is not None and value < 1:
                raise ValueError(f"{name} is {value}, expected at least 1")
        workers = self.workers or max((os.cpu_count() or 1) // self.threads, 1)
        executors = dask_cluster(self.scheduler) if self.scheduler else local_processes(workers)
        outcomes = run_study(self.file, self.folder, executors, threads=self.threads, say=_say)
        failed = [outcome for outcome in outcomes if not outcome.done]
        print(
            f"{len(outcomes) - len(failed)} of {len(outcomes)} runs are done in {self.folder}; "
            f"the table: odelib report {shlex.quote(str(self.folder))}"
        )
        for outcome in failed:
            print(f"  failed: {outcome.name}: {outcome.message}")
        if failed:
            print("the same command tries the failed ones again")
        return 1 if failed else 0

    def after_stop(self, arguments: Sequence[str]) -> str:
        return f"what is done stays; go on with: {shlex.join(['odelib', *arguments])}"


@dataclass(frozen=True)
class _Report:
    """Write tables, figures and a verdict on each claim for what a study has so far."""

    folder: tyro.conf.Positional[Path]
    """Folder that `odelib study` left, or that `--keep` made of one."""
    out: Path | None = None
    """Where to write. None: the folder `report` in it."""
    keep: Path | None = None
    """Write no report but this folder: the study in short, its file and one line per finished run, to keep."""

    def run(self) -> None:
        if self.keep is not None:
            if self.out is not None:
                raise ValueError("--out is for a report and --keep writes none: give one of them")
            count = keep_runs(self.folder, self.keep)
            print(f"{count} runs are kept in {self.keep}; the report: odelib report {shlex.quote(str(self.keep))}")
            return
        path = write_report(self.folder, self.out)
        print(f"the report is {path}; beside it are table.csv, LaTeX tables and the figures")

    def after_stop(self, arguments: Sequence[str]) -> str:
        return "the report may be incomplete, so write it again"


def _say(line: str) -> None:
    print(line, flush=True)  # also into a file or a pipe, where somebody may be waiting for it


@dataclass(frozen=True)
class _Info:
    """Say what there is: for each data set what it is, its sizes, licence, citation, address, and where it is here."""

    topic: tyro.conf.Positional[Literal["data"]]
    """What to tell about."""
    names: tyro.conf.Positional[tuple[str, ...]] = ()
    """Data sets, such as cifar10. None named: all of them."""

    def run(self) -> None:
        print("\n\n".join(describe(name) for name in self.names or DATA_SETS))

    def after_stop(self, arguments: Sequence[str]) -> str:
        return "nothing was changed"
