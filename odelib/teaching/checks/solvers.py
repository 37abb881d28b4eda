"""Exercises of the chapter on solvers."""

from __future__ import annotations

import math
from typing import Any

import torch

from odelib.teaching.exercises import (
    Exercise,
    NotYet,
    expect_close,
    expect_function,
    expect_numbers,
)
from odelib.teaching.handed_out import call_with_clones
from odelib.teaching.two_steps import two_step_rule


def _scalar(value: float) -> torch.Tensor:
    return torch.tensor(value, dtype=torch.float64)


def _midpoint_walk(walk: Any) -> None:
    """The answer is ``midpoint_walk(F, x, h, steps)`` with ``F(t, x)``, from time 0, returning the last state."""
    expect_function(walk, "midpoint_walk(...)")
    expect_close(
        walk(lambda t, x: torch.full_like(x, 3.0), _scalar(2.0), 0.1, 4),
        _scalar(3.2),
        "with dx/dt = 3, from x = 2, 4 steps of h = 0.1",
        [
            (_scalar(3.5), "That is one step too many: range(steps) already makes them all."),
            (_scalar(2.9), "That is one step too few: count the steps your loop makes."),
            (_scalar(2.3), "That is a single step: carry x from one step to the next."),
            (_scalar(2.6), "The second look moves x by the whole h, not by half of it: h/2 only leads there."),
            (_scalar(3.8), "The second step starts from x, not from the point halfway: that one is only looked at."),
            (_scalar(14.0), "The step size is missing: a step adds h times the field."),
            (_scalar(0.3), "The residual is missing: the new x is the old x plus h times the field."),
        ],
    )
    expect_close(
        walk(lambda t, x: -x, _scalar(1.0), 0.5, 2),
        _scalar(0.625**2),
        "with dx/dt = -x, from x = 1, 2 steps of h = 0.5",
        [
            (_scalar(0.25), "That is Euler's method: take the field a second time, halfway."),
            (_scalar(0.75**2), "The first look goes a whole step: walk h/2 for it, then take the whole step from x."),
            (_scalar(0.5**2), "The first look goes a whole step: walk h/2 for it, then take the whole step from x."),
            (_scalar(0.875**2), "The second look is taken with the wrong sign."),
            (_scalar(math.exp(-1.0)), "That is the exact solution: here the steps themselves are asked for."),
            (_scalar(1 - 0.375 * 2), "The field is always taken at the first x: take it at the current one."),
        ],
        "One step multiplies x by 1 - h + h^2 / 2 = 0.625.",
    )
    expect_close(
        walk(lambda t, x: torch.full_like(x, float(t) ** 2), _scalar(0.0), 0.5, 2),
        _scalar(0.5 * (0.25**2 + 0.75**2)),
        "with dx/dt = t^2, from x = 0 at t = 0, 2 steps of h = 0.5",
        [
            (_scalar(0.125), "The second look is taken at the time at which the step begins: it is halfway, t + h/2."),
            (_scalar(0.625), "The second look is taken at the end of the step: it is halfway, t + h/2."),
            (_scalar(2 * 0.5 * 0.25**2), "The time does not move on from step to step: step n starts at t = n h."),
            (_scalar(0.5 * (0.25**2 + 1.25**2)), "The field sees the number of the step: it starts at t = n h."),
        ],
    )
    first, second = 1.125 * _scalar(1.0), _scalar(1.125 * (1 + 0.375 * 1.125))
    expect_close(
        walk(lambda t, x: t * x, _scalar(1.0), 0.5, 2),
        second,
        "with dx/dt = t x, from x = 1 at t = 0, 2 steps of h = 0.5",
        [(first * 1.375, "The first look is always taken at t = 0: it is at the time at which the step begins.")],
        "The first look is taken at the time at which the step begins, the second at t + h/2.",
    )
    x = torch.tensor([1.0, -2.0], dtype=torch.float64)
    expect_close(call_with_clones(walk, lambda t, x: -x, x, 0.5, 1), 0.625 * x, "with dx/dt = -x for a vector")


