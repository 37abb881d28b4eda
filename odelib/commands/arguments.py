"""The options of a run on the command line: those of ``TrainConfig`` and of its model, read as plain values.

Each option is a field of these classes, with its type, its default and its docstring; nothing is written down twice.
What was said is checked where files and presets are, by ``check_options``.
"""

import argparse
import ast
import inspect
import sys
from collections.abc import Mapping, Sequence
from dataclasses import fields
from difflib import get_close_matches
from functools import cache
from itertools import pairwise
from textwrap import dedent
from typing import Any, Literal, NoReturn, get_args, get_origin, get_type_hints

from odelib.models.storage import MODELS
from odelib.training.config import (
    AugmentationOptions,
    ComputeOptions,
    DataOptions,
    RecipeOptions,
    TrainConfig,
    kind_for,
)

GROUPS = {
    "data options": DataOptions,
    "recipe options": RecipeOptions,
    "augmentation options": AugmentationOptions,
    "compute options": ComputeOptions,
}
FROM_DATA = {
    "ViT": {"image_size", "in_channels", "num_classes"},
    "CausalLM": {"vocab_size"},
    "TextClassifier": {"vocab_size", "max_tokens", "num_classes"},
    "EncoderDecoder": {"vocab_size", "max_tokens"},
}
"""The options of each kind of model that the data decide."""

_WEIGHTS = " Or a folder: begin from the trained weights in it (fine-tuning), as `init` in a file."


class Parser(argparse.ArgumentParser):
    """A parser whose refusals are one sentence, a ValueError, with the nearest valid option."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"allow_abbrev": False, "formatter_class": argparse.RawDescriptionHelpFormatter, **options})

    def error(self, message: str) -> NoReturn:
        """Raise what is wrong as a sentence."""
        raise ValueError(f"{message} (see {self.prog} --help)")

    def refuse_unknown(self, rest: Sequence[str]) -> None:
        """Refuse what no option took."""
        if not rest:
            return
        known = [name for action in self._actions for name in action.option_strings]
        near = get_close_matches(rest[0].partition("=")[0], known, n=1, cutoff=0.3) if rest[0].startswith("-") else []
        hint = f": the nearest valid option is {near[0]!r}" if near else ""
        raise ValueError(f"unrecognized argument {rest[0]!r}{hint} (see {self.prog} --help)")


def add_run_options(parser: argparse.ArgumentParser, start: Mapping[str, Any]) -> None:
    """Add the options of a run, with the defaults that a preset or a file has set.

    Args:
        parser: Gets them.
        start: What the options are laid over, as nested plain values.
    """
    for title, group in GROUPS.items():
        _add(parser.add_argument_group(title), group, {}, start, [field.name for field in fields(group)])
    kind = kind_of(start)
    config = MODELS[kind][0]
    names = [field.name for field in fields(config) if field.name not in FROM_DATA[kind]]
    _add(parser.add_argument_group(f"model options ({kind})"), config, {"weights": _WEIGHTS}, start["model"], names)


def kind_of(values: Mapping[str, Any]) -> str:
    """The kind of model that options are about."""
    return str(values.get("model", {}).get("kind") or kind_for(str(values.get("data", TrainConfig.data))))


def _add(group: Any, config: type, more: Mapping[str, str], start: Mapping[str, Any], names: list[str]) -> None:
    hints, texts, defaults = get_type_hints(config), docstrings(config), {f.name: f.default for f in fields(config)}
    for name in names:
        hint, default = hints[name], start.get(name, defaults[name])
        shown = "16 patches" if name == "patch_size" and name not in start else default
        text = f"{texts[name]}{more.get(name, '')} (default: {shown})".replace("%", "%%")
        option: dict[str, Any] = {"default": argparse.SUPPRESS, "help": text}
        if hint is bool:
            option["action"] = argparse.BooleanOptionalAction
        else:
            option["metavar"] = "|".join(get_args(hint)) if get_origin(hint) is Literal else name.upper()
        group.add_argument(f"--{name.replace('_', '-')}", **option)


@cache
def docstrings(config: type) -> dict[str, str]:
    """The text below each field of a dataclass and of those that it is made of, on one line."""
    texts: dict[str, str] = {}
    for part in reversed(config.__mro__):
        if part is object or part.__module__ == "builtins" or part.__module__ not in sys.modules:
            continue
        (node,) = ast.parse(dedent(inspect.getsource(part))).body
        body = node.body if isinstance(node, ast.ClassDef) else []
        for field, below in pairwise(body):
            if (
                isinstance(field, ast.AnnAssign)
                and isinstance(field.target, ast.Name)
                and isinstance(below, ast.Expr)
                and isinstance(below.value, ast.Constant)
            ):
                texts[field.target.id] = " ".join(str(below.value.value).split())
    return texts
