"""The one door to training: from a configuration to a trained model and the folder that tells how it came about."""

import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, cast

from torch import nn

from odelib.analysis.cost import cost_of
from odelib.data import Data
from odelib.errors import TrainingError
from odelib.training.checkpoint import BEST, Checkpoint, check_same_run, load_checkpoint
from odelib.training.config import TrainConfig, build_model
from odelib.training.folder import Journal, claimed, hold_folder, open_journal
from odelib.training.loop import Model, Trainer
from odelib.training.options import check_options
from odelib.training.prepare import prepare
from odelib.training.processes import Processes
from odelib.training.progress import Progress
from odelib.training.record import EpochMetrics, read_metrics
from odelib.training.runtime import Runtime
from odelib.training.tasks import Task
from odelib.training.trained import averaged, begin_from, read_data


@dataclass(frozen=True)
class Result(Generic[Model]):
    """What a run gave.

    The accuracy of a run is that of its last epoch, or with ``keep_best`` that of the epoch with the smallest loss on
    the validation split. The test data choose nothing: no epoch, no learning rate, no stopping time. So the number is
    an unbiased estimate for the configuration that was asked for.
    """

    model: Model
    """The trained model (the averaged one, where the run averages), in evaluation mode, on the run's device."""
    history: tuple[EpochMetrics, ...]
    """One entry per epoch."""
    folder: Path
    """Where configuration, metrics and checkpoint lie."""
    config: TrainConfig
    """The run, with the sizes of the data in the model."""
    task: Task
    """Its batches."""
    runtime: Runtime
    """Where it was computed."""

    @property
    def chosen(self) -> EpochMetrics:
        """The epoch whose weights the model has."""
        return chosen(self.config, self.history)

    @property
    def test_accuracy(self) -> float:
        """Share of the test images (characters, requests, subwords) that the model gets right."""
        return self.chosen.test_accuracy

    @property
    def seconds(self) -> float:
        """Wall-clock time of all epochs together, in seconds."""
        return sum(epoch.seconds for epoch in self.history)

    def scores(self) -> dict[str, float]:
        """What is measured besides loss and accuracy: BLEU of translations, a baseline beside the requests."""
        return self.task.scores(self.model)


def chosen(config: TrainConfig, history: tuple[EpochMetrics, ...]) -> EpochMetrics:
    """The epoch whose weights a run keeps."""
    if not config.keep_best:
        return history[-1]
    return min(history, key=lambda epoch: cast(float, epoch.validation_loss))


def train(
    config: TrainConfig | Mapping[str, Any],
    folder: str | Path,
    *,
    data: Data | None = None,
    resume: bool = False,
    progress: bool = True,
    tensorboard: bool = False,
) -> Result[nn.Module]:
    """Train a model and leave ``config.json``, ``data.json``, ``metrics.jsonl`` and ``checkpoint.pt`` in a folder.

    A run that was stopped, by Ctrl-C, a kill or a full disk, goes on from its last checkpoint with ``resume=True``,
    and ends with the same weights and metrics, bit for bit, as one that was never stopped. The caller's torch random
    state is left as it was.

    Args:
        config: The run; or plain values, as ``TrainConfig.to_dict`` gives them, of which any may be missing: the
            sizes of the model (image_size, num_classes, ...) are then those of the data, and ``preset`` names a recipe.
        folder: The run folder; made if absent.
        data: What to learn from, such as an ``ImageData`` of your own. None: what ``config.data`` names.
        resume: Go on from the folder's checkpoint.
        progress: Print a line per epoch and, on a terminal, a progress bar.
        tensorboard: Write the epochs for TensorBoard too, into the run folder.

    Raises:
        ValueError: An option is unknown or out of range, the model does not fit the data, the folder already holds a
            run and ``resume`` is off, or TensorBoard is wanted and not installed.
        DataError: The data are absent and cannot be downloaded, or damaged.
        TrainingError: The loss is no longer finite, the folder cannot be written, another process writes it, or its
            checkpoint cannot be used.
    """
    folder = Path(folder)
    options = config.to_dict() if isinstance(config, TrainConfig) else check_options(config)
    runtime = Runtime.choose(*(options.get(name, "auto") for name in ("device", "precision")))
    with ExitStack() as held:
        with runtime.processes.raise_in_all():
            if resume and runtime.processes.main:
                load_checkpoint(folder)  # before anything is made
            if runtime.processes.main:
                held.enter_context(claimed(folder, resume=resume))
            prepared = prepare(options, runtime, data, read_data(folder) if resume else None)
        if progress and runtime.processes.main:
            many = f" in {runtime.processes.world_size} processes" if runtime.processes.world_size > 1 else ""
            print(f"training on {prepared.task.name} ({prepared.note}){many}; run folder {folder}", flush=True)
        return fit_task(
            prepared.config,
            prepared.task,
            lambda: build_model(prepared.config.model),
            folder,
            # A run that goes on has its weights in the checkpoint, and those that it began from may be gone.
            begin=None if resume else prepared.config.init,
            runtime=runtime,
            resume=resume,
            progress=progress,
            tensorboard=tensorboard,
            data=prepared.data,
        )


