"""Exercises that answer back: a check names what it measured and gives the hint that fits the symptom.

The exercises stand in ``odelib/teaching/checks``, a module for each topic, as a tuple ``EXERCISES``. Their right and
wrong answers stand with the tests, out of a student's reach.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import math
import pkgutil
import re
import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import EllipsisType, FrameType
from typing import Any, Literal

import numpy as np
import torch

from odelib.names import choose
from odelib.teaching._display import say
from odelib.teaching.claims import format_number


class NotYet(Exception):  # noqa: N818 - not an error, a stage
    """An answer is not right yet.

    Args:
        symptom: what was measured, one sentence.
        hint: what to look at, keyed to the symptom; one sentence or two.
    """

    def __init__(self, symptom: str, hint: str) -> None:
        symptom = " ".join(symptom.split())  # a tensor in it prints lines
        super().__init__(f"{symptom.rstrip('.')}. {hint}")
        self.symptom, self.hint = symptom, hint


class _TooLong(BaseException):
    """The answer has been running for longer than any answer needs; no `except Exception` of a learner stops it."""


SECONDS = 60.0
"""How long a check may take before it says that a loop does not end."""


@contextmanager
def _time_limit(seconds: float) -> Iterator[None]:
    """Interrupt what runs longer, where the system can: on Unix, in the main thread."""
    if not hasattr(signal, "SIGALRM") or threading.current_thread() is not threading.main_thread():
        yield
        return

    before = signal.signal(signal.SIGALRM, _interrupt)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise _TooLong


class Unanswered(Exception):  # noqa: N818
    """The learner has not replaced the placeholder."""


@dataclass(frozen=True)
class Exercise:
    """One exercise of a chapter.

    Attributes:
        name: how notebooks call it, unique in the book.
        title: what is asked, in a few words.
        minutes: how long a learner needs.
        difficulty: easy, medium or hard.
        check: takes the answer; returns if it is right, raises ``NotYet`` if not.
    """

    name: str
    title: str
    minutes: int
    difficulty: Literal["easy", "medium", "hard"]
    check: Callable[[Any], None]


@dataclass(frozen=True)
class Verdict:
    """What a check says: ``passed``, ``answered`` and the line that the learner reads."""

    passed: bool
    answered: bool
    line: str


@functools.cache
def exercises() -> dict[str, Exercise]:
    """Every exercise of the book by name."""
    from odelib.teaching import checks

    found: dict[str, Exercise] = {}
    for module in sorted(info.name for info in pkgutil.iter_modules(checks.__path__)):
        for exercise in importlib.import_module(f"{checks.__name__}.{module}").EXERCISES:
            if exercise.name in found:
                raise ValueError(f"two exercises are called {exercise.name!r}: rename the one in {module}")
            found[exercise.name] = exercise
    return found


def check(name: str, answer: Any) -> None:
    """Check an answer and print one line: correct, not yet (with a hint), or not answered yet.

    Args:
        name: the exercise.
        answer: what the exercise asks for; ``...`` stands for no answer, also as what a function returns.

    Raises:
        ValueError: there is no exercise of that name.
    """
    say(judge(name, answer).line)


def judge(name: str, answer: Any) -> Verdict:
    """The verdict on an answer, as data; for ``check``, for tests and for marking.

    Raises:
        ValueError: there is no exercise of that name.
    """
    exercise = exercises()[choose(name, exercises(), "exercise")]
    try:
        with _time_limit(SECONDS):
            exercise.check(_watched(answer))
    except Unanswered as unanswered:
        return Verdict(False, False, f"{name}: not answered yet{unanswered}")
    except NotYet as not_yet:
        return Verdict(False, True, f"{name}: not yet: {not_yet}")
    except _TooLong:
        late = f"no answer after {SECONDS:g} seconds. Does a loop in it end? Run it by hand first."
        return Verdict(False, True, f"{name}: not yet: {late}")
    except SystemExit:
        return Verdict(False, True, f"{name}: not yet: the answer ends the program. Return, and leave out exit().")
    except Exception as error:  # whatever the learner's code raises is an answer to the learner
        said = _said(error)
        if re.search("'ellipsis'|(not|of|got|a|an) ellipsis", said):  # einsum and indexing speak of others
            return Verdict(False, False, f"{name}: not answered yet (a `...` is still in the code)")
        return Verdict(False, True, f"{name}: not yet: the answer raised {said}. Run it by hand first.")
    return Verdict(True, True, f"{name}: correct")


def _said(error: Exception) -> str:
    """Kind and message of an error on one line, without the pages that PyTorch may add."""
    try:
        message = str(error).strip().partition("\n")[0][:300].rstrip(".")
    except Exception:  # a message that cannot be made is none
        message = ""
    return type(error).__name__ + (f": {message}" if message else "")


def expect_function(answer: Any, call: str) -> None:
    """Accept a function; ``call`` is how it is called, as in ``"step(...)"``.

    Raises:
        NotYet: The answer is something else, such as the result of a call.
    """
    if not callable(answer):
        raise NotYet(
            f"the answer is a {type(answer).__name__}",
            f"Pass the function itself: {call.partition('(')[0]}, not {call}.",
        )


def expect_numbers(answer: Any, count: int, names: str) -> list[float]:
    """Accept ``count`` numbers in a tuple, a list, an array or a tensor; ``names`` says which, as in ``"(a, b)"``.

    Raises:
        NotYet: There are more or fewer, or some part is no finite number.
    """
    wanted = f"Give {'two' if count == 2 else count} numbers: {names}."
    parts = list(answer) if isinstance(answer, tuple | list) or getattr(answer, "ndim", 0) == 1 else []
    if len(parts) != count:
        raise NotYet(f"the answer is {repr(answer)[:100]}", wanted)
    for part in parts:
        try:
            finite = not isinstance(part, str) and math.isfinite(part)
        except (TypeError, ValueError, RuntimeError, OverflowError):
            finite = False
        if not finite:
            raise NotYet(f"one part of the answer is {repr(part)[:100]}", wanted)
    return [float(part) for part in parts]


def hint_for(value: float, hints: Mapping[Any, str], otherwise: str) -> str:
    """The hint of the known mistake that ``value`` is, up to 0.1 percent."""
    return next((hint for known, hint in hints.items() if math.isclose(value, known, rel_tol=1e-3)), otherwise)


def expect_close(got: Any, want: Any, what: str, suspects: Sequence[tuple[Any, str]] = (), otherwise: str = "") -> None:
    """Compare a result with the right one; a result that equals a known mistake's brings that mistake's hint.

    Args:
        got: number or tensor that the learner's code gave.
        want: the right one; it sets dtype and tolerance. A float32 answer to a float64 question may be off by what
            float32 rounds away.
        what: what was computed, to begin the sentence: "with dx/dt = 1, from x = 2, ...".
        suspects: pairs (what a known mistake gives, its hint), the likeliest first.
        otherwise: the hint when no suspect fits.

    Raises:
        NotYet: ``got`` is not close to ``want``.
    """
    want = torch.as_tensor(want)
    try:
        given = torch.as_tensor(_plain(got)).detach()
        if given.is_complex() and not want.is_complex():
            if not _close(given.imag, torch.zeros_like(given.imag)):
                raise NotYet(f"{what} gives complex numbers", "The right answer is real: where does i come in?")
            given = given.real
        result = given.to_dense().to("cpu", want.dtype)
    except (TypeError, ValueError, RuntimeError):
        raise NotYet(f"{what} gives a {type(got).__name__}", "Return a number or a tensor of numbers.") from None
    coarse = given.is_floating_point() and given.dtype.itemsize < want.dtype.itemsize
    tolerance = 1e-5 if coarse else None
    if _close(result, want, tolerance):
        return
    known = ((torch.as_tensor(value, dtype=want.dtype), hint) for value, hint in suspects)
    hint = next((hint for value, hint in known if _close(result, value, tolerance)), otherwise)
    symptom = f"{what} gives {_show(result)} instead of {_show(want)}"
    if result.shape != want.shape:
        if hint == otherwise:
            symptom = f"{what} has shape {tuple(result.shape)} instead of {tuple(want.shape)}"
        raise NotYet(symptom, hint or "Print the shape after each line.")
    symptom += _where(result, want)
    if coarse and hasattr(got, "dtype"):  # a Python number has no dtype that the learner chose
        symptom += f" (your numbers are {str(given.dtype).removeprefix('torch.')})"
    raise NotYet(symptom, hint or "Work one case out on paper and print each line's value beside it.")


def _plain(value: Any) -> Any:
    """A list of tensors or of NumPy's numbers as a list of numbers; of an array a copy, since it may run backwards."""
    if isinstance(value, list | tuple):
        return [part.tolist() if hasattr(part, "tolist") else _plain(part) for part in value]
    return value.copy() if isinstance(value, np.ndarray) else value


