"""Training: one configuration, one door, run folders that resume bit for bit, models that answer."""

from odelib.errors import CheckpointError, TrainingError
from odelib.training.checkpoint import Checkpoint, load_checkpoint
from odelib.training.config import TrainConfig, build_model
from odelib.training.evaluate import evaluate, measure, rule_of, swap
from odelib.training.options import PRESETS, YamlFile, check_options, merge, preset
from odelib.training.record import EpochMetrics, read_metrics
from odelib.training.run import Result, train
from odelib.training.runtime import Runtime
from odelib.training.tasks import IGNORED, Batch, Task, image_task
from odelib.training.text_tasks import character_task, intent_task, translation_task, translations
from odelib.training.trained import Prediction, Trained, load, load_run

__all__ = [
    "IGNORED",
    "PRESETS",
    "Batch",
    "Checkpoint",
    "CheckpointError",
    "EpochMetrics",
    "Prediction",
    "Result",
    "Runtime",
    "Task",
    "TrainConfig",
    "Trained",
    "TrainingError",
    "YamlFile",
    "build_model",
    "character_task",
    "check_options",
    "evaluate",
    "image_task",
    "intent_task",
    "load",
    "load_checkpoint",
    "load_run",
    "measure",
    "merge",
    "preset",
    "read_metrics",
    "rule_of",
    "swap",
    "train",
    "translation_task",
    "translations",
]
