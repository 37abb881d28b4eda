"""One run of a study, in whatever process it happens to be: it goes on where an earlier process left it."""

import json
import threading
import time
import traceback
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from odelib.errors import TrainingError
from odelib.files import naming, replacing, said, write_json
from odelib.studies.study import Job
from odelib.training.checkpoint import CHECKPOINT, flat
from odelib.training.evaluate import mean_nfe, measure, measure_items, swap
from odelib.training.record import environment, read_metrics
from odelib.training.run import Result, train

JOB, RESULT, FAILURE, ATTEMPTS = "job.json", "result.json", "failure.json", "attempts.jsonl"
ITEMS = "items.npz"
"""What the trained model made of each test item, by name: loss, hits, places, and the counts of a BLEU."""
STUDY, REPORT = "study.yaml", "report"

# Torch's random state is one per process, so two runs in threads of one process would draw from each other.
_one_at_a_time = threading.Lock()


@dataclass(frozen=True)
class Outcome:
    """How a run ended."""

    name: str
    done: bool
    message: str = ""
    """Why it is not done."""


def work(job: Job, study: str, threads: int) -> Outcome:
    """Train and measure one run of a study, unless that is done already.

    It never raises because of the run: what is wrong with it goes into its folder and into what is returned.

    Args:
        job: The run.
        study: Folder of the study, on a disk that all workers share.
        threads: Threads for the arithmetic.
    """
    with _one_at_a_time:
        folder = Path(study) / job.name
        try:
            if not (Path(study) / STUDY).is_file():
                raise TrainingError(f"this worker sees no {study}: use a folder that all workers share (--out)")
            torch.set_num_threads(threads)
            if not is_done(job, folder):
                folder.mkdir(parents=True, exist_ok=True)
                write_json(folder / JOB, asdict(job))
                path = folder / ATTEMPTS
                with naming(path), open(path, "a", encoding="utf-8") as attempts:
                    attempts.write(json.dumps(environment()) + "\n")
                _run(job, folder)
        except Exception as error:
            message = said(error)
            _note_failure(folder, message)
            return Outcome(job.name, False, message)
        return Outcome(job.name, True)


def is_done(job: Job, folder: Path) -> bool:
    """Whether the run in ``folder`` has its result, which is written last and whole, with all that is asked of it."""
    return (folder / RESULT).is_file() and bool(read_result(folder)["job"]["swaps"] == job.swaps)


def check_same_job(job: Job, folder: Path) -> None:
    """Refuse a folder that holds a run with other options than the study's, or of another protocol.

    Raises:
        ValueError: It does; the sentence names the first options that differ, with both values.
    """
    path = folder / JOB
    if not path.is_file():
        return
    whole = json.loads(path.read_text(encoding="utf-8"))
    if whole.get("protocol") != job.protocol:
        raise ValueError(
            f"the run in {folder} is of the protocol {whole.get('protocol')} and the study now of {job.protocol}, by "
            "their checksums: choose another folder for the study (--out), and both are kept"
        )
    stored, asked = flat(whole["options"]), flat(job.options)
    names = [name for name in {**stored, **asked} if stored.get(name) != asked.get(name)]
    if names:
        shown = ", ".join(f"{name} is {stored.get(name)!r} there and {asked.get(name)!r} here" for name in names[:3])
        raise ValueError(
            f"the run in {folder} is of another configuration ({shown}): give the variant another name, "
            "remove that folder, or choose another folder for the study (--out)"
        )


def attempts(folder: Path) -> int:
    """How often the run was begun or resumed."""
    path = folder / ATTEMPTS
    return path.read_text(encoding="utf-8").count("\n") if path.is_file() else 0


def run_folder(folder: Path) -> Path:
    """The training's own folder in that of a run, which has other files."""
    return folder / "run"


def read_result(folder: Path) -> dict[str, Any]:
    """What a finished run left.

    Raises:
        TrainingError: It is damaged.
    """
    try:
        result: dict[str, Any] = json.loads((folder / RESULT).read_text(encoding="utf-8"))
        return {name: result[name] for name in ("job", "options", "metrics", "swaps", "cost", "seconds", "provenance")}
    except (ValueError, KeyError, TypeError) as error:
        raise TrainingError(
            f"{folder / RESULT} is damaged ({error}): remove it, and the study makes it anew"
        ) from error


def _run(job: Job, folder: Path) -> None:
    run = run_folder(folder)
    before = time.process_time()
    result = train(job.options, run, resume=(run / CHECKPOINT).is_file(), progress=False)
    head, _ = read_metrics(run)
    last = result.chosen
    metrics = {"test_accuracy": last.test_accuracy, "test_loss": last.test_loss, "train_loss": last.train_loss}
    if last.validation_accuracy is not None and last.validation_loss is not None:
        metrics |= {"validation_accuracy": last.validation_accuracy, "validation_loss": last.validation_loss}
    start = time.perf_counter()
    metrics |= result.scores()
    items = measure_items(result.model, result.task.test(), runtime=result.runtime) | result.task.items(result.model)
    with replacing(folder / ITEMS) as partial, open(partial, "wb") as file:
        np.savez_compressed(file, allow_pickle=False, **items)
    swaps = {name: _swapped(result, options) for name, options in job.swaps.items()}
    write_json(
        folder / RESULT,
        {
            "job": asdict(job),
            "options": result.config.to_dict(),
            "metrics": metrics,
            "swaps": swaps,
            "cost": head["cost"],
            "seconds": round(result.seconds + time.perf_counter() - start, 3),
            "provenance": {
                **{key: head[key] for key in ("commit", "device", "device_name", "precision", "threads", "versions")},
                **environment(),
                **({"protocol": job.protocol} if job.protocol else {}),
                "attempts": attempts(folder),
                "cpu_seconds": round(time.process_time() - before, 1),  # of the last attempt
            },
        },
    )
    (folder / FAILURE).unlink(missing_ok=True)


def _swapped(result: Result[nn.Module], options: Mapping[str, Any]) -> dict[str, float]:
    """Measure a copy of the trained model with another solver."""
    other = swap(deepcopy(result.model), **options)
    with mean_nfe(other) as nfe:
        loss, accuracy = measure(other, result.task.test(), runtime=result.runtime)
    return {"test_accuracy": accuracy, "test_loss": loss, "nfe": nfe()}


def _note_failure(folder: Path, message: str) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_json(folder / FAILURE, {"message": message, "traceback": traceback.format_exc(), **environment()})
    except OSError:  # a full disk, perhaps the failure itself; what is returned still says so
        return
