"""The training loop: warm-up and cosine decay, clipping, label smoothing, metrics, exact resumption."""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar, cast

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from odelib.data import ImageData
from odelib.models import TransformerConfig, ViT, ViTConfig
from odelib.training.board import open_board
from odelib.training.checkpoint import Checkpoint, check_same_run, load_checkpoint, save_checkpoint
from odelib.training.config import TrainConfig
from odelib.training.cost import cost_of
from odelib.training.errors import TrainingError
from odelib.training.evaluate import measure
from odelib.training.folder import CONFIG, claim_folder, hold_folder
from odelib.training.optim import adamw, learning_rate
from odelib.training.progress import Progress
from odelib.training.record import METRICS, EpochMetrics, MetricsFile, epoch_record, header, read_metrics
from odelib.training.runtime import Runtime
from odelib.training.tasks import Batch, Task, hits_of, image_sizes, image_task, loss_of

Model = TypeVar("Model", bound=nn.Module)

# The loss stays on the device; it is read, and looked at for NaN, once in so many steps.
_READ_EVERY = 20


@dataclass(frozen=True)
class Result(Generic[Model]):
    """What a run gave.

    The accuracy of a run is that of its last epoch. The test data choose nothing: no epoch, no learning
    rate, no stopping time. So the number is an unbiased estimate for the configuration that was asked for.
    """

    model: Model
    """The trained model (the averaged one, where the run averages), in evaluation mode, on the run's device."""
    history: tuple[EpochMetrics, ...]
    """One entry per epoch."""
    folder: Path
    """Where configuration, metrics and checkpoint lie."""

    @property
    def test_accuracy(self) -> float:
        """Share of the test images (characters, requests, subwords) that the model gets right after the last epoch."""
        return self.history[-1].test_accuracy

    @property
    def seconds(self) -> float:
        """Wall-clock time of all epochs together, in seconds."""
        return sum(epoch.seconds for epoch in self.history)


def fit(
    config: TrainConfig, data: ImageData, folder: str | Path, *, resume: bool = False, progress: bool = True
) -> Result[ViT]:
    """Train a vision transformer and leave ``config.json``, ``metrics.jsonl`` and ``checkpoint.pt`` in a folder.

    A run that was stopped, by Ctrl-C, a kill or a full disk, goes on from its last checkpoint with
    ``resume=True``, and ends with the same weights and metrics, bit for bit, as one that was never stopped.
    The caller's torch random state is left as it was.

    Args:
        config: The run.
        data: Images and labels; ``config.model`` must have their size, channels and classes.
        folder: The run folder; made if absent.
        resume: Go on from the folder's checkpoint.
        progress: Print a line per epoch and, on a terminal, a progress bar.

    Raises:
        ValueError: The model does not fit the data, or the folder already holds a run and ``resume`` is off.
        TrainingError: The loss is no longer finite, the folder cannot be written, or its checkpoint cannot be used.
    """
    model = config.model
    if not isinstance(model, ViTConfig):
        raise ValueError(f"the model is a {type(model).__name__}, which reads no images: give a ViTConfig")
    check_sizes(model, image_sizes(data), data.name)
    runtime = Runtime.choose(config.device, config.precision)
    task = image_task(data, config, runtime)
    return fit_task(config, task, lambda: ViT(model), folder, runtime=runtime, resume=resume, progress=progress)


