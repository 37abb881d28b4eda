import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from odelib.data import ImageData, load_images
from odelib.models import ViTConfig
from odelib.training import (
    Runtime,
    TrainConfig,
    TrainingError,
    evaluate,
    load_checkpoint,
    load_run,
    loop,
    measure,
    read_metrics,
    train,
)
from odelib.training.checkpoint import CHECKPOINT
from odelib.training.record import METRICS

CLOCK = ("seconds", "images_per_second")


def records(folder: Path) -> list[dict[str, Any]]:
    """The lines of the metrics file, less what the clock says."""
    lines = [json.loads(line) for line in (folder / METRICS).read_text().splitlines()]
    return [{name: value for name, value in line.items() if name not in CLOCK} for line in lines]


def same(a: object, b: object) -> bool:
    """Equality bit for bit, into dictionaries, lists and tensors."""
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple) and isinstance(b, list | tuple):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, torch.Tensor) and isinstance(b, torch.Tensor):
        return a.dtype == b.dtype and torch.equal(a, b)
    return a == b


def stop_in_epoch(monkeypatch: pytest.MonkeyPatch, epoch: int) -> None:
    """Press Ctrl-C when the test images are measured in ``epoch``, once its weights have been updated."""
    whole: Callable[..., tuple[float, float]] = measure
    calls = iter(range(1, 100))

    def interrupted(*args: Any, **kwargs: Any) -> tuple[float, float]:
        if next(calls) == epoch:
            raise KeyboardInterrupt
        return whole(*args, **kwargs)

    monkeypatch.setattr(loop, "measure", interrupted)


@pytest.mark.parametrize("rule", ["euler", "lie-trotter", "rk4"])
def test_a_stopped_run_resumes_bit_for_bit(
    data: ImageData, config: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rule: str
) -> None:
    config = replace(config, model=replace(config.model, step_rule=rule))
    assert config.model.dropout > 0
    assert config.model.drop_path > 0
    straight = train(config, tmp_path / "straight", data=data, progress=False)

    stop_in_epoch(monkeypatch, 3)
    with pytest.raises(KeyboardInterrupt):
        train(config, tmp_path / "stopped", data=data, progress=False)
    monkeypatch.undo()
    assert load_checkpoint(tmp_path / "stopped").epoch == 2
    torch.rand(17)  # what happens between the two must not matter
    resumed = train(config, tmp_path / "stopped", data=data, resume=True, progress=False)

    assert same(dict(resumed.model.state_dict()), dict(straight.model.state_dict()))
    once, again = load_checkpoint(tmp_path / "straight"), load_checkpoint(tmp_path / "stopped")
    assert same(again.model, once.model)
    assert same(again.optimizer, once.optimizer)
    assert same(again.rng, once.rng)
    assert (again.epoch, again.step) == (once.epoch, once.step) == (4, 20)
    assert records(tmp_path / "stopped") == records(tmp_path / "straight")


