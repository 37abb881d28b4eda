"""Measure a classifier on images, and bring a trained one back from its run folder."""

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from odelib.data import ImageData, normalise
from odelib.models import ViT
from odelib.training.checkpoint import load_checkpoint
from odelib.training.config import TrainConfig
from odelib.training.runtime import Runtime


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
    images, labels = runtime.hold(data.test_images), data.test_labels.to(runtime.device)
    loss = torch.zeros((), device=runtime.device)
    hits = torch.zeros((), dtype=torch.int64, device=runtime.device)
    training = model.training
    model.eval()
    try:
        with torch.inference_mode():
            for batch, target in zip(torch.split(images, batch_size), torch.split(labels, batch_size), strict=True):
                logits = _logits(model, batch.to(runtime.device), data, runtime)
                loss += F.cross_entropy(logits, target, reduction="sum")
                hits += (logits.argmax(dim=1) == target).sum()
    finally:
        model.train(training)
    return loss.item() / len(labels), hits.item() / len(labels)


def _logits(model: nn.Module, images: Tensor, data: ImageData, runtime: Runtime) -> Tensor:
    with runtime.autocast():
        logits: Tensor = model(normalise(images, data.mean, data.std))
    return logits.float()


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