def fit_task(
    config: TrainConfig,
    task: Task,
    build: Callable[[], Model],
    folder: Path,
    *,
    runtime: Runtime,
    begin: str | None = None,
    resume: bool = False,
    progress: bool = True,
    tensorboard: bool = False,
    data: dict[str, Any] | None = None,
) -> Result[Model]:
    """Train a model on a task, once all is prepared; the rest is as for ``train``.

    Args:
        config: The recipe.
        task: The batches, made for ``config`` and ``runtime``.
        build: Makes the model with its initial weights, drawn from torch's random state. It takes the inputs of the
            task's batches, gives the logits that ``Task`` describes, and has a number ``nfe``, the field evaluations
            per forward pass.
        folder: The run folder.
        runtime: Where and in which number format.
        begin: Folder whose weights the model gets, where they fit; None: it keeps its own.
        resume: As for ``train``.
        progress: As for ``train``.
        tensorboard: As for ``train``.
        data: What the folder is to keep of the data.
    """
    processes = runtime.processes
    with ExitStack() as held, runtime.fork_rng(), processes.signals():
        journal = stored = cost = None
        with processes.raise_in_all():
            if processes.main:
                held.enter_context(claimed(folder, resume=resume))
                held.enter_context(hold_folder(folder))
                if resume:
                    stored = load_checkpoint(folder)
                    same = data is not None and read_data(folder).get("checksum") == data["checksum"]
                    check_same_run(stored, config, folder, moved=same)
                journal = held.enter_context(open_journal(folder, stored, tensorboard=tensorboard))
            shown = progress and processes.main
            trainer = Trainer(config, task, lambda: begin_from(build(), begin, tell=shown), runtime)
            if processes.main and begins(stored, config):
                cost = cost_of(trainer.model, *next(iter(task.epoch(0))).inputs)
        stored = processes.broadcast(stored)
        restore(trainer, stored)
        nfe = cast(float, trainer.model.nfe)
        bar = held.enter_context(Progress(config, nfe, task.count, trainer.epoch, unit=task.unit, shown=shown))
        if begins(stored, config):
            state = snapshot(trainer)
            with processes.raise_in_all():
                if journal is not None and cost is not None:
                    journal.begin(config, runtime, cost, state, data)
        clock = _Clock(trainer, journal, config.checkpoint_minutes * 60)
        best = _best(folder, config) if processes.main else float("inf")
        while trainer.epoch < config.epochs:
            done = trainer.train_epoch(bar, clock.read)
            better = done.validation_loss is not None and done.validation_loss < best
            best = done.validation_loss if better and done.validation_loss is not None else best
            due = trainer.epoch % config.checkpoint_every == 0 or trainer.epoch == config.epochs
            kept = config.keep_best and processes.broadcast(better)
            now = snapshot(trainer) if due or kept else None
            with processes.raise_in_all():
                if journal is not None:
                    journal.add(done, now, best=kept)
            bar.epoch_done(done)
            clock.saved(kept=now is not None)
        with processes.raise_in_all():
            history = read_metrics(folder)[1] if processes.main else ()
        history = processes.broadcast(history)
        return Result(trained(trainer, build, folder), history, folder, config, task, runtime)


