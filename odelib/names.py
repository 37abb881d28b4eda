"""Names that a person types: find the one that was meant, or say which one is nearest."""

from collections.abc import Iterable
from difflib import get_close_matches


def choose(name: str, options: Iterable[str], what: str) -> str:
    """Return ``name`` if it is one of ``options``.

    Args:
        name: The name that came in.
        options: The valid names.
        what: What the name stands for, in words, for the message ("step rule").

    Raises:
        ValueError: The name is unknown; the sentence gives the nearest valid name and all of them.
    """
    valid = tuple(options)
    if name in valid:
        return name
    near = get_close_matches(name, valid, n=1, cutoff=0.0) or valid[:1]
    hint = f"the nearest valid name is {near[0]!r}" if near else "there is no valid name"
    raise ValueError(f"unknown {what} {name!r}: {hint} (valid: {', '.join(valid)})")


def check_keys(given: Iterable[str], valid: Iterable[str], what: str) -> None:
    """Refuse unknown keys of a mapping, naming the nearest valid one.

    Raises:
        ValueError: A key of ``given`` is not in ``valid``.
    """
    options = tuple(valid)
    for key in given:
        choose(key, options, what)
