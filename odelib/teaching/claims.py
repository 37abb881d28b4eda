"""Numbers that prose may quote: measured when the chapter runs, checked, and glued under a name.

``claim`` backs a quantitative sentence and fails the chapter when the sentence is false; ``report`` quotes a
number about which nothing is claimed. Both make the number available to the text as ``{glue:text}`name```, in
the form that ``myst_nb.glue`` gives it, without needing myst_nb (which Colab does not have). Both return nothing,
so that a cell that ends with one does not display the number again with all its digits.
"""

from __future__ import annotations

import math
import re
from typing import SupportsFloat

from odelib.teaching._display import emit_after_cell

_GLUE_PREFIX = "application/papermill.record/"
_SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


class ClaimFailed(AssertionError):  # noqa: N818 - reads as what happened
    """A sentence of the book is not what was measured."""


def claim(
    name: str,
    measured: SupportsFloat,
    *,
    expected: float | None = None,
    tolerance: float | None = None,
    above: float | None = None,
    below: float | None = None,
    digits: int | None = 3,
    unit: str = "",
    seeds: int | None = None,
) -> None:
    """Check a measured number against what the text says about it, print one line and glue the number.

    State exactly one of ``expected`` (with ``tolerance``; whole numbers may leave it out and are then compared
    exactly), ``above`` or ``below`` (both strict).

    Args:
        name: key for ``{glue:text}``: small letters, digits and hyphens.
        measured: a number, or a tensor or array with one element.
        expected: the value that the text states.
        tolerance: largest absolute difference from ``expected``.
        above: the text says that the number exceeds this.
        below: the text says that the number stays under this.
        digits: significant digits printed and glued, few enough to be the same on every CPU. ``None`` for a
            number that is rounding noise: it is then neither printed nor glued, the bound is.
        unit: printed and glued after the number.
        seeds: over how many seeds it was measured, if over more than the chapter's own; printed.

    Raises:
        ClaimFailed: the claim is false, or the number is NaN.
        ValueError: not exactly one form was given, or the name cannot be a glue key.
    """
    _check_name(name)
    if sum(bound is not None for bound in (expected, above, below)) != 1:
        raise ValueError(f"claim {name} needs exactly one of expected, above, below")
    if tolerance is not None and (expected is None or not tolerance >= 0):
        raise ValueError(f"claim {name}: tolerance must be >= 0 and goes with expected, got {tolerance}")
    if digits is None and expected is not None:
        raise ValueError(f"claim {name}: digits=None prints the bound instead of the number: use below or above")

    value = _number(measured)
    if expected is not None:
        if tolerance is None and not (isinstance(expected, int) and isinstance(value, int)):
            raise ValueError(f"claim {name}: expected needs a tolerance unless both numbers are whole")
        holds = abs(value - expected) <= (tolerance or 0)
        said = f"expected {format_number(expected, None)}"
        said += f" ± {format_number(tolerance, None)}" if tolerance else " exactly"
    elif above is not None:
        holds, said = value > above, f"above {format_number(above, None)}"
    else:
        assert below is not None
        holds, said = value < below, f"below {format_number(below, None)}"

    if seeds is not None and seeds < 1:
        raise ValueError(f"claim {name}: seeds must be at least 1, got {seeds}")

    unit = f" {unit}" if unit else ""
    over = f", over {seeds} seeds" if seeds is not None else ""
    if not holds:
        shown = format_number(value, max(digits or 0, 6))
        raise ClaimFailed(f"The claim {name} is false: measured {shown}{unit}, but the text says {said}{unit}.")
    if digits is None:
        print(f"claim {name}: {said}{unit}{over}: holds")
        bound = above if above is not None else below
        assert bound is not None
        _glue(name, format_number(bound, None) + unit)
    else:
        shown = format_number(value, digits) + unit
        print(f"claim {name}: {shown}, {said}{unit}{over}: holds")
        _glue(name, shown)


def report(name: str, value: SupportsFloat | str, digits: int = 3, unit: str = "") -> None:
    """Print and glue a number (or a word) that the prose quotes without claiming anything about it.

    Args:
        name: key for ``{glue:text}``: small letters, digits and hyphens.
        value: the number or the text.
        digits: significant digits printed and glued; whole numbers are shown in full.
        unit: printed and glued after the value.

    Raises:
        ValueError: the value is NaN or infinite, or the name cannot be a glue key.
    """
    _check_name(name)
    if isinstance(value, str):
        shown = value
    else:
        number = _number(value)
        if not math.isfinite(number):
            raise ValueError(f"report {name}: the value is {number}; a chapter quotes finite numbers only")
        shown = format_number(number, digits)
    shown += f" {unit}" if unit else ""
    print(f"{name}: {shown}")
    _glue(name, shown)


def format_number(value: float, digits: int | None) -> str:
    """A number as prose writes it: 0.998, 12,300, 1.20 × 10⁻⁷; whole numbers in full.

    ``digits`` counts significant digits; ``None`` keeps what is needed and drops trailing zeros.
    """
    if isinstance(value, int):
        return f"{value:,}" if abs(value) >= 10_000 else str(value)
    if not math.isfinite(value):
        return str(value)
    mantissa, exponent_text = f"{value:.{(digits or 6) - 1}e}".split("e")
    exponent = int(exponent_text)
    if value == 0:
        return "0"
    if exponent < -4 or exponent >= 7:
        if digits is None and "." in mantissa:
            mantissa = mantissa.rstrip("0").rstrip(".")
        power = f"10{str(exponent).translate(_SUPERSCRIPT)}"
        if digits is None and mantissa in ("1", "-1"):
            return power if mantissa == "1" else f"-{power}"
        return f"{mantissa} × {power}"
    rounded = float(f"{mantissa}e{exponent}")
    text = f"{rounded:,.{max((digits or 6) - 1 - exponent, 0)}f}"
    if abs(rounded) < 10_000:
        text = text.replace(",", "")
    return text.rstrip("0").rstrip(".") if digits is None and "." in text else text


def _number(value: SupportsFloat) -> float | int:
    """A plain int or float from a number, a tensor or an array with one element."""
    item = getattr(value, "item", None)
    plain = item() if callable(item) else value
    return int(plain) if isinstance(plain, int) else float(plain)


def _check_name(name: str) -> None:
    if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", name):
        raise ValueError(f"the name {name!r} cannot be a glue key: use small letters, digits and single hyphens")


def _glue(name: str, text: str) -> None:
    # repr, because {glue:text} evaluates the literal: bare 1.20 would lose its zero, 12,300 become a tuple.
    emit_after_cell(
        {_GLUE_PREFIX + "text/plain": repr(text)}, {"scrapbook": {"name": name, "mime_prefix": _GLUE_PREFIX}}
    )
