"""Training beside a loop by hand: python benchmarks/training.py [--preset fashion-micro] [--rounds 7] [--quick].

Both train the same model, from the same start, on the same batches (cut, shuffled and augmented on the way), with the
same optimiser and learning rates; each round is one epoch of either, in turns. What `odelib train` adds are metrics, a
look for NaN, the progress bar, the lock and the checkpoint. Prints images per second of the training itself, and the
seconds of the whole epoch with measuring and saving; and checks that both end with the same weights.

`--batches` trains nothing and prints what it takes to cut, shuffle and augment the batches of a preset, in one thread;
of cifar100-deit-ti the bound is 0.03 ms per image.
"""

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path

import torch
from torch import Tensor, nn

from odelib.training import PRESETS, Runtime, build_model, merge, preset
from odelib.training.optim import adamw, learning_rate
from odelib.training.prepare import Prepared, prepare
from odelib.training.run import fit_task

BOUND = 1.05
CPU = Runtime.choose("cpu", "float32")


def by_hand(prepared: Prepared) -> tuple[nn.Module, float, float]:
    """Return the model after an epoch, the seconds of its training, and those with measuring."""
    config, task = prepared.config, prepared.task
    torch.manual_seed(config.seed)
    model = build_model(config.model)
    optimizer = adamw(model, config, CPU)
    warmup = round(config.warmup_epochs * task.steps)
    begin = time.perf_counter()
    model.train()
    for step, batch in enumerate(task.epoch(0)):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, peak=config.lr, warmup=warmup, total=config.epochs * task.steps)
        optimizer.zero_grad()
        logits = model(*batch.inputs).flatten(0, -2)
        targets = batch.targets.flatten()
        loss = nn.functional.cross_entropy(logits, targets, label_smoothing=config.label_smoothing)
        torch.autograd.backward(loss)
        if config.clip_norm is not None:
            nn.utils.clip_grad_norm_(model.parameters(), config.clip_norm)
        optimizer.step()
    trained = time.perf_counter()
    model.eval()
    hits = torch.tensor(0)
    with torch.no_grad():
        for batch in task.test():
            hits += (model(*batch.inputs).argmax(-1) == batch.targets).sum()
    return model, trained - begin, time.perf_counter() - begin


def by_odelib(prepared: Prepared, folder: Path) -> tuple[nn.Module, float, float]:
    """Return the same of `train`."""
    config = prepared.config
    begin = time.perf_counter()
    result = fit_task(config, prepared.task, lambda: build_model(config.model), folder, runtime=CPU, progress=False)
    seconds = time.perf_counter() - begin
    return result.model, prepared.task.count / result.history[0].images_per_second, seconds


def same(ours: nn.Module, theirs: nn.Module) -> float:
    """Return the largest difference of two parameters of the same name."""
    pairs: list[tuple[Tensor, Tensor]] = list(zip(ours.parameters(), theirs.parameters(), strict=True))
    return max(float((a - b).detach().abs().max()) for a, b in pairs)


def batches(prepared: Prepared, rounds: int) -> float:
    """Return the milliseconds that one image takes until its batch is ready, in the fastest of several epochs."""
    seconds = []
    for epoch in range(rounds):
        begin = time.process_time()
        for _ in prepared.task.epoch(epoch):
            pass
        seconds.append(time.process_time() - begin)
    return 1e3 * min(seconds) / prepared.task.count


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", choices=tuple(PRESETS), default="fashion-micro", help="the recipe")
    parser.add_argument("--rounds", type=int, default=7, help="epochs of either")
    parser.add_argument("--threads", type=int, default=2, help="torch's threads")
    parser.add_argument("--quick", action="store_true", help="one small round: that it runs, no measurement")
    parser.add_argument("--batches", action="store_true", help="only what it takes to make the batches, in one thread")
    options = parser.parse_args()
    torch.set_num_threads(1 if options.batches else options.threads)
    changes = {"epochs": 1, "warmup_epochs": 0.5, "device": "cpu", "precision": "float32"}
    small = {"train_images": 256} if options.quick else {}
    prepared = prepare(merge(preset(options.preset), changes, small), CPU)
    if options.batches:
        print(f"{options.preset}: {batches(prepared, options.rounds):.4f} ms for each of the {prepared.task.unit}")
        return 0
    ours, hand = [], []
    with tempfile.TemporaryDirectory() as folder:
        for n in range(-1, 1 if options.quick else options.rounds):
            model, *times = by_odelib(prepared, Path(folder) / str(n))
            other, *others = by_hand(prepared)
            if n >= 0:
                ours.append(times)
                hand.append(others)
    print(f"{options.preset}: {prepared.task.count} {prepared.task.unit} per epoch, {options.threads} threads")
    print(f"largest difference of two weights after the epoch: {same(model, other):.1e}")
    within = True
    for column, what in enumerate(("training", "whole epoch, from nothing to the checkpoint")):
        a, b = ([row[column] for row in rows] for rows in (ours, hand))
        ratio = statistics.median(x / y for x, y in zip(a, b, strict=True))
        rates = [prepared.task.count / statistics.median(values) for values in (a, b)]
        print(f"{what}: odelib {rates[0]:.0f}, by hand {rates[1]:.0f} {prepared.task.unit}/s, time ratio {ratio:.3f}")
        within = within and (column > 0 or ratio <= BOUND)
    print(f"training within {BOUND} of the loop by hand: {'yes' if within else 'no'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
