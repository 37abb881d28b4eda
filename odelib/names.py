"""Names that a person types: find the one that was meant, or say which one is nearest."""

from collections.abc import Callable, Iterable
from difflib import get_close_matches
from numbers import Integral, Real

_KINDS: dict[str, Callable[[object], bool]] = {
    "a number": lambda value: isinstance(value, Real) and not isinstance(value, bool),
    "a whole number": lambda value: isinstance(value, Integral) and not isinstance(value, bool),
    "a function": callable,
}

_NEAR = 0.3  # share of letters in common below which a suggestion would be a guess


def expect(owner: object, kind: str, *names: str, optional: bool = False) -> None:
    """Refuse attributes of another kind than a number, a whole number or a function.

    Args:
        owner: Whose attributes they are.
        kind: "a number", "a whole number" or "a function".
        *names: Their names.
        optional: Whether None will do too.

    Raises:
        TypeError: One is something else.
    """
    for name in names:
        value = getattr(owner, name)
        if not (_KINDS[kind](value) or (optional and value is None)):
            wanted = f"{kind}, or None" if optional else kind
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
