import inspect
import json
import math
import sys
from dataclasses import fields, replace
from typing import Any

import pytest

from odelib.models import ViTConfig
from odelib.training import TrainConfig


def test_plain_values_survive_json_and_give_the_configuration_back() -> None:
    config = TrainConfig(model=ViTConfig(step_rule="rk4", drop_path=0.1), train_images=500, clip_norm=None, seed=7)
    assert TrainConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


def test_missing_keys_take_their_defaults() -> None:
    assert TrainConfig.from_dict({"epochs": 3}) == TrainConfig(epochs=3)


def test_an_unknown_key_names_the_nearest_valid_one() -> None:
    with pytest.raises(ValueError, match=r"'epoch'.*nearest valid name is 'epochs'"):
        TrainConfig.from_dict({"epoch": 3})


def test_an_unknown_model_key_is_refused() -> None:
    with pytest.raises(ValueError, match=r"'step_rul'.*'step_rule'"):
        TrainConfig.from_dict({"model": {"step_rul": "rk4"}})


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"epochs": 0}, "epochs is 0, expected a whole number of at least 1"),
        ({"batch_size": 0}, "batch_size is 0"),
        ({"eval_batch_size": -1}, "eval_batch_size is -1"),
        ({"checkpoint_every": 0}, "checkpoint_every is 0"),
        ({"train_images": 0}, "train_images is 0, expected None or at least 1"),
        ({"lr": 0.0}, "lr is 0.0, expected a positive number"),
        ({"lr": math.nan}, "lr is nan"),
        ({"weight_decay": -0.1}, "weight_decay is -0.1"),
        ({"warmup_epochs": 15.0}, r"warmup_epochs is 15.0, expected at least 0 and less than epochs \(15\)"),
        ({"clip_norm": 0.0}, "clip_norm is 0.0, expected None or a positive number"),
        ({"label_smoothing": 1.0}, r"label_smoothing is 1.0, expected in \[0, 1\)"),
        ({"shift": -1}, "shift is -1"),
        ({"seed": -1}, "seed is -1"),
        ({"precision": "float16"}, "unknown precision 'float16': the nearest valid name is"),
    ],
)
def test_a_value_out_of_range_is_named(change: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        replace(TrainConfig(), **change)


def test_every_option_is_documented() -> None:
    lines = inspect.getsource(sys.modules[TrainConfig.__module__]).splitlines()
    for option in fields(TrainConfig):
        (at,) = [i for i, line in enumerate(lines) if line.startswith(f"    {option.name}: ")]
        assert lines[at + 1].strip().startswith('"""')
