"""A trained model for others: weights in safetensors, or the whole computation in ONNX or torch.export's format."""

import hashlib
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from odelib.errors import TrainingError
from odelib.files import reason_of, replacing, version_of, write_json
from odelib.install import without
from odelib.layers import DepthBlock
from odelib.models import save_pretrained
from odelib.names import choose
from odelib.training.config import kind_of
from odelib.training.record import read_metrics
from odelib.training.run import chosen
from odelib.training.trained import DATA, Trained, load


def export_run(folder: Path, to: str, out: Path) -> Path:
    """Write the model of a run into a folder, with a model card beside it.

    Args:
        folder: The run folder.
        to: A name in ``FORMATS``.
        out: Where to write; made if absent.

    Returns:
        The file of the model.

    Raises:
        CheckpointError: The run has no checkpoint that can be used.
        ValueError: The format is unknown, a package for it is missing, or its model chooses its steps by the error,
            which no fixed computation can.
        TrainingError: The exported model does not give the numbers of this one, or the disk is full.
    """
    write = FORMATS[choose(to, FORMATS, "format")]
    run = load(folder)
    try:
        out.mkdir(parents=True, exist_ok=True)
        path = write(run, out)
        if run.data:
            write_json(out / DATA, run.data)
        with replacing(out / "README.md") as partial:
            partial.write_text(model_card(run, path), encoding="utf-8")
    except OSError as error:
        raise TrainingError(f"cannot write into {out} ({reason_of(error)}): choose another folder (--out)") from error
    return path


def model_card(run: Trained, file: Path) -> str:
    """What a reader should know of a model, in Markdown, with the front matter that model hubs read."""
    head, history = read_metrics(run.folder)
    best, config = chosen(run.config, history), run.config
    kind = kind_of(config.model)
    classes = ", ".join(run.classes[:20]) + (", ..." if len(run.classes) > 20 else "")
    values = {
        "Kind": f"{kind}, step rule {config.model.step_rule}, {config.model.intervals} weight sets of "
        f"{config.model.steps} steps of size {config.model.step_size:g}",
        "Parameters": f"{head['cost']['parameters']:,}; {head['cost']['nfe']:g} field evaluations per forward pass",
        "Data": f"{run.data.get('name', config.data)} ({run.data.get('note', 'as named')}), SHA-256 "
        f"{run.data.get('checksum', 'not kept')}",
        **({"Classes": classes} if classes else {}),
        "Training": f"{len(history)} epochs at batches of {config.batch_size}, peak learning rate {config.lr:g}, seed "
        f"{config.seed}" + (f", begun from {Path(config.init).name}" if config.init else ""),
        "Measured": f"test accuracy {best.test_accuracy:.4f}, test loss {best.test_loss:.4f} nats"
        + (f" (epoch {best.epoch}, chosen by the validation split)" if config.keep_best else " after the last epoch"),
        "Made by": f"odelib {version_of()}, torch {head['versions']['torch']}, commit {head['commit']}",
        "File": f"{file.name}, SHA-256 {hashlib.sha256(file.read_bytes()).hexdigest()}",
    }
    lines = "\n".join(f"- **{name}**: {text}" for name, text in values.items())
    return f"""---
library_name: odelib
tags: [{_TAGS[kind]}]
---

# {run.data.get("name", config.data)}: {kind}

{lines}

## Use

{_USES[file.suffix].format(kind=kind)}

## Limits

The numbers are those of one seed on the test split of these data. What the model says of other data is not known.
"""


_TAGS = {
    "ViT": "image-classification",
    "CausalLM": "text-generation",
    "TextClassifier": "text-classification",
    "EncoderDecoder": "translation",
}
_USES = {
    ".safetensors": '```python\nfrom odelib import {kind}\n\nmodel = {kind}.from_pretrained(".")\n```',
    ".onnx": '```python\nimport onnxruntime\n\nsession = onnxruntime.InferenceSession("model.onnx")\n```',
    ".pt2": '```python\nimport torch\n\nmodel = torch.export.load("model.pt2").module()\n```',
}


def _safetensors(run: Trained, out: Path) -> Path:
    _, history = read_metrics(run.folder)
    best = chosen(run.config, history)
    card = {"data": run.config.data, "test_accuracy": best.test_accuracy, "test_loss": best.test_loss}
    save_pretrained(run.model, out, card)
    return out / "model.safetensors"


def _torch(run: Trained, out: Path) -> Path:
    model, inputs, dynamic = _traceable(run)
    program = torch.export.export(model, inputs, dynamic_shapes=dynamic, strict=False)
    _check(model, inputs, program.module()(*inputs))
    with replacing(out / "model.pt2") as partial:
        torch.export.save(program, str(partial))
    return out / "model.pt2"


def _onnx(run: Trained, out: Path) -> Path:
    try:
        import onnxruntime
        import onnxscript  # noqa: F401  torch.onnx needs it
    except ImportError as error:
        raise ValueError(without(error.name or "onnx", "export", "--to onnx")) from error
    model, inputs, dynamic = _traceable(run)
    names = ["inputs", "target", "mask"][: len(inputs)] if len(inputs) != 2 else ["inputs", "mask"]
    with torch.no_grad():
        program = torch.onnx.export(
            model,
            inputs,
            input_names=names,
            output_names=["logits"],
            dynamic_shapes=dynamic,
            dynamo=True,
            verbose=False,
        )
    if program is None:
        raise TrainingError("torch.onnx gave no program: export to torch or safetensors instead")
    with replacing(out / "model.onnx") as partial:
        program.save(str(partial))
        session = onnxruntime.InferenceSession(str(partial), providers=["CPUExecutionProvider"])
        given = {each.name: tensor.numpy() for each, tensor in zip(session.get_inputs(), inputs, strict=True)}
        _check(model, inputs, torch.from_numpy(session.run(None, given)[0]))
    return out / "model.onnx"


FORMATS: dict[str, Callable[[Trained, Path], Path]] = {"safetensors": _safetensors, "onnx": _onnx, "torch": _torch}
"""What a model can be exported to, by name."""


def _traceable(run: Trained) -> tuple[nn.Module, tuple[Tensor, ...], Any]:
    """The model, inputs to follow it with, and which of their sizes may differ."""
    if any(isinstance(part, DepthBlock) and part.steps is not None for part in run.model.modules()):
        raise ValueError(
            "the model chooses its steps by the error (tolerance), which no fixed computation can: export it to "
            "safetensors, or train it on steps of fixed size"
        )
    config: Any = run.config.model
    batch = torch.export.Dim("batch", min=1)
    if kind_of(config) == "ViT":
        size = config.image_size
        return deepcopy(run.model), (torch.zeros(2, config.in_channels, size, size),), ({0: batch},)
    tokens = torch.zeros(2, min(8, config.max_tokens), dtype=torch.int64)
    if kind_of(config) == "CausalLM":
        return deepcopy(run.model), (tokens,), ({0: batch},)
    mask = torch.ones_like(tokens, dtype=torch.bool)
    inputs = (tokens, mask) if kind_of(config) == "TextClassifier" else (tokens, tokens, mask)
    return deepcopy(run.model), inputs, tuple({0: batch} for _ in inputs)


def _check(model: nn.Module, inputs: tuple[Tensor, ...], found: Tensor) -> None:
    with torch.inference_mode():
        wanted = model(*inputs)
    apart = float((found.detach() - wanted).abs().max())
    if not apart <= 1e-3 * max(float(wanted.abs().max()), 1.0):
        raise TrainingError(f"the exported model is {apart:.2g} away from this one: export to safetensors instead")
