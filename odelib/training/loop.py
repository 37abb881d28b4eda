"""The training loop: one model, one optimiser, epoch after epoch; the same on one device as on several."""

import time
from collections.abc import Callable
from typing import Generic, TypeVar, cast

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from odelib.errors import LossError
from odelib.training.config import TrainConfig
from odelib.training.evaluate import measure
from odelib.training.optim import adamw, learning_rate
from odelib.training.progress import Progress
from odelib.training.record import EpochMetrics
from odelib.training.runtime import Runtime
from odelib.training.tasks import Batch, Part, Task, hits_of, loss_of

Model = TypeVar("Model", bound=nn.Module)

# The loss stays on the device; it is read, and looked at for NaN, once in so many steps.
READ_EVERY = 20


class Trainer(Generic[Model]):
    """Model, optimiser and position of a run in progress.

    Args:
        config: The recipe.
        task: The batches.
        build: Makes the model with its initial weights, drawn from torch's random state.
        runtime: Where and in which number format.
    """

    def __init__(self, config: TrainConfig, task: Task, build: Callable[[], Model], runtime: Runtime) -> None:
        self.config, self.task, self.runtime = config, task, runtime
        self.processes = runtime.processes
        runtime.seed(config.seed)
        self.model = build().to(runtime.device)
        self.average = (
            AveragedModel(self.model, multi_avg_fn=get_ema_multi_avg_fn(config.average))  # type: ignore[no-untyped-call]
            if config.average
            else None
        )
        self.epoch = 0
        self.step = 0
        self.sums = torch.zeros(2, 0)
        """Loss and hits of each batch of the epoch in progress, as far as a checkpoint has them."""

    @property
    def measured(self) -> Model:
        """The model that counts: the averaged one, if there is one."""
        return self.model if self.average is None else cast(Model, self.average.module)

    def make_optimizer(self) -> None:
        """Make what is called in training, and the optimiser of its weights."""
        average = None if self.average is None else self.average.module
        forward = self.processes.wrap(self.model, average, shard=self.config.shard)
        self.forward = cast(Callable[..., Tensor], torch.compile(forward) if self.config.compile else forward)
        self.optimizer = adamw(self.model, self.config, self.runtime)

    def train_epoch(self, bar: Progress, read: Callable[[], None] = lambda: None) -> EpochMetrics:
        """Train for an epoch, or for the rest of one, and measure.

        Args:
            bar: Shows how it goes.
            read: Called whenever the losses so far have been read and found finite.
        """
        start = time.perf_counter()
        self.model.train()
        steps, first = self.task.steps, self.sums.shape[1]
        sums = torch.zeros(2, steps, device=self.runtime.device)
        sums[:, :first] = self.sums.to(self.runtime.device)
        seen = done = 0
        for i, batch in enumerate(self.task.epoch(self.epoch)):
            seen += batch.count
            if i < first:  # before the checkpoint; it is drawn all the same, for the sake of those after it
                done = i + 1
                continue
            sums[:, i] = torch.stack(self.update(batch))
            if (i + 1) % READ_EVERY == 0 or i + 1 == steps:
                sums[:, done : i + 1] = self.processes.all_reduce(sums[:, done : i + 1])
                self.check(sums[0, done : i + 1], self.step - (i - done))
                done, self.sums = i + 1, sums[:, : i + 1]
                bar.update(seen, self.sums[0].sum().item() / seen, self.sums[1].sum().item() / seen)
                read()
        trained = time.perf_counter()
        numbers = self.measurements()
        self.check(torch.tensor([numbers["test_loss"]]), self.step)
        self.epoch += 1
        self.sums = torch.zeros(2, 0)
        return EpochMetrics(
            epoch=self.epoch,
            step=self.step,
            train_loss=sums[0].sum().item() / seen,
            train_accuracy=sums[1].sum().item() / seen,
            lr=self.lr(self.step - 1),
            seconds=round(time.perf_counter() - start, 3),
            images_per_second=round(seen / (trained - start), 1),
            **numbers,
        )

    def measurements(self) -> dict[str, float]:
        """Loss and accuracy on the held-out splits, of averaged weights and of those that are not."""
        named = [("test", self.measured, self.task.test)]
        if self.task.validation is not None:
            named.append(("validation", self.measured, self.task.validation))
        if self.average is not None:
            named.append(("raw_test", self.model, self.task.test))
        numbers: dict[str, float] = {}
        for name, model, batches in named:
            loss, accuracy = measure(model, batches(), runtime=self.runtime)
            numbers |= {f"{name}_loss": loss, f"{name}_accuracy": accuracy}
        return numbers

    def update(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """One optimiser step; the summed loss and the number of hits stay on the device."""
        for group in self.optimizer.param_groups:
            group["lr"] = self.lr(self.step)
        self.optimizer.zero_grad(set_to_none=True)
        pieces = batch.pieces(self.processes, self.config.accumulate)
        if len(pieces) == 1 and pieces[0][-1].alone:
            loss, hits = self._backward(batch.inputs, batch.targets)
        else:
            results = []
            for i, (inputs, targets, part) in enumerate(pieces, start=1):
                with part.draws(), self.processes.no_sync(self.forward, last=i == len(pieces)):
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
        torch.autograd.backward(loss if part is None else loss * part.scale)
        return loss.detach(), hits

    def lr(self, step: int) -> float:
        """The learning rate of a step, counted from 0."""
        config, steps = self.config, self.task.steps
        return learning_rate(
            step, peak=config.lr, warmup=round(config.warmup_epochs * steps), total=config.epochs * steps
        )

    def check(self, losses: Tensor, first_step: int) -> None:
        """Stop at the first loss that is not finite; ``first_step`` counts from 1."""
        bad = (~torch.isfinite(losses)).nonzero()
        if len(bad):
            step = first_step + int(bad[0])
            raise LossError(
                f"the loss is {losses[int(bad[0])].item()} at step {step} (epoch {self.epoch + 1}): "
                f"try a lower learning rate than {self.config.lr:g}, a longer warm-up, or a smaller clip_norm"
            )
