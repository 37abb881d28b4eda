"""Measure a model on what it was not trained with, by its own solver or another one on the same weights."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from statistics import fmean

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from odelib.data import ImageData
from odelib.layers import DepthBlock
from odelib.modes import evaluation
from odelib.solvers import Adaptive
from odelib.training.runtime import Runtime
from odelib.training.tasks import IGNORED, Batch, hits_of, loss_of, test_images


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
    # Not inference_mode: a run that goes on at the end of an epoch measures first, and the buffers that FSDP makes in
    # its first pass must serve in training too.
    with evaluation(model), torch.no_grad():
        for batch in batches:
            for inputs, targets, part in batch.pieces(runtime.processes):
                with runtime.autocast():
                    logits = model(*inputs)
                if part.weight:
                    loss += loss_of(logits, targets, reduction="sum")
                    hits += hits_of(logits, targets)
            count += batch.count
    loss, hits = (runtime.processes.all_reduce(number) for number in (loss, hits))
    return loss.item() / count, hits.item() / count


@torch.no_grad()
def measure_items(model: nn.Module, batches: Iterable[Batch], *, runtime: Runtime) -> dict[str, np.ndarray]:
    """Measure ``model`` on each row of the batches of a task: an image, a request, a window of text, a sentence.

    Args:
        model: As for ``measure``.
        batches: Batches with classes as targets, all rows of them in this process.
        runtime: In which number format.

    Returns:
        Of each row, in the order of the batches: ``loss``, the summed cross-entropy in nats, float32; ``hits``, at how
        many places the largest logit is that of the wanted class, int32; ``places``, where one is wanted, int32.
    """
    rows: dict[str, list[Tensor]] = {"loss": [], "hits": [], "places": []}
    with evaluation(model):
        for batch in batches:
            with runtime.autocast():
                logits = model(*batch.inputs).float()
            targets = batch.targets.reshape(len(batch.targets), -1)
            logits = logits.reshape(*targets.shape, -1)
            losses = F.cross_entropy(logits.movedim(-1, 1), targets, ignore_index=IGNORED, reduction="none")
            wanted = targets != IGNORED
            rows["loss"].append(losses.sum(dim=1))
            rows["hits"].append(((logits.argmax(dim=-1) == targets) & wanted).sum(dim=1).int())
            rows["places"].append(wanted.sum(dim=1).int())
    return {name: torch.cat(values).cpu().numpy() for name, values in rows.items()}


def swap(
    model: nn.Module, step_rule: str | None = None, *, refine: int = 1, tolerance: float | None = None
) -> nn.Module:
    """Change how the depth of a trained model is integrated; its weights and its time stay.

    Args:
        model: A model of this package; it is changed.
        step_rule: The new step rule; None keeps the present one, or takes tsit5 where there is a tolerance.
        refine: Take this many times as many steps, each smaller by the same factor.
        tolerance: Adapt the steps within each interval, so that the error estimate of each step stays below this,
            absolute and relative to the state, instead of taking equal steps. A batch is one system.

    Returns:
        The same model.

    Raises:
        ValueError: The rule is unknown, ``refine`` is less than 1, the tolerance is not positive, or the rule has no
            error estimate to adapt by.
    """
    if tolerance is not None and refine != 1:
        raise ValueError(f"refine is {refine} and tolerance is {tolerance:g}: give one of the two")
    for block in _depths(model):
        if tolerance is None:
            block.swap(step_rule, refine=refine)
        else:
            steps = Adaptive(rtol=tolerance, atol=tolerance)
            block.swap(step_rule or "tsit5", steps=steps, gradient="backprop")
    return model


def rule_of(model: nn.Module) -> str:
    """Name of the step rule by which a model is integrated."""
    return _depths(model)[0].rule.name


@contextmanager
def mean_nfe(model: nn.Module) -> Iterator[Callable[[], float]]:
    """Context that yields a function: the mean field evaluations of the forward passes in it, rejected steps counted.

    Steps that adapt differ from pass to pass.
    """
    blocks = _depths(model)
    spent: list[list[float]] = [[] for _ in blocks]
    hooks = [
        block.register_forward_hook(lambda block, inputs, output, seen=seen: seen.append(block.nfe))
        for block, seen in zip(blocks, spent, strict=True)
    ]
    try:
        yield lambda: sum(fmean(seen) for seen in spent if seen)
    finally:
        for hook in hooks:
            hook.remove()


def _depths(model: nn.Module) -> list[DepthBlock]:
    return [module for module in model.modules() if isinstance(module, DepthBlock)]