def test_metrics_written_after_the_last_checkpoint_are_written_again(
    data: ImageData, config: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = replace(config, checkpoint_every=2)
    train(config, tmp_path / "straight", data=data, progress=False)
    stop_in_epoch(monkeypatch, 4)
    with pytest.raises(KeyboardInterrupt):
        train(config, tmp_path / "stopped", data=data, progress=False)
    monkeypatch.undo()
    assert load_checkpoint(tmp_path / "stopped").epoch == 2
    assert len(records(tmp_path / "stopped")) == 4  # header and three epochs, of which the third is not kept
    train(config, tmp_path / "stopped", data=data, resume=True, progress=False)
    assert records(tmp_path / "stopped") == records(tmp_path / "straight")


def test_stopping_before_the_first_epoch_ends_loses_nothing(
    data: ImageData, config: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train(config, tmp_path / "straight", data=data, progress=False)
    stop_in_epoch(monkeypatch, 1)
    with pytest.raises(KeyboardInterrupt):
        train(config, tmp_path / "stopped", data=data, progress=False)
    monkeypatch.undo()
    train(config, tmp_path / "stopped", data=data, resume=True, progress=False)
    assert records(tmp_path / "stopped") == records(tmp_path / "straight")


def test_resuming_a_finished_run_changes_nothing(data: ImageData, still: TrainConfig, tmp_path: Path) -> None:
    first = train(still, tmp_path, data=data, progress=False)
    files = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    again = train(still, tmp_path, data=data, resume=True, progress=False)
    assert again.history == first.history
    assert same(dict(again.model.state_dict()), dict(first.model.state_dict()))
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == files


def test_lost_metrics_are_noticed(data: ImageData, still: TrainConfig, tmp_path: Path) -> None:
    train(still, tmp_path, data=data, progress=False)
    (tmp_path / METRICS).write_text("")
    with pytest.raises(TrainingError, match="has 0 bytes where the checkpoint knows of"):
        train(still, tmp_path, data=data, resume=True, progress=False)


def test_one_seed_gives_one_result_and_another_seed_another(
    data: ImageData, still: TrainConfig, tmp_path: Path
) -> None:
    first = train(still, tmp_path / "a", data=data, progress=False)
    torch.manual_seed(123)
    second = train(still, tmp_path / "b", data=data, progress=False)
    other = train(replace(still, seed=1), tmp_path / "c", data=data, progress=False)
    assert same(dict(first.model.state_dict()), dict(second.model.state_dict()))
    assert not same(dict(first.model.state_dict()), dict(other.model.state_dict()))


def test_the_callers_random_state_is_left_alone(data: ImageData, still: TrainConfig, tmp_path: Path) -> None:
    before = torch.get_rng_state()
    train(still, tmp_path, data=data, progress=False)
    load_run(tmp_path)
    assert torch.equal(torch.get_rng_state(), before)


def test_it_learns(tmp_path: Path) -> None:
    images = load_images("fashion-mnist-subset")
    model = ViTConfig(dim=32, num_heads=2, mlp_ratio=2.0, intervals=2)
    config = TrainConfig(model=model, train_images=500, epochs=8, batch_size=25, lr=1e-2, shift=0, device="cpu")
    result = train(config, tmp_path, data=images, progress=False)
    assert result.test_accuracy > 0.45  # chance is 0.10
    assert result.history[-1].train_loss < 0.8 * result.history[0].train_loss


def test_the_run_folder_tells_the_whole_story(data: ImageData, config: TrainConfig, tmp_path: Path) -> None:
    result = train(config, tmp_path, data=data, progress=False)
    assert TrainConfig.from_dict(json.loads((tmp_path / "config.json").read_text())) == config
    head, history = read_metrics(tmp_path)
    assert head["config"] == config.to_dict()
    assert head["versions"]["torch"] == torch.__version__
    assert {"commit", "device", "precision"} <= head.keys()
    assert history == result.history
    assert [epoch.epoch for epoch in history] == [1, 2, 3, 4]
    assert [epoch.step for epoch in history] == [5, 10, 15, 20]
    assert result.seconds == sum(epoch.seconds for epoch in history)
    assert result.test_accuracy == history[-1].test_accuracy


def test_a_run_comes_back_from_its_folder(data: ImageData, still: TrainConfig, tmp_path: Path) -> None:
    result = train(still, tmp_path, data=data, progress=False)
    config, model = load_run(tmp_path)
    assert config == still
    assert not model.training
    measured = evaluate(model, data, runtime=Runtime.choose("cpu"), batch_size=5)
    assert measured == pytest.approx((result.history[-1].test_loss, result.test_accuracy), rel=1e-5)


def test_evaluate_is_the_mean_over_all_images_and_keeps_the_mode(data: ImageData, config: TrainConfig) -> None:
    class Sure(torch.nn.Module):
        """Says class 0 with logit 2, whatever it sees."""

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return torch.tensor([2.0, 0.0, 0.0]).expand(len(images), 3)

    model = Sure()
    loss, accuracy = evaluate(model, data, runtime=Runtime.choose("cpu"), batch_size=5)
    target = torch.nn.functional.cross_entropy(model(data.test_images), data.test_labels)
    assert loss == pytest.approx(target.item(), rel=1e-6)
    assert accuracy == pytest.approx(1 / 3)
    assert model.training


def test_bfloat16_trains_too(data: ImageData, still: TrainConfig, tmp_path: Path) -> None:
    result = train(replace(still, precision="bfloat16"), tmp_path, data=data, progress=False)
    assert read_metrics(tmp_path)[0]["precision"] == "bfloat16"
    assert {parameter.dtype for parameter in result.model.parameters()} == {torch.float32}


def test_a_loss_that_is_not_finite_stops_the_run_and_names_the_step(
    data: ImageData, config: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = torch.nn.functional.cross_entropy
    calls = iter(range(1, 1000))

    def poisoned(logits: torch.Tensor, labels: torch.Tensor, **options: Any) -> torch.Tensor:
        loss = whole(logits, labels, **options)
        return loss * float("nan") if options["reduction"] == "mean" and next(calls) == 8 else loss

    monkeypatch.setattr(torch.nn.functional, "cross_entropy", poisoned)
    with pytest.raises(TrainingError, match=r"the loss is nan at step 8 \(epoch 2\): try a lower learning rate"):
        train(config, tmp_path, data=data, progress=False)
    kept = load_checkpoint(tmp_path)
    assert kept.epoch == 1
    assert all(torch.isfinite(value).all() for value in kept.model.values())


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"image_size": 12}, "image_size=12, but stripes needs 8: set image_size=8"),
        ({"in_channels": 3}, "in_channels=3, but stripes needs 1"),
        ({"num_classes": 10}, "num_classes=10, but stripes needs 3"),
    ],
)
def test_a_model_that_does_not_fit_the_images_is_refused(
    data: ImageData, config: TrainConfig, tmp_path: Path, change: dict[str, int], sentence: str
) -> None:
    with pytest.raises(ValueError, match=sentence):
        train(replace(config, model=replace(config.model, **change)), tmp_path / "run", data=data)
    assert not (tmp_path / "run").exists()


