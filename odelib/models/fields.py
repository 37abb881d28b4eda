"""Fields by name, so that a configuration can say what a model integrates, and a file can keep it."""

from collections.abc import Callable
from inspect import signature

from torch import nn

from odelib.names import choose

FIELDS: dict[str, Callable[..., nn.Module]] = {}
"""What `register_field` was given; "transformer" and "fused" are there from the start."""


def register_field(name: str, make: Callable[..., nn.Module]) -> None:
    """Let ``field=name`` in a configuration stand for the modules that ``make(config)`` returns, one per weight set.

    Such a module has ``forward(t, x)``, x of shape (batch, tokens, dim), and keeps the weights that it starts from.
    What a model needs beyond comes by keyword, and only where it is needed: ``causal=True`` (no token may read a later
    one), ``cross=True`` (the field reads the memory of a `Context`), ``rotary=True``, ``dropout=rate`` and
    ``drop_path=rate``. A ``make`` that takes no such keyword says by that that its fields cannot: the model is refused.

    A saved model or run that has the name loads where the name has been registered before.

    Args:
        name: The name; registered again, as when a notebook's cell runs twice, it stands for the new ``make``.
        make: Called with the model's configuration.

    Raises:
        ValueError: The name is one of the package's own.
        TypeError: The name is no string, or ``make`` no function; a module is none, as each weight set needs its own.
    """
    if not isinstance(name, str) or not callable(make) or isinstance(make, nn.Module):
        raise TypeError(f"{name!r} came with {make!r}: give a name, and a function make(config, **needs) -> module")
    if name in ("transformer", "fused") and name in FIELDS:
        raise ValueError(f"the field {name!r} is the package's own: choose another name")
    FIELDS[name] = make


def make_field(name: str, config: object, **needs: bool | float) -> nn.Module:
    """Return a field of a registered name.

    Args:
        name: The name.
        config: What ``make`` is called with.
        **needs: What the model needs of it; what is 0 or False is not needed.

    Raises:
        ValueError: The name is unknown, or its fields lack what is needed.
        TypeError: What was made is no module.
    """
    make = FIELDS[choose(name, FIELDS, "registered field")]
    needed = {need: value for need, value in needs.items() if value}
    try:
        signature(make).bind(config, **needed)
    except TypeError as error:
        wanted = ", ".join(f"{need}={value}" for need, value in needed.items())
        wanted = f"needs a field with {wanted}" if wanted else "calls make(config)"
        raise ValueError(
            f"the model {wanted}, but make of {name!r} {error}: let it take that, or choose another field, such as "
            "'transformer'"
        ) from error
    field = make(config, **needed)
    if not isinstance(field, nn.Module):
        raise TypeError(f"the field {name!r} was made as a {type(field).__name__}: return an nn.Module")
    return field
