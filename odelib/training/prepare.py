"""All that a run needs before its first step: its data, a model of the sizes that they ask for, and their batches."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from odelib.data import DATA_SETS, Data, ImageData, checksum, is_own, load_data, processor_of
from odelib.data.baseline import TF_IDF, check_baseline, tf_idf_accuracy
from odelib.data.load import with_validation
from odelib.data.processors import CharacterProcessor, ImageProcessor, TextProcessor, TranslationProcessor, to_dict
from odelib.training.config import TrainConfig
from odelib.training.options import merge
from odelib.training.runtime import Runtime
from odelib.training.tasks import Task, image_task
from odelib.training.text_tasks import character_task, intent_task, translation_task, with_bleu


@dataclass(frozen=True)
class Prepared:
    """All that a run needs before its first step."""

    config: TrainConfig
    """The run, with the sizes of the data in the model."""
    task: Task
    """Its batches."""
    data: dict[str, Any]
    """What the run folder keeps of the data: name, checksum, and how raw inputs become the model's."""

    @property
    def note(self) -> str:
        """In what way the data are not an official set."""
        return str(self.data["note"])


def prepare(
    options: Mapping[str, Any], runtime: Runtime, data: Data | None = None, known: Mapping[str, Any] | None = None
) -> Prepared:
    """Load the data of a run, give the model the sizes that they ask for, and cut them into batches.

    Args:
        options: Checked options, as ``check_options`` gives them.
        runtime: Where the batches are wanted.
        data: As for ``train``.
        known: What a run folder keeps of its data; other data are refused. None or empty: any are taken.

    Raises:
        ValueError: The data are not those that are ``known``, or do not fit the model.
    """
    name, validation = str(options.get("data", TrainConfig.data)), float(options.get("validation", 0.0))
    if data is None:
        how = {key: options[key] for key in ("resolution", "skip_bad") if key in options}
        data = load_data(name, validation=validation, **how)
        if is_own(name):  # not resolved, since what a link is named tells what it is
            name = Path(name).expanduser().absolute().as_posix()
            options = {**options, "data": name}  # so that the run goes on from wherever it is resumed
    else:
        name = data.name
        options = {**options, "data": name}
        if isinstance(data, ImageData) and data.validation_images is None:
            data = with_validation(data, validation)
    processor = processor_of(data, int(options.get("subwords", TrainConfig.subwords)))
    kept = {
        "name": data.name,
        "checksum": checksum(data),
        "note": getattr(data, "note", "") or ("official set" if data.name in DATA_SETS else "own data"),
        "processor": to_dict(processor),
    }
    if known:
        check_same_data(kept, known)
    kind = _MODELS[type(processor)]
    if "kind" not in options.get("model", {}):
        options = merge(options, {"model": {"kind": kind}})
    config = TrainConfig.from_dict(options, processor.sizes, kind)
    task = _task(data, processor, config, runtime)
    if task.sizes != processor.sizes:  # of texts, the longest is known now
        config = TrainConfig.from_dict(options, task.sizes, kind)
    if config.keep_best and task.validation is None:
        raise ValueError(
            f"keep_best needs a validation split, which {name} has not: keep a share of the training images for it "
            "(--validation 0.1)"
        )
    return Prepared(config, task, kept)


def where_data_are(data: str, given: str | None, folder: Path) -> str:
    """Where the data of a run are now.

    Args:
        data: What the run learned from, as its configuration says.
        given: Where the user says that they are; None: where they were.
        folder: The run folder, for the sentence.

    Returns:
        A name in ``DATA_SETS`` or a path.

    Raises:
        ValueError: They are not there, or a path is given for a named set.
    """
    found = given or data
    if found in DATA_SETS:
        return found
    if data in DATA_SETS:
        raise ValueError(f"the run in {folder} learned from {data}, not from {found}: leave --data out")
    if not is_own(found) or not Path(found).expanduser().exists():
        raise ValueError(
            f"the data {found!r} of the run in {folder} are not here: say where they are (--data), or, if they were "
            "given in Python, do there what you want to do"
        )
    return found


def check_same_data(found: Mapping[str, Any], known: Mapping[str, Any]) -> None:
    """Refuse other data than those of a run.

    Args:
        found: What a run folder would keep of these data.
        known: What it keeps of its own.

    Raises:
        ValueError: They differ; the sentence says in what.
    """
    classes, others = (each["processor"].get("classes", ()) for each in (known, found))
    strange = [label for label in others if label not in classes]
    if classes and strange:
        raise ValueError(
            f"these data have the label {strange[0]!r}, which the run does not know (its labels: "
            f"{', '.join(classes)}): give the run's own data"
        )
    if found["checksum"] != known["checksum"]:
        raise ValueError(
            f"these data ({found['name']}, SHA-256 {found['checksum'][:12]}...) are not those of the run "
            f"({known['name']}, {known['checksum'][:12]}...): give the run's own data, or train anew on these"
        )


_MODELS: dict[type, str] = {
    ImageProcessor: "ViT",
    CharacterProcessor: "CausalLM",
    TextProcessor: "TextClassifier",
    TranslationProcessor: "EncoderDecoder",
}


def _task(data: Any, processor: Any, config: TrainConfig, runtime: Runtime) -> Task:
    if isinstance(processor, ImageProcessor):
        return image_task(data, config, runtime)
    if isinstance(processor, CharacterProcessor):
        model: Any = config.model
        return character_task(data, config, runtime, width=model.max_tokens)
    if isinstance(processor, TextProcessor):
        task = intent_task(data, processor.subwords, config, runtime)
        if config.data != "clinc150":
            return task
        check_baseline()
        return replace(task, scores=lambda model: {TF_IDF: tf_idf_accuracy(data)})
    task = translation_task(data, processor.subwords, config, runtime)
    return with_bleu(task, data, processor.subwords, runtime)
