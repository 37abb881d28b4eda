"""Exported models: any batch and any length, the same numbers, and nothing left of an export that fails."""

import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from odelib import export
from odelib.cli import main
from odelib.export import FORMATS
from odelib.models import (
    CausalLM,
    CausalLMConfig,
    EncoderDecoder,
    EncoderDecoderConfig,
    TextClassifier,
    TextClassifierConfig,
    ViT,
    ViTConfig,
)
from odelib.training import TrainConfig, load
from odelib.training.trained import Trained
from tests.disks import largest_file

SMALL: Any = {"dim": 8, "num_heads": 2, "mlp_ratio": 2, "intervals": 1}
TEXT: Any = {**SMALL, "vocab_size": 30, "max_tokens": 9}
MODELS = {
    "images": lambda: ViT(ViTConfig(**SMALL, image_size=8, patch_size=4, pool="class")),
    "decoder": lambda: CausalLM(CausalLMConfig(**TEXT)),
    "rotary decoder": lambda: CausalLM(CausalLMConfig(**TEXT, positions="rotary", tied=False)),
    "classifier": lambda: TextClassifier(TextClassifierConfig(**TEXT, num_classes=3)),
    "translator": lambda: EncoderDecoder(EncoderDecoderConfig(**TEXT, step_rule="lie-trotter")),
}


def inputs_of(model: Any, batch: int, length: int, other: int) -> tuple[Tensor, ...]:
    if isinstance(model, ViT):
        return (torch.rand(batch, 1, 8, 8),)
    tokens, target = torch.randint(30, (batch, length)), torch.randint(30, (batch, other))
    mask = torch.arange(length).expand(batch, -1) <= torch.arange(batch)[:, None]
    if isinstance(model, CausalLM):
        return (tokens,)
    return (tokens, mask) if isinstance(model, TextClassifier) else (tokens, target, mask)


def called(path: Path, inputs: tuple[Tensor, ...]) -> Tensor:
    """What an exported model gives."""
    if path.suffix == ".pt2":
        return torch.export.load(path).module()(*inputs).detach()
    onnxruntime = pytest.importorskip("onnxruntime")
    session = onnxruntime.InferenceSession(str(path))
    given = {each.name: tensor.numpy() for each, tensor in zip(session.get_inputs(), inputs, strict=True)}
    return torch.from_numpy(session.run(None, given)[0])


@pytest.mark.parametrize("to", ["torch", pytest.param("onnx", marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", MODELS)
def test_any_batch_and_any_length(tmp_path: Path, name: str, to: str) -> None:
    torch.manual_seed(0)
    if to == "onnx":
        pytest.importorskip("onnxscript")
    model: Any = MODELS[name]().eval()
    path = FORMATS[to](Trained(TrainConfig(model=model.config), model, tmp_path, {}), tmp_path)
    for sizes in ((1, 1, 1), (3, 9, 2), (4, 6, 9)):
        inputs = inputs_of(model, *sizes)
        with torch.no_grad():
            torch.testing.assert_close(called(path, inputs), model(*inputs), atol=1e-4, rtol=1e-4)


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run of a classifier of texts."""
    pytest.importorskip("tokenizers")
    here = tmp_path_factory.mktemp("texts")
    rows = [f"I {word} it {k},{label}\n" for word, label in (("love", "good"), ("hate", "bad")) for k in range(10)]
    (here / "table.csv").write_text("text,label\n" + "".join(rows))
    options = "--subwords 270 --device cpu --dim 8 --num-heads 2 --intervals 1 --epochs 1 --warmup-epochs 0"
    assert main(["train", "--data", f"{here}/table.csv", *options.split(), "--out", f"{here}/run"]) == 0
    return here / "run"


def test_a_classifier_of_your_own_texts_is_exported(texts: Path, tmp_path: Path) -> None:
    assert main(["export", str(texts), "--to", "torch", "--out", str(tmp_path / "out")]) == 0
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"model.pt2", "data.json", "README.md"}
    tokens = torch.randint(270, (3, 4))
    with torch.no_grad():
        found = called(tmp_path / "out" / "model.pt2", (tokens, tokens > 0))
        torch.testing.assert_close(found, load(texts).model(tokens, tokens > 0))
    card = (tmp_path / "out" / "README.md").read_text()
    assert "It takes `inputs` and `mask`: tokens (int64), of up to " in card


def refused(texts: Path, to: str, out: Path, capsys: pytest.CaptureFixture[str]) -> str:
    capsys.readouterr()
    assert main(["export", str(texts), "--to", to, "--out", str(out)]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    return line


def test_what_torch_cannot_follow_is_one_sentence(
    texts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def forward(self: Any, tokens: Tensor, mask: Tensor) -> Tensor:
        return self.head(torch.ones(len(tokens), 8))  # a plain number, which fixes the batch

    monkeypatch.setattr(TextClassifier, "forward", forward)
    sentence = refused(texts, "torch", tmp_path / "a" / "out", capsys)
    assert "torch cannot follow this model for inputs of any size (UserError: Constraints violated (batch)" in sentence
    assert sentence.endswith("export it to safetensors")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("to", "name"),
    [
        ("safetensors", "model.safetensors"),
        pytest.param(
            "torch",
            "model.pt2",
            marks=pytest.mark.skipif(
                sys.version_info[:3] == (3, 12, 1), reason="CPython 3.12.1 crashes as it collects torch.export's frames"
            ),
        ),
        pytest.param("onnx", "model.onnx", marks=pytest.mark.slow),
    ],
)
def test_an_export_that_does_not_fit_leaves_nothing(
    texts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], to: str, name: str
) -> None:
    if to == "onnx":
        pytest.importorskip("onnxscript")
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / name).write_text("before")
    for out in (tmp_path / "a" / "new", tmp_path / "old"):
        with largest_file(2_000):
            sentence = refused(texts, to, out, capsys)
        assert f" {out / name} (" in sentence
        assert "File too large" in sentence
        assert "free some space" in sentence
    assert list(tmp_path.iterdir()) == [tmp_path / "old"]
    assert [path.read_text() for path in (tmp_path / "old").iterdir()] == ["before"]


def test_a_disk_that_is_full_at_the_last_file_leaves_nothing(
    texts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(export, "model_card", lambda run, path: "long " * 100_000)
    with largest_file(100_000):
        sentence = refused(texts, "safetensors", tmp_path / "out", capsys)
    assert sentence == (
        f"odelib: error: cannot use {tmp_path}/out/README.md (File too large): free some space, or write to another "
        "disk"
    )
    assert list(tmp_path.iterdir()) == []