def fit_task(
    config: TrainConfig,
    task: Task,
    build: Callable[[], Model],
    folder: str | Path,
    *,
    runtime: Runtime,
    resume: bool = False,
    progress: bool = True,
    tensorboard: bool = False,
) -> Result[Model]:
    """Train a model on a task, in the same way as ``fit`` trains a vision transformer on images.

    Args:
        config: The recipe: epochs, learning rate, and so on.
        task: The batches, made for ``config`` and ``runtime``.
        build: Makes the model with its initial weights, drawn from torch's random state. It takes the inputs of the
            task's batches, gives the logits that ``Task`` describes, and has a number ``nfe``, the field evaluations
            per forward pass.
        folder: The run folder; made if absent.
        runtime: Where and in which number format.
        resume: Go on from the folder's checkpoint.
        progress: Print a line per epoch and, on a terminal, a progress bar.
        tensorboard: Write the epochs for TensorBoard too, into the run folder.

    Raises:
        ValueError: The folder already holds a run and ``resume`` is off, or TensorBoard is wanted and not installed.
        TrainingError: The loss is no longer finite, the folder cannot be written, another process writes it, or its
            checkpoint cannot be used.
    """
    folder = Path(folder)
    claim_folder(folder, resume=resume)
    with hold_folder(folder), runtime.fork_rng():
        run = _Run(config, task, build, folder, runtime)
        stored = load_checkpoint(folder) if resume else None
        if stored is not None:
            check_same_run(stored, config, folder)
            run.restore(stored)
        with (
            MetricsFile(folder / METRICS, size=stored.metrics_bytes if stored else 0) as metrics,
            Progress(config, cast(float, run.model.nfe), task.count, run.epoch, unit=task.unit, shown=progress) as bar,
            open_board(folder, run.step, wanted=tensorboard) as board,
        ):
            if stored is None:
                (folder / CONFIG).write_text(json.dumps(config.to_dict(), indent=2) + "\n", encoding="utf-8")
                cost = cost_of(run.model, next(iter(task.epoch(0))))
                run.save(metrics.append(header(config, runtime, cost)))
            while run.epoch < config.epochs:
                done = run.train_epoch(bar)
                size = metrics.append(epoch_record(done))
                if run.epoch % config.checkpoint_every == 0 or run.epoch == config.epochs:
                    run.save(size)
                bar.epoch_done(done)
                board.epoch_done(done)
        _, history = read_metrics(folder)
    return Result(model=run.measured.eval(), history=history, folder=folder)


def check_sizes(model: TransformerConfig, sizes: Mapping[str, int], data: str) -> None:
    """Refuse a model whose input or output is not that of the data.

    Args:
        model: The model's configuration.
        sizes: What it must offer, as ``Task.sizes``; of ``max_tokens`` it may have more.
        data: Name of the data, for the sentence.

    Raises:
        ValueError: A size differs; the sentence names the first that does.
    """
    for name, value in sizes.items():
        given = getattr(model, name)
        if given != value and not (name == "max_tokens" and given > value):
            raise ValueError(f"the model has {name}={given}, but {data} needs {value}: set {name}={value}")


