"""What a person sees of a run in progress: a line per epoch, on a terminal a bar, and TensorBoard's curves."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any

from tqdm import tqdm

from odelib.install import without
from odelib.training.config import TrainConfig
from odelib.training.record import EpochMetrics

BOARD = "tensorboard"


class Progress:
    """A bar over all images (or characters, ...) of all epochs, so that its remaining time is that of the run.

    Args:
        config: The run.
        nfe: Field evaluations per forward pass.
        count: Training images per epoch, or whatever ``unit`` says.
        epoch: Epochs done already.
        unit: What is counted.
        shown: Whether anything is printed.
    """

    def __init__(
        self, config: TrainConfig, nfe: float, count: int, epoch: int, *, unit: str = "images", shown: bool
    ) -> None:
        self._config, self._nfe, self._count, self._unit, self._shown = config, nfe, count, unit, shown
        self._test = ""
        self._bar = tqdm(
            total=config.epochs * count,
            initial=epoch * count,
            unit=f" {unit}",
            unit_scale=True,
            dynamic_ncols=True,
            leave=False,
            disable=None if shown else True,  # None: shown on a terminal only
        )
        self._start = epoch * count

    def update(self, seen: int, loss: float, accuracy: float) -> None:
        """Show where the epoch stands: images (or characters, ...) seen in it, mean loss and share of hits so far."""
        self._bar.set_postfix_str(f"loss {loss:.3f}, accuracy {accuracy:.3f}, NFE {self._nfe:g}{self._test}", False)
        self._bar.update(self._start + seen - self._bar.n)

    def epoch_done(self, done: EpochMetrics) -> None:
        """Print the epoch's line."""
        self._start = done.epoch * self._count
        self._test = f", test {done.test_accuracy:.3f}"
        if self._shown:
            tqdm.write(
                f"epoch {done.epoch:3d}/{self._config.epochs}"
                f"  train loss {done.train_loss:.3f} accuracy {done.train_accuracy:.3f}"
                f"  test loss {done.test_loss:.3f} accuracy {done.test_accuracy:.3f}"
                + (
                    ""
                    if done.validation_loss is None
                    else f"  validation loss {done.validation_loss:.3f} accuracy {done.validation_accuracy:.3f}"
                )
                + f"  {done.images_per_second:.0f} {self._unit}/s",
                file=sys.stdout,
            )

    def __enter__(self) -> "Progress":
        """Return the bar itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Take the bar off the terminal."""
        self._bar.close()


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
            if value is not None and name not in ("epoch", "step"):
                group, _, rest = name.rpartition("_")
                tag = f"{rest}/{group}" if group in ("train", "test", "validation", "raw_test") else name
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