def _close(a: float, b: float) -> bool:
    return math.isclose(a, b, rel_tol=1e-6, abs_tol=1e-6)


def _kutta_third(answer: Any) -> None:
    """The answer is a pair: three weights and the two numbers of the third row."""
    if not isinstance(answer, tuple | list) or len(answer) != 2:
        raise NotYet(f"the answer is {answer!r}", "Give (b1, b2, b3) and (a31, a32).")
    b = expect_numbers(answer[0], 3, "(b1, b2, b3)")
    a31, a32 = expect_numbers(answer[1], 2, "(a31, a32)")
    mean, square = b[1] / 2 + b[2], b[1] / 4 + b[2]
    if not _close(sum(b), 1.0):
        raise NotYet(f"the weights sum to {sum(b):.10g}", "Condition 1: they sum to one; write fractions, 1 / 6.")
    if not _close(mean, 1 / 2):
        raise NotYet(f"the weighted mean of the stage times is {mean:.4g}", "Condition 2: it is 1/2.")
    if not _close(square, 1 / 3):
        raise NotYet(
            f"the weighted mean of the squared stage times is {square:.4g}",
            "Condition 3: it is 1/3; the weights integrate a parabola exactly, as Simpson's rule does.",
        )
    if not _close(a31 + a32, 1.0):
        hint = "The third stage stands at time 1: its row sums to 1."
        if _close(a32, 2.0):
            hint += " With a32 = 2 the other one is negative."
        raise NotYet(f"the third row sums to {a31 + a32:.4g}", hint)
    chain = b[2] * a32 / 2
    if not _close(chain, 1 / 6):
        hint = "Condition 4: it is 1/6."
        if _close(a32, 1.0):
            hint += " Your third stage starts from the second alone, as RK4's do: with three stages that is too little."
        if _close(a31, 2.0):
            hint += " The two numbers of the row are exchanged."
        if _close(a32, 0.5):
            hint += " The time of the second stage, c2 = 1/2, stands in it too."
        raise NotYet(f"b3 a32 c2 is {chain:.4g}", hint)


def _next_step(next_step: Any) -> None:
    """The answer is ``next_step(h, E, p)``, the next step size."""
    expect_function(next_step, "next_step(...)")
    h, p = 0.5, 3
    expect_close(
        next_step(h, 8.0, p),
        _scalar(0.225),
        "with h = 0.5, E = 8, p = 3",
        [
            (_scalar(0.9), "The power has the wrong sign: a large error must give a smaller step."),
            (_scalar(0.25), "The caution is missing: aim at 0.9 of that step."),
            (_scalar(0.5 * 0.9 / 8), "The error goes like h^p: take the p-th root of E."),
            (_scalar(0.5 * 0.2), "The error goes like h^p: take the p-th root of E, not its p-th power."),
            (_scalar(0.5 * 0.9 * 8 ** (-1 / 4)), "Here delta = O(h^p): the root is the p-th, not the (p+1)-th."),
            (_scalar(0.5 * 0.9 * 8 ** (-1 / 2)), "Here delta = O(h^p): the root is the p-th, not the (p-1)-th."),
            (_scalar(0.45), "That is the factor: the step is h times it."),
            (_scalar(0.9 * 0.5 * 0.5 * 0.5), "h stands in it twice."),
        ],
        "The step that would have had E = 1 is h E^(-1/p).",
    )
    expect_close(
        next_step(h, 0.512, p),
        _scalar(0.5625),
        "with h = 0.5, E = 0.512, p = 3",
        [(_scalar(0.5), "A step with a small error may become longer.")],
    )
    expect_close(
        next_step(h, 1e-9, p),
        _scalar(5.0),
        "with h = 0.5, E = 1e-9, p = 3",
        [
            (_scalar(450.0), "The step grows by 10 at most: limit the factor from above."),
            (_scalar(10.0), "It is the factor that is limited to 10, not the step."),
            (_scalar(4.5), "The limit is for the factor with the caution in it: 10, not 9."),
        ],
    )
    expect_close(
        next_step(h, 1e9, p),
        _scalar(0.1),
        "with h = 0.5, E = 1e9, p = 3",
        [
            (_scalar(0.00045), "The step shrinks to 0.2 of itself at least: limit the factor from below."),
            (_scalar(0.2), "It is the factor that is limited to 0.2, not the step."),
            (_scalar(0.09), "The limit is for the factor with the caution in it: 0.2, not 0.18."),
            (_scalar(0.5), "The factor 1 is the least after an accepted step: this one was rejected."),
        ],
    )
    accepted = "The step was accepted: the limiter does not let the next one be shorter, its factor is at least 1."
    shorter = [(_scalar(0.45), accepted)]
    expect_close(next_step(h, 1.0, p), _scalar(0.5), "with h = 0.5, E = 1, p = 3", shorter, accepted)
    try:
        grown = next_step(h, 0.0, p)
    except ZeroDivisionError:
        raise NotYet("with E = 0 it divides by zero", "A step without error: let it grow by the factor 10.") from None
    expect_close(grown, _scalar(5.0), "with h = 0.5, E = 0", otherwise="Without error the factor is 10.")
    expect_close(
        next_step(0.25, 32.0, 5),
        _scalar(0.1125),
        "with h = 0.25, E = 32, p = 5",
        otherwise="The h and the p are those that are passed in.",
    )


