"""Exercises of the chapter on gradients through a solver."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from odelib.teaching.exercises import Exercise, NotYet, expect_close, expect_function
from odelib.teaching.handed_out import call_with_clones, expect_formula

_A = torch.tensor([[0.0, 2.0], [-1.0, 0.5]], dtype=torch.float64)
_X = torch.tensor([3.0, -1.0], dtype=torch.float64)
_BAR = torch.tensor([1.0, 2.0], dtype=torch.float64)


def _linear(t: float, x: Tensor) -> Tensor:
    return x @ _A.T


def _unmarked(x: Tensor) -> None:
    if x.requires_grad:
        raise NotYet("the x that was passed in has changed", "Begin with x = x.detach().requires_grad_().")


class _Cubes(torch.autograd.Function):
    """The cubes of a tensor, with a derivative that counts how often it is pulled back."""

    pulled = 0

    @staticmethod
    def forward(x: Tensor) -> Tensor:
        return x**3

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Tensor) -> None:
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx: Any, a: Tensor) -> Tensor:
        _Cubes.pulled += 1
        x: Tensor = ctx.saved_tensors[0]
        return 3 * x**2 * a

    @staticmethod
    def vmap(info: Any, in_dims: Any, x: Tensor) -> Any:
        raise NotYet("the field is mapped over a batch of vectors, which forms the Jacobian", _ONE_VJP)


_ONE_VJP = "One product of J^T with a is enough: torch.autograd.grad(F(t, x), x, a)."


def _counted(pull_back: Any) -> None:
    """Refuse Jacobians, whole or by differences: they evaluate or pull back the field once for each entry."""
    x, calls = torch.linspace(-1, 1, 12, dtype=torch.float64), []

    def field(t: float, x: Tensor) -> Tensor:
        calls.append(x.numel())
        return _Cubes.apply(x)  # type: ignore[no-any-return]

    _Cubes.pulled = 0
    try:
        result = call_with_clones(pull_back, field, 0.0, x, x.flip(0), 0.25)
    except RuntimeError as error:
        if "vmap" in str(error):
            raise NotYet("the field is mapped over a batch of vectors, which forms the Jacobian", _ONE_VJP) from None
        raise
    evaluations, products = sum(calls) // len(x), _Cubes.pulled
    if evaluations > 4 or products > 4:
        raise NotYet(f"for 12 entries there are {evaluations} evaluations and {products} products with J^T", _ONE_VJP)
    expect_close(result, x.flip(0) * (1 + 0.75 * x**2), "with dx/dt = x^3 and 12 entries, h = 0.25")


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
    _unmarked(x)
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
    _counted(pull_back)
    batch, what = torch.stack([_X, 2 * _X, -_X]), "with three states at once"
    hint = "torch.autograd.grad(F(t, x), x, a) takes any shape: leave a and x as they are."
    try:
        result = pull_back(_linear, 0.0, batch, batch.flip(0), h)
    except RuntimeError as error:
        raise NotYet(f"{what} the function fails ({error})", hint) from None
    expect_close(result, batch.flip(0) + h * batch.flip(0) @ _A, what, otherwise=hint)


def _undo_step(undo: Any) -> None:
    """The answer is ``undo_step(psi, t, h, y, z, lam)``, the pair before a reversible step."""
    expect_function(undo, "undo_step(...)")

    def psi(t: float, h: float, x: Tensor) -> Tensor:
        return h * (x**2 / 4 + t) + h**2 * x / 2

    y0, z0 = _X + 0.125, _X.flip(0)
    for lam, t, h in ((1.0, 1.0, 0.5), (0.8, 1.0, 0.5), (0.6, 2.0, 0.25)):
        y1 = lam * y0 + (1 - lam) * z0 + psi(t, h, z0)
        z1 = z0 - psi(t + h, -h, y1)
        got = call_with_clones(undo, psi, t, h, y1, z1, lam)
        if not isinstance(got, tuple | list | Tensor) or len(got) != 2:
            raise NotYet(f"the function returns a {type(got).__name__}", "Return two states: y and z, in this order.")
        where = f"with lambda = {lam:g}, h = {h:g}, from t = {t:g}, the state"

        def y_from(z: Tensor, lam: float = lam, t: float = t, h: float = h, y1: Tensor = y1) -> Tensor:
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
    _unmarked(x)
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
    grad = 3 * _X**2
    expect_close(
        call_with_clones(velocity, lambda t, x: t * x**2, lambda x: (x**3).sum(), 2.0, _X, _BAR),
        -4 * _X * _BAR - grad,
        "with dx/dt = t x^2 at t = 2, a = (1, 2), c = x1^3 + x2^3",
        [(-grad, "The field sees t = 0: pass t on.")],
        "The field and the price are those that are passed in: differentiate them.",
    )
    _by_derivatives(velocity)


def _by_derivatives(velocity: Any) -> None:
    """Refuse differences: they evaluate the field or the price for each entry, and lose digits."""
    x, calls = torch.linspace(-1, 1, 12, dtype=torch.float64), []

    def field(t: float, x: Tensor) -> Tensor:
        calls.append(x.numel())
        return torch.sin(t * x)

    def price(x: Tensor) -> Tensor:
        calls.append(x.numel())
        return x.exp().sum()

    result, hint = call_with_clones(velocity, field, price, 2.0, x, x.flip(0)), "Use torch.autograd.grad for both."
    if sum(calls) > 8 * len(x):
        raise NotYet(f"for 12 entries field and price are evaluated {sum(calls) // len(x)} times", hint)
    right = -2 * torch.cos(2 * x) * x.flip(0) - x.exp()
    what = "with dx/dt = sin(t x), c = the sum of exp(x) and 12 entries, da/dt"
    expect_close(result, right, what, otherwise=hint)
    expect_formula(result, right, what, hint)


EXERCISES = (
    Exercise("one-step-back", "One step back", 10, "easy", _one_step_back),
    Exercise("undo-step", "Undo a step", 10, "medium", _undo_step),
    Exercise("running-cost", "A price along the way", 15, "hard", _running_cost),
)