class _Run(Generic[Model]):
    """Model, optimiser and position of a run in progress."""

    def __init__(
        self, config: TrainConfig, task: Task, build: Callable[[], Model], folder: Path, runtime: Runtime
    ) -> None:
        self.config, self.task, self.folder, self.runtime = config, task, folder, runtime
        runtime.seed(config.seed)
        self.model = build().to(runtime.device)
        self.forward = cast(Callable[..., Tensor], torch.compile(self.model) if config.compile else self.model)
        self.average = (
            AveragedModel(self.model, multi_avg_fn=get_ema_multi_avg_fn(config.average))  # type: ignore[no-untyped-call]
            if config.average
            else None
        )
        self.optimizer = adamw(self.model, config, runtime)
        self.epoch = 0
        self.step = 0

    @property
    def measured(self) -> Model:
        """The model that counts: the averaged one, if there is one."""
        return self.model if self.average is None else cast(Model, self.average.module)

    def restore(self, stored: Checkpoint) -> None:
        self.model.load_state_dict(stored.model)
        if self.average is not None and stored.average is not None:
            self.average.load_state_dict(stored.average)
        self.optimizer.load_state_dict(stored.optimizer)
        self.runtime.set_rng_state(stored.rng)
        self.epoch, self.step = stored.epoch, stored.step

    def save(self, metrics_bytes: int) -> None:
        checkpoint = Checkpoint(
            config=self.config.to_dict(),
            model=self.model.state_dict(),
            optimizer=self.optimizer.state_dict(),
            epoch=self.epoch,
            step=self.step,
            rng=self.runtime.rng_state(),
            metrics_bytes=metrics_bytes,
            average=None if self.average is None else self.average.state_dict(),
        )
        save_checkpoint(checkpoint, self.folder)

    def train_epoch(self, bar: Progress) -> EpochMetrics:
        start = time.perf_counter()
        self.model.train()
        steps = self.task.steps
        losses = torch.zeros(steps, device=self.runtime.device)  # sums over a batch
        hits = torch.zeros(steps, device=self.runtime.device)
        seen = read = 0
        for i, batch in enumerate(self.task.epoch(self.epoch)):
            losses[i], hits[i] = self._update(batch)
            seen += batch.count
            if (i + 1) % _READ_EVERY == 0 or i + 1 == steps:
                self._check(losses[read : i + 1], self.step - (i - read))
                bar.update(seen, losses[: i + 1].sum().item() / seen, hits[: i + 1].sum().item() / seen)
                read = i + 1
        trained = time.perf_counter()
        test_loss, test_accuracy = measure(self.measured, self.task.test(), runtime=self.runtime)
        self._check(torch.tensor([test_loss]), self.step)
        self.epoch += 1
        return EpochMetrics(
            epoch=self.epoch,
            step=self.step,
            train_loss=losses.sum().item() / seen,
            train_accuracy=hits.sum().item() / seen,
            test_loss=test_loss,
            test_accuracy=test_accuracy,
            lr=self._lr(self.step - 1),
            seconds=round(time.perf_counter() - start, 3),
            images_per_second=round(seen / (trained - start), 1),
        )

    def _update(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """One optimiser step; the summed loss and the number of hits stay on the device."""
        for group in self.optimizer.param_groups:
            group["lr"] = self._lr(self.step)
        self.optimizer.zero_grad(set_to_none=True)
        if self.config.accumulate == 1:
            loss, hits = self._backward(batch.inputs, batch.targets, "mean", 1)
        else:
            pieces = batch.pieces(self.config.accumulate)
            results = [self._backward(inputs, targets, "sum", batch.count) for inputs, targets in pieces]
            loss, hits = (torch.stack(numbers).sum() for numbers in zip(*results, strict=True))
        if self.config.clip_norm is not None:
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.config.clip_norm)
        self.optimizer.step()
        if self.average is not None:
            self.average.update_parameters(self.model)
        self.step += 1
        return loss * batch.count, hits

    def _backward(
        self, inputs: tuple[Tensor, ...], targets: Tensor, reduction: str, divisor: int
    ) -> tuple[Tensor, Tensor]:
        """Add the gradient of loss / divisor to the parameters'; give that loss and the number of hits."""
        with self.runtime.autocast():
            logits = self.forward(*inputs)
        loss = loss_of(logits, targets, label_smoothing=self.config.label_smoothing, reduction=reduction)
        if divisor > 1:
            loss = loss / divisor
        torch.autograd.backward(loss)
        return loss.detach(), hits_of(logits, targets)

    def _lr(self, step: int) -> float:
        config, steps = self.config, self.task.steps
        return learning_rate(
            step, peak=config.lr, warmup=round(config.warmup_epochs * steps), total=config.epochs * steps
        )

    def _check(self, losses: Tensor, first_step: int) -> None:
        """Stop at the first loss that is not finite; ``first_step`` counts from 1."""
        bad = (~torch.isfinite(losses)).nonzero()
        if len(bad):
            step = first_step + int(bad[0])
            raise TrainingError(
                f"the loss is {losses[int(bad[0])].item()} at step {step} (epoch {self.epoch + 1}): "
                f"try a lower learning rate than {self.config.lr:g}, a longer warm-up, or a smaller clip_norm"
            )