def _close(a: torch.Tensor, b: torch.Tensor, tolerance: float | None = None) -> bool:
    tolerance = tolerance or (1e-9 if b.dtype == torch.float64 else 1e-4)
    return a.shape == b.shape and torch.allclose(a, b, rtol=tolerance, atol=tolerance)


def _where(result: torch.Tensor, want: torch.Tensor) -> str:
    """By how much they differ most and at which index; nothing if both are shown and look different."""
    apart = (result.double() - want.double()).abs()
    if (want.numel() <= 4 and _show(result) != _show(want)) or not apart.isfinite().all():
        return ""
    if want.numel() == 1:
        return f", and the difference is {format_number(apart.item(), 3)}"
    at = tuple(int(index) for index in torch.unravel_index(apart.argmax(), apart.shape))
    return (
        f", and the largest difference, {format_number(apart.max().item(), 3)}, is at index {at if at[1:] else at[0]}"
    )


def _show(value: torch.Tensor) -> str:
    if value.numel() == 1:
        return format_number(value.item(), 5)
    if value.numel() > 4:
        return f"a tensor of norm {format_number(value.double().norm().item(), 5)}"
    return "[" + ", ".join(format_number(float(part), 5) for part in value.flatten()) + "]"


def _watched(answer: Any) -> Any:
    """The answer, wrapped if it is a function so that a placeholder it returns is noticed."""
    if _is_placeholder(answer):
        raise Unanswered
    if not inspect.isfunction(answer):
        return answer

    @functools.wraps(answer)
    def watched(*args: Any, **kwargs: Any) -> Any:
        result = answer(*args, **kwargs)
        if _is_placeholder(result):
            raise Unanswered(f" (the function returns {'None' if result is None else '`...`'})")
        return result

    return watched


def _is_placeholder(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return any(part is None or isinstance(part, EllipsisType) for part in value)
    return value is None or isinstance(value, EllipsisType)