def begins(stored: Checkpoint | None, config: TrainConfig) -> bool:
    """Whether the folder is to be told of the configuration: it is new, longer than before, or its data have moved."""
    return stored is None or stored.config["epochs"] < config.epochs or stored.config["data"] != config.data


class _Clock:
    """Writes a checkpoint within an epoch when one is due or the run is told to stop; then it stops the run."""

    def __init__(self, trainer: Trainer[Any], journal: Journal | None, seconds: float) -> None:
        self.trainer, self.journal, self.seconds = trainer, journal, seconds
        self.last = time.monotonic()

    def read(self) -> None:
        """Called within an epoch, where the losses are known to be finite."""
        processes = self.trainer.processes
        stop, due = processes.stopping(time.monotonic() - self.last > self.seconds)
        if stop or due:
            state = snapshot(self.trainer)
            with processes.raise_in_all():
                if self.journal is not None:
                    self.journal.save(state)
            self.last = time.monotonic()
        if stop:
            _stop(processes)

    def saved(self, *, kept: bool) -> None:
        """Called after an epoch."""
        self.last = time.monotonic() if kept else self.last
        if self.trainer.processes.stopping(False)[0]:
            _stop(self.trainer.processes)


def _stop(processes: Processes) -> None:
    error = KeyboardInterrupt()
    error.known_to_all, error.terminated = True, processes.terminated  # type: ignore[attr-defined]
    raise error


def _best(folder: Path, config: TrainConfig) -> float:
    """The smallest validation loss of the epochs so far."""
    if not config.keep_best:
        return float("inf")
    losses = [epoch.validation_loss for epoch in read_metrics(folder)[1] if epoch.validation_loss is not None]
    return min(losses, default=float("inf"))


def snapshot(trainer: Trainer[Any]) -> Checkpoint:
    """All that the run needs to go on, in however many processes; all of them must ask for it."""
    full = trainer.processes.full_state_dict
    return Checkpoint(
        config=trainer.config.to_dict(),
        model=full(trainer.model.state_dict()),
        optimizer=full(trainer.optimizer.state_dict()),
        epoch=trainer.epoch,
        step=trainer.step,
        rng=trainer.runtime.rng_state(),
        metrics_bytes=0,
        average=None if trainer.average is None else full(trainer.average.state_dict()),
        sums=trainer.sums.cpu().clone() if trainer.sums.shape[1] else None,
    )


def restore(trainer: Trainer[Any], stored: Checkpoint | None) -> None:
    """Take up what is stored, and spread the model over the processes: the optimiser then has their weights."""
    if stored is not None:
        trainer.model.load_state_dict(stored.model)
        if trainer.average is not None and stored.average is not None:
            trainer.average.load_state_dict(stored.average)
    trainer.make_optimizer()
    if stored is not None:
        state = trainer.processes.shard_optimizer_state(trainer.optimizer, stored.optimizer)
        trainer.optimizer.load_state_dict(state)
        trainer.runtime.set_rng_state(stored.rng)
        trainer.epoch, trainer.step = stored.epoch, stored.step
        if stored.sums is not None:
            trainer.sums = stored.sums


def trained(trainer: Trainer[Model], build: Callable[[], Model], folder: Path) -> Model:
    """The model that counts, whole in every process, in evaluation mode."""
    processes = trainer.processes
    if trainer.config.keep_best:
        best = processes.broadcast(load_checkpoint(folder, BEST) if processes.main else None)
        if best is None:
            raise TrainingError(f"there is no {folder / BEST}: train anew in another folder")
        state = best.model if best.average is None else averaged(best.average)
    elif trainer.config.shard and processes.world_size > 1:
        state = processes.full_state_dict(trainer.measured.state_dict(), everywhere=True)
    else:
        return trainer.measured.eval()
    model = build().to(trainer.runtime.device)
    model.load_state_dict(state)
    return model.eval()
