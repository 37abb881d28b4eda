"""Options from presets, YAML files and the command line: names, types, lines; and that every preset is a run."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from odelib.cli import main
from odelib.models import CausalLMConfig, EncoderDecoderConfig, TextClassifierConfig, TransformerConfig, ViTConfig
from odelib.training import PRESETS, Runtime, TrainConfig, YamlFile, check_options, merge, preset, read_metrics
from odelib.training.options import typed
from odelib.training.prepare import Prepared
from odelib.training.prepare import prepare as prepared

KINDS: dict[str, type[TransformerConfig]] = {
    "fashion-micro": ViTConfig,
    "cifar10-micro": ViTConfig,
    "cifar100-deit-ti": ViTConfig,
    "shakespeare-char": CausalLMConfig,
    "clinc150": TextClassifierConfig,
    "multi30k-de-en": EncoderDecoderConfig,
}


def prepare(options: dict[str, Any]) -> Prepared:
    return prepared(check_options(options), Runtime.choose("cpu"))


def written(folder: Path, text: str) -> Path:
    path = folder / "run.yaml"
    path.write_text(text)
    return path


def checked(folder: Path, text: str) -> dict[str, Any]:
    file = YamlFile(written(folder, text))
    return check_options(file.values, file.place)


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_is_a_run_that_survives_json(name: str) -> None:
    options = check_options({"preset": name})
    assert options == preset(name)
    config = TrainConfig.from_dict(options)
    assert type(config.model) is KINDS[name]
    assert TrainConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


def test_the_default_preset_is_the_default_run() -> None:
    assert TrainConfig.from_dict(preset("fashion-micro")) == TrainConfig()
    assert prepare({}).config == TrainConfig()


def test_presets_cannot_be_changed_by_who_uses_them() -> None:
    preset("cifar10-micro")["model"]["dim"] = 1
    assert preset("cifar10-micro")["model"]["dim"] == 64


def test_layers_lie_over_one_another_option_by_option() -> None:
    below = {"epochs": 3, "model": {"dim": 8, "steps": 2}}
    assert merge(below, {"model": {"dim": 16}}, {"lr": 1.0}) == {
        "epochs": 3,
        "lr": 1.0,
        "model": {"dim": 16, "steps": 2},
    }
    assert below == {"epochs": 3, "model": {"dim": 8, "steps": 2}}


def test_a_yaml_file_is_read_with_its_types(tmp_path: Path) -> None:
    text = "preset: cifar10-micro\nlr: 1e-3\nclip_norm: null\nflip: no\nmodel:\n  step_rule: rk4\n  mlp_ratio: 2\n"
    options = checked(tmp_path, text)
    assert options["lr"] == 0.001
    assert options["clip_norm"] is None
    assert options["flip"] is False
    assert options["model"]["step_rule"] == "rk4"
    assert type(options["model"]["mlp_ratio"]) is float
    assert options["model"]["intervals"] == 6  # the preset's


def test_an_empty_file_is_the_default(tmp_path: Path) -> None:
    assert checked(tmp_path, "# nothing\n") == {}


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("epochs: 3\nepoch: 4\n", r"line 2: unknown training option 'epoch': the nearest valid name is 'epochs'"),
        ("model:\n  dim: 8\n  step_rul: rk4\n", r"line 3: unknown option of ViT 'step_rul'.*'step_rule'"),
        ("data: clinc150\nmodel:\n  tied: true\n", r"line 3: unknown option of TextClassifier 'tied'"),
        ("preset: cifar-micro\n", r"line 1: unknown preset 'cifar-micro': the nearest valid name is 'cifar10-micro'"),
        ("epochs: many\n", r"line 1: epochs is 'many', expected a whole number"),
        ("epochs: 3.5\n", r"line 1: epochs is 3.5, expected a whole number"),
        ("epochs: true\n", r"line 1: epochs is True, expected a whole number"),
        ("clip_norm: big\n", r"line 1: clip_norm is 'big', expected a number or null"),
        ("model:\n  weights: linaer\n", r"line 2: unknown weights 'linaer': the nearest valid name is 'linear'"),
        ("model: rk4\n", r"line 1: model is 'rk4', expected options as `name: value`"),
        ("lr: 1\nlr: 2\n", r"line 2: 'lr' stands on line 1 already: leave one of the two"),
        ("- lr\n", r"holds a list, expected options"),
        ("lr: [1\n", r"is not YAML .*line 2"),
    ],
)
def test_mistakes_are_named_with_their_line(tmp_path: Path, text: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        checked(tmp_path, text)


@pytest.mark.parametrize(("value", "hint"), [(3, int), (True, bool), ("x", str), (None, int | None), (2.5, float)])
def test_right_values_stay(value: object, hint: object) -> None:
    assert typed(value, hint, "it") is value or typed(value, hint, "it") == value


def test_sizes_that_are_not_the_datas_are_refused() -> None:
    with pytest.raises(ValueError, match="the model has num_classes=7, but fashion-mnist-subset needs 10"):
        prepare({"model": {"num_classes": 7}})
    with pytest.raises(ValueError, match="the model is of the kind CausalLM, but fashion-mnist-subset needs ViT"):
        prepare({"model": {"kind": "CausalLM"}})


# The command line


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_file_lies_over_a_preset_and_options_over_both(here: Path) -> None:
    written(here, "train_images: 40\nepochs: 2\nwarmup_epochs: 0\nmodel:\n  dim: 8\n  num_heads: 2\n")
    argv = "train --config run.yaml --preset fashion-micro --epochs 1 --step-rule heun --device cpu --out run"
    assert main(argv.split()) == 0
    config = json.loads((here / "run/config.json").read_text())
    assert (config["epochs"], config["train_images"]) == (1, 40)
    assert (config["model"]["dim"], config["model"]["step_rule"]) == (8, "heun")
    # The configuration that a run leaves is such a file.
    assert main("train --config run/config.json --out again".split()) == 0
    assert json.loads((here / "again/config.json").read_text()) == config
    first, second = (read_metrics(here / name)[1] for name in ("run", "again"))
    assert first[0].test_loss == second[0].test_loss


@pytest.mark.parametrize(
    ("text", "sentence"),
    [("epoch: 4\n", "run.yaml, line 1: unknown training option 'epoch'"), (None, "No such file")],
)
def test_a_bad_file_is_one_sentence(
    here: Path, capsys: pytest.CaptureFixture[str], text: str | None, sentence: str
) -> None:
    if text:
        written(here, text)
    assert main(["train", "--config", "run.yaml"]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert sentence in line


def test_help_has_the_options_of_the_preset_in_groups(capsys: pytest.CaptureFixture[str]) -> None:
    assert main("train --preset multi30k-de-en --help".split()) == 0
    text = " ".join(capsys.readouterr().out.replace("│", " ").split())
    for words in ("recipe options", "augmentation options", "compute options", "model options", "(default: 12)"):
        assert words in text
    assert "--positions" in text
    assert "--patch-size" not in text
    assert "--vocab-size" not in text


def test_strong_augmentation_and_averaging_from_the_command_line(here: Path) -> None:
    argv = (
        "train --train-images 40 --epochs 1 --warmup-epochs 0 --dim 8 --num-heads 2 --device cpu --out run "
        "--mixup 0.8 --cutmix 1 --rand-augment 9 --erasing 0.25 --average 0.5 --accumulate 2"
    )
    assert main(argv.split()) == 0
    assert torch.isfinite(torch.tensor(read_metrics(here / "run")[1][0].train_loss))
