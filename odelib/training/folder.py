"""The run folder: whether a run may be written there, and that no two processes do so at once."""

import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from odelib.training.checkpoint import CHECKPOINT
from odelib.training.errors import TrainingError
from odelib.training.record import METRICS

CONFIG = "config.json"
_LOCK, _HOLDER = ".lock", ".holder"
_FIRST_FILES = {CONFIG, METRICS, CHECKPOINT + ".partial", _LOCK, _HOLDER}


def claim_folder(folder: Path, *, resume: bool) -> None:
    """Make the run folder and make sure, before any work is done, that a run can be written there.

    Raises:
        ValueError: It holds files already and ``resume`` is off.
        TrainingError: It cannot be made or written.
    """
    if not resume and folder.is_dir() and not _is_new(folder):
        raise ValueError(
            f"the run folder {folder} is not empty: resume the run in it (--resume), or choose another (--out)"
        )
    probe = folder / ".writable"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise TrainingError(
            f"cannot write to the run folder {folder} ({error.strerror}): choose another one (--out)"
        ) from error


def _is_new(folder: Path) -> bool:
    """Whether nothing is lost by starting in the folder: it is empty, or a run was killed before its first epoch."""
    if {path.name for path in folder.iterdir()} - _FIRST_FILES:
        return False
    metrics = folder / METRICS
    return not metrics.is_file() or metrics.read_bytes().count(b"\n") <= 1


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
        holder.write_text(f"process {os.getpid()} on {platform.node()}", encoding="utf-8")
        yield
    finally:
        holder.unlink(missing_ok=True)
        lock.release()
        (folder / _LOCK).unlink(missing_ok=True)
