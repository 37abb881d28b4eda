"""A trained model for others: weights in safetensors, or the whole computation in ONNX or torch.export's format."""

import hashlib
import io
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from odelib.errors import TrainingError
from odelib.files import filling, naming, version_of, write_json, write_text
from odelib.install import without
from odelib.layers import DepthBlock
from odelib.models import save_pretrained
from odelib.names import choose
from odelib.training.config import kind_of
from odelib.training.record import read_metrics
from odelib.training.run import chosen
from odelib.training.trained import DATA, Trained, load


def export_run(folder: Path, to: str, out: Path) -> Path:
    """Write the model of a run into a folder, with a model card beside it; all of it or, where it fails, nothing.

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
        TrainingError: torch cannot follow the computation, or the exported model does not give the numbers of this one.
        OSError: The disk is full or the folder cannot be written.
    """
    write = FORMATS[choose(to, FORMATS, "format")]
    run = load(folder)
    with filling(out) as partial:
        path = write(run, partial)
        if run.data:
            write_json(partial / DATA, run.data)
        write_text(partial / "README.md", model_card(run, path))
    return out / path.name


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

{_USES[file.suffix].format(kind=kind, takes=_inputs_in_words(run))}

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
    ".onnx": '```python\nimport onnxruntime\n\nsession = onnxruntime.InferenceSession("model.onnx")\n```\n\n{takes}',
    ".pt2": '```python\nimport torch\n\nmodel = torch.export.load("model.pt2").module()\n```\n\n{takes}',
}


def _safetensors(run: Trained, out: Path) -> Path:
    _, history = read_metrics(run.folder)
    best = chosen(run.config, history)
    card = {
        "data": run.data.get("name", run.config.data),
        "test_accuracy": best.test_accuracy,
        "test_loss": best.test_loss,
    }
    save_pretrained(run.model, out, card)
    return out / "model.safetensors"


def _torch(run: Trained, out: Path) -> Path:
    buffer = io.BytesIO()  # torch's own writer of files ends the process where the disk is full
    torch.export.save(_program(run), buffer)
    path = out / "model.pt2"
    with naming(path):
        path.write_bytes(buffer.getbuffer())
    return path


def _onnx(run: Trained, out: Path) -> Path:
    try:
        import onnxruntime
        import onnxscript  # noqa: F401  torch.onnx needs it
    except ImportError as error:
        raise ValueError(without(error.name or "onnx", "export", "--to onnx")) from error
    exported = torch.onnx.export(_program(run), input_names=list(_sizes(run)), output_names=["logits"], verbose=False)
    if exported is None:
        raise TrainingError("torch.onnx gave no program: export to torch or safetensors instead")
    path = out / "model.onnx"
    with naming(path):
        exported.save(str(path))
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])

    def call(*inputs: Tensor) -> Tensor:
        given = {each.name: tensor.numpy() for each, tensor in zip(session.get_inputs(), inputs, strict=True)}
        return torch.from_numpy(session.run(None, given)[0])

    _check(run, call)
    return path


FORMATS: dict[str, Callable[[Trained, Path], Path]] = {"safetensors": _safetensors, "onnx": _onnx, "torch": _torch}
"""What a model can be exported to, by name."""


_INPUTS: dict[str, dict[str, tuple[int, ...]]] = {
    "ViT": {"inputs": (0,)},
    "CausalLM": {"inputs": (0, 1)},
    "TextClassifier": {"inputs": (0, 1), "mask": (0, 1)},
    "EncoderDecoder": {"inputs": (0, 1), "target": (0, 2), "mask": (0, 1)},
}
"""What each kind of model takes, and how long its first axes are: the batch (0), the length (1), the target's (2)."""


def _program(run: Trained) -> torch.export.ExportedProgram:
    """The computation for any batch and, of texts, any length that the model has positions for."""
    if any(isinstance(part, DepthBlock) and part.steps is not None for part in run.model.modules()):
        raise ValueError(
            "the model chooses its steps by the error (tolerance), which no fixed computation can: export it to "
            "safetensors, or train it on steps of fixed size"
        )
    longest = _longest(run)
    dims = [
        torch.export.Dim("batch", min=1, max=2**31 - 1),  # torch 2.6 refuses one without an end
        *(torch.export.Dim(name, min=1, max=longest) for name in ("length", "target_length") if longest > 1),
    ]
    free = tuple({i: dims[axis] for i, axis in enumerate(axes) if axis < len(dims)} for axes in _sizes(run).values())
    try:
        program = torch.export.export(
            deepcopy(run.model), _like(run, 2, min(5, longest), min(4, longest)), dynamic_shapes=free, strict=False
        )
    except Exception as error:  # of many kinds, whatever it is that torch cannot follow
        reason = str(error).strip().partition("\n")[0]
        raise TrainingError(
            f"torch cannot follow this model for inputs of any size ({type(error).__name__}: {reason}): export it to "
            "safetensors"
        ) from error
    _check(run, program.module())
    return program


def _sizes(run: Trained) -> dict[str, tuple[int, ...]]:
    return _INPUTS[kind_of(run.config.model)]


def _longest(run: Trained) -> int:
    """The most tokens of a text; 1 for images, which have no length."""
    return getattr(run.config.model, "max_tokens", 1)


def _like(run: Trained, *sizes: int) -> tuple[Tensor, ...]:
    """Inputs of the model: random, of which batch, length and length of the target are given."""
    config: Any = run.config.model
    generator = torch.Generator().manual_seed(0)
    if kind_of(config) == "ViT":
        shape = (sizes[0], config.in_channels, config.image_size, config.image_size)
        return (torch.randn(shape, generator=generator),)
    shapes = {name: [sizes[axis] for axis in axes] for name, axes in _sizes(run).items()}
    tokens = {name: torch.randint(config.vocab_size, shape, generator=generator) for name, shape in shapes.items()}
    return tuple(each % 3 > 0 if name == "mask" else each for name, each in tokens.items())


def _check(run: Trained, exported: Callable[..., Tensor]) -> None:
    """Hold what was exported against the model, at the ends of the range of sizes."""
    for batch, *lengths in ((1, 1, _longest(run)), (3, _longest(run), 1)):
        inputs = _like(run, batch, *lengths)
        with torch.inference_mode():
            wanted = run.model(*inputs)
        apart = float((exported(*inputs).detach() - wanted).abs().max())
        if not apart <= 1e-3 * max(float(wanted.abs().max()), 1.0):
            raise TrainingError(f"the exported model is {apart:.2g} away from this one: export to safetensors instead")


def _inputs_in_words(run: Trained) -> str:
    """How a model that was exported whole is called, for its card."""
    names = " and ".join(f"`{name}`" for name in _sizes(run))
    what = f"tokens (int64), of up to {_longest(run)} in a row" if "max_tokens" in vars(run.config.model) else "images"
    mask = "; the mask (bool) is True where there is no padding" if "mask" in _sizes(run) else ""
    return f"It takes {names}: {what}, as many at once as you like{mask}."
