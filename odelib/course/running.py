"""Run one test on an answer; a student's notebook imports this, and each ``tests.py`` has a copy of the function."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any


def run_test(test: Callable[..., None], namespace: Mapping[str, Any], parameters: Mapping[str, Any]) -> str:
    """Call a test with the answers that its arguments name.

    Args:
        test: A function whose arguments are names of the student's notebook, or ``parameters``; it asserts.
        namespace: The names of the student's notebook.
        parameters: The student's parameters.

    Returns:
        What is wrong, in one line; empty if the test passes.
    """
    answers = {}
    for name in inspect.signature(test).parameters:
        if name == "parameters":
            answers[name] = dict(parameters)
        elif namespace.get(name, ...) is ...:
            return f"{name} is not there yet"
        else:
            answers[name] = namespace[name]
    try:
        test(**answers)
    except BaseException as error:  # sys.exit() in an answer is an answer, too
        try:
            said = " ".join(str(error).split())[:300]
        except BaseException:  # a message that cannot be made is none
            said = ""
        name = type(error).__name__
        if type(error) is AssertionError and said:  # the test's own; an answer's comes as a subclass
            return said
        return f"the answer raised {name}" + (f": {said}" if said not in ("", name) else "")
    return ""


def try_out(test: Callable[..., None], namespace: Mapping[str, Any]) -> None:
    """Run a test in a student's notebook, and print one line.

    Args:
        test: The test.
        namespace: The notebook's ``globals()``.
    """
    wrong = run_test(test, namespace, namespace["parameters"])
    print(f"{test.__name__}: " + (f"not yet: {wrong}" if wrong else "passed"))
