"""The run folder: who may write there, and what a run leaves in it."""

import os
import platform
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from odelib.analysis.cost import Cost
from odelib.errors import CheckpointError, TrainingError
from odelib.files import naming, said, write_json
from odelib.training.checkpoint import BEST, CHECKPOINT, Checkpoint, load_checkpoint, save_checkpoint
from odelib.training.config import TrainConfig
from odelib.training.progress import BOARD, Board, open_board
from odelib.training.record import METRICS, EpochMetrics, MetricsFile, epoch_record, header
from odelib.training.runtime import Runtime

CONFIG, DATA = "config.json", "data.json"
_LOCK, _HOLDER = ".lock", ".holder"
FIRST_FILES = {CONFIG, DATA, METRICS, CHECKPOINT, CHECKPOINT + ".partial", BOARD, _LOCK, _HOLDER}
"""What a run writes before its first step is kept."""


@contextmanager
def claimed(folder: Path, *, resume: bool = False) -> Iterator[None]:
    """Make a folder and make sure, before any work is done, that a run can be written there.

    Where the block raises and nothing was written, the folder is gone again.

    Raises:
        ValueError: It holds files already and ``resume`` is off.
        TrainingError: It cannot be made or written.
    """
    if not resume and folder.is_dir() and not _is_new(folder):
        raise ValueError(
            f"the run folder {folder} is not empty: resume the run in it (--resume), or choose another (--out)"
        )
    made = [each for each in (folder, *folder.parents) if not each.exists()]
    probe = folder / ".writable"
    try:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            probe.touch()
            probe.unlink()
        except OSError as error:
            raise TrainingError(
                f"cannot write to the run folder {folder} ({error.strerror}): choose another one (--out)"
            ) from error
        yield
    finally:
        for each in made:
            if each.is_dir() and not any(each.iterdir()):
                each.rmdir()


def _names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def _is_new(folder: Path) -> bool:
    """Whether nothing is lost by starting in the folder: it is empty, or a run ended before its first step was kept."""
    if _names(folder) - FIRST_FILES:
        return False
    metrics = folder / METRICS
    if metrics.is_file() and metrics.read_bytes().count(b"\n") > 1:
        return False
    try:
        return not (folder / CHECKPOINT).is_file() or load_checkpoint(folder).step == 0
    except CheckpointError:
        return False


@contextmanager
def hold_folder(folder: Path) -> Iterator[None]:
    """Keep other processes out of a folder until the end of the block, or of this process.

    Raises:
        TrainingError: Another process is in it; the sentence says which.
    """
    from filelock import FileLock, Timeout

    lock, holder = FileLock(folder / _LOCK), folder / _HOLDER
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        who = holder.read_text(encoding="utf-8") if holder.is_file() else "another process"
        raise TrainingError(
            f"{folder} is being written by {who}: wait for it or stop it, or choose another folder"
        ) from error
    try:
        with naming(holder):
            holder.write_text(f"process {os.getpid()} on {platform.node()}", encoding="utf-8")
        yield
    finally:
        holder.unlink(missing_ok=True)
        lock.release()
        (folder / _LOCK).unlink(missing_ok=True)


class Journal:
    """Writes into a run folder; of several processes that train one model, the main one does.

    Args:
        folder: The run folder.
        metrics: Its metrics file.
        board: Where TensorBoard's files are written.
    """

    def __init__(self, folder: Path, metrics: MetricsFile, board: Board) -> None:
        self._folder, self._metrics, self._board = folder, metrics, board

    def begin(
        self, config: TrainConfig, runtime: Runtime, cost: Cost, checkpoint: Checkpoint, data: dict[str, Any] | None
    ) -> None:
        """Write what there is before the first step, or before the first of further epochs.

        Raises:
            TrainingError: It cannot be written, as on a full disk; so for ``add`` and ``save``.
        """
        for name, values in ((CONFIG, config.to_dict()), (DATA, data)):
            if values is not None:
                try:
                    write_json(self._folder / name, values)
                except OSError as error:
                    raise TrainingError(said(error)) from error
        self.save(checkpoint, self._metrics.append(header(config, runtime, cost)))

    def add(self, done: EpochMetrics, checkpoint: Checkpoint | None, *, best: bool = False) -> None:
        """Write what an epoch gave, and the checkpoint after it, if one is due."""
        size = self._metrics.append(epoch_record(done))
        if checkpoint is not None:
            if best:
                save_checkpoint(replace(checkpoint, optimizer={}, metrics_bytes=size), self._folder, BEST)
            self.save(checkpoint, size)
        self._board.epoch_done(done)

    def save(self, checkpoint: Checkpoint, size: int | None = None) -> None:
        """Write a checkpoint that knows of what the metrics file has."""
        known = self._metrics.size if size is None else size
        save_checkpoint(replace(checkpoint, metrics_bytes=known), self._folder)


@contextmanager
def open_journal(folder: Path, stored: Checkpoint | None, *, tensorboard: bool) -> Iterator[Journal]:
    """The journal of a run that begins, or goes on from a checkpoint; what was written after that is cut off.

    Where the block raises before the first checkpoint, what it wrote is gone again. The folder is held meanwhile, so
    that nothing of another process is removed.

    Raises:
        ValueError: TensorBoard is wanted and not installed.
        TrainingError: Metrics that the checkpoint knows of are lost.
    """
    size, step = (0, 0) if stored is None else (stored.metrics_bytes, stored.step)
    before = _names(folder)
    try:
        with MetricsFile(folder / METRICS, size=size) as metrics, open_board(folder, step, wanted=tensorboard) as board:
            yield Journal(folder, metrics, board)
    finally:
        if not (folder / CHECKPOINT).exists():
            for name in (FIRST_FILES & _names(folder)) - before:
                path = folder / name
                shutil.rmtree(path) if path.is_dir() else path.unlink()
