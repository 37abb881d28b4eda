"""Call a learner's function with inputs of its own, and notice if it changes them or uses what it is to do without."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from odelib.teaching.exercises import NotYet


def call_with_clones(answer: Callable[..., Any], *inputs: Any) -> Any:
    """Call a learner's function with copies of tensors and lists, so that it cannot change what a check goes on to use.

    Args:
        answer: the function.
        inputs: its arguments; tensors and lists of numbers are copied, everything else is passed as it is.

    Raises:
        NotYet: the function changed one of the tensors or lists that it was given.
    """
    handed = [
        value.clone() if isinstance(value, Tensor) else list(value) if isinstance(value, list) else value
        for value in inputs
    ]
    result = answer(*handed)
    for place, (given, now) in enumerate(zip(inputs, handed, strict=True), start=1):
        hint = ""
        if isinstance(given, Tensor) and isinstance(now, Tensor) and not torch.equal(given, now):
            hint = "Work on a copy: write a = a + b instead of a += b, and a * s instead of a.mul_(s)."
        if isinstance(given, list) and given != now:
            hint = "Work on a copy: write sorted(a) instead of a.sort(), and a[:-1] instead of a.pop()."
        if hint:
            raise NotYet(f"the function changes its argument number {place}", hint)
    return result


def expect_without(answer: Any, *names: str) -> None:
    """Refuse a function in whose own code one of the names occurs that the exercise asks to do without.

    Raises:
        NotYet: It occurs.
    """
    codes = [code] if (code := getattr(inspect.unwrap(answer), "__code__", None)) else []
    for code in codes:  # grows: functions inside the function have code of their own
        codes += [part for part in code.co_consts if inspect.iscode(part)]
        used = [name for name in names if name in code.co_names]
        if used:
            raise NotYet(f"the answer uses {used[0]}", "The exercise is to do without it: write out what it would do.")
