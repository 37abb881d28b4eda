"""Exercises of the chapter on splitting."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from odelib.teaching.exercises import Exercise, NotYet, expect_close, expect_function
from odelib.teaching.handed_out import call_with_clones


def _numbers(answer: Any, names: str, count: int) -> list[float]:
    """The answer as ``count`` numbers."""
    try:
        values = [float(part) for part in answer]
    except (TypeError, ValueError, RuntimeError):  # the last from a tensor of complex numbers, or of none
        raise NotYet(f"the answer is {answer!r}", f"Give {count} numbers: ({names}).") from None
    if len(values) != count:
        raise NotYet(f"the answer has {len(values)} entries", f"Give {count} numbers: ({names}).")
    return values


def _near(values: list[float], *wanted: float) -> bool:
    return all(math.isclose(a, b, rel_tol=1e-3, abs_tol=1e-3) for a, b in zip(values, wanted, strict=True))


def _matrix_bracket(bracket: Any) -> None:
    """The answer is ``matrix_bracket(S, R)``, returning a matrix."""
    expect_function(bracket, "matrix_bracket(...)")
    s = torch.tensor([[1.0, 2.0], [0.0, -1.0]], dtype=torch.float64)
    r = torch.tensor([[0.0, 1.0], [3.0, 2.0]], dtype=torch.float64)
    expect_close(
        call_with_clones(bracket, s, r),
        s @ r - r @ s,
        "with S = [[1, 2], [0, -1]] and R = [[0, 1], [3, 2]], the commutator",
        [
            (r @ s - s @ r, "The sign is wrong: [A, M] = A'[M] - M'[A], and A'[M] is S applied to Rx."),
            (torch.zeros_like(s), "It is zero: multiply matrices with @; * multiplies entry by entry and commutes."),
            (s @ r, "The second term is missing: subtract M'[A], which is R applied to Sx."),
            (r @ s, "The second term is missing, and this is M'[A]: begin with A'[M], S applied to Rx."),
            (s @ r + r @ s, "The terms are added: how A changes along M *minus* how M changes along A."),
            ((s @ r - r @ s) / 2, "The half belongs to the error of a step, not to the commutator."),
            ((s @ r - r @ s).T, "This is the transpose: S and R act on columns, S @ (R @ x)."),
        ],
    )


def _flow_a(x: Tensor, h: float) -> Tensor:
    """The flow of the field that adds the square of the second number to the first."""
    return torch.stack([x[0] + h * x[1] ** 2, x[1]])


def _flow_m(x: Tensor, h: float) -> Tensor:
    """The flow of the field that adds the first number to the second."""
    return torch.stack([x[0], x[1] + h * x[0]])


def _pair(x: Tensor, h: float) -> Tensor:
    return _flow_m(_flow_a(x, h), h)


def _parking(answer: Any) -> None:
    """The answer is the pair (c, p)."""
    values = _numbers(answer, "c, p", 2)
    c, p = values
    if _near(values, 2.0, -1.0):
        raise NotYet("the answer is (2, -1)", "The numbers are exchanged: c first, then the power p.")
    if not _near([p], 2.0):
        hint = {
            1.0: "To the first power of h each move and its reverse cancel.",
            3.0: "The h^2 terms of the two halves have the same sign, so they do not cancel.",
        }.get(p, "Halve h: how much shorter does the robot's sideways step become?")
        raise NotYet(f"the power is {p:g}", hint)
    if not _near([c], -1.0):
        hint = {
            1.0: "The sign: the robot is parked to its right, and [A, M] points to its left.",
            -0.5: "That is the first half of the moves. The second half adds as much: (-h)^2 has the sign of h^2.",
            0.5: "Both the sign and the second half of the moves: each half adds -h^2/2 [A, M].",
            0.0: "(-h)^2 has the same sign as h^2: the two halves add, they do not cancel.",
            -2.0: "Each half of the moves adds -h^2/2 [A, M], with the factor one half.",
        }.get(c, "Each half of the moves adds what one Lie-Trotter step misses.")
        raise NotYet(f"the factor is {c:g}", hint)


def _mend_ends(mended: Any) -> None:
    """The answer is ``mended(pair, flow_M, x, h, n)``."""
    expect_function(mended, "mended(...)")
    x, h, n = torch.tensor([1.0, 2.0], dtype=torch.float64), 0.3, 3

    def moves(before: float, after: float, steps: int = n, end: Any = _flow_m) -> Tensor:
        y = end(x, before * h)
        for _ in range(steps):
            y = _pair(y, h)
        return end(y, after * h)  # type: ignore[no-any-return]

    def by_strang() -> Tensor:
        y = x
        for _ in range(n):
            y = _flow_m(_flow_a(_flow_m(y, h / 2), h), h / 2)
        return y

    expect_close(
        call_with_clones(mended, _pair, _flow_m, x, h, n),
        by_strang(),
        "with A = (x2^2, 0), M = (0, x1), x = [1, 2], h = 0.3, n = 3, the result",
        [
            (moves(0.0, 0.0), "That is Lie-Trotter as it is: something of M is missing in front of it."),
            (moves(0.5, 0.0), "M gets half a step too much: take it back at the end."),
            (moves(0.0, -0.5), "M gets half a step too little: it begins with half a step."),
            (moves(0.5, 0.5), "M gets a whole step too much: the half at the end goes backwards."),
            (moves(-0.5, 0.5), "The two ends are exchanged: forwards in front, backwards at the end."),
            (moves(1.0, -1.0), "Whole steps move the walk askew to the other side: take halves."),
            (moves(0.5, -0.5, n - 1), "There is one pair too few."),
            (moves(0.5, -0.5, n + 1), "There is one pair too many."),
            (moves(0.5, -0.5, 1), "That is a single pair: take n of them."),
        ],
        "Strang's sequence begins and ends with half a step of M.",
    )


def _inside_out(answer: Any) -> None:
    """The answer holds the four coefficients."""
    values = _numbers(answer, "c1, c2, c3, c4", 4)
    known = (
        ((-0.5, 0.0, 0.0, -0.25), "That is the Macaron layer itself: now the halves are those of A."),
        ((0.25, 0.5, 0.5, 0.0), "That is what the layer has: subtract what the flow has, one half everywhere."),
        ((0.25, 0.0, 0.0, 0.5), "The sign: what the layer has minus what the flow has."),
        ((-0.5, -0.5, 0.5, -0.5), "That is the usual layer."),
        ((-0.5, -0.5, -0.5, -0.5), "That is the parallel layer: here the second and third sub-steps do see something."),
        ((0.0, 0.0, 0.0, 0.0), "That is Strang with exact flows: Euler sub-steps see nothing of their own field."),
        ((-0.5, 0.0, 0.0, -0.5), "The second half of A sees the first half: it collects a quarter of A'[A]."),
        ((-0.25, 0.0, 0.0, 0.0), "M is taken in one Euler step, which misses a half of M'[M]."),
        ((-0.25, 0.0, 0.0, -0.25), "M is taken in one whole step: it has nothing of M'[M] itself."),
        ((0.0, 0.5, 0.0, -0.5), "The second half of A lasts h / 2: what it sees counts half."),
        ((-0.25, 0.0, 0.5, -0.5), "M sees only the first half of A: it collects a half of M'[A], not a whole one."),
    )
    for wrong, hint in known:
        if _near(values, *wrong):
            raise NotYet(f"the answer is {_row(wrong)}", hint)
    for value, want, name in zip(values, (-0.25, 0.0, 0.0, -0.5), ("A'[A]", "A'[M]", "M'[A]", "M'[M]"), strict=True):
        if not _near([value], want):
            hint = "Which sub-step sees it, for which part of h? Subtract the flow's one half."
            raise NotYet(f"the coefficient of {name} is {value:g}", hint)


def _row(values: tuple[float, ...]) -> str:
    return "(" + ", ".join(f"{value:g}" for value in values) + ")"


def _five_steps(answer: Any) -> None:
    """The answer is the pair (gamma_1, gamma_2)."""
    values = _numbers(answer, "gamma_1, gamma_2", 2)
    one, two = values
    right = 1 / (4 - 4 ** (1 / 3))
    triple = 1 / (2 - 2 ** (1 / 3))
    if _near(values, 1 - 4 * right, right):
        raise NotYet("the sizes are exchanged", "gamma_1 is that of the four outer steps.")
    if _near(values, triple, 1 - 2 * triple):
        raise NotYet("these are the sizes for three steps", "Now there are four outer steps: 4 gamma_1 + gamma_2 = 1.")
    if not _near([4 * one + two], 1.0):
        hint = "The five steps have to last as long as one: 4 gamma_1 + gamma_2 = 1."
        raise NotYet(f"the sizes add up to {4 * one + two:.4g}", hint)
    cubes = 4 * one**3 + two**3
    if not _near([cubes], 0.0):
        hint = "Each Strang step errs by its size to the third power: 4 gamma_1^3 + gamma_2^3 = 0."
        raise NotYet(f"the cubes add up to {cubes:.4g}", hint)


EXERCISES = (
    Exercise("matrix-bracket", "Two matrices", 5, "easy", _matrix_bracket),
    Exercise("parking", "Parking, in general", 10, "medium", _parking),
    Exercise("mend-ends", "From usual to Strang", 10, "medium", _mend_ends),
    Exercise("inside-out", "Inside out", 15, "hard", _inside_out),
    Exercise("five-steps", "Five steps", 10, "medium", _five_steps),
)
