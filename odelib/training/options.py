"""Options as plain values, from YAML files or elsewhere: known names and right types, or the line that is wrong."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from odelib.models.storage import MODELS
from odelib.names import choose
from odelib.training.config import TrainConfig, kind_for
from odelib.training.presets import merge, preset

Place = Callable[..., AbstractContextManager[None]]

_WORDS = {int: "a whole number", float: "a number", bool: "true or false", str: "a text", NoneType: "null"}


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
            root = yaml.compose(self.path.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
            self.values: dict[str, Any] = {}
            if root is not None:
                self._note(root, ())
                self.values = yaml.safe_load(self.path.read_text(encoding="utf-8"))
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
        if kind is float and not isinstance(value, bool):
            try:  # YAML reads 1e-3, without a point, as a text
                return float(value)
            except (TypeError, ValueError):
                continue
        if type(value) is kind:
            return value
    raise ValueError(f"{name} is {value!r}, expected {' or '.join(_WORDS[kind] for kind in kinds)}")
