"""Answers to the exercises of the chapter on solvers."""

import numpy as np
import torch

from odelib.solvers import TABLEAUS, Step, StepRule


def _walk(step, start=lambda n, h: n * h, count=lambda steps: steps):
    """A walk with a step (F, t, x, h) -> x; mistakes are made in the step, the times or the number of steps."""

    def walk(F, x, h, steps):
        for n in range(count(steps)):
            x = step(F, start(n, h), x, h)
        return x

    return walk


def _midpoint(F, t, x, h):
    return x + h * F(t + h / 2, x + h / 2 * F(t, x))


def _single(F, x, h, steps):
    return _midpoint(F, 0.0, x, h)


def _in_place(F, x, h, steps):
    for n in range(steps):
        x += h * F(n * h + h / 2, x + h / 2 * F(n * h, x))
    return x


def _recursive(F, x, h, steps, t=0.0):
    return x if steps == 0 else _recursive(F, _midpoint(F, t, x, h), h, steps - 1, t + h)


def _from_halfway(F, t, x, h):
    half = x + h / 2 * F(t, x)
    return half + h * F(t + h / 2, half)


def _next(h, E, p):
    wish = 0.9 * E ** (-1 / p) if E > 0 else 10
    return h * (min(10, max(1, wish)) if E <= 1 else min(1, max(0.2, wish)))


def _next_by_cases(h, E, p):
    if E > 1:
        return h * max(0.2, 0.9 / E ** (1 / p))
    return 10 * h if E == 0 else h * np.clip(0.9 / E ** (1 / p), 1, 10)


def _bounded(factor, low=0.2, high=10.0, least=1.0):
    """A controller from a factor of (E, p), with mistakes in the factor or the bounds."""

    def controller(h, E, p):
        wish = factor(E, p) if E > 0 else high
        return h * min(high, max(low if E > 1 else least, wish))

    return controller


def _implicit(S, x, h, steps):
    A = torch.eye(len(x), dtype=x.dtype) - h * S
    for _ in range(steps):
        x = torch.linalg.solve(A, x)
    return x


def _implicit_by_power(S, x, h, steps):
    A = torch.eye(len(x), dtype=x.dtype) - h * S
    return torch.linalg.matrix_power(torch.linalg.inv(A), steps) @ x


def _implicit_by_eigenvectors(S, x, h, steps):
    values, vectors = torch.linalg.eig(S)
    return vectors @ (
        (1 - h * values) ** -steps * torch.linalg.solve(vectors, x + 0j)
    )  # complex, with no imaginary part


def _linear(matrix, count=lambda steps: steps):
    """A walk for a linear field with the matrix of one step, ``matrix(eye, S, h)``."""

    def walk(S, x, h, steps):
        one_step = matrix(torch.eye(len(x), dtype=x.dtype), S, h)
        return torch.linalg.matrix_power(one_step, count(steps)) @ x

    return walk


def _overwriting(S, x, h, steps):
    A = torch.eye(len(x), dtype=x.dtype) - h * S
    for _ in range(steps):
        x.copy_(torch.linalg.solve(A, x))
    return x


def _diagonal(S, x, h, steps):
    return x / (1 - h * S.diagonal()) ** steps


def _two_step(
    weights=(1.5, -0.5),
    carry=lambda now: now,
    back=lambda carry: carry,
    scale=lambda h: h,
    when=lambda t, h: t,
    twice=False,
    cost=1.0,
    order=2,
    one_step=False,
):
    class TwoStep(StepRule):
        def evaluations(self, terms):
            return cost(terms) if callable(cost) else cost

        def step(self, field, t, h, y, before):
            now = field(when(t, h), y)
            last = now if before is None else back(before)
            if twice:
                field(t, y)
            w0, w1 = weights if before is not None or weights != (1.5, 0.5) else (1.0, 0.0)
            return Step(y + scale(h) * (w0 * now + w1 * last), carry=carry(now))

    TwoStep.order, TwoStep.one_step = order, one_step
    return TwoStep


def _step(now, before, h, y, carry):
    return Step(y + h * (1.5 * now - 0.5 * (now if before is None else before)), carry=carry)


