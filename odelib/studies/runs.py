"""The finished runs of a study: read from its folder, or from the short form of it that is worth keeping."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from odelib.analysis.cost import Cost
from odelib.errors import TrainingError
from odelib.files import copy, filling, replacing, write_text
from odelib.studies.job import FAILURE, ITEMS, STUDY, Outcome, is_done, read_result, run_folder
from odelib.studies.protocol import PROTOCOL, RUNS
from odelib.studies.study import Job, Study
from odelib.studies.study_file import read_study
from odelib.training.record import EpochMetrics, read_metrics


@dataclass(frozen=True)
class Run:
    """A finished run of a study."""

    setting: str
    variant: str
    seed: int
    metrics: dict[str, float]
    """The numbers after the last epoch, by name, accuracies as shares: ``test_accuracy``, ``test_loss`` and so on."""
    swaps: dict[str, dict[str, float]]
    """Accuracy, loss and NFE of the trained model under each other solver of the study."""
    cost: Cost
    seconds: float
    """Wall-clock time of training and measuring."""
    provenance: dict[str, Any]
    """Commit, versions, processor, device, threads, date, and the checksum of the protocol, where there is one."""
    history: tuple[EpochMetrics, ...]

    @property
    def name(self) -> str:
        """Its folder in that of the study."""
        return f"{self.setting}/{self.variant}/seed{self.seed}"


def read_runs(study: Study, folder: Path) -> tuple[list[Run], list[Outcome]]:
    """The finished runs of a study, and how it stands with the others.

    Args:
        study: The study.
        folder: As ``run_study`` or ``keep_runs`` leaves it.

    Raises:
        TrainingError: A result is damaged, or is of another protocol than the study's.
    """
    kept = _read_kept(folder) if (folder / RUNS).is_file() else None
    runs: list[Run] = []
    others: list[Outcome] = []
    for job in study.jobs:
        where = folder / job.name
        if kept is not None:
            if job.name in kept:
                runs.append(kept[job.name])
            else:
                others.append(Outcome(job.name, False, "not among the kept runs"))
        elif is_done(job, where):
            runs.append(_read_run(job, where))
        else:
            others.append(Outcome(job.name, False, "failed" if (where / FAILURE).is_file() else "not done yet"))
    for run in runs:
        _check_protocol(study, run, folder)
    return runs, others


def _check_protocol(study: Study, run: Run, folder: Path) -> None:
    asked, own = study.protocol and study.protocol.checksum, run.provenance.get("protocol")
    if asked is not None and own != asked:
        raise TrainingError(
            f"the run {run.name} in {folder} is of the protocol {own}, and {PROTOCOL} there is {asked} by checksum: to "
            f"keep both, put back the {PROTOCOL} of these runs, and do those of the new one in another folder (--out)"
        )


def open_study(folder: Path) -> tuple[Study, list[Run], list[Outcome]]:
    """A study, its finished runs, and how it stands with the others, from its folder in either form.

    Raises:
        TrainingError: The folder is not that of a study, or no run is done yet, or a result is damaged.
        ValueError: Its study file has a mistake.
    """
    if not (folder / STUDY).is_file():
        raise TrainingError(
            f"{folder} is not the folder of a study (it has no {STUDY}): give one that odelib study made"
        )
    study = read_study(folder / STUDY)
    runs, others = read_runs(study, folder)
    if not runs:
        raise TrainingError(f"no run of {folder} is done yet: start it with odelib study, and come back when one is")
    return study, runs, others


def keep_runs(folder: Path, out: Path) -> int:
    """Write a study's finished runs in short: its file, its protocol and a line of JSON per run, without checkpoints.

    Args:
        folder: A study's folder, as ``run_study`` leaves it.
        out: Another folder to write into, which ``write_report`` and ``read_runs`` read like the long one.

    Returns:
        How many runs were kept.

    Raises:
        ValueError: ``out`` is ``folder``, where the short form would hide the runs that are still to come.
        TrainingError: ``folder`` is not that of a study, or has no finished run, or a result is damaged.
        OSError: The files cannot be written; none of them is left.
    """
    if out.resolve() == folder.resolve():
        raise ValueError(f"the study in {folder} cannot be kept in its own folder: give another one")
    _, runs, _ = open_study(folder)
    items = {
        f"{run.name}/{name}": _smallest(values) for run in runs for name, values in read_items(folder, run).items()
    }
    with filling(out) as kept:
        for name in (STUDY, PROTOCOL):
            if (folder / name).is_file():
                copy(folder / name, kept / name)
        write_text(kept / RUNS, "".join(json.dumps(asdict(run), allow_nan=False) + "\n" for run in runs))
        if items:
            with replacing(kept / ITEMS) as partial, open(partial, "wb") as file:
                np.savez_compressed(file, allow_pickle=False, **items)
    return len(runs)


def read_items(folder: Path, run: Run) -> dict[str, np.ndarray]:
    """What the trained model of a run made of each test item, from the study's folder in either form.

    Returns:
        By name, one row for each item: ``loss`` (in nats), ``hits``, ``places``, ``bleu`` (as ``bleu_counts``). Empty
        where the study has been run or kept without them.
    """
    kept, own = folder / ITEMS, folder / run.name / ITEMS
    path, prefix = (own, "") if own.is_file() else (kept, f"{run.name}/")
    if not path.is_file():
        return {}
    with np.load(path, allow_pickle=False) as file:
        return {name.removeprefix(prefix): file[name] for name in file.files if name.startswith(prefix)}


def _smallest(values: np.ndarray) -> np.ndarray:
    """Losses to three digits, counts in as few bytes as hold them: what is kept is read by everybody who installs."""
    if np.issubdtype(values.dtype, np.floating):
        return values.astype(np.float16)
    return values.astype(np.min_scalar_type(int(values.max())))


def _read_run(job: Job, where: Path) -> Run:
    setting, variant, _ = job.name.split("/")
    _, history = read_metrics(run_folder(where))
    return _run({**read_result(where), "setting": setting, "variant": variant, "seed": job.options["seed"]}, history)


def _run(values: Mapping[str, Any], history: tuple[EpochMetrics, ...]) -> Run:
    names = ("setting", "variant", "seed", "metrics", "swaps", "seconds", "provenance")
    return Run(**{name: values[name] for name in names}, cost=Cost(**values["cost"]), history=history)


def _read_kept(folder: Path) -> dict[str, Run]:
    runs = {}
    for number, line in enumerate((folder / RUNS).read_text(encoding="utf-8").splitlines(), start=1):
        try:
            values = json.loads(line)
            run = _run(values, tuple(EpochMetrics(**epoch) for epoch in values["history"]))
        except (ValueError, KeyError, TypeError) as error:
            raise TrainingError(
                f"{folder / RUNS}, line {number} is not a kept run ({error}): keep the study anew, or remove the line"
            ) from error
        runs[run.name] = run
    return runs
