"""Exercises of the chapter on residual layers and Euler steps."""

from __future__ import annotations

import math
from typing import Any

import torch

from odelib.teaching.exercises import Exercise, NotYet, expect_close


def _euler_step(euler: Any) -> None:
    """The answer is ``euler(f, x, h, steps)`` with ``f(t, x)``, from time 0, returning the last state."""
    if not callable(euler):
        raise NotYet(f"the answer is a {type(euler).__name__}", "Pass the function itself: euler, not euler(...).")
    start, h, steps = 2.0, 0.1, 4
    expect_close(
        euler(lambda t, x: torch.full_like(x, 3.0), _scalar(start), h, steps),
        _scalar(start + steps * h * 3),
        f"with dx/dt = 3, from x = {start:g}, {steps} steps of h = {h:g}",
        [
            (_scalar(start + (steps + 1) * h * 3), "That is one step too many: range(steps) already makes them all."),
            (_scalar(start + (steps - 1) * h * 3), "That is one step too few: count the steps your loop makes."),
            (_scalar(start + h * 3), "That is a single step: carry x from one step to the next."),
            (_scalar(start + steps * 3), "The step size is missing: a step adds h * f(t, x), not f(t, x)."),
            (_scalar(start - steps * h * 3), "The sign is wrong: a step adds h * f(t, x)."),
            (_scalar(h * 3), "The residual is missing: the new x is the old x plus h * f(t, x)."),
        ],
    )
    expect_close(
        euler(lambda t, x: -x, _scalar(1.0), 0.5, 3),
        _scalar(0.125),
        "with dx/dt = -x, from x = 1, 3 steps of h = 0.5",
        [
            (_scalar(1 - 3 * 0.5), "The field is always taken at the first x: take it at the current one."),
            (_scalar(1.5**-3), "That is the implicit Euler method: take the field before the step, not after."),
            (_scalar(0.625**3), "That is a method of second order: one Euler step takes the field once."),
            (_scalar(math.exp(-1.5)), "That is the exact solution: here the steps themselves are asked for."),
        ],
    )
    expect_close(
        euler(lambda t, x: torch.full_like(x, float(t)), _scalar(0.0), 0.5, 4),
        _scalar(1.5),
        "with dx/dt = t, from x = 0 at t = 0, 4 steps of h = 0.5",
        [
            (_scalar(0.0), "The field always sees t = 0: step n starts at t = n h."),
            (_scalar(2.5), "The field sees the time at the end of the step: step n starts at t = n h."),
            (_scalar(3.0), "The field sees the number of the step: its time is t = n h."),
        ],
    )
    x = torch.tensor([[1.0, -2.0], [0.5, 4.0]], dtype=torch.float64)
    kept = x.clone()
    expect_close(euler(lambda t, x: x.flip(0), x, 0.5, 2), 1.25 * kept + kept.flip(0), "with dx/dt a swap of two rows")
    if not torch.equal(x, kept):
        raise NotYet("the x that was passed in has changed", "x += ... writes into the caller's tensor: x = x + ...")


def _scalar(value: float) -> torch.Tensor:
    return torch.tensor(value, dtype=torch.float64)


EXERCISES = (Exercise("euler-step", "Walk with Euler's method", 10, "easy", _euler_step),)
