"""What a run leaves behind: one JSON line per epoch, below a header that says how the numbers came about."""

import json
import os
import platform
import subprocess
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any

import torch

from odelib.analysis.cost import Cost
from odelib.errors import TrainingError
from odelib.files import version_of
from odelib.training.config import TrainConfig
from odelib.training.runtime import Runtime

METRICS = "metrics.jsonl"


@dataclass(frozen=True)
class EpochMetrics:
    """What one epoch gave."""

    epoch: int
    """Epochs done, from 1."""
    step: int
    """Optimiser steps done."""
    train_loss: float
    """Mean training loss over the epoch, in nats: on augmented images, with label smoothing, in training mode; of
    mixed images it is against the mixed classes."""
    train_accuracy: float
    """Share of the epoch's augmented training images that the model, as it was at that step, got right."""
    test_loss: float
    """Mean cross-entropy on the test images after the epoch, in nats, without label smoothing."""
    test_accuracy: float
    """Share of the test images that the model gets right after the epoch."""
    lr: float
    """Learning rate of the epoch's last step."""
    seconds: float
    """Wall-clock time of the epoch, training and measuring, in seconds."""
    images_per_second: float
    """Training images (characters, requests, subwords) per second of wall-clock time, measuring left out."""
    validation_loss: float | None = None
    """Mean cross-entropy on the validation split, in nats, where there is one that the run measures."""
    validation_accuracy: float | None = None
    """Share of the validation split that the model gets right."""
    raw_test_loss: float | None = None
    """Where the weights are averaged: the test loss of the weights that are not."""
    raw_test_accuracy: float | None = None
    """Likewise their test accuracy."""


def header(config: TrainConfig, runtime: Runtime, cost: Cost) -> dict[str, Any]:
    """The first line of the metrics file: configuration, cost of the model, versions, commit and device."""
    name = torch.cuda.get_device_name(runtime.device) if runtime.device.type == "cuda" else platform.machine()
    return {
        "record": "header",
        "config": config.to_dict(),
        "cost": asdict(cost),
        "versions": {
            "odelib": version_of(),
            "torch": str(torch.__version__),
            "python": platform.python_version(),
        },
        "commit": source_commit(),
        "device": str(runtime.device),
        "device_name": name,
        "precision": str(runtime.dtype).removeprefix("torch."),
        "threads": torch.get_num_threads(),
        "processes": runtime.processes.world_size,
    }


class MetricsFile:
    """An append-only file of JSON lines that can be cut back to what a checkpoint knows of."""

    def __init__(self, path: Path, *, size: int) -> None:
        """Open ``path`` and cut it to ``size`` bytes (0 for a new run).

        Raises:
            TrainingError: The file is shorter than ``size``: lines that the checkpoint knows of are lost.
        """
        self._file = open(path, "a+b")  # noqa: SIM115  closed by __exit__
        found = os.fstat(self._file.fileno()).st_size
        if found < size:
            self._file.close()
            raise TrainingError(
                f"{path} has {found} bytes where the checkpoint knows of {size}: it was cut or replaced, "
                "so restore it, or start anew in another folder"
            )
        self._file.truncate(size)

    @property
    def size(self) -> int:
        """Size of the file in bytes."""
        return os.fstat(self._file.fileno()).st_size

    def append(self, record: dict[str, Any]) -> int:
        """Write one line and return the size of the file in bytes after it.

        Raises:
            TrainingError: The line cannot be written, as on a full disk.
        """
        try:
            self._file.write(json.dumps(record, allow_nan=False).encode() + b"\n")
            self._file.flush()
        except OSError as error:
            raise TrainingError(
                f"cannot write {self._file.name} ({error.strerror}): free some space, then resume from the checkpoint"
            ) from error
        return self.size

    def __enter__(self) -> "MetricsFile":
        """Return the file itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the file."""
        self._file.close()


def epoch_record(metrics: EpochMetrics) -> dict[str, Any]:
    """One epoch as a line of the metrics file."""
    return {"record": "epoch", **{name: value for name, value in asdict(metrics).items() if value is not None}}


def read_metrics(folder: Path) -> tuple[dict[str, Any], tuple[EpochMetrics, ...]]:
    """Read a run's metrics: the header, and one entry per epoch.

    Raises:
        TrainingError: A line is not a record of this format; the sentence names the line.
        OSError: There is no such file, or it cannot be read.
    """
    path = folder / METRICS
    head: dict[str, Any] = {}
    epochs = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        try:
            record = json.loads(line)
            if record.pop("record") == "header":
                head = record
            else:
                epochs.append(EpochMetrics(**record))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise TrainingError(
                f"{path}, line {number} is not a metrics record ({error}): remove that line, or the run folder"
            ) from error
    return head, tuple(epochs)


def source_commit() -> str | None:
    """Commit of the source tree that this package lies in, marked ``-dirty`` if its code is changed; else None."""
    tree = Path(__file__).resolve().parents[2]
    if not (tree / ".git").exists():
        return None
    # Kept results lie beside the code, and each one that is made anew would mark those after it.
    code = ("odelib", ":!odelib/teaching/results", ":!odelib/teaching/studies")
    git = ["git", "-C", str(tree)]
    commands = ([*git, "rev-parse", "HEAD"], [*git, "status", "--porcelain", "--", *code])
    try:
        answers = [subprocess.run(command, capture_output=True, text=True, check=False) for command in commands]
    except FileNotFoundError:  # git is not installed
        return None
    commit, changes = (answer.stdout.strip() for answer in answers)
    return f"{commit}{'-dirty' if changes else ''}" if commit else None


def environment() -> dict[str, Any]:
    """Date (UTC), processor, number of cores and system, as plain values."""
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "processor": processor(),
        "cores": os.cpu_count(),
        "system": platform.system(),
        "python": platform.python_version(),
    }


def processor() -> str:
    """Name of the processor, as far as the system tells."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
