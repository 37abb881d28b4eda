"""Training: one configuration, one loop, run folders that resume bit for bit."""

from odelib.training.checkpoint import Checkpoint, load_checkpoint
from odelib.training.config import TrainConfig
from odelib.training.errors import CheckpointError, TrainingError
from odelib.training.evaluate import evaluate, load_run
from odelib.training.loop import Result, fit
from odelib.training.record import EpochMetrics, read_metrics
from odelib.training.runtime import Runtime

__all__ = [
    "Checkpoint",
    "CheckpointError",
    "EpochMetrics",
    "Result",
    "Runtime",
    "TrainConfig",
    "TrainingError",
    "evaluate",
    "fit",
    "load_checkpoint",
    "load_run",
    "read_metrics",
]
