"""What the recipe can do beyond the plain one: pieces, averages, strong augmentation, compiling, TensorBoard."""

import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from odelib.cli import main
from odelib.data import ImageData
from odelib.training import (
    Runtime,
    TrainConfig,
    TrainingError,
    build_model,
    evaluate,
    load_run,
    read_metrics,
    train,
)
from odelib.training.folder import claimed, hold_folder
from odelib.training.loop import Trainer
from odelib.training.run import restore
from odelib.training.tasks import TrainingSet, image_task

CPU = Runtime.choose("cpu")
ROOT = Path(__file__).parents[2]
STRONG = {"rand_augment": 9, "erasing": 0.5, "mixup": 0.8, "cutmix": 1.0}


def calm(config: TrainConfig) -> TrainConfig:
    """The run without dropout, whose draws depend on the size of a piece."""
    return replace(config, model=replace(config.model, dropout=0.0, drop_path=0.0))


def parameters(model: torch.nn.Module) -> torch.Tensor:
    return torch.nn.utils.parameters_to_vector(model.parameters()).detach()


@pytest.mark.parametrize("accumulate", [2, 3, 64])
def test_pieces_give_the_gradient_of_the_whole(data: ImageData, still: TrainConfig, accumulate: int) -> None:
    gradients, results = [], []
    for config in (calm(still), replace(calm(still), accumulate=accumulate)):
        task = image_task(data, config, CPU)
        run = Trainer(config, task, lambda: build_model(config.model), CPU)  # noqa: B023  called at once
        restore(run, None)
        results.append(run.update(next(iter(task.epoch(0)))))
        gradients.append(torch.cat([parameter.grad.flatten() for parameter in run.model.parameters()]))
    torch.testing.assert_close(gradients[1], gradients[0], atol=1e-6, rtol=1e-4)
    torch.testing.assert_close(results[1][0], results[0][0])
    assert results[1][1] == results[0][1]


