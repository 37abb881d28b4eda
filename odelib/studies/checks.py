"""A study is checked whole before its first run: names that would meet, runs that cannot be, what is not here."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch

from odelib.data import DATA_SETS, IMAGE_SETS, DataError, is_own
from odelib.errors import TrainingError
from odelib.files import said
from odelib.names import choose
from odelib.studies.job import ITEMS, REPORT, STUDY, run_folder
from odelib.studies.protocol import PROTOCOL, RUNS
from odelib.studies.study import Job, Setting, Study
from odelib.training.checkpoint import CHECKPOINT
from odelib.training.config import TrainConfig, build_model
from odelib.training.folder import FIRST_FILES
from odelib.training.options import check_options, merge
from odelib.training.prepare import prepare
from odelib.training.runtime import Runtime
from odelib.training.text_tasks import validates
from odelib.training.trained import begin_from


def check_name(name: str, what: str) -> None:
    """Refuse a name that is no plain name of a folder, on any system.

    Raises:
        ValueError: It is none.
    """
    if not name.strip() or name != name.strip() or len(name) > 100 or name.startswith("."):
        raise ValueError(f"the {what} is named {name!r}: give it a name of 1 to 100 characters that begins with no dot")
    strange = next((sign for sign in name if sign in '/\\:*?"<>|' or not sign.isprintable()), None)
    if strange is not None:
        raise ValueError(f"the {what} {name!r} has a {strange!r} in its name, which is a folder's too: leave it out")


def check_setting(name: str, settings: Mapping[str, Setting]) -> None:
    """Refuse a setting whose folder, on some system, would be a file of the study's folder or another setting's.

    Raises:
        ValueError: It would.
    """
    if name.casefold() in _TAKEN:
        raise ValueError(f"the setting is named {name!r}, as a file in the study's folder is: give it another name")
    if same := [other for other in settings if other != name and other.casefold() == name.casefold()]:
        raise ValueError(
            f"two settings are named {name!r} and {same[0]!r}, and a name is a folder: give each a name of its own"
        )


_TAKEN = {each.casefold() for each in (STUDY, PROTOCOL, RUNS, ITEMS, REPORT, *FIRST_FILES)}


def check_runs(study: Study, path: Path) -> None:
    """Refuse what would fail once it is run, as far as that can be known wherever the file is read.

    Raises:
        ValueError: A run would fail.
    """
    for where, setting in study.settings.items():
        for variant, seeds in setting.seeds.items():
            if not seeds:
                continue
            options = merge(setting.options, study.variants[variant], {"seed": seeds[0]})
            try:
                checked = check_options(options)
                config = TrainConfig.from_dict(checked, sizes_of(checked))
                _check_data(config, setting.metric)
            except ValueError as error:
                raise ValueError(f"{path}: {where}/{variant}: {error}") from error


def _check_data(config: TrainConfig, metric: str) -> None:
    """Refuse what is asked of data that do not offer it: translations, a validation split."""
    data, images = config.data, config.data in IMAGE_SETS
    if metric == "bleu" and data != "multi30k":
        raise ValueError(f"the metric is bleu, but {data} has no translations: choose another metric")
    if config.validation and not images:
        raise ValueError(f"validation is {config.validation:g}, but {data} has a split of its own for it: leave it out")
    wanted = "keep_best is true" if config.keep_best else f"the metric is {metric}"
    if images and not config.validation and (config.keep_best or metric.startswith("validation")):
        raise ValueError(
            f"{wanted}, but no training image is kept for validation: say which share, as in `validation: 0.2`"
        )
    if metric.startswith("validation") and not images and not validates(config):
        raise ValueError(f"{wanted}, which a run on {data} measures only to keep the best epoch: add `keep_best: true`")


def sizes_of(options: Mapping[str, Any]) -> dict[str, int]:
    """What the data ask of the model, where that is known without loading them.

    Raises:
        ValueError: The data set is unknown.
    """
    data = str(options.get("data", TrainConfig.data))
    if data in DATA_SETS:
        return dict(DATA_SETS[data].model_sizes)
    if not is_own(data):
        choose(data, DATA_SETS, "data set")
    return {}


def check_here(jobs: Iterable[Job], folder: Path) -> None:
    """Refuse runs that this machine cannot do: whose device, data or weights to begin from are not here, or do not fit.

    It is called where the runs will be done, once before the first of them: a folder of data is read only then, and a
    device may be another machine's.

    Args:
        jobs: The runs that are still to be done; those that differ in the seed alone are checked once.
        folder: The study's; a run that has a checkpoint there needs no weights to begin from.

    Raises:
        ValueError: Some cannot be done; the sentence names the first setting and variant.
    """
    for name, job in {job.name.rpartition("/")[0]: job for job in jobs}.items():
        try:
            with torch.random.fork_rng(devices=[]):
                _check_job(job, run_folder(folder / job.name))
        except (ValueError, OSError, TrainingError, DataError) as error:
            raise ValueError(f"{name}: {said(error)}") from error


def _check_job(job: Job, run: Path) -> None:
    options = check_options(job.options)
    data = str(options.get("data", TrainConfig.data))
    if is_own(data) and not Path(data).expanduser().exists():
        raise ValueError(f"there is no {data}: check the path of the data")
    Runtime.choose(options.get("device", "auto"), options.get("precision", "auto"))
    config = prepare(options, Runtime.choose("cpu")).config  # what is refused there is so on any device
    if config.init is not None and not (run / CHECKPOINT).is_file():
        begin_from(build_model(config.model), config.init)
