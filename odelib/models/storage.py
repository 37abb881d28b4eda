"""Models as folders: weights in ``model.safetensors``, and in ``config.json`` what they are weights of."""

import hashlib
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from odelib import __version__
from odelib.files import reason_of, replacing, write_json
from odelib.layers import DepthBlock
from odelib.models.config import (
    CausalLMConfig,
    EncoderDecoderConfig,
    TextClassifierConfig,
    TransformerConfig,
    ViTConfig,
)
from odelib.models.language import CausalLM, TextClassifier
from odelib.models.translation import EncoderDecoder
from odelib.models.vit import ViT
from odelib.models.wrappers import plain_name, unwrap
from odelib.names import choose
from odelib.solvers import Adaptive, step_rule

WEIGHTS = "model.safetensors"
CONFIG = "config.json"
FORMAT = 1

MODELS: dict[str, tuple[type[TransformerConfig], type[nn.Module]]] = {
    "ViT": (ViTConfig, ViT),
    "CausalLM": (CausalLMConfig, CausalLM),
    "TextClassifier": (TextClassifierConfig, TextClassifier),
    "EncoderDecoder": (EncoderDecoderConfig, EncoderDecoder),
}

_Shapes = Mapping[str, tuple[int, ...]]


def save_pretrained(model: nn.Module, folder: str | Path, card: Mapping[str, object] | None = None) -> None:
    """Write a model into a folder; a model there is replaced only when both files of its successor are whole.

    The configuration keeps the SHA-256 of the weights, by which `load_pretrained` knows damage.

    Args:
        model: One of the models of this package, also within ``torch.compile`` or data parallelism.
        folder: Made if absent.
        card: What a reader should know of the model, as plain values: data, task, metrics, licence, ...

    Raises:
        ValueError: The model is none of this package's, it was swapped to a rule, steps or a gradient mode that a
            configuration cannot name, or the card holds what JSON cannot.
        OSError: The disk is full or the folder cannot be written; a model saved before is untouched.
    """
    model = unwrap(model)
    kind = choose(type(model).__name__, MODELS, "kind of model")
    tensors = {name: tensor.detach().contiguous() for name, tensor in _tensors(model).items()}
    head = {
        "format": FORMAT,
        "model": kind,
        "config": _as_solved(model, _config(model)).to_dict(),
        "parameters": sum(tensor.numel() for tensor in tensors.values()),
        "versions": {"odelib": __version__, "torch": str(torch.__version__)},
        "card": dict(card or {}),
    }
    try:
        json.dumps(head, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ValueError(f"the card cannot be written as JSON ({error}): give numbers, texts, lists, dicts") from error
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / WEIGHTS
    try:
        with replacing(folder / CONFIG) as config, replacing(path) as weights:
            save_file(tensors, weights, metadata={"format": "pt", "model": kind})
            head["sha256"] = _sha256(weights)
            path = folder / CONFIG
            write_json(config, head)  # on the disk before the weights are replaced, which nothing may part from it
    except (OSError, SafetensorError) as error:
        kept = "the model before it is untouched" if (folder / WEIGHTS).exists() else "there is none before it"
        raise OSError(
            f"cannot write {path} ({reason_of(error)}); {kept}: free some space or make the folder writable, then save "
            "again"
        ) from error


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def load_pretrained(folder: str | Path) -> nn.Module:
    """Bring back a model that `save_pretrained` wrote, on the CPU, in evaluation mode.

    Raises:
        FileNotFoundError: A file is missing.
        ValueError: A file is corrupt or cut short, or the weights are not those that were saved with the
            configuration, or not of it; the sentence names the first tensors that differ and the value that explains
            it.
    """
    folder = Path(folder)
    for name in (CONFIG, WEIGHTS):
        if not (folder / name).is_file():
            raise FileNotFoundError(f"there is no {folder / name}: check the folder's name, or save a model into it")
    kind, config, digest = _read_config(folder / CONFIG)
    try:
        with safe_open(folder / WEIGHTS, framework="pt") as file:
            stored = {plain_name(name): file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  no mapping
    except (SafetensorError, OSError) as error:
        raise ValueError(
            f"{folder / WEIGHTS} is corrupt or cut short ({error}): restore it from a copy, or save the model again"
        ) from error
    with torch.random.fork_rng(devices=[]):  # the initial weights, drawn only to be replaced
        model = MODELS[kind][1](config)
    check_shapes(_shapes(stored), model, str(folder / WEIGHTS))
    if digest is not None:
        _check_weights(folder, digest)
    model.load_state_dict(stored, strict=False)  # names of shared tensors are stored once
    return model.eval()


def _check_weights(folder: Path, expected: str) -> None:
    """Refuse what has the right names and shapes, and yet is not what was saved: damaged or exchanged numbers."""
    found = _sha256(folder / WEIGHTS)
    if found != expected:
        raise ValueError(
            f"{folder / WEIGHTS} is not what was saved with {folder / CONFIG} (SHA-256 {found[:12]}..., expected "
            f"{expected[:12]}...): restore it from a copy, or save the model again"
        )


def _read_config(path: Path) -> tuple[str, TransformerConfig, str | None]:
    """Kind and configuration of a model, and the SHA-256 of its weights; folders of older versions have none."""
    try:
        head = json.loads(path.read_text(encoding="utf-8"))
        kind, values, written, digest = head["model"], dict(head["config"]), head["format"], head.get("sha256")
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{path} is corrupt or no model's ({type(error).__name__}: {error}): restore it from a copy"
        ) from error
    if written != FORMAT:
        raise ValueError(f"{path} is of format {written}, expected {FORMAT}: use the odelib version that wrote it")
    config = MODELS[choose(kind, MODELS, "kind of model")][0].from_dict(values)
    return kind, config, None if digest is None else str(digest)


def check_shapes(stored: _Shapes, model: nn.Module, where: str) -> None:
    """Refuse tensors that are not those of a model.

    Args:
        stored: Names and shapes that came.
        model: The model that they are meant for, with its ``config``; it may be wrapped.
        where: Where they came from, for the message.

    Raises:
        ValueError: They differ; the sentence names the first three tensors that do, and the configuration's values
            that explain it.
    """
    model = unwrap(model)
    expected = _shapes(_tensors(model))
    names = [name for name in {**expected, **stored} if expected.get(name) != stored.get(name)]
    if not names:
        return
    shown = ", ".join(f"{name} is {_say(stored.get(name))}, expected {_say(expected.get(name))}" for name in names[:3])
    more = f", and {len(names) - 3} more" if len(names) > 3 else ""
    config = _config(model)
    causes = [
        f"{field} is {found} in the weights and {getattr(config, field)} in the configuration"
        for field, found in _values(stored, config).items()
        if found != getattr(config, field)
    ]
    raise ValueError(
        f"the weights in {where} are not of this configuration ({shown}{more}): "
        + (f"{'; '.join(causes)}, so change that" if causes else "they are of another architecture")
    )


def _say(shape: tuple[int, ...] | None) -> str:
    return "absent" if shape is None else str(shape)


def _config(model: nn.Module) -> TransformerConfig:
    config = getattr(model, "config", None)
    if not isinstance(config, TransformerConfig):
        raise ValueError(f"this {type(model).__name__} has no configuration of odelib.models: give one of its models")
    return config


def _as_solved(model: nn.Module, config: TransformerConfig) -> TransformerConfig:
    """Return the configuration with what `DepthBlock.swap` has changed since.

    Raises:
        ValueError: It has no name for that, or the halves of the model are solved in two ways.
    """
    found: dict[str, dict[str, Any]] = {}
    for name, block in model.named_modules():
        if not isinstance(block, DepthBlock):
            continue
        rule, steps, gradient, tolerance = block.rule, block.steps, block.gradient, None
        try:
            named = step_rule(rule.name) == rule and isinstance(gradient, str)
        except ValueError:
            named = False
        if steps is not None:
            tolerance = steps.rtol
            named = named and isinstance(tolerance, float) and steps == Adaptive(rtol=tolerance, atol=tolerance)
        if not named:
            raise ValueError(
                f"{name} was swapped to {rule.name!r}, gradient={gradient!r}, steps={steps}, which a configuration "
                "cannot name: swap to a rule and a mode with a name, and to equal tolerances, then save"
            )
        found[name] = {"step_rule": rule.name, "gradient": gradient, "tolerance": tolerance}
        found[name] |= {"steps": block.schedule.steps, "step_size": block.schedule.step_size}
    first, *others = found.values()
    if any(other != first for other in others):
        raise ValueError(f"{' and '.join(found)} are solved in two ways, and a configuration has one: swap both alike")
    return replace(config, **first)


def _values(shapes: _Shapes, config: TransformerConfig) -> dict[str, object]:
    """What the shapes say of the configuration, as far as they do."""
    dim, block = "norm.weight", "decoder" if "encoder_norm.weight" in shapes else "depth"
    field = f"{block}.fields.0"
    attention = f"{field}.attention.sublayer"

    def biased(linear: str) -> bool:
        _ = shapes[f"{linear}.weight"]  # a field without it does not say
        return f"{linear}.bias" in shapes

    read: dict[str, Callable[[], object]] = {
        "dim": lambda: shapes[dim][0],
        "mlp_ratio": lambda: shapes[f"{field}.mlp.sublayer.fc2.weight"][1] / shapes[dim][0],
        "intervals": lambda: (
            len({name.split(".")[2] for name in shapes if name.startswith(f"{block}.fields.")})
            - (config.weights == "linear")
        ),
        "qkv_bias": lambda: biased(f"{attention}.qkv"),
        "proj_bias": lambda: biased(f"{attention}.proj"),
        "qk_norm": lambda: f"{attention}.q_norm.weight" in shapes,
        "learn_step_size": lambda: f"{block}.log_scale" in shapes,
        "num_classes": lambda: shapes["head.weight"][0],
        "in_channels": lambda: shapes["embed.patch.weight"][1],
        "patch_size": lambda: shapes["embed.patch.weight"][2],
        "image_size": lambda: _side(shapes) * shapes["embed.patch.weight"][2],
        "stem": lambda: "patch" if "embed.patch.weight" in shapes else "conv",
        "pool": lambda: "class" if "embed.class_token" in shapes else "mean",
        "vocab_size": lambda: shapes["embed.token.weight"][0],
        "max_tokens": lambda: shapes["embed.position"][0],
        "positions": lambda: "learned" if "embed.position" in shapes else "rotary",
        "tied": lambda: "head.weight" not in shapes,
        "head_bias": lambda: "head.bias" in shapes or "head_bias" in shapes,
    }
    found = {}
    for name, value in read.items():
        if hasattr(config, name):
            try:
                found[name] = value()
            except (KeyError, IndexError):  # the weights do not say
                continue
    return found


def _side(shapes: _Shapes) -> int:
    """Patches along the side of the image."""
    return round(math.sqrt(shapes["embed.position"][1] - ("embed.class_token" in shapes)))


def _tensors(model: nn.Module) -> dict[str, Tensor]:
    """Parameters and kept buffers, each under its first name alone, whatever is compiled."""
    first: dict[int, str] = {}
    state = model.state_dict(keep_vars=True)
    return {plain_name(name): tensor for name, tensor in state.items() if first.setdefault(id(tensor), name) == name}


def _shapes(tensors: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in tensors.items()}
