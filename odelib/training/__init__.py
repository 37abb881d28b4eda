"""Training: one configuration, one loop, run folders that resume bit for bit."""

from odelib.training.checkpoint import Checkpoint, load_checkpoint
from odelib.training.config import TrainConfig, build_model
from odelib.training.cost import Cost, cost_of
from odelib.training.errors import CheckpointError, TrainingError
from odelib.training.evaluate import evaluate, load_run, measure
from odelib.training.loop import Result, fit, fit_task
from odelib.training.options import YamlFile, check_options
from odelib.training.prepare import Prepared, prepare, train, train_prepared
from odelib.training.presets import PRESETS, merge, preset
from odelib.training.record import EpochMetrics, read_metrics
from odelib.training.report import comparisons_of
from odelib.training.runs import Run, keep_runs, read_runs
from odelib.training.runtime import Runtime
from odelib.training.study import Claim, Study, read_study
from odelib.training.tables import Row, rows_of
from odelib.training.tasks import IGNORED, Batch, Task, image_task
from odelib.training.text_tasks import character_task, intent_task, translation_task, translations
from odelib.training.verdicts import Comparison, Verdict, decide, paragraph

__all__ = [
    "IGNORED",
    "PRESETS",
    "Batch",
    "Checkpoint",
    "CheckpointError",
    "Claim",
    "Comparison",
    "Cost",
    "EpochMetrics",
    "Prepared",
    "Result",
    "Row",
    "Run",
    "Runtime",
    "Study",
    "Task",
    "TrainConfig",
    "TrainingError",
    "Verdict",
    "YamlFile",
    "build_model",
    "character_task",
    "check_options",
    "comparisons_of",
    "cost_of",
    "decide",
    "evaluate",
    "fit",
    "fit_task",
    "image_task",
    "intent_task",
    "keep_runs",
    "load_checkpoint",
    "load_run",
    "measure",
    "merge",
    "paragraph",
    "prepare",
    "preset",
    "read_metrics",
    "read_runs",
    "read_study",
    "rows_of",
    "train",
    "train_prepared",
    "translation_task",
    "translations",
]
