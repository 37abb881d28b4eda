"""Call a learner's function with inputs of its own; notice if it changes them or uses what it is to do without."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from odelib.teaching.claims import format_number
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


def expect_formula(got: Any, want: Tensor, what: str, hint: str) -> None:
    """Refuse a result that is right to the digits of a difference quotient only, where a formula gives all of them.

    Args:
        got: what the learner's function gave, of the right shape: number, tensor, array or list.
        want: the right one, float64, not zero. Numbers that fit into float32 may be off by 1e-4 of its largest entry,
            others by 1e-12.
        what: what was computed, to begin the sentence.
        hint: what to derive.

    Raises:
        NotYet: They are further apart.
    """
    plain = [np.asarray(part) for part in got] if isinstance(got, list | tuple) else got
    result = np.asarray(plain.detach().cpu() if isinstance(plain, Tensor) else plain).real
    exact = want.detach().numpy()
    off = float(np.abs(result - exact).max() / np.abs(exact).max())
    coarse = np.array_equal(result, result.astype(np.float32))
    if not off < (1e-4 if coarse else 1e-12):
        raise NotYet(f"{what} is off by {format_number(off, 2)} of its size, as a difference quotient is", hint)
