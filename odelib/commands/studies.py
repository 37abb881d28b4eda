"""``odelib study`` and ``odelib report``: many runs, and what they tell."""

import argparse
import os
import shlex
from collections.abc import Sequence
from pathlib import Path

from odelib.commands.command import Command, whole
from odelib.training.record import METRICS


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
            type=whole,
            help="processes on this machine (default: as many as its cores, or the memory of its GPU, are enough for)",
        )
        add("--threads", type=whole, default=1, help="threads for the arithmetic of each run (default: 1)")
        add(
            "--scheduler",
            help="let the workers of a Dask cluster do the runs, such as tcp://host:8786; they must share the folder",
        )

    def folder(self, given: argparse.Namespace) -> Path:
        """Folder for all runs."""
        return Path(given.out or Path("runs") / given.file.stem).absolute()

    def run(self, given: argparse.Namespace) -> int:
        """Do the runs."""
        from odelib.studies.checks import check_here
        from odelib.studies.estimate import estimate
        from odelib.studies.execute import dask_cluster, local_processes, run_study, waiting

        folder, workers = self.folder(given), given.workers
        left = waiting(given.file, folder)
        if left and not given.scheduler:  # else the cluster's machines are to be checked
            check_here(left, folder)
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
        outcomes = run_study(
            given.file, folder, executors, threads=given.threads, say=_say, checked=not given.scheduler
        )
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
        add("--data", help="of one run: where its data are now, if they were your own and have moved")
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

        if given.data is not None and not (given.folder / METRICS).is_file():
            raise ValueError(f"--data is for the report of one run, and {given.folder} is none: leave --data out")
        if given.keep is not None:
            if given.out is not None:
                raise ValueError("--out is for a report and --keep writes none: give one of them")
            count = keep_runs(given.folder, given.keep)
            print(f"{count} runs are kept in {given.keep}; the report: odelib report {shlex.quote(str(given.keep))}")
        elif (given.folder / METRICS).is_file():
            print(f"the report is {write_run_report(given.folder, given.out, data=given.data)}")
        else:
            path = write_report(given.folder, given.out)
            print(f"the report is {path}; beside it are table.csv, LaTeX tables and the figures")
        return 0

    def after_stop(self, given: argparse.Namespace, arguments: Sequence[str]) -> str:
        """Say what may be wrong now."""
        return "the report may be incomplete, so write it again"


def _say(line: str) -> None:
    print(line, flush=True)  # also into a file or a pipe, where somebody may be waiting for it
