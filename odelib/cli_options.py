"""The options of ``odelib train`` as the command line reads them, in the groups in which its help shows them.

They are those of ``TrainConfig`` and of the model configurations. They differ in one thing: nothing is checked while
the command line is still being read, since what the data say is not known yet.
"""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import tyro

from odelib.models import CausalLMConfig, EncoderDecoderConfig, TextClassifierConfig, TransformerConfig, ViTConfig
from odelib.training.config import AugmentationOptions, ComputeOptions, DataOptions, RecipeOptions, kind_for
from odelib.training.options import YamlFile, check_options
from odelib.training.presets import merge, preset

_FromData = tyro.conf.Suppress[int]  # a size that the data decide; 0: not given


@dataclass(frozen=True)
class _Unchecked(TransformerConfig):
    """The model: field, step rule and depth schedule. What the data decide, such as the classes, is theirs."""

    def __post_init__(self) -> None:
        """Leave the checks to ``prepare``."""


@dataclass(frozen=True)
class _ViT(_Unchecked, ViTConfig):
    """The vision transformer: field, step rule and depth schedule. Image size, channels and classes are the data's."""

    image_size: _FromData = 0
    in_channels: _FromData = 0
    num_classes: _FromData = 0
    patch_size: int = 0
    """Side of a patch, in pixels; divides the image's side. 0: a quarter of that side, so 16 patches."""


@dataclass(frozen=True)
class _CausalLM(_Unchecked, CausalLMConfig):
    """The causal language model: field, step rule and depth schedule. The characters are the data's."""

    vocab_size: _FromData = 0


@dataclass(frozen=True)
class _TextClassifier(_Unchecked, TextClassifierConfig):
    """The text classifier: field, step rule and depth schedule. Subwords and classes are the data's."""

    vocab_size: _FromData = 0
    max_tokens: _FromData = 0
    num_classes: _FromData = 0


@dataclass(frozen=True)
class _EncoderDecoder(_Unchecked, EncoderDecoderConfig):
    """The encoder-decoder: field, step rule and depth schedule of both halves. The subwords are the data's."""

    vocab_size: _FromData = 0
    max_tokens: _FromData = 0


_MODELS: dict[str, type[TransformerConfig]] = {
    "ViT": _ViT,
    "CausalLM": _CausalLM,
    "TextClassifier": _TextClassifier,
    "EncoderDecoder": _EncoderDecoder,
}
_SIZES = ("image_size", "in_channels", "num_classes", "patch_size", "vocab_size", "max_tokens")


@dataclass(frozen=True)
class RunOptions:
    """What a run is: options of ``TrainConfig`` by groups."""

    preset: str | None = None
    """Start from a recipe: fashion-micro (which is the default), cifar10-micro, cifar100-deit-ti, shakespeare-char,
    clinc150 or multi30k-de-en. Further options change it."""
    config: Path | None = None
    """Start from a YAML (or JSON) file with the options below, those of the model under `model:`; it may name a
    preset. Further options change it."""
    data: DataOptions = field(default_factory=DataOptions)
    recipe: RecipeOptions = field(default_factory=RecipeOptions)
    augmentation: AugmentationOptions = field(default_factory=AugmentationOptions)
    compute: ComputeOptions = field(default_factory=ComputeOptions)
    model: TransformerConfig = field(default_factory=_ViT)

    def values(self) -> dict[str, Any]:
        """The options as plain values for ``prepare``, without the sizes that were not given."""
        groups = (self.data, self.recipe, self.augmentation, self.compute)
        model = {name: value for name, value in asdict(self.model).items() if value or name not in _SIZES}
        return {**merge(*(asdict(group) for group in groups)), "model": model}


def starting_point(arguments: Sequence[str]) -> RunOptions:
    """What the options of a command line are laid over: defaults, then preset, then file.

    Which model there is to be described depends on the data, so what decides about it is read first.

    Args:
        arguments: The command line; what is not understood is left to the whole parser.

    Raises:
        ValueError: Preset or file are unknown, or the file has a mistake, given with its line.
    """
    first = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    for name in ("--preset", "--config", "--data"):
        first.add_argument(name)
    try:
        said, _ = first.parse_known_args(list(arguments))
    except argparse.ArgumentError:  # an option without its value: the whole parser says so
        return RunOptions()
    layers = [preset(said.preset)] if said.preset else []
    if said.config:
        file = YamlFile(said.config)
        layers.append(check_options(file.values, file.place))
    values = merge(*layers, {"data": said.data} if said.data else {})
    return _from_values(values)


def _from_values(values: Mapping[str, Any]) -> RunOptions:
    model = dict(values.get("model", {}))
    kind = model.pop("kind", None) or kind_for(values.get("data", DataOptions.data))
    chosen = _MODELS[kind]
    known = {option.name for option in fields(chosen)}
    groups = {
        name: group(**{option.name: values[option.name] for option in fields(group) if option.name in values})
        for name, group in _GROUPS.items()
    }
    return RunOptions(**groups, model=chosen(**{name: model[name] for name in model if name in known}))


_GROUPS: dict[str, Any] = {
    "data": DataOptions,
    "recipe": RecipeOptions,
    "augmentation": AugmentationOptions,
    "compute": ComputeOptions,
}
