"""The epochs of a run as TensorBoard shows them, beside the metrics file, which stays the record."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from odelib.install import without
from odelib.training.record import EpochMetrics

BOARD = "tensorboard"


class Board:
    """Writes each number of an epoch over the optimiser steps done.

    Args:
        writer: A ``torch.utils.tensorboard.SummaryWriter``; None: nothing is written.
    """

    def __init__(self, writer: Any) -> None:
        self._writer = writer

    def epoch_done(self, done: EpochMetrics) -> None:
        """Write one epoch."""
        if self._writer is None:
            return
        for name, value in asdict(done).items():
            if name not in ("epoch", "step"):
                group, _, rest = name.rpartition("_")
                tag = f"{rest}/{group}" if group in ("train", "test") else name
                self._writer.add_scalar(tag, value, global_step=done.step)
        self._writer.flush()


@contextmanager
def open_board(folder: Path, step: int, *, wanted: bool) -> Iterator[Board]:
    """A board in ``folder / "tensorboard"``; what an earlier process wrote there of steps after ``step`` is hidden.

    Raises:
        ValueError: It is wanted, and the package tensorboard is not installed.
    """
    if not wanted:
        yield Board(None)
        return
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        remedy = "leave --tensorboard out (metrics.jsonl has the same numbers)"
        raise ValueError(f"{without('tensorboard', 'tensorboard', '--tensorboard')}, or {remedy}") from error
    writer: Any = SummaryWriter(folder / BOARD, purge_step=step + 1)
    try:
        yield Board(writer)
    finally:
        writer.close()