def _implicit_walk(walk: Any) -> None:
    """The answer is ``implicit_walk(S, x, h, steps)`` for dx/dt = S x, returning the last state."""
    expect_function(walk, "implicit_walk(...)")
    one = torch.eye(1, dtype=torch.float64)
    start = torch.ones(1, dtype=torch.float64)
    expect_close(
        walk(-3.0 * one, start.clone(), 0.5, 2),
        0.16 * start,
        "with dx/dt = -3 x, from x = 1, 2 steps of h = 0.5",
        [
            (0.25 * start, "That is the explicit Euler method: the field is taken at the end of the step."),
            (4.0 * start, "The sign is wrong: the matrix is I - h S."),
            (0.0625 * start, "The step size is missing: the matrix is I - h S."),
            (0.4 * start, "That is a single step: carry x from one step to the next."),
            (0.064 * start, "That is one step too many: range(steps) already makes them all."),
            (6.25 * start, "You multiply by I - h S: the system has to be solved."),
            (start / 49, "That is the trapezoidal rule: take the field at the end of the step alone."),
            (start * math.exp(-3.0), "That is the exact solution: here the steps themselves are asked for."),
        ],
    )
    matrix = torch.tensor([[-1.0, 2.0], [0.5, -4.0]], dtype=torch.float64)
    x, h = torch.tensor([1.0, 3.0], dtype=torch.float64), 0.25
    eye = torch.eye(2, dtype=torch.float64)

    def after(one_step: torch.Tensor) -> torch.Tensor:
        return one_step @ (one_step @ (one_step @ x))

    expect_close(
        call_with_clones(walk, matrix, x, h, 3),
        after(torch.linalg.inv(eye - h * matrix)),
        "with S = [[-1, 2], [0.5, -4]], from x = (1, 3), 3 steps of h = 0.25",
        [
            (after(torch.linalg.inv(eye - h * matrix.T)), "S is transposed: the field is S @ x."),
            (
                x / (1 - h * matrix.diagonal()) ** 3,
                "Only the diagonal of S is used: solve the whole linear system.",
            ),
            (after(1 / (eye - h * matrix)), "1 / A inverts the entries: solve the linear system."),
        ],
        "Bring x_{n+1} to the left side: (I - h S) x_{n+1} = x_n, for any h and steps.",
    )


EXERCISES = (
    Exercise("midpoint-walk", "The midpoint rule", 10, "easy", _midpoint_walk),
    Exercise("kutta-third", "Kutta's method of order three", 15, "medium", _kutta_third),
    Exercise("next-step", "The next step", 10, "medium", _next_step),
    Exercise("two-step-rule", "A step rule of your own", 15, "medium", two_step_rule),
    Exercise("implicit-walk", "Implicit Euler", 15, "hard", _implicit_walk),
)
