"""Training: one configuration, one loop, run folders that resume bit for bit."""

from odelib.training.checkpoint import Checkpoint, load_checkpoint
from odelib.training.config import TrainConfig
from odelib.training.errors import CheckpointError, TrainingError
from odelib.training.evaluate import evaluate, load_run, measure
from odelib.training.loop import Result, fit, fit_task
from odelib.training.record import EpochMetrics, read_metrics
from odelib.training.runtime import Runtime
from odelib.training.tasks import IGNORED, Batch, Task, image_task
from odelib.training.text_tasks import character_task, intent_task, translation_task, translations

__all__ = [
    "IGNORED",
    "Batch",
    "Checkpoint",
    "CheckpointError",
    "EpochMetrics",
    "Result",
    "Runtime",
    "Task",
    "TrainConfig",
    "TrainingError",
    "character_task",
    "evaluate",
    "fit",
    "fit_task",
    "image_task",
    "intent_task",
    "load_checkpoint",
    "load_run",
    "measure",
    "read_metrics",
    "translation_task",
    "translations",
]