def test_a_folder_with_a_run_in_it_is_not_overwritten(data: ImageData, still: TrainConfig, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ValueError, match=r"is not empty: resume the run in it \(--resume\), or choose another"):
        train(still, tmp_path, data=data, progress=False)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_a_full_disk_stops_the_run_with_the_last_checkpoint_in_place(
    data: ImageData, config: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = torch.save
    calls = iter(range(100))

    def until_full(*args: Any, **kwargs: Any) -> None:
        if next(calls) == 3:  # the start, epoch 1, epoch 2, then this
            raise OSError(28, "No space left on device")
        whole(*args, **kwargs)

    monkeypatch.setattr(torch, "save", until_full)
    with pytest.raises(TrainingError, match="No space left on device"):
        train(config, tmp_path / "full", data=data, progress=False)
    monkeypatch.undo()
    assert load_checkpoint(tmp_path / "full").epoch == 2
    assert not (tmp_path / "full" / (CHECKPOINT + ".partial")).exists()
    train(config, tmp_path / "full", data=data, resume=True, progress=False)
    train(config, tmp_path / "straight", data=data, progress=False)
    assert records(tmp_path / "full") == records(tmp_path / "straight")


def test_progress_is_one_line_per_epoch(
    data: ImageData, config: TrainConfig, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train(config, tmp_path / "seen", data=data)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 5
    assert lines[0].startswith("training on stripes (made for the tests); run folder ")
    assert lines[1].startswith("epoch   1/4  train loss ")
    train(config, tmp_path / "unseen", data=data, progress=False)
    assert capsys.readouterr().out == ""
