"""The check of a step rule that carries a look: Adams and Bashforth's method with two steps."""

from __future__ import annotations

import inspect
import math
from typing import Any

import torch

from odelib.solvers import StepRule, solve
from odelib.teaching.exercises import NotYet, Unanswered, expect_close


def two_step_rule(answer: Any) -> None:
    """The answer is a class that inherits from ``StepRule``: the method of Adams and Bashforth with two steps."""
    if not (inspect.isclass(answer) and issubclass(answer, StepRule)):
        raise NotYet("the answer is no class that inherits from StepRule", "Pass the class: TwoStep, not TwoStep().")
    _two_step_promises(answer())
    looked = _Looks(lambda t, x: -x)
    start = torch.ones(1, dtype=torch.float64)
    if answer().step(looked, 0.0, 0.5, start, None) is None:
        raise Unanswered(" (step returns None)")
    if start != 1.0:
        raise NotYet("step writes into the state y that it gets", "Make a new one: y + ..., not y += ...")
    rule = answer()
    last = _two_steps(rule, _Looks(lambda t, x: -x), start.requires_grad_())
    expect_close(
        last.detach(),
        _ones(0.21875),
        "with dx/dt = -x, from x = 1, 3 steps of h = 0.5",
        [
            (_ones(0.125), "That is Euler's method: carry the look at the start of the step, and use what comes back."),
            (_ones(0.625**3), "That is the midpoint rule: look once, and use the look of the step before."),
            (_ones(-0.53125), "The weights are exchanged: 3/2 is of this look, -1/2 of the one before."),
            (
                _ones(-0.15625),
                "Either both weights are positive, or the state is carried instead of the field's value.",
            ),
            (_ones(-0.0625), "Both weights are positive: the one of the look before is -1/2."),
            (_ones(-0.25), "The step size is missing: a step adds h times the two looks."),
            (_ones(3.78125), "The sign is wrong: a step goes along the field."),
            (_ones(-0.59375), "The state is missing: a step is added to y."),
            (_ones(math.exp(-1.5)), "That is the exact solution: here the steps themselves are asked for."),
        ],
        "The first step is Euler's, since nothing is carried yet; the next adds h (3/2 F_n - 1/2 F_{n-1}).",
    )
    squares = _Looks(lambda t, x: torch.full_like(x, float(t) ** 2))
    expect_close(
        _two_steps(answer(), squares, _ones(0.0)),
        _ones(0.875),
        "with dx/dt = t^2, from x = 0, 3 steps of h = 0.5",
        [
            (_ones(2.25), "The field is taken at the end of the step: it is asked at t."),
            (_ones(0.8125), "A look of 0 counts too: the first step is the one where the carry is None."),
        ],
        "The field is asked at the time t with which the step begins.",
    )
    if squares.count != 3:
        raise NotYet(f"3 steps take {squares.count} looks", "Each step looks once: the other look is in the carry.")
    _two_step_in_general(rule)
    (slope,) = torch.autograd.grad(last.sum(), start) if last.requires_grad else (_ones(0.0),)
    expect_close(
        slope,
        _ones(0.21875),
        "the gradient by x, with dx/dt = -x, from x = 1, 3 steps of h = 0.5",
        otherwise="A network learns through all looks: carry the field's value as it is, without detach and NumPy.",
    )


def _two_step_promises(rule: Any) -> None:
    costs = [rule.evaluations(terms) for terms in (1, 2)]
    if None in costs:
        raise Unanswered(" (evaluations returns None)")
    if any(isinstance(cost, bool) or not isinstance(cost, int | float) or cost != 1 for cost in costs):
        raise NotYet(
            f"evaluations(1) is {costs[0]!r} and evaluations(2) is {costs[1]!r}",
            "A step costs one evaluation of the whole field, of however many terms.",
        )
    if rule.order != 2 or rule.one_step is not False:
        raise NotYet(
            f"order is {rule.order} and one_step is {rule.one_step}",
            "The order is 2; and one_step is False, or a checkpoint would go on from t and y alone.",
        )


def _two_step_in_general(rule: Any) -> None:
    """Refuse a rule that knows its step size, its first time or its shape, or remembers without a carry."""
    mix = torch.tensor([[0.0, 1.0, -1.0], [2.0, 0.5, 0.0], [-1.0, 0.0, 1.0]], dtype=torch.float64)
    field, h, t = _Looks(lambda t, x: t * (x @ mix)), -0.3, 1.0
    start = torch.arange(6, dtype=torch.float64).reshape(2, 3) / 4 - 0.5
    x, before = start, None
    for _ in range(5):
        now = field(t, x)
        x = x + h * (1.5 * now - 0.5 * (now if before is None else before))
        t, before = t + h, now
    expect_close(
        _two_steps(rule, field, start, (1.0, -0.5), 5),
        x,
        "with another field and a state of shape (2, 3), 5 steps from t = 1 back to t = -0.5, the rule used before",
        otherwise="Take h, t and y as they come, for any shape; what a step leaves for the next is in the carry alone, "
        "and the first step is the one where the carry is None.",
    )


class _Looks:
    """A field that counts its calls, and refuses to be called otherwise than field(t, y)."""

    def __init__(self, field: Any) -> None:
        self.field, self.count, self.given = field, 0, []  # type: ignore[var-annotated]

    def __call__(self, t: Any = None, y: Any = None, *more: Any) -> torch.Tensor:
        if more or (isinstance(t, torch.Tensor) and t.ndim) or not isinstance(y, torch.Tensor):
            raise NotYet(
                "the field is called otherwise than field(t, y)",
                "Time comes first, then the state; step gets field, t, h, y and carry, in this order.",
            )
        self.count += 1
        value = torch.as_tensor(self.field(t, y))
        self.given.append((value, value.clone()))
        return value


def _two_steps(
    rule: Any, field: _Looks, start: torch.Tensor, times: tuple[float, float] = (0.0, 1.5), steps: int = 3
) -> torch.Tensor:
    field.count = 0
    last: torch.Tensor = solve(field, start, times, rule=rule, steps=steps).ys[-1]
    if any(not torch.equal(value, before) for value, before in field.given):
        raise NotYet("step writes into what the field returned", "Make a new tensor: it may be somebody else's.")
    return last


def _ones(value: float) -> torch.Tensor:
    return torch.full((1,), value, dtype=torch.float64)
