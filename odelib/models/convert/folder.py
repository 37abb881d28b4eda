"""A network in Hugging Face's layout, ``config.json`` beside its weights, read without transformers."""

import json
import pickle
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from odelib.models.convert.bert import from_albert, from_bert
from odelib.models.convert.gpt import from_gpt2, from_gptj, from_neox
from odelib.models.convert.transformers import config_from_transformers
from odelib.models.encoder import Encoder, EncoderConfig
from odelib.models.language import CausalLM
from odelib.models.storage import check_shapes, load_pretrained

_FROM: dict[str, Callable[[Mapping[str, Tensor], Any], dict[str, Tensor]]] = {
    "gpt2": from_gpt2,
    "gptj": from_gptj,
    "gpt_neox": from_neox,
    "bert": from_bert,
    "albert": from_albert,
}
_SAFE, _PICKLED = "model.safetensors", "pytorch_model.bin"


def load_network(folder: str | Path, model_type: str | None = None) -> nn.Module:
    """Load a network that a folder in Hugging Face's layout holds, on the CPU, in evaluation mode and float32.

    GPT-2, GPT-J, GPT-NeoX (Pythia), BERT and ALBERT, as `odelib.models.CausalLM` or `odelib.models.Encoder`; or what
    `save_pretrained` of this package wrote. Weights are read from ``model.safetensors``, or else from
    ``pytorch_model.bin`` by torch's unpickler for weights, which runs no code of the file.

    Args:
        folder: The folder.
        model_type: The architecture, if ``config.json`` does not say it (as that of ``rxnfp``).

    Raises:
        FileNotFoundError: A file is missing.
        ValueError: No loader knows the architecture, a file is damaged, or the weights are not of the configuration.
    """
    folder = Path(folder)
    config = _read_config(folder / "config.json")
    if {"format", "model", "config"} <= set(config):
        return load_pretrained(folder)
    config.setdefault("model_type", model_type)
    ours = config_from_transformers(config)
    state = _read_weights(folder)
    if isinstance(ours, EncoderConfig) and not any("predictions.bias" in name for name in state):
        ours = replace(ours, head=False)
    try:
        with torch.random.fork_rng(devices=[]):  # the initial weights, drawn only to be replaced
            model: nn.Module = Encoder(ours) if isinstance(ours, EncoderConfig) else CausalLM(ours)
        renamed = {name: tensor.float() for name, tensor in _FROM[config["model_type"]](state, ours).items()}
    except ValueError as error:
        raise ValueError(f"the weights in {folder} do not fit: {error}") from error
    broken = next((name for name, tensor in renamed.items() if not tensor.isfinite().all()), None)
    if broken is not None:
        raise ValueError(f"the weights in {folder} are not all finite, as {broken}: get the network again")
    check_shapes({name: tuple(tensor.shape) for name, tensor in _once(renamed).items()}, model, str(folder))
    model.load_state_dict(renamed, strict=False)  # names of shared tensors are stored once
    return model.eval()


def _once(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Without second names of one tensor, as GPT-J's one norm has them."""
    first: dict[int, str] = {}
    return {name: tensor for name, tensor in state.items() if first.setdefault(tensor.data_ptr(), name) == name}


def _read_config(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise FileNotFoundError(
            f"there is no {path}: give a folder in Hugging Face's layout, config.json beside the weights"
        )
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError) as error:
        raise ValueError(f"{path} is corrupt ({error}): get the network again") from error


def _read_weights(folder: Path) -> dict[str, Tensor]:
    path = next((folder / name for name in (_SAFE, _PICKLED) if (folder / name).is_file()), None)
    if path is None:
        raise FileNotFoundError(
            f"there is no {folder / _SAFE} and no {_PICKLED} beside it: get the network again, in one file of weights"
        )
    try:
        return load_file(path) if path.name == _SAFE else dict(torch.load(path, map_location="cpu", weights_only=True))
    except (SafetensorError, OSError, RuntimeError, EOFError, ValueError, TypeError, pickle.UnpicklingError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ValueError(f"{path} is corrupt, or no file of weights alone ({reason}): get it again") from error
