"""From options to a run: load the data, give the model the sizes that they ask for, and train."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from odelib.data import (
    DATA_SETS,
    END,
    IMAGE_SETS,
    START,
    Subwords,
    TranslationData,
    bleu,
    kept_subwords,
    load_clinc150,
    load_images,
    load_multi30k,
    load_tiny_shakespeare,
)
from odelib.models import CausalLMConfig
from odelib.names import choose
from odelib.training.baseline import TF_IDF, check_baseline, tf_idf_accuracy
from odelib.training.config import TrainConfig, build_model, kind_for
from odelib.training.loop import Result, check_sizes, fit_task
from odelib.training.presets import merge
from odelib.training.runtime import Runtime
from odelib.training.tasks import Task, image_sizes, image_task
from odelib.training.text_tasks import character_task, intent_task, translation_task, translations

Scores = Callable[[nn.Module], dict[str, float]]


@dataclass(frozen=True)
class Prepared:
    """All that a run needs before its first step."""

    config: TrainConfig
    """The run, with the sizes of the data in the model."""
    task: Task
    """Its batches."""
    runtime: Runtime
    """Where it computes."""
    scores: Scores
    """What is measured besides loss and accuracy: BLEU of translations; beside the accuracy on requests, that of a
    simple baseline; else nothing."""
    note: str = ""
    """In what way the data are not the official set; empty for an official one."""


def prepare(options: Mapping[str, Any]) -> Prepared:
    """Load the data of a run and complete its configuration.

    Args:
        options: Plain values, as ``TrainConfig.to_dict`` gives them. Missing ones take their defaults, and the
            model's sizes (image_size, vocab_size, num_classes, ...) are those of the data; an image is cut into 16
            patches where ``patch_size`` is missing.

    Raises:
        ValueError: An option is unknown or out of range, or a size is given that is not that of the data.
        DataError: The data are absent and cannot be downloaded, or damaged.
    """
    data = choose(str(options.get("data", TrainConfig.data)), DATA_SETS, "data set")
    wanted = kind_for(data)
    if (kind := options.get("model", {}).get("kind", wanted)) != wanted:
        raise ValueError(f"the model is of the kind {kind}, but {data} needs {wanted}: choose that, or other data")
    prepared = _images(data, options) if data in IMAGE_SETS else _TEXTS[data](options)
    check_sizes(prepared.config.model, prepared.task.sizes, data)
    return prepared


def train(
    options: Mapping[str, Any],
    folder: str | Path,
    *,
    resume: bool = False,
    progress: bool = True,
    tensorboard: bool = False,
) -> Result[nn.Module]:
    """Train the run that ``options`` describe, as for ``prepare``; the rest is as for ``fit_task``."""
    return train_prepared(prepare(options), folder, resume=resume, progress=progress, tensorboard=tensorboard)


def train_prepared(prepared: Prepared, folder: str | Path, **how: bool) -> Result[nn.Module]:
    """Train a prepared run; ``how`` is as for ``fit_task``."""
    config = prepared.config
    return fit_task(config, prepared.task, lambda: build_model(config.model), folder, runtime=prepared.runtime, **how)


def _complete(options: Mapping[str, Any], sizes: Mapping[str, int]) -> TrainConfig:
    return TrainConfig.from_dict(merge({"model": dict(sizes)}, options))


def _runtime(config: TrainConfig) -> Runtime:
    return Runtime.choose(config.device, config.precision)


def _no_scores(model: nn.Module) -> dict[str, float]:
    return {}


def _images(name: str, options: Mapping[str, Any]) -> Prepared:
    data = load_images(name)
    sizes = image_sizes(data)
    config = _complete(options, {"patch_size": max(sizes["image_size"] // 4, 1), **sizes})
    check_sizes(config.model, sizes, name)  # before batches are made of them
    runtime = _runtime(config)
    return Prepared(config, image_task(data, config, runtime), runtime, _no_scores, data.note)


def _characters(options: Mapping[str, Any]) -> Prepared:
    config = _complete(options, {})
    model, runtime = config.model, _runtime(config)
    assert isinstance(model, CausalLMConfig)
    task = character_task(load_tiny_shakespeare(), config, runtime, width=model.max_tokens)
    return Prepared(_complete(options, task.sizes), task, runtime, _no_scores)


def _intents(options: Mapping[str, Any]) -> Prepared:
    config = _complete(options, {})
    runtime, data = _runtime(config), load_clinc150()
    check_baseline()
    task = intent_task(data, kept_subwords(data.train_texts, config.subwords, data.name), config, runtime)
    return Prepared(_complete(options, task.sizes), task, runtime, lambda model: {TF_IDF: tf_idf_accuracy(data)})


def _translation(options: Mapping[str, Any]) -> Prepared:
    config = _complete(options, {})
    runtime, data = _runtime(config), load_multi30k()
    subwords = kept_subwords((*data.train_source, *data.train_target), config.subwords, data.name)
    task = translation_task(data, subwords, config, runtime)
    return Prepared(_complete(options, task.sizes), task, runtime, _bleu_of(data, subwords, runtime))


_TEXTS = {"tiny-shakespeare": _characters, "clinc150": _intents, "multi30k": _translation}


def _bleu_of(data: TranslationData, subwords: Subwords, runtime: Runtime) -> Scores:
    def scores(model: Any) -> dict[str, float]:
        def write(tokens: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
            written, _ = model.translate(tokens, mask, start=START, end=END)
            return written  # type: ignore[no-any-return]

        found = translations(write, data.test_source, subwords, runtime)
        return {"bleu": bleu(found, data.test_target).score}

    return scores
