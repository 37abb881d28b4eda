"""Exercises of the chapter on gradients through a solver."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from odelib.teaching.exercises import Exercise, NotYet, expect_close, expect_function

_A = torch.tensor([[0.0, 2.0], [-1.0, 0.5]], dtype=torch.float64)
_X = torch.tensor([3.0, -1.0], dtype=torch.float64)
_BAR = torch.tensor([1.0, 2.0], dtype=torch.float64)


def _linear(t: float, x: Tensor) -> Tensor:
    return x @ _A.T


def _untouched(x: Tensor, kept: Tensor) -> None:
    if x.requires_grad or not torch.equal(x, kept):
        raise NotYet("the x that was passed in has changed", "Begin with x = x.detach().requires_grad_().")


def _one_step_back(pull_back: Any) -> None:
    """The answer is ``pull_back(F, t, x, a, h)``, the adjoint before an Euler step."""
    expect_function(pull_back, "pull_back(...)")
    h, x = 0.5, _X.clone()
    expect_close(
        pull_back(_linear, 0.0, x, _BAR.clone(), h),
        _BAR + h * _BAR @ _A,
        "with dx/dt = A x, A = [[0, 2], [-1, 0.5]], a = (1, 2), h = 0.5",
        [
            (_BAR + h * _A @ _BAR, "That is J times a: the loss sees a push through the transpose of J."),
            (_BAR - h * _BAR @ _A, "The sign is wrong: da/dt = -J^T a, but this step goes back in time."),
            (h * _BAR @ _A, "The residual is missing: x passes the step unchanged too, so a does."),
            (_BAR @ _A, "The residual and the step size are missing: a + h J^T a."),
            (_BAR + _BAR @ _A, "The step size is missing: a + h J^T a."),
            (_BAR, "The field is missing: add h J^T a."),
            (
                torch.linalg.solve(torch.eye(2, dtype=torch.float64) - h * _A.T, _BAR),
                "That is an implicit step: J^T is multiplied by the adjoint after the step, which you have.",
            ),
        ],
        "Write the step as a matrix, I + h J, and transpose it.",
    )
    _untouched(x, _X)
    t = 2.0
    after = _X + h * t * _X**2
    expect_close(
        pull_back(lambda t, x: t * x**2, t, _X.clone(), _BAR.clone(), h),
        _BAR * (1 + 2 * h * t * _X),
        "with dx/dt = t x^2, from x = (3, -1) at t = 2, a = (1, 2), h = 0.5",
        [
            (_BAR, "The field sees t = 0: the step began at t."),
            (_BAR * (1 + 2 * h * (t + h) * _X), "The field sees the time at the end of the step: it began at t."),
            (_BAR * (1 + 2 * h * t * after), "J is taken after the step: take it at x, where the step began."),
            (_BAR * (1 + h * t * _X**2), "That is the field itself: the adjoint needs its derivative."),
        ],
    )
    batch, what = torch.stack([_X, 2 * _X, -_X]), "with three states at once"
    hint = "torch.autograd.grad(F(t, x), x, a) takes any shape: leave a and x as they are."
    try:
        result = pull_back(_linear, 0.0, batch, batch.flip(0), h)
    except RuntimeError as error:
        raise NotYet(f"{what} the function fails ({error})", hint) from None
    expect_close(result, batch.flip(0) + h * batch.flip(0) @ _A, what, otherwise=hint)


def _pair(answer: Any, names: str) -> tuple[float, float]:
    if not isinstance(answer, tuple | list) or len(answer) != 2:
        raise NotYet(f"the answer is {answer!r}", f"Give two numbers: {names}.")
    first, second = (float(part) for part in answer)
    return first, second


def _hint(value: float, hints: Mapping[Any, str], otherwise: str) -> str:
    return next((hint for known, hint in hints.items() if math.isclose(value, known, rel_tol=0.01)), otherwise)


def _way_home(answer: Any) -> None:
    """The answer is a pair of numbers: where 12 steps there and back lead, the step with which nothing returns."""
    home, merging = _pair(answer, "(where it leads, step size)")
    if not math.isclose(home, 0.75**12, rel_tol=5e-3):
        hints = {
            1.0: "Euler's method does not undo itself: a step forwards times a step backwards is not 1.",
            1.25**12: "A step backwards multiplies by 1 + h kappa, so the product is 1 - (h kappa)^2, not 1 + ...",
            0.5**12: "That is where the way there ends: now go back from it.",
            1.5**12: "That is the way back alone: it begins where the way there has ended.",
            0.75**24: "There are 12 pairs of steps: each pair gives one factor 1 - (h kappa)^2.",
            0.75: "That is one step there and one back: there are 12 of each.",
            math.exp(-3): "That is the limit for small steps: compute with the steps as they are.",
            (1 - 1 / 16) ** 12: "The interval is [0, 2]: h = 2/12.",
            (35 / 36) ** 12: "kappa is missing: a step multiplies by 1 - 3 h.",
        }
        raise NotYet(
            f"the way back leads to {home:g}", _hint(home, hints, "Use the proposition with h = 2/12 and kappa = 3.")
        )
    if not math.isclose(merging, 1 / 3, rel_tol=5e-3):
        hints = {
            2 / 3: "With h = 2/3 a step multiplies by -1: nothing decays, and nothing is lost either.",
            3.0: "That is kappa. The step that merges everything has h kappa = 1.",
            1 / 9: "That is 1/kappa^2. When is 1 - h kappa zero?",
            1 / 6: "That is the step of the first part, and from it something came back.",
            1.0: "With h = 1 a step multiplies by -2.",
        }
        raise NotYet(f"the step size is {merging:g}", _hint(merging, hints, "A step multiplies x by 1 - 3 h."))


def _segments(answer: Any) -> None:
    """The answer is a pair of numbers: steps per segment, units of memory at the peak."""
    segment, units = _pair(answer, "(steps per segment, units of memory)")
    if not math.isclose(segment, 10):
        hints = {
            20: "That is the root of 400, as if a step cost 1: here a kept state costs 1 and a step 4.",
            40: "That is the number of segments, or the cost on the wrong side: minimise 400 / m + 4 m over m.",
            100: "The root is missing: the derivative of 400 / m + 4 m is zero at m^2 = 100.",
            1: "With 1 step per segment 400 states are kept: longer segments keep fewer.",
            400: "One segment of 400 steps is backpropagation without checkpoints.",
        }
        raise NotYet(f"the segment has {segment:g} steps", _hint(segment, hints, "Minimise 400 / m + 4 m over m."))
    if not math.isclose(units, 80):
        hints = {
            40: "That is half of it: kept states and the segment in work are in memory at the same time.",
            50: "A step of the segment takes 4 units, not 1.",
            1600: "That is backpropagation without checkpoints: only one segment is in memory at a time.",
            1640: "All segments are not in memory at once: 4 units for each of the 10 steps of one segment.",
            44: "The segment has 10 steps of 4 units each, not one step.",
            20: "That is 2 sqrt(L / c): the bill is 2 sqrt(c L).",
        }
        raise NotYet(f"the peak is {units:g} units", _hint(units, hints, "Add 400 / m and 4 m."))


def _undo_step(undo: Any) -> None:
    """The answer is ``undo_step(psi, t, h, y, z, lam)``, the pair before a reversible step."""
    expect_function(undo, "undo_step(...)")

    def psi(t: float, h: float, x: Tensor) -> Tensor:
        return h * (x**2 / 4 + t) + h**2 * x / 2

    t, h = 1.0, 0.5
    y0, z0 = _X, _X.flip(0)
    for lam in (1.0, 0.8):
        y1 = lam * y0 + (1 - lam) * z0 + psi(t, h, z0)
        z1 = z0 - psi(t + h, -h, y1)
        got = undo(psi, t, h, y1.clone(), z1.clone(), lam)
        if not isinstance(got, tuple | list) or len(got) != 2:
            raise NotYet(f"the function returns a {type(got).__name__}", "Return two states: y and z, in this order.")
        where = f"with lambda = {lam:g}, h = 0.5, from t = 1, the state"

        def y_from(z: Tensor, lam: float = lam, y1: Tensor = y1) -> Tensor:
            return (y1 - (1 - lam) * z - psi(t, h, z)) / lam

        expect_close(
            got[1],
            z0,
            f"{where} z",
            [
                (z1 - psi(t + h, -h, y1), "The sign is wrong: the step subtracted Psi from z, so add it."),
                (z1 + psi(t + h, h, y1), "Psi of z has the step size -h, also on the way back."),
                (z1 - psi(t + h, h, y1), "Psi_h and -Psi_{-h} differ in their h^2 terms: keep the step size -h."),
                (z1 + psi(t, -h, y1), "Psi of z was taken at the end of the step, t + h."),
                (z1 + psi(t + h, -h, y_from(z1)), "z comes first: the step changed it last, at the new y."),
                (y0, "y and z are exchanged: return y first."),
                (z1, "z has not been undone: read the two lines from the bottom up."),
            ],
        )
        expect_close(
            got[0],
            y0,
            f"{where} y",
            [
                (y_from(z1), "y is computed from the new z: use the z that you have just found."),
                (lam * y_from(z0), "Divide by lambda at the end: y went in multiplied by it."),
                (y1 - psi(t, h, z0), "The coupling is missing: y went in as lambda y + (1 - lambda) z."),
                (y1 + psi(t, -h, z0), "Adding Psi_{-h} does not undo Psi_h: subtract Psi_h at the same z."),
                ((y1 - psi(t, h, z0)) / lam, "The share of z is missing: subtract (1 - lambda) z."),
                ((y1 - (1 - lam) * z1 - psi(t, h, z0)) / lam, "The coupling saw the old z: use the z that you found."),
                ((y1 - (1 - lam) * z0 - psi(t + h, h, z0)) / lam, "Psi of y was taken at the step's beginning, t."),
                (lam * y1 + (1 - lam) * z0 - psi(t, h, z0), "That couples once more: solve for the old y."),
            ],
            "Solve the first line for y_n: everything else in it is known once z_n is.",
        )


def _running_cost(velocity: Any) -> None:
    """The answer is ``adjoint_velocity(F, c, t, x, a)`` for a loss that is the integral of c."""
    expect_function(velocity, "adjoint_velocity(...)")

    def price(x: Tensor) -> Tensor:
        return (x**2).sum() + 3 * x[..., 0].sum()

    grad = 2 * _X + torch.tensor([3.0, 0.0], dtype=torch.float64)
    x = _X.clone()
    expect_close(
        velocity(_linear, price, 0.0, x, torch.zeros_like(_X)),
        -grad,
        "with a = 0 and c = |x|^2 + 3 x1 at x = (3, -1)",
        [
            (torch.zeros_like(_X), "The price is missing: with a = 0 at the end, the adjoint would stay zero."),
            (grad, "The sign of the price is wrong: da/dt = -J^T a - grad c."),
            (-grad / 2, "The price counts once: no factor 1/2."),
        ],
        "With a = 0 only the derivative of the price is left.",
    )
    _untouched(x, _X)
    pulled = _BAR @ _A
    expect_close(
        velocity(_linear, price, 0.0, _X.clone(), _BAR.clone()),
        -pulled - grad,
        "with dx/dt = A x, A = [[0, 2], [-1, 0.5]], a = (1, 2), c = |x|^2 + 3 x1",
        [
            (pulled - grad, "The sign of J^T a is wrong: da/dt = -J^T a - grad c."),
            (-(_A @ _BAR) - grad, "That is J times a: the proof has its transpose."),
            (-grad, "J^T a is missing: a price paid later must be carried back."),
            (-pulled - grad * _BAR, "The derivative of the price is not multiplied by a."),
        ],
    )
    expect_close(
        velocity(lambda t, x: t * x**2, price, 2.0, _X.clone(), _BAR.clone()),
        -4 * _X * _BAR - grad,
        "with dx/dt = t x^2 at t = 2, a = (1, 2), c = |x|^2 + 3 x1",
        [(-grad, "The field sees t = 0: pass t on.")],
    )


EXERCISES = (
    Exercise("one-step-back", "One step back", 10, "easy", _one_step_back),
    Exercise("way-home", "The way home", 5, "easy", _way_home),
    Exercise("segments", "Where to keep states", 5, "medium", _segments),
    Exercise("undo-step", "Undo a step", 10, "medium", _undo_step),
    Exercise("running-cost", "A price along the way", 15, "hard", _running_cost),
)
