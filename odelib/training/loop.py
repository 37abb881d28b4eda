"""The training loop: warm-up and cosine decay, clipping, label smoothing, metrics, exact resumption."""

import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar, cast

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from odelib.data import ImageData
from odelib.models import TransformerConfig, ViT, ViTConfig
from odelib.training.checkpoint import Checkpoint, check_same_run, load_checkpoint
from odelib.training.config import TrainConfig
from odelib.training.cost import cost_of
from odelib.training.errors import TrainingError
from odelib.training.evaluate import measure
from odelib.training.folder import claim_folder, hold_folder
from odelib.training.journal import open_journal
from odelib.training.optim import adamw, learning_rate
from odelib.training.processes import Part
from odelib.training.progress import Progress
from odelib.training.record import EpochMetrics, read_metrics
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
    folder, processes = Path(folder), runtime.processes
    with ExitStack() as held, runtime.fork_rng(), processes.stoppable():
        journal = stored = cost = None
        with processes.agreed():
            if processes.main:
                claim_folder(folder, resume=resume)
                held.enter_context(hold_folder(folder))
                stored = _stored(config, folder) if resume else None
                journal = held.enter_context(open_journal(folder, stored, tensorboard=tensorboard))
            run = _Run(config, task, build, runtime)
            if processes.main and stored is None:
                cost = cost_of(run.model, next(iter(task.epoch(0))))
        stored = processes.same(stored)
        run.begin(stored)
        nfe, shown = cast(float, run.model.nfe), progress and processes.main
        bar = held.enter_context(Progress(config, nfe, task.count, run.epoch, unit=task.unit, shown=shown))
        if stored is None:
            state = run.state()
            with processes.agreed():
                if journal is not None and cost is not None:
                    journal.begin(config, runtime, cost, state)
        while run.epoch < config.epochs:
            done = run.train_epoch(bar)
            due = run.epoch % config.checkpoint_every == 0 or run.epoch == config.epochs
            now = run.state() if due else None
            with processes.agreed():
                if journal is not None:
                    journal.add(done, now)
            bar.epoch_done(done)
            processes.stop_if_asked()
        with processes.agreed():
            history = read_metrics(folder)[1] if processes.main else ()
        return Result(model=run.trained().eval(), history=processes.same(history), folder=folder)


def _stored(config: TrainConfig, folder: Path) -> Checkpoint:
    stored = load_checkpoint(folder)
    check_same_run(stored, config, folder)
    return stored


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

    def __init__(self, config: TrainConfig, task: Task, build: Callable[[], Model], runtime: Runtime) -> None:
        self.config, self.task, self.build, self.runtime = config, task, build, runtime
        runtime.seed(config.seed)
        self.model = build().to(runtime.device)
        self.average = (
            AveragedModel(self.model, multi_avg_fn=get_ema_multi_avg_fn(config.average))  # type: ignore[no-untyped-call]
            if config.average
            else None
        )
        self.epoch = 0
        self.step = 0

    @property
    def measured(self) -> Model:
        """The model that counts: the averaged one, if there is one."""
        return self.model if self.average is None else cast(Model, self.average.module)

    def begin(self, stored: Checkpoint | None) -> None:
        """Take up what is stored, and spread the model over the processes: the optimiser then has their weights."""
        processes = self.runtime.processes
        if stored is not None:
            self.model.load_state_dict(stored.model)
            if self.average is not None and stored.average is not None:
                self.average.load_state_dict(stored.average)
        average = None if self.average is None else self.average.module
        forward = processes.spread(self.model, average, shard=self.config.shard)
        self.forward = cast(Callable[..., Tensor], torch.compile(forward) if self.config.compile else forward)
        self.optimizer = adamw(self.model, self.config, self.runtime)
        if stored is not None:
            self.optimizer.load_state_dict(processes.shared_out(self.optimizer, stored.optimizer))
            self.runtime.set_rng_state(stored.rng)
            self.epoch, self.step = stored.epoch, stored.step

    def state(self) -> Checkpoint:
        """All that the run needs to go on, in however many processes; all of them must ask for it."""
        whole = self.runtime.processes.whole
        return Checkpoint(
            config=self.config.to_dict(),
            model=whole(self.model.state_dict()),
            optimizer=whole(self.optimizer.state_dict()),
            epoch=self.epoch,
            step=self.step,
            rng=self.runtime.rng_state(),
            metrics_bytes=0,
            average=None if self.average is None else whole(self.average.state_dict()),
        )

    def trained(self) -> Model:
        """The model that counts, whole in every process."""
        processes = self.runtime.processes
        if not (self.config.shard and processes.count > 1):
            return self.measured
        model = self.build().to(self.runtime.device)
        model.load_state_dict(processes.whole(self.measured.state_dict(), everywhere=True))
        return model

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
                new = torch.stack((losses[read : i + 1], hits[read : i + 1]))
                losses[read : i + 1], hits[read : i + 1] = self.runtime.processes.sum(new)
                self._check(losses[read : i + 1], self.step - (i - read))
                self.runtime.processes.stop_if_asked()
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
        processes = self.runtime.processes
        if processes.count == self.config.accumulate == 1:
            loss, hits = self._backward(batch.inputs, batch.targets)
        else:
            results = []
            pieces = batch.pieces(processes, self.config.accumulate)
            for i, (inputs, targets, part) in enumerate(pieces, start=1):
                with part.draws(), processes.adding_up(self.forward, last=i == len(pieces)):
                    results.append(self._backward(inputs, targets, part, batch.count))
            loss, hits = (torch.stack(numbers).sum() for numbers in zip(*results, strict=True))
        if self.config.clip_norm is not None:
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.config.clip_norm)
        self.optimizer.step()
        if self.average is not None:
            self.average.update_parameters(self.model)
        self.step += 1
        return loss * batch.count, hits

    def _backward(
        self, inputs: tuple[Tensor, ...], targets: Tensor, part: Part | None = None, count: int = 1
    ) -> tuple[Tensor, Tensor]:
        """Add the gradient of the loss to the parameters'; give the loss and the number of hits.

        The loss is the mean over the targets; of a part of a batch, the sum over them divided by the batch's ``count``.
        """
        with self.runtime.autocast():
            logits = self.forward(*inputs)
        reduction = "mean" if part is None else "sum"
        loss = loss_of(logits, targets, label_smoothing=self.config.label_smoothing, reduction=reduction)
        hits = hits_of(logits, targets)
        if part is not None:
            loss, hits = loss * part.weight / count, hits * part.weight
        torch.autograd.backward(loss * self.runtime.processes.count)  # they take the mean of their gradients
        return loss.detach(), hits

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
            with self.runtime.processes.agreed():
                raise TrainingError(
                    f"the loss is {losses[int(bad[0])].item()} at step {step} (epoch {self.epoch + 1}): "
                    f"try a lower learning rate than {self.config.lr:g}, a longer warm-up, or a smaller clip_norm"
                )
