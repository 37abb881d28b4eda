"""What a run leaves in its folder: configuration, metrics, checkpoints and, if wanted, TensorBoard's files."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from odelib.training.board import Board, open_board
from odelib.training.checkpoint import Checkpoint, save_checkpoint
from odelib.training.config import TrainConfig
from odelib.training.cost import Cost
from odelib.training.folder import CONFIG
from odelib.training.record import METRICS, EpochMetrics, MetricsFile, epoch_record, header
from odelib.training.runtime import Runtime


class Journal:
    """Writes into a run folder; of several processes that train one model, the main one does.

    Args:
        folder: The run folder.
        metrics: Its metrics file.
        board: Where TensorBoard's files are written.
    """

    def __init__(self, folder: Path, metrics: MetricsFile, board: Board) -> None:
        self._folder, self._metrics, self._board = folder, metrics, board

    def begin(self, config: TrainConfig, runtime: Runtime, cost: Cost, checkpoint: Checkpoint) -> None:
        """Write what there is before the first step.

        Raises:
            TrainingError: It cannot be written, as on a full disk; so for ``add``.
        """
        (self._folder / CONFIG).write_text(json.dumps(config.to_dict(), indent=2) + "\n", encoding="utf-8")
        self._save(checkpoint, self._metrics.append(header(config, runtime, cost)))

    def add(self, done: EpochMetrics, checkpoint: Checkpoint | None) -> None:
        """Write what an epoch gave, and the checkpoint after it, if one is due."""
        size = self._metrics.append(epoch_record(done))
        if checkpoint is not None:
            self._save(checkpoint, size)
        self._board.epoch_done(done)

    def _save(self, checkpoint: Checkpoint, size: int) -> None:
        save_checkpoint(replace(checkpoint, metrics_bytes=size), self._folder)


@contextmanager
def open_journal(folder: Path, stored: Checkpoint | None, *, tensorboard: bool) -> Iterator[Journal]:
    """The journal of a run that begins, or goes on from a checkpoint; what was written after that is cut off.

    Raises:
        ValueError: TensorBoard is wanted and not installed.
        TrainingError: Metrics that the checkpoint knows of are lost.
    """
    size, step = (0, 0) if stored is None else (stored.metrics_bytes, stored.step)
    with MetricsFile(folder / METRICS, size=size) as metrics, open_board(folder, step, wanted=tensorboard) as board:
        yield Journal(folder, metrics, board)
