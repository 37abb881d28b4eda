"""Errors of a student's code, as they reach the tests."""

import builtins
import functools
from typing import Any

from odelib.course.cells import TooLong


class StudentError(Exception):
    """What a student's code raised; it is an error of the same built-in kind, too."""


class StudentEndedError(StudentError):
    """The submission's process is gone, or silent, or its answers make no sense."""


def described(error: BaseException) -> dict[str, Any]:
    """Kind and message of an error, short and on one line."""
    kinds = [kind.__name__ for kind in type(error).__mro__ if kind.__module__ == "builtins"]
    try:
        message = str(error).strip().partition("\n")[0][:300]
    except BaseException:  # a message that cannot be made is none
        message = ""
    if isinstance(error, TooLong):
        return {"name": "TimeoutError", "kinds": ["TimeoutError"], "message": message}
    return {"name": type(error).__name__[:80], "kinds": kinds, "message": message}


def error_of(about: Any) -> StudentError:
    """The error that a description is of, whoever wrote it: of the same kind, where that steers nothing."""
    if not isinstance(about, dict):
        return StudentError("an error without a name")
    name, message = str(about.get("name"))[:80], str(about.get("message"))[:300]
    kinds = about.get("kinds")
    kind = next((one for one in kinds if isinstance(one, str) and one in _SAFE), "") if isinstance(kinds, list) else ""
    return _class_of(kind)(": ".join(part for part in (name if name != kind or not message else "", message) if part))


_SAFE = {
    *("ArithmeticError", "AssertionError", "AttributeError", "FloatingPointError", "IndexError", "KeyError"),
    *("LookupError", "NameError", "NotImplementedError", "OverflowError", "RuntimeError", "TypeError", "ValueError"),
    *("MemoryError", "RecursionError", "TimeoutError", "ZeroDivisionError"),
}


@functools.cache
def _class_of(kind: str) -> type[StudentError]:
    bases = (StudentError, getattr(builtins, kind)) if kind else (StudentError,)
    return type(kind or "StudentError", bases, {"__str__": Exception.__str__})
