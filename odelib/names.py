"""Names that a person types: find the one that was meant, or say which one is nearest."""

from collections.abc import Callable, Iterable
from difflib import get_close_matches
from inspect import signature
from numbers import Integral, Real

_NEAR = 0.3  # share of letters in common below which a suggestion would be a guess


def takes(function: object, arguments: int) -> bool:
    """Return whether an object can be called with so many arguments; of a module, its ``forward`` is looked at."""
    if not callable(function):
        return False
    try:
        signature(getattr(function, "forward", function)).bind(*range(arguments))
    except TypeError:
        return False
    except ValueError:  # a built-in that does not say what it takes
        return True
    return True


_KINDS: dict[str, Callable[[object], bool]] = {
    "a number": lambda value: isinstance(value, Real) and not isinstance(value, bool),
    "a whole number": lambda value: isinstance(value, Integral) and not isinstance(value, bool),
    "True or False": lambda value: type(value).__name__ in ("bool", "bool_"),  # NumPy's is no bool
    "a function": callable,
}


def expect(owner: object, kind: str, *names: str, optional: bool = False, called_with: str = "") -> None:
    """Refuse attributes of another kind than a number, a whole number, a truth value or a function.

    Args:
        owner: Whose attributes they are.
        kind: "a number", "a whole number", "True or False" or "a function".
        *names: Their names.
        optional: Whether None will do too.
        called_with: The arguments of a function, as in "t, y".

    Raises:
        TypeError: One is something else.
    """
    for name in names:
        value = getattr(owner, name)
        fits = _KINDS[kind](value) and (not called_with or takes(value, called_with.count(",") + 1))
        if not (fits or (optional and value is None)):
            wanted = f"{kind}, or None" if optional else kind
            wanted += f"; it is called with ({called_with})" if called_with else ""
            raise TypeError(f"{name} of {type(owner).__name__} is {value!r}: give {wanted}")


def choose(name: str, options: Iterable[str], what: str) -> str:
    """Return ``name`` if it is one of ``options``.

    Args:
        name: The name that came in.
        options: The valid names.
        what: What the name stands for, in words, for the message ("step rule").

    Raises:
        ValueError: The name is unknown; the sentence gives the nearest valid name, if one is near, and all of them.
        TypeError: It is no name.
    """
    valid = tuple(options)
    if name in valid:
        return name
    if not isinstance(name, str):
        raise TypeError(f"the {what} is {name!r}: give a name, one of {', '.join(valid)}")
    near = get_close_matches(name, valid, n=1, cutoff=_NEAR)
    hint = f"the nearest valid name is {near[0]!r}" if near else "none is near" if valid else "there is no valid name"
    raise ValueError(f"unknown {what} {name!r}: {hint} (valid: {', '.join(valid)})")


def check_keys(given: Iterable[str], valid: Iterable[str], what: str) -> None:
    """Refuse unknown keys of a mapping, naming the nearest valid one.

    Raises:
        ValueError: A key of ``given`` is not in ``valid``.
    """
    options = tuple(valid)
    for key in given:
        choose(key, options, what)
