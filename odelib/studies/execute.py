"""Run a study through any ``concurrent.futures.Executor``: local processes, or the workers of a Dask cluster."""

import multiprocessing
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from odelib.errors import TrainingError
from odelib.files import copy
from odelib.install import without
from odelib.studies.checks import check_here
from odelib.studies.job import STUDY, Outcome, attempts, check_same_job, is_done, work
from odelib.studies.protocol import PROTOCOL
from odelib.studies.study import Job
from odelib.studies.study_file import read_study
from odelib.training.folder import claimed, hold_folder

MOST_DEATHS = 3
"""A run is given up when its process has died so many times in one call."""

Executors = Callable[[], Any]


def run_study(
    file: Path,
    folder: Path,
    executors: Executors,
    *,
    threads: int = 1,
    say: Callable[[str], None] = print,
    checked: bool = False,
) -> list[Outcome]:
    """Do all runs of a study that are not done yet.

    A run that fails is noted and the others go on. When a process dies in mid-run, its run is resumed from the last
    checkpoint in another one. Called again after a stop or a kill, it goes on where it was.

    Args:
        file: The study's YAML file.
        folder: For all runs, one folder each; made if absent. With workers on other machines, on a shared disk.
        executors: Gives a context with a new ``Executor`` each time it is called, such as one of ``local_processes``.
        threads: Threads for the arithmetic of each run.
        say: Called with a line for each run that ends.
        checked: ``check_here`` has passed where the runs will be done; else a worker does that first.

    Returns:
        How each run ended, in the order of ``Study.jobs``.

    Raises:
        ValueError: The file has a mistake, the folder has a run with other options than the file, or a worker cannot do
            a run: its device, its data or the weights to begin from are not there, or do not fit.
        TrainingError: The folder cannot be written, or another process runs a study in it.
    """
    study = read_study(file)
    with claimed(folder, resume=True), hold_folder(folder):
        for job in study.jobs:
            check_same_job(job, folder / job.name)
        done = {job.name: Outcome(job.name, True) for job in study.jobs if is_done(job, folder / job.name)}
        left = [job for job in study.jobs if job.name not in done]
        if left and not checked:
            _check_there(left, folder, executors)
        if file.resolve() != (folder / STUDY).resolve():
            copy(file, folder / STUDY)
            if study.protocol is not None:
                copy(file.with_name(PROTOCOL), folder / PROTOCOL)
        if done:
            say(f"{len(done)} of {len(study.jobs)} runs are done already")
        before = {job.name: attempts(folder / job.name) for job in left}
        round_ = _Round(folder, threads, say, len(study.jobs), done)
        idle = 0
        while left:
            ended = len(done)
            lost = round_.run(left, executors)
            idle = 0 if len(done) > ended else idle + 1
            tries = {job.name: attempts(folder / job.name) - before[job.name] for job in lost}
            left = []
            for job in sorted(lost, key=lambda job: tries[job.name]):  # the suspects last: they take others with them
                if tries[job.name] >= MOST_DEATHS or idle >= MOST_DEATHS:
                    round_.end(Outcome(job.name, False, "the process that ran it died each time: is memory short?"))
                else:
                    left.append(job)
    return [done[job.name] for job in study.jobs]


def waiting(file: Path, folder: Path) -> list[Job]:
    """The runs of a study that are not done yet.

    Raises:
        ValueError: The file has a mistake.
    """
    return [job for job in read_study(file).jobs if not is_done(job, folder / job.name)]


def _check_there(jobs: Sequence[Job], folder: Path, executors: Executors) -> None:
    """Let a worker check the runs: its machine, and not this one, has to have their data, weights and device.

    A worker that dies of it is no refusal: the run itself will die too, and is given up by ``MOST_DEATHS``.
    """
    with executors() as executor:
        error = executor.submit(check_here, jobs, folder).exception()
    if isinstance(error, ValueError):
        raise error


class _Round:
    """Hands runs to an executor and takes their outcomes, until all have ended or the executor has."""

    def __init__(
        self, folder: Path, threads: int, say: Callable[[str], None], total: int, done: dict[str, Outcome]
    ) -> None:
        self.folder, self.threads, self.say, self.total, self.done = folder, threads, say, total, done
        self.start, self.before = time.monotonic(), len(done)

    def run(self, waiting: Sequence[Job], executors: Executors) -> list[Job]:
        """Give back the runs whose process died."""
        lost = []
        with executors() as executor:
            try:
                futures = {executor.submit(work, job, str(self.folder), self.threads): job for job in waiting}
                for future in as_completed(futures):
                    if future.exception() is None:
                        self.end(future.result())
                    else:
                        lost.append(futures[future])
            except KeyboardInterrupt:
                executor.shutdown(wait=True, cancel_futures=True)
                raise
        return lost

    def end(self, outcome: Outcome) -> None:
        self.done[outcome.name] = outcome
        count = len(self.done)
        minutes = (time.monotonic() - self.start) / (count - self.before) * (self.total - count) / 60
        left = f"; about {minutes:.0f} min left" if count < self.total else ""
        how = "done" if outcome.done else f"failed: {outcome.message}"
        self.say(f"[{count}/{self.total}] {outcome.name} {how}{left}")


def local_processes(workers: int) -> Executors:
    """Processes on this machine, started afresh and ended with this one even if it is killed."""

    @contextmanager
    def executors() -> Iterator[Executor]:
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(workers, context, initializer=_end_with_parent, initargs=(os.getpid(),)) as executor:
            yield executor

    return executors


def _end_with_parent(parent: int) -> None:
    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)  # an orphan would keep its run's folder from whoever resumes the study

    threading.Thread(target=watch, daemon=True).start()


def dask_cluster(address: str, *, timeout: float = 10.0) -> Executors:
    """The workers of a Dask cluster.

    Args:
        address: Of the scheduler, such as tcp://host:8786.
        timeout: Seconds to wait for its first answer.

    Raises:
        ValueError: dask.distributed is not installed.
        TrainingError: On use: the scheduler does not answer.
    """
    try:
        from distributed import Client
    except ImportError as error:
        raise ValueError(without("distributed", "cluster", "a scheduler")) from error

    @contextmanager
    def executors() -> Iterator[Executor]:
        try:
            client = Client(address, timeout=timeout)
        except (OSError, ValueError) as error:  # a timeout is an OSError
            raise TrainingError(
                f"the scheduler {address} does not answer ({str(error) or type(error).__name__}): check the address, "
                "and that `dask scheduler` runs there; nothing is lost"
            ) from error
        with client, client.get_executor(pure=False) as executor:
            yield executor

    return executors
