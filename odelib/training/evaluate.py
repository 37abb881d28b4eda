"""Measure a model on what it was not trained with, and bring a trained one back from its run folder."""

from collections.abc import Iterable
from pathlib import Path

import torch
from torch import nn

from odelib.data import ImageData
from odelib.models import ViT
from odelib.training.checkpoint import load_checkpoint
from odelib.training.config import TrainConfig
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
        runtime: In which number format.

    Returns:
        Mean cross-entropy in nats, and the share of places whose largest logit is that of the wanted class, both
        over all places of all batches where a class is wanted.
    """
    loss = torch.zeros((), device=runtime.device)
    hits = torch.zeros((), dtype=torch.int64, device=runtime.device)
    count = 0
    training = model.training
    model.eval()
    try:
        with torch.inference_mode():
            for batch in batches:
                with runtime.autocast():
                    logits = model(*batch.inputs)
                loss += loss_of(logits, batch.targets, reduction="sum")
                hits += hits_of(logits, batch.targets)
                count += batch.count
    finally:
        model.train(training)
    return loss.item() / count, hits.item() / count


def load_run(folder: str | Path) -> tuple[TrainConfig, ViT]:
    """Bring back the model of a run folder as its last checkpoint has it, on the CPU, in evaluation mode.

    Raises:
        CheckpointError: The folder has no checkpoint, or one that cannot be used.
    """
    checkpoint = load_checkpoint(Path(folder))
    config = TrainConfig.from_dict(checkpoint.config)
    with torch.random.fork_rng(devices=[]):  # the initial weights, drawn only to be replaced
        model = ViT(config.model)
    model.load_state_dict(checkpoint.model)
    return config, model.eval()