def test_the_average_is_the_exponential_one_and_is_what_counts(
    data: ImageData, still: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    update = Trainer.update

    def noted(run: Trainer, batch: object) -> object:
        result = update(run, batch)
        seen.append(parameters(run.model))
        return result

    monkeypatch.setattr(Trainer, "update", noted)
    result = train(replace(still, average=0.75), tmp_path, data=data, progress=False)
    expected = seen[0]
    for weights in seen[1:]:
        expected = 0.75 * expected + 0.25 * weights
    torch.testing.assert_close(parameters(result.model), expected)
    assert not torch.allclose(parameters(result.model), seen[-1])
    _, loaded = load_run(tmp_path)
    assert torch.equal(parameters(loaded), parameters(result.model))
    measured = evaluate(loaded, data, runtime=CPU)
    assert measured == pytest.approx((result.history[-1].test_loss, result.test_accuracy), rel=1e-5)


def test_the_whole_recipe_resumes_bit_for_bit(
    data: ImageData, config: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = replace(config, **STRONG, average=0.9, accumulate=2, epochs=3)
    straight = train(config, tmp_path / "straight", data=data, progress=False)
    epoch = Trainer.train_epoch

    def stopped(run: Trainer, *rest: object) -> object:
        if run.epoch == 2:
            raise KeyboardInterrupt
        return epoch(run, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "train_epoch", stopped)
        with pytest.raises(KeyboardInterrupt):
            train(config, tmp_path / "stopped", data=data, progress=False)
    resumed = train(config, tmp_path / "stopped", data=data, resume=True, progress=False)
    assert torch.equal(parameters(resumed.model), parameters(straight.model))
    assert resumed.history[-1].test_loss == straight.history[-1].test_loss


def test_mixed_classes_are_probabilities_and_the_order_stays(data: ImageData, config: TrainConfig) -> None:
    plain = list(TrainingSet(data, config, CPU).epoch(0))
    torch.manual_seed(5)
    before = torch.get_rng_state()
    mixed = list(TrainingSet(data, replace(config, **STRONG), CPU).epoch(0))
    assert torch.equal(torch.get_rng_state(), before)
    for (images, labels), (strong, shares) in zip(plain, mixed, strict=True):
        assert strong.shape == images.shape
        assert shares.shape == (len(labels), 3)
        torch.testing.assert_close(shares.sum(1), torch.ones(len(labels)))
        assert (shares[torch.arange(len(labels)), labels] > 0).all()
    again = list(TrainingSet(data, replace(config, **STRONG), CPU).epoch(0))
    assert all(torch.equal(a, b) for x, y in zip(mixed, again, strict=True) for a, b in zip(x, y, strict=True))


def test_the_header_says_what_the_model_costs(data: ImageData, still: TrainConfig, tmp_path: Path) -> None:
    costs = {}
    for rule in ("euler", "lie-trotter", "rk4"):
        train(replace(still, model=replace(still.model, step_rule=rule)), tmp_path / rule, data=data, progress=False)
        costs[rule] = read_metrics(tmp_path / rule)[0]["cost"]
    assert costs["euler"] == costs["lie-trotter"]
    assert costs["rk4"]["parameters"] == costs["euler"]["parameters"]
    assert (costs["euler"]["nfe"], costs["rk4"]["nfe"]) == (2, 8)
    # By hand: 4 tokens of width 8; patches and head are outside of the field, whose cost is four times that of Euler.
    outside = 2 * (4 * 16 * 8 + 8 * 3)
    linear, attention = 2 * 4 * (4 * 8 * 8 + 2 * 8 * 32), 2 * 2 * 4 * 4 * 8
    assert costs["euler"]["flops"] == outside + 2 * (linear + attention)
    assert costs["rk4"]["flops"] == outside + 8 * (linear + attention)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler")
def test_compiled_training_is_equal_to_rounding(tmp_path: Path) -> None:
    tiny = "train --train-images 64 --epochs 2 --dim 8 --num-heads 2 --mlp-ratio 1 --intervals 1 --device cpu".split()
    assert main([*tiny, "--no-compile", "--out", str(tmp_path / "--no-compile")]) == 0
    # In a process of its own: here every function checks its arguments, which cannot be compiled.
    command = [sys.executable, "-m", "odelib", *tiny, "--compile", "--out", str(tmp_path / "--compile")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    options = ("--no-compile", "--compile")
    losses = [[epoch.test_loss for epoch in read_metrics(tmp_path / option)[1]] for option in options]
    assert losses[1] == pytest.approx(losses[0], rel=1e-3)
    load_run(tmp_path / "--compile")


def test_tensorboard_shows_what_the_metrics_say(data: ImageData, still: TrainConfig, tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    result = train(still, tmp_path, data=data, progress=False, tensorboard=True)
    shown = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    (event,) = shown.Scalars("loss/test")
    assert event.step == result.history[-1].step
    assert event.value == pytest.approx(result.history[-1].test_loss)


def test_two_processes_in_one_folder_are_refused_by_name(data: ImageData, still: TrainConfig, tmp_path: Path) -> None:
    sentence = r"is being written by process \d+ on .*: wait for it or stop it"
    with hold_folder(tmp_path), pytest.raises(TrainingError, match=sentence):
        train(still, tmp_path, data=data, progress=False)
    train(still, tmp_path, data=data, progress=False)
    assert {path.name for path in tmp_path.iterdir()} == {"config.json", "data.json", "metrics.jsonl", "checkpoint.pt"}


def test_a_run_killed_before_its_first_checkpoint_may_start_again(
    data: ImageData, still: TrainConfig, tmp_path: Path
) -> None:
    train(still, tmp_path, data=data, progress=False)
    (tmp_path / "checkpoint.pt").unlink()
    with pytest.raises(ValueError, match="is not empty"), claimed(tmp_path):  # it has metrics of an epoch
        pass
    (tmp_path / "metrics.jsonl").write_text('{"record": "header"}\n')
    (tmp_path / ".lock").touch()
    train(still, tmp_path, data=data, progress=False)
