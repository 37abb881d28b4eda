import errno
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from odelib.data import ImageData
from odelib.models import ViTConfig
from odelib.training import Checkpoint, CheckpointError, TrainConfig, load_checkpoint, train
from odelib.training.checkpoint import CHECKPOINT, check_same_run, save_checkpoint
from tests.disks import largest_file


def a_checkpoint(config: TrainConfig, epoch: int = 1, size: int = 1000) -> Checkpoint:
    return Checkpoint(
        config=config.to_dict(),
        model={"weight": torch.arange(float(size))},
        optimizer={"state": {}, "param_groups": []},
        epoch=epoch,
        step=10 * epoch,
        rng={"cpu": torch.get_rng_state()},
        metrics_bytes=5,
    )


def test_what_is_saved_comes_back(config: TrainConfig, tmp_path: Path) -> None:
    saved = a_checkpoint(config)
    save_checkpoint(saved, tmp_path)
    loaded = load_checkpoint(tmp_path)
    assert (loaded.epoch, loaded.step, loaded.metrics_bytes) == (1, 10, 5)
    assert torch.equal(loaded.model["weight"], saved.model["weight"])
    assert torch.equal(loaded.rng["cpu"], saved.rng["cpu"])
    assert TrainConfig.from_dict(loaded.config) == config
    assert [path.name for path in tmp_path.iterdir()] == [CHECKPOINT]


def refuse(*_: Any, **__: Any) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("call", ["torch.save", "os.fsync"])
def test_a_full_disk_leaves_the_checkpoint_before(
    config: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    save_checkpoint(a_checkpoint(config, epoch=1), tmp_path)
    monkeypatch.setattr(call, refuse)
    with pytest.raises(CheckpointError, match=r"No space left on device.*the checkpoint before it is untouched"):
        save_checkpoint(a_checkpoint(config, epoch=2), tmp_path)
    monkeypatch.undo()
    assert load_checkpoint(tmp_path).epoch == 1
    assert [path.name for path in tmp_path.iterdir()] == [CHECKPOINT]


def test_a_write_that_the_kernel_cuts_short_leaves_the_checkpoint_before(config: TrainConfig, tmp_path: Path) -> None:
    save_checkpoint(a_checkpoint(config, epoch=1), tmp_path)
    with largest_file(100_000), pytest.raises(CheckpointError, match="the checkpoint before it is untouched"):
        save_checkpoint(a_checkpoint(config, epoch=2, size=1_000_000), tmp_path)
    assert load_checkpoint(tmp_path).epoch == 1


def test_ctrl_c_while_saving_leaves_the_checkpoint_before(
    config: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(_: int) -> None:
        raise KeyboardInterrupt

    save_checkpoint(a_checkpoint(config, epoch=1), tmp_path)
    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        save_checkpoint(a_checkpoint(config, epoch=2), tmp_path)
    assert load_checkpoint(tmp_path).epoch == 1
    assert [path.name for path in tmp_path.iterdir()] == [CHECKPOINT]


def test_no_checkpoint_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="there is no checkpoint"):
        load_checkpoint(tmp_path)


@pytest.mark.parametrize("keep", [0, 10, 0.5, 0.99])
def test_a_truncated_checkpoint_is_a_sentence(config: TrainConfig, tmp_path: Path, keep: float) -> None:
    save_checkpoint(a_checkpoint(config), tmp_path)
    whole = (tmp_path / CHECKPOINT).read_bytes()
    (tmp_path / CHECKPOINT).write_bytes(whole[: int(keep * len(whole)) if keep < 1 else int(keep)])
    with pytest.raises(CheckpointError, match="is corrupt or cut short: restore it"):
        load_checkpoint(tmp_path)


class Stranger:
    """An object that a checkpoint has no business to hold."""


def test_code_in_a_checkpoint_is_not_run(tmp_path: Path) -> None:
    torch.save({"format": 1, "model": Stranger()}, tmp_path / CHECKPOINT)
    with pytest.raises(CheckpointError, match="is corrupt"):
        load_checkpoint(tmp_path)


@pytest.mark.parametrize("content", [{"format": 99}, {"weights": 1}, [1, 2]])
def test_another_format_is_refused(tmp_path: Path, content: Any) -> None:
    torch.save(content, tmp_path / CHECKPOINT)
    with pytest.raises(CheckpointError, match="is not a checkpoint of format 1"):
        load_checkpoint(tmp_path)


def test_missing_entries_are_refused(tmp_path: Path) -> None:
    torch.save({"format": 1, "epoch": 3}, tmp_path / CHECKPOINT)
    with pytest.raises(CheckpointError, match="lacks entries"):
        load_checkpoint(tmp_path)


def test_another_configuration_is_refused_by_name(config: TrainConfig, tmp_path: Path) -> None:
    other = replace(config, lr=0.5, model=replace(config.model, step_rule="rk4"))
    with pytest.raises(CheckpointError) as caught:
        check_same_run(a_checkpoint(config), other, tmp_path)
    message = str(caught.value)
    assert "model.step_rule is 'euler' there and 'rk4' here" in message
    assert "lr is 0.01 there and 0.5 here" in message
    assert "resume with its values, or train in another folder" in message


def test_only_the_first_differences_are_named(config: TrainConfig, tmp_path: Path) -> None:
    other = replace(config, lr=0.5, seed=3, shift=0, flip=False, model=ViTConfig())
    with pytest.raises(CheckpointError, match=r"and \d+ more"):
        check_same_run(a_checkpoint(config), other, tmp_path)


def test_where_and_how_it_is_measured_may_change(config: TrainConfig, tmp_path: Path) -> None:
    other = replace(config, device="auto", eval_batch_size=7, checkpoint_every=3)
    check_same_run(a_checkpoint(config), other, tmp_path)


def test_fit_refuses_the_checkpoint_of_another_run_and_leaves_it(
    data: ImageData, still: TrainConfig, tmp_path: Path
) -> None:
    train(still, tmp_path, data=data, progress=False)
    before = (tmp_path / CHECKPOINT).read_bytes()
    with pytest.raises(CheckpointError, match="seed is 0 there and 1 here"):
        train(replace(still, seed=1), tmp_path, data=data, resume=True, progress=False)
    assert (tmp_path / CHECKPOINT).read_bytes() == before
