"""Numbers that prose may quote: measured when the chapter runs, checked, and glued under a name.

``claim`` backs a quantitative sentence and fails the chapter when the sentence is false; ``report`` quotes a
number about which nothing is claimed. Both make the number available to the text as ``{glue:text}`name```, in
the form that ``myst_nb.glue`` gives it, without needing myst_nb (which Colab does not have). Both return nothing,
so that a cell that ends with one does not display the number again with all its digits.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from typing import Literal, SupportsFloat, cast

from torch import Tensor

from odelib.teaching._display import emit_after_cell, say

_GLUE_PREFIX = "application/papermill.record/"
_SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


class ClaimFailed(AssertionError):  # noqa: N818 - reads as what happened
    """A sentence of the book is not what was measured."""


def claim(
    name: str,
    measured: SupportsFloat | Sequence[SupportsFloat] | Tensor,
    *,
    expected: float | None = None,
    tolerance: float | None = None,
    above: float | None = None,
    below: float | None = None,
    of: int | Literal["all", "mean"] | None = None,
    digits: int | None = 3,
    unit: str = "",
    seeds: int | None = None,
) -> None:
    """Check what was measured against what the text says about it, print one line and glue the number.

    State exactly one of ``expected`` (with ``tolerance``; whole numbers may leave it out and are then compared
    exactly), ``above`` or ``below`` (both strict).

    A sample, one number for each seed, is glued as its range ("0.21 to 0.48"). Its statement is about ``of``: ``"all"``
    of the numbers (the default), at least so many of them (glued as "4 of 5"), or their ``"mean"``, whose 95 % interval
    (Student's t) lies within the bound and is glued as "0.35 (0.22 to 0.47)".

    Args:
        name: key for ``{glue:text}``: small letters, digits and hyphens.
        measured: a number, or a tensor or array with one element; or a sample of at least two.
        expected: the value that the text states.
        tolerance: largest absolute difference from ``expected``.
        above: the text says that the number exceeds this.
        below: the text says that the number stays under this.
        of: which numbers of a sample the statement is about.
        digits: significant digits printed and glued, few enough to be the same on every CPU. ``None`` for a
            number that is not, as rounding and times: it is printed as this machine's, and the bound is glued.
        unit: printed and glued after the number.
        seeds: over how many seeds it was measured, if over more than the chapter's own; a sample says it itself.

    Raises:
        ClaimFailed: the claim is false, or a number is NaN.
        ValueError: not exactly one form was given, the name cannot be a glue key, ``of`` is not of a sample, or is the
            mean of fewer than five numbers or of equal ones.
    """
    _check_form(name, expected, tolerance, above, below, digits, seeds)
    sample = _sample(measured)
    if sample is None:
        values, count = [_number(cast(SupportsFloat, measured))], 1
        if of is not None:
            raise ValueError(f"claim {name}: of={of!r} is about a sample, and {measured} is one number: leave it out")
    else:
        values, seeds = sample, seeds or len(sample)
        count = of if isinstance(of, int) else len(sample)
        if not 1 <= count <= len(sample) or of not in (None, "all", "mean", count):
            raise ValueError(f"claim {name}: of must be all, mean or 1 to {len(sample)}, got {of!r}")
    if expected is not None and tolerance is None and not all(isinstance(v, int) for v in (expected, *values)):
        raise ValueError(f"claim {name}: expected needs a tolerance unless both numbers are whole")

    tested = _interval(name, values) if of == "mean" else values
    held = [_holds(value, expected, tolerance, above, below) for value in tested]
    said = _said(expected, tolerance, above, below)
    unit = f" {unit}" if unit else ""
    said += unit
    if isinstance(of, int):
        said += f" in at least {of} of {len(values)}"
    elif of == "mean":
        said += " for the mean, with its 95 % interval"
    elif sample is not None:
        said += " in each"
    if sum(held) < (len(tested) if of == "mean" else count):
        shown = ", ".join(format_number(value, max(digits or 0, 6)) for value in values)
        raise ClaimFailed(f"The claim {name} is false: measured {shown}{unit}, but the text says {said}.")
    over = f", over {seeds} seeds" if seeds is not None else ""
    if digits is None:
        say(f"claim {name}: {spread(values, 2)}{unit} on this machine, {said}{over}: holds")
        bound = above if above is not None else below
        assert bound is not None
        _glue(name, format_number(bound, None) + unit)
        return
    if isinstance(of, int):
        shown = f"{sum(held)} of {len(values)}"
    elif of == "mean":
        low, high = (format_number(value, digits) for value in tested)
        shown = f"{format_number(sum(values) / len(values), digits)} ({low} to {high}){unit}"
    else:
        shown = spread(values, digits) + unit
    say(f"claim {name}: {shown}, {said}{over}: holds")
    _glue(name, shown)


def spread(values: Sequence[SupportsFloat] | Tensor, digits: int | None = 3) -> str:
    """The range of a sample as prose writes it: "0.21 to 0.48", or one number where both ends are written alike."""
    numbers = [_number(value) for value in values]
    ends = [format_number(end, digits) for end in (min(numbers), max(numbers))]
    return ends[0] if ends[0] == ends[1] else " to ".join(ends)


def _check_form(
    name: str,
    expected: float | None,
    tolerance: float | None,
    above: float | None,
    below: float | None,
    digits: int | None,
    seeds: int | None,
) -> None:
    _check_name(name)
    if sum(bound is not None for bound in (expected, above, below)) != 1:
        raise ValueError(f"claim {name} needs exactly one of expected, above, below")
    if tolerance is not None and (expected is None or not tolerance >= 0):
        raise ValueError(f"claim {name}: tolerance must be >= 0 and goes with expected, got {tolerance}")
    if digits is None and expected is not None:
        raise ValueError(f"claim {name}: digits=None prints the bound instead of the number: use below or above")
    if seeds is not None and seeds < 1:
        raise ValueError(f"claim {name}: seeds must be at least 1, got {seeds}")


def _holds(
    value: float, expected: float | None, tolerance: float | None, above: float | None, below: float | None
) -> bool:
    if expected is not None:
        return abs(value - expected) <= (tolerance or 0)
    if above is not None:
        return value > above
    assert below is not None
    return value < below


def _said(expected: float | None, tolerance: float | None, above: float | None, below: float | None) -> str:
    if expected is not None:
        said = f"expected {format_number(expected, None)}"
        return said + (f" ± {format_number(tolerance, None)}" if tolerance else " exactly")
    if above is not None:
        return f"above {format_number(above, None)}"
    return f"below {format_number(cast(float, below), None)}"


def _sample(measured: object) -> list[float] | None:
    """The numbers of a list, a tensor or an array with two elements or more; None of one number."""
    if isinstance(measured, Sequence) or getattr(measured, "ndim", 0) == 1:
        numbers = [_number(value) for value in cast(Iterable[SupportsFloat], measured)]
        return numbers if len(numbers) > 1 else None
    return None


def _interval(name: str, sample: Sequence[float]) -> list[float]:
    """The ends of the 95 % interval of the mean, by Student's t; NaN where a number is."""
    if not all(map(math.isfinite, sample)):
        return [math.nan, math.nan]
    from odelib.studies.statistics import FEWEST, summary  # which few chapters need

    found = summary(sample, 0.95)
    if math.isnan(found.low):
        raise ValueError(
            f"claim {name}: of the mean of {len(sample)} numbers there is no interval, since that takes {FEWEST} that "
            "differ: bring more, or state it of all of them"
        )
    return [found.low, found.high]


def report(
    name: str,
    value: SupportsFloat | Sequence[SupportsFloat] | Tensor | str,
    digits: int = 3,
    unit: str = "",
) -> None:
    """Print and glue a number (or a word) that the prose quotes without claiming anything about it.

    Args:
        name: key for ``{glue:text}``: small letters, digits and hyphens.
        value: the number or the text; of a sample the range ("0.21 to 0.48").
        digits: significant digits printed and glued; whole numbers are shown in full.
        unit: printed and glued after the value.

    Raises:
        ValueError: the value is NaN or infinite, or the name cannot be a glue key.
    """
    _check_name(name)
    if isinstance(value, str):
        shown = value
    else:
        numbers = _sample(value) or [_number(cast(SupportsFloat, value))]
        for number in numbers:
            if not math.isfinite(number):
                raise ValueError(f"report {name}: the value is {number}; a chapter quotes finite numbers only")
        shown = spread(numbers, digits)
    shown += f" {unit}" if unit else ""
    say(f"{name}: {shown}")
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