def _stepping(step):
    return type("TwoStep", (_two_step(),), {"step": step})


def _for_one_number(self, field, t, h, y, carry):
    now = field(t, y).sum()
    return _step(now, carry, h, y, now)


def _zero_is_none(self, field, t, h, y, carry):
    now = field(t, y)
    return _step(now, None if carry is None or not carry.any() else carry, h, y, now)


def _remembering(self, field, t, h, y, carry):
    now = field(t, y)
    last, self.last = getattr(self, "last", None), now
    return _step(now, last, h, y, None)


def _into_the_state(self, field, t, h, y, carry):
    now = field(t, y)
    return Step(y.add_(h * (1.5 * now - 0.5 * (now if carry is None else carry))), carry=now)


def _into_the_field(self, field, t, h, y, carry):
    look = field(t, y)
    now = look.clone()
    return Step(y + look.mul_(1.5).sub_(0.5 * (now if carry is None else carry)).mul_(h), carry=now)


def _returning(what):
    class Rule(_two_step()):
        def step(self, field, t, h, y, before):
            return what(y)

    return Rule


_inv = torch.linalg.inv
_SIMPSON = (1 / 6, 2 / 3, 1 / 6)

RIGHT = {
    "midpoint-walk": (_walk(_midpoint), _recursive),
    "kutta-third": (
        (_SIMPSON, (-1, 2)),
        ([1 / 6, 4 / 6, 1 / 6], [-1.0, 2.0]),
        (torch.tensor(_SIMPSON, dtype=torch.float64), torch.tensor([-1.0, 2.0])),
        (torch.tensor(_SIMPSON), torch.tensor([-1.0, 2.0])),
        (np.array(_SIMPSON), np.array([-1, 2])),
    ),
    "next-step": (_next, _next_by_cases),
    "two-step-rule": (_two_step(), _two_step(carry=lambda now: {"field": now}, back=lambda carry: carry["field"])),
    "implicit-walk": (_implicit, _implicit_by_power, _implicit_by_eigenvectors),
}
WRONG = {
    "midpoint-walk": (
        ("one step too many", _walk(_midpoint, count=lambda steps: steps + 1), "one step too many"),
        ("one step too few", _walk(_midpoint, count=lambda steps: steps - 1), "one step too few"),
        ("only one step", _single, "carry x"),
        ("half the step", _walk(lambda F, t, x, h: x + h / 2 * F(t + h / 2, x + h / 2 * F(t, x))), "whole h"),
        ("from the point halfway", _walk(_from_halfway), "not from the point halfway"),
        ("step size missing", _walk(lambda F, t, x, h: x + F(t + h / 2, x + h / 2 * F(t, x))), "step size is missing"),
        ("residual missing", _walk(lambda F, t, x, h: h * F(t + h / 2, x + h / 2 * F(t, x))), "residual is missing"),
        ("Euler", _walk(lambda F, t, x, h: x + h * F(t, x)), "Euler's method"),
        ("whole first step", _walk(lambda F, t, x, h: x + h * F(t + h / 2, x + h * F(t, x))), "goes a whole step"),
        ("wrong sign", _walk(lambda F, t, x, h: x + h * F(t + h / 2, x - h / 2 * F(t, x))), "instead of"),
        ("time at the start", _walk(lambda F, t, x, h: x + h * F(t, x + h / 2 * F(t, x))), "it is halfway"),
        ("time at the end", _walk(lambda F, t, x, h: x + h * F(t + h, x + h / 2 * F(t, x))), "it is halfway"),
        ("frozen time", _walk(_midpoint, start=lambda n, h: 0.0), "does not move on"),
        ("number of the step as time", _walk(_midpoint, start=lambda n, h: float(n)), "number of the step"),
        ("writes into its argument", _in_place, "changes its argument"),
        (
            "first look at 0",
            _walk(lambda F, t, x, h: x + h * F(t + h / 2, x + h / 2 * F(0.0, x))),
            "always taken at t = 0",
        ),
        (
            "both halfway",
            _walk(lambda F, t, x, h: x + h * F(t + h / 2, x + h / 2 * F(t + h / 2, x))),
            "The first look is",
        ),
        ("called instead of passed", 1.5, "Pass the function itself"),
    ),
    "kutta-third": (
        ("rounded", ((0.16667, 0.66667, 0.16667), (-1, 2)), "write fractions"),
        ("do not sum to one", ((1 / 6, 1 / 3, 1 / 6), (-1, 2)), "sum to one"),
        ("RK4's weights without one", ((1 / 6, 1 / 3, 1 / 2), (-1, 2)), "Condition 2"),
        ("trapezoidal rule", ((1 / 2, 0, 1 / 2), (-1, 2)), "Condition 3"),
        ("midpoint rule", ((0, 1, 0), (-1, 2)), "Condition 3"),
        ("equal weights", ((1 / 3, 1 / 3, 1 / 3), (-1, 2)), "Condition 3"),
        ("like RK4", (_SIMPSON, (0, 1)), "starts from the second alone"),
        ("exchanged row", (_SIMPSON, (2, -1)), "exchanged"),
        ("sign lost", (_SIMPSON, (1, 2)), "the other one is negative"),
        ("c2 forgotten", (_SIMPSON, (0.5, 0.5)), "c2 = 1/2"),
        ("two weights", ((1 / 6, 5 / 6), (-1, 2)), "Give 3 numbers"),
        ("not a number", (_SIMPSON, (float("nan"), 2)), "Give two numbers"),
        ("one tuple", (1 / 6, 2 / 3, 1 / 6), "Give (b1, b2, b3)"),
    ),
    "next-step": (
        ("sign of the power", _bounded(lambda E, p: 0.9 * E ** (1 / p)), "wrong sign"),
        ("no caution", _bounded(lambda E, p: E ** (-1 / p)), "caution is missing"),
        ("no root", _bounded(lambda E, p: 0.9 / E, low=0.0), "p-th root of E"),
        ("p-th power", _bounded(lambda E, p: 0.9 * E**-p), "not its p-th power"),
        ("root of order p + 1", _bounded(lambda E, p: 0.9 * E ** (-1 / (p + 1))), "not the (p+1)-th"),
        ("root of order p - 1", _bounded(lambda E, p: 0.9 * E ** (-1 / (p - 1))), "not the (p-1)-th"),
        ("the factor", lambda h, E, p: _next(1.0, E, p), "h times it"),
        ("no upper bound", _bounded(lambda E, p: 0.9 * E ** (-1 / p), high=1e9), "limit the factor from above"),
        ("no lower bound", _bounded(lambda E, p: 0.9 * E ** (-1 / p), low=0.0), "limit the factor from below"),
        ("never longer", _bounded(lambda E, p: 0.9 * E ** (-1 / p), high=1.0), "may become longer"),
        ("shorter after acceptance", _bounded(lambda E, p: 0.9 * E ** (-1 / p), least=0.2), "was accepted"),
        ("never shorter", _bounded(lambda E, p: 0.9 * E ** (-1 / p) if E < 9 else 1.0), "this one was rejected"),
        ("caution outside", lambda h, E, p: 0.9 * h * min(10, max(0.2, E ** (-1 / p))), "10, not 9"),
        (
            "divides by zero",
            lambda h, E, p: h * min(10, max(0.2 if E > 1 else 1, 0.9 * E ** (-1 / p))),
            "divides by zero",
        ),
        ("bounds the step", lambda h, E, p: min(10, max(0.2, 0.9 * h * E ** (-1 / p))), "not the step"),
        ("always p = 3", lambda h, E, p: _next(h, E, 3), "passed in"),
        ("always h = 0.5", lambda h, E, p: _next(0.5, E, p), "passed in"),
        ("called instead of passed", 0.45, "Pass the function itself"),
    ),
    "two-step-rule": (
        ("the rule itself", _two_step()(), "Pass the class"),
        ("a function", lambda field, t, h, y, carry: y, "no class that inherits"),
        ("no rule", dict, "no class that inherits"),
        ("nothing carried", _two_step(carry=lambda now: None), "Euler's method"),
        ("carry not used", _two_step(weights=(1.0, 0.0)), "Euler's method"),
        ("midpoint", TABLEAUS["midpoint"], "no class that inherits"),
        ("exchanged", _two_step(weights=(-0.5, 1.5)), "exchanged"),
        ("both positive", _two_step(weights=(1.5, 0.5)), "positive"),
        ("no step size", _two_step(scale=lambda h: 1.0), "step size is missing"),
        ("half the step", _two_step(scale=lambda h: h / 2), "first step is Euler's"),
        ("always half a unit", _two_step(scale=lambda h: 0.5), "h, t and y as they come"),
        ("forward only", _two_step(scale=abs), "h, t and y as they come"),
        ("for one number", _stepping(_for_one_number), "h, t and y as they come"),
        ("no gradient", _two_step(carry=torch.Tensor.detach, back=torch.Tensor.detach), "without detach"),
        ("a look of zero is none", _stepping(_zero_is_none), "look of 0 counts"),
        ("remembers by itself", _stepping(_remembering), "in the carry alone"),
        ("writes into y", _stepping(_into_the_state), "step writes into the state"),
        ("writes into the field", _stepping(_into_the_field), "what the field returned"),
        ("state first", _stepping(lambda self, field, t, h, y, carry: field(y, t)), "field(t, y)"),
        ("no time", _stepping(lambda self, field, t, h, y, carry: field(y)), "field(t, y)"),
        ("h and y exchanged", _stepping(lambda self, field, t, y, h, carry: field(t, y)), "field(t, y)"),
        ("the state carried", _stepping(lambda self, f, t, h, y, carry: _step(f(t, y), carry, h, y, y)), "is carried"),
        ("cost of the terms", _two_step(cost=lambda terms: float(terms)), "evaluations(2) is 2.0"),
        ("at the end", _two_step(when=lambda t, h: t + h), "it is asked at t"),
        ("halfway", _two_step(when=lambda t, h: t + h / 2), "with which the step begins"),
        ("two looks", _two_step(twice=True), "3 steps take 6 looks"),
        ("cost forgotten", _two_step(cost=2.0), "evaluations(1) is 2.0"),
        ("order of Euler", _two_step(order=1), "The order is 2"),
        ("forgets in a checkpoint", _two_step(one_step=True), "one_step is False"),
        ("the state alone", _returning(lambda y: y), "raised"),
        ("nothing", _returning(lambda y: 1 / 0), "raised ZeroDivisionError"),
    ),
    "implicit-walk": (
        ("explicit", _linear(lambda eye, S, h: eye + h * S), "explicit Euler"),
        ("wrong sign", _linear(lambda eye, S, h: _inv(eye + h * S)), "sign is wrong"),
        ("step size missing", _linear(lambda eye, S, h: _inv(eye - S)), "step size is missing"),
        ("single step", _linear(lambda eye, S, h: _inv(eye - h * S), lambda steps: 1), "single step"),
        ("one step too many", _linear(lambda eye, S, h: _inv(eye - h * S), lambda steps: steps + 1), "too many"),
        ("multiplied", _linear(lambda eye, S, h: eye - h * S), "has to be solved"),
        ("trapezoidal", _linear(lambda eye, S, h: _inv(eye - h / 2 * S) @ (eye + h / 2 * S)), "trapezoidal"),
        ("exact", _linear(lambda eye, S, h: torch.linalg.matrix_exp(h * S)), "exact solution"),
        ("transposed", _linear(lambda eye, S, h: _inv(eye - h * S.T)), "S is transposed"),
        ("diagonal", _diagonal, "whole linear system"),
        ("entries inverted", _linear(lambda eye, S, h: 1 / (eye - h * S)), "inverts the entries"),
        ("writes into its argument", _overwriting, "changes its argument"),
        ("always two steps", lambda S, x, h, steps: _implicit(S, x, h, 2), "for any h and steps"),
        ("always h = 0.5", lambda S, x, h, steps: _implicit(S, x, 0.5, steps), "for any h and steps"),
        ("writes into S", lambda S, x, h, steps: _implicit(S, x, h, steps) + 0 * S.zero_()[0], "argument number 1"),
        ("called instead of passed", torch.ones(2), "Pass the function itself"),
    ),
}
