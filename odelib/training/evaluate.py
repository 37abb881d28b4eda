"""Measure a model on what it was not trained with, and bring a trained one back from its run folder."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from torch import nn

from odelib.data import ImageData
from odelib.modes import evaluation
from odelib.training.checkpoint import load_checkpoint
from odelib.training.config import TrainConfig, build_model
from odelib.training.runtime import Runtime
from odelib.training.tasks import Batch, hits_of, loss_of, test_images


def evaluate(model: nn.Module, data: ImageData, *, runtime: Runtime, batch_size: int = 500) -> tuple[float, float]:
    """Measure ``model`` on the test images of ``data``.

    Args:
        model: Maps normalised images (batch, channels, height, width) to logits (batch, classes). It is
            measured in evaluation mode and comes back in the mode it was in.
        data: The image set.
        runtime: Where and in which number format.
        batch_size: Images per batch.

    Returns:
        Mean cross-entropy in nats, and the share of images whose largest logit is the right one.
    """
    return measure(model, test_images(data, batch_size, runtime), runtime=runtime)


def measure(model: nn.Module, batches: Iterable[Batch], *, runtime: Runtime) -> tuple[float, float]:
    """Measure ``model`` on the batches of a task, such as ``task.test()``.

    Args:
        model: Gives logits for the inputs of a batch. It is measured in evaluation mode and comes back in the mode
            it was in.
        batches: At least one batch.
        runtime: In which number format. Where it has several processes, all of them must measure together, and each
            computes its rows of every batch.

    Returns:
        Mean cross-entropy in nats, and the share of places whose largest logit is that of the wanted class, both
        over all places of all batches where a class is wanted.
    """
    loss = torch.zeros((), device=runtime.device)
    hits = torch.zeros((), dtype=torch.int64, device=runtime.device)
    count = 0
    with evaluation(model), torch.inference_mode():
        for batch in batches:
            for inputs, targets, part in batch.pieces(runtime.processes):
                with runtime.autocast():
                    logits = model(*inputs)
                if part.weight:
                    loss += loss_of(logits, targets, reduction="sum")
                    hits += hits_of(logits, targets)
            count += batch.count
    loss, hits = (runtime.processes.sum(number) for number in (loss, hits))
    return loss.item() / count, hits.item() / count


def load_run(folder: str | Path) -> tuple[TrainConfig, nn.Module]:
    """Bring back the model of a run folder as its last checkpoint has it, on the CPU, in evaluation mode.

    Where the run averages its weights, it is the averaged model, which the metrics are of.

    Raises:
        CheckpointError: The folder has no checkpoint, or one that cannot be used.
    """
    checkpoint = load_checkpoint(Path(folder))
    config = TrainConfig.from_dict(checkpoint.config)
    with torch.random.fork_rng(devices=[]):  # the initial weights, drawn only to be replaced
        model = build_model(config.model)
    model.load_state_dict(checkpoint.model if checkpoint.average is None else _averaged(checkpoint.average))
    return config, model.eval()


def _averaged(state: dict[str, Any]) -> dict[str, Any]:
    """The model's own state in that of an ``AveragedModel`` around it."""
    prefix = "module."
    return {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}
