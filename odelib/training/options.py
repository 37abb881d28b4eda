"""Options as plain values from presets, YAML files or the command line: known names, right types, or the wrong line."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from copy import deepcopy
from pathlib import Path
from types import MappingProxyType, NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from odelib.models.storage import MODELS
from odelib.names import choose
from odelib.training.config import TrainConfig, kind_for

Place = Callable[..., AbstractContextManager[None]]

_WORDS = {int: "a whole number", float: "a number", bool: "true or false", str: "a text", NoneType: "null"}


_TEXT = {"shift": 0, "flip": False}

PRESETS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "fashion-micro": {},
        "cifar10-micro": {
            "data": "cifar10",
            "train_images": 10_000,
            "epochs": 30,
            "warmup_epochs": 2.0,
            "shift": 3,
            "model": {
                "stem": "conv",
                "patch_size": 4,
                "dim": 64,
                "num_heads": 4,
                "mlp_ratio": 2.0,
                "intervals": 6,
            },
        },
        # DeiT's recipe (Touvron et al. 2021, arXiv 2012.12877, table 9) at batches of 512, so its rule gives this
        # learning rate; images stay at 32 pixels, a shift stands for the random crop, and none is shown repeatedly.
        "cifar100-deit-ti": {
            "data": "cifar100",
            "epochs": 300,
            "batch_size": 512,
            "lr": 5e-4,
            "warmup_epochs": 5.0,
            "weight_decay": 0.05,
            "clip_norm": None,
            "label_smoothing": 0.1,
            "average": 0.9998,
            "shift": 4,
            "flip": True,
            "rand_augment": 9,
            "erasing": 0.25,
            "mixup": 0.8,
            "cutmix": 1.0,
            "checkpoint_every": 5,
            "model": {
                "step_rule": "lie-trotter",
                "patch_size": 4,
                "dim": 192,
                "num_heads": 3,
                "intervals": 12,
                "pool": "class",
                "drop_path": 0.1,
            },
        },
        "shakespeare-char": {
            **_TEXT,
            "data": "tiny-shakespeare",
            "epochs": 5,
            "batch_size": 16,
            "eval_batch_size": 64,
            "warmup_epochs": 0.2,
            "weight_decay": 0.1,
            "label_smoothing": 0.0,
            "model": {"dim": 128, "num_heads": 4, "intervals": 4, "max_tokens": 128},
        },
        "clinc150": {
            **_TEXT,
            "data": "clinc150",
            "subwords": 2000,
            "epochs": 20,
            "model": {"dim": 128, "num_heads": 4, "mlp_ratio": 2.0, "intervals": 2, "dropout": 0.3},
        },
        "multi30k-de-en": {
            **_TEXT,
            "data": "multi30k",
            "subwords": 6000,
            "epochs": 12,
            "eval_batch_size": 100,
            "model": {"dim": 128, "num_heads": 4, "mlp_ratio": 2.0, "intervals": 3, "dropout": 0.1},
        },
    }
)
"""Name of each preset, and the options of ``TrainConfig`` in which it differs from the default."""


def preset(name: str) -> dict[str, Any]:
    """The options of a preset, as plain values to change at will.

    Raises:
        ValueError: The name is unknown; the sentence gives the nearest valid one.
    """
    return deepcopy(dict(PRESETS[choose(name, PRESETS, "preset")]))


def merge(*layers: Mapping[str, Any]) -> dict[str, Any]:
    """Lay options over one another, the last on top; those of the model one by one."""
    merged: dict[str, Any] = {}
    for layer in layers:
        for name, value in layer.items():
            both = isinstance(value, Mapping) and isinstance(merged.get(name), Mapping)
            merged[name] = merge(merged[name], value) if both else value
    return merged


class YamlFile:
    """A YAML file of nested mappings, which remembers on which line each key stands.

    Args:
        path: The file.

    Raises:
        ValueError: It is not YAML, no mapping, or names a key twice; the sentence gives the line.
        OSError: It cannot be read.
    """

    def __init__(self, path: str | Path) -> None:
        import yaml

        self.path = Path(path)
        self._lines: dict[tuple[str, ...], int] = {}
        try:
            text = self.path.read_text(encoding="utf-8")
        except UnicodeDecodeError as error:
            raise ValueError(f"{self.path} is not in UTF-8 ({error}): save it in that encoding") from error
        try:
            root = yaml.compose(text, Loader=yaml.SafeLoader)
            self.values: dict[str, Any] = {}
            if root is not None:
                self._note(root, ())
                self.values = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise ValueError(f"{self.path} is not YAML ({' '.join(str(error).split())}): correct it there") from error
        if not isinstance(self.values, dict):
            raise ValueError(f"{self.path} holds a {type(self.values).__name__}, expected options as `name: value`")

    def _note(self, node: Any, at: tuple[str, ...]) -> None:
        import yaml

        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                where = (*at, str(key.value))
                line = key.start_mark.line + 1
                if where in self._lines:
                    raise ValueError(
                        f"{self.path}, line {line}: {key.value!r} stands on line {self._lines[where]} already: "
                        "leave one of the two"
                    )
                self._lines[where] = line
                self._note(value, where)
        elif isinstance(node, yaml.SequenceNode):
            for number, item in enumerate(node.value):
                self._lines[*at, str(number)] = item.start_mark.line + 1
                self._note(item, (*at, str(number)))

    @contextmanager
    def place(self, *at: str) -> Iterator[None]:
        """Say of a ValueError in the block on which line of the file the key ``at``, or what is around it, stands."""
        try:
            yield
        except ValueError as error:
            known = next((at[:n] for n in range(len(at), 0, -1) if at[:n] in self._lines), None)
            line = "" if known is None else f", line {self._lines[known]}"
            raise ValueError(f"{self.path}{line}: {error}") from error


def check_options(options: Mapping[str, Any], place: Place = lambda *at: nullcontext()) -> dict[str, Any]:
    """Options of a run with their types made right, such as a whole number where any number is wanted.

    Args:
        options: Nested plain values, as ``TrainConfig.to_dict`` gives them; any may be missing. ``preset`` names one
            that the others are laid over.
        place: Called with the keys that lead to an option, a context in which what is wrong with it is raised.

    Raises:
        ValueError: A name is unknown (the sentence gives the nearest valid one) or a value is of the wrong type.
    """
    options = dict(options)
    base: dict[str, Any] = {}
    if "preset" in options:
        with place("preset"):
            base = preset(str(options.pop("preset")))
    hints = get_type_hints(TrainConfig)
    checked: dict[str, Any] = {}
    for name, value in options.items():
        with place(name):
            choose(name, hints, "training option")
            if name != "model":
                checked[name] = typed(value, hints[name], name)
            elif not isinstance(value, Mapping):
                raise ValueError(f"model is {value!r}, expected options as `name: value`")
    if "model" in options:
        given = merge(base, options)
        kind = given["model"].get("kind", kind_for(given.get("data", TrainConfig.data)))
        checked["model"] = _model_options(options["model"], kind, place)
    return merge(base, checked)


def _model_options(options: Mapping[str, Any], kind: str, place: Place) -> dict[str, Any]:
    with place("model", "kind"):
        hints = get_type_hints(MODELS[choose(kind, MODELS, "kind of model")][0])
    checked: dict[str, Any] = {}
    for name, value in options.items():
        with place("model", name):
            choose(name, ("kind", *hints), f"option of {kind}")
            checked[name] = value if name == "kind" else typed(value, hints[name], name)
    return checked


def typed(value: Any, hint: Any, name: str) -> Any:
    """Return ``value`` as the type ``hint`` wants it.

    Args:
        value: What came.
        hint: int, float, bool, str, a Literal, or a union of such.
        name: The option, for the sentence.

    Raises:
        ValueError: It is of another type.
    """
    kinds = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
    for kind in kinds:
        if get_origin(kind) is Literal:
            return choose(str(value), get_args(kind), name)
        if type(value) is kind:
            return value
        read = _READ.get(kind)
        # YAML reads 1e-3, without a point, as a text, and a command line has nothing but texts.
        if read is None or isinstance(value, bool) or not isinstance(value, read[0]):
            continue
        try:
            return read[1](value)
        except (ValueError, KeyError):
            continue
    raise ValueError(f"{name} is {value!r}, expected {' or '.join(_WORDS[kind] for kind in kinds)}")


_READ: dict[Any, tuple[Any, Callable[[Any], Any]]] = {
    int: (str, int),
    float: ((str, int), float),
    bool: (str, lambda text: {"true": True, "false": False}[text.lower()]),
    NoneType: (str, lambda text: {"none": None, "null": None}[text.lower()]),
}
