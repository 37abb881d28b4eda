"""Exercises of the chapter on better integrators inside the block."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from odelib.models import ViTConfig
from odelib.solvers import Field
from odelib.teaching.exercises import Exercise, NotYet, expect_close, expect_function
from odelib.teaching.handed_out import call_with_clones

_X = torch.tensor([1.0, -2.0], dtype=torch.float64)
_CONFIG = ViTConfig(step_rule="midpoint", intervals=6, steps=2, step_size=0.5)


def _a(x: Tensor) -> Tensor:
    return x.flip(0)


def _m(x: Tensor) -> Tensor:
    return x**2


def _f(x: Tensor) -> Tensor:
    return _a(x) + _m(x)


def _heun_layer(heun: Any) -> None:
    """The answer is ``heun_layer(A, M, x, h)``."""
    expect_function(heun, "heun_layer(...)")
    for x, h in ((_X, 0.5), (torch.tensor([0.5, 3.0], dtype=torch.float64), 0.3)):
        _expect_heun(heun, x, h)


def _expect_heun(heun: Any, x: Tensor, h: float) -> None:
    k1 = _f(x)
    k2, half = _f(x + h * k1), _f(x + h / 2 * k1)
    y = x + h * _a(x)
    expect_close(
        call_with_clones(heun, _a, _m, x, h),
        x + h / 2 * (k1 + k2),
        f"with A a swap of the two numbers, M the square, x = {x.tolist()}, h = {h:g}, the layer",
        [
            (x + h * k1, "That is Euler: the second stage does not count."),
            (x + h * half, "That is the midpoint rule: Heun's second stage is at the end of the step."),
            (x + h * k2, "Only the second stage counts: take the mean of both."),
            (x + h * (k1 + k2), "The weights sum to 2: each stage has the weight 1/2."),
            (x + h / 2 * (k1 + half), "The second stage stands halfway: it belongs to the end of the step, x + h k1."),
            (x + h / 2 * (k1 + _f(x + k1)), "The second stage is a step of size 1 away: the step size is h."),
            (h / 2 * (k1 + k2), "The residual is missing: a step starts from x."),
            (x + h / 2 * (_a(x) + _a(x + h * _a(x))), "Only attention acts: a stage is A + M."),
            (x + h / 2 * (k1 + _a(x + h * k1)), "The MLP is missing in the second stage: a stage is A + M."),
            (y + h * _m(y), "That is the usual layer, a splitting: both terms belong into each stage."),
            (
                x + h / 2 * (_a(x) + _a(x + h * _a(x)) + _m(x) + _m(x + h * _m(x))),
                "Each term has its own stages: the second stage starts where both together lead.",
            ),
        ],
        "Write k1 = A(x) + M(x), and k2 the same sum at x + h k1.",
    )


def _refined(refined: Any) -> None:
    """The answer is ``refined(config, r)``."""
    expect_function(refined, "refined(...)")
    for before, r in ((_CONFIG, 3), (replace(_CONFIG, step_rule="rk4", steps=1, step_size=1.0), 4)):
        after = refined(before, r)
        if not isinstance(after, ViTConfig):
            raise NotYet(f"the function returns a {type(after).__name__}", "Return replace(config, ...).")
        if after.step_rule != before.step_rule:
            raise NotYet(f"the step rule has become {after.step_rule!r}", "Refining keeps the rule: only steps change.")
        if after.intervals != before.intervals:
            hint = "More intervals are more weights: take more steps with the same weights."
            raise NotYet(f"there are {after.intervals} intervals instead of {before.intervals}", hint)
        if not math.isclose(after.schedule.length, before.schedule.length):
            hint = (
                "More steps of the same size integrate for longer: make each smaller by the same factor."
                if after.schedule.length > before.schedule.length
                else "The interval has become shorter: as many more steps must make up for their size."
            )
            raise NotYet(f"an interval is {after.schedule.length:g} long instead of {before.schedule.length:g}", hint)
        if after.steps != r * before.steps:
            hint = "Take r steps in place of each present one: there may have been more than one already."
            raise NotYet(f"with r = {r}, {before.steps} steps have become {after.steps}", hint)
        if replace(after, steps=before.steps, step_size=before.step_size) != before:
            raise NotYet("something else has changed too", "Use replace(config, ...), which keeps the other values.")


def _one_draw(step: Any) -> None:
    """The answer is ``midpoint_step(draw, x, h)``, a step with its dropout drawn once."""
    expect_function(step, "midpoint_step(...)")
    calls: list[float] = []

    def draw(x: Tensor) -> Field:
        scale = 2.0 * len(calls) + 1.0  # each draw is another field
        calls.append(scale)
        return lambda t, x: scale * x**2

    h = 0.4
    result = call_with_clones(step, draw, _X, h)

    def two(first: float, second: float) -> Tensor:
        return _X + h * second * (_X + h / 2 * first * _X**2) ** 2

    expect_close(
        result,
        two(1.0, 1.0),
        "where the n-th draw gives dx/dt = (2n - 1) x^2, from x = [1, -2] with h = 0.4, the step",
        [
            (two(1.0, 3.0), "The second stage has drawn again: both stages must see one field."),
            (two(3.0, 3.0), "The field was drawn twice, and the first draw thrown away: draw once."),
            (two(3.0, 1.0), "The second stage has another draw than the first: both stages must see one field."),
            (_X + h * _X**2, "That is Euler: look at the field again halfway."),
            (h * (_X + h / 2 * _X**2) ** 2, "The residual is missing: the step starts from x."),
            (_X + h * (_X + h * _X**2) ** 2, "The second stage stands at the end of the step: go h / 2 only."),
            (_X + h / 2 * (_X + h / 2 * _X**2) ** 2, "The last line goes half a step: only the look ahead does."),
        ],
        "Write F = draw(x), then k1 = F(0.0, x), then one more stage of the same F.",
    )
    if len(calls) != 1:
        raise NotYet(f"the field was drawn {len(calls)} times", "Draw once, before the first stage.")


_SPECTRUM = torch.tensor([-1.0 + 0.0j, -0.5 + 1.5j, -0.5 - 1.5j, 0.7 + 0.4j, -4.0 + 1.0j], dtype=torch.complex128)


def _largest_step(largest: Any) -> None:
    """The answer is ``largest_step(eigenvalues)`` for Euler's method."""
    expect_function(largest, "largest_step(...)")
    lam = _SPECTRUM
    falling = lam[lam.real < 0]
    limits = -2 * falling.real / falling.abs() ** 2
    expect_close(
        call_with_clones(largest, lam),
        limits.min(),
        "with the eigenvalues -1, -0.5 + 1.5i, -0.5 - 1.5i, 0.7 + 0.4i, -4 + i, the largest step",
        [
            (limits.max(), "With that step only the most patient mode stays bounded: the least of the limits counts."),
            ((2 / falling.abs()).min(), "That is 2 / |lambda|, right for real eigenvalues: look where they turn too."),
            (
                (-2 / falling.real).min(),
                "That is 2 / |Re lambda|: the imaginary part takes h lambda out of the disc too.",
            ),
            (limits.min() / 2, "At h = -Re / |lambda|^2 the factor is smallest, not 1: the limit is twice as far."),
            ((-2 * falling.real / falling.abs()).min(), "The square is missing: |1 + h lambda|^2 = 1 has h^2."),
            (
                (-2 * lam.real / lam.abs() ** 2).min(),
                "An eigenvalue with positive real part is in the minimum: its mode grows in truth, so leave it out.",
            ),
            (-limits.min(), "A step size is positive: Re lambda is negative, so its sign turns."),
        ],
        "Solve |1 + h lambda|^2 = 1 for h, for one eigenvalue, on paper.",
    )
    lam = torch.tensor([-0.37 + 1.1j, 0.1 + 3.0j, 0.1 - 3.0j], dtype=torch.complex128)
    exact = 0.74 / (0.37**2 + 1.1**2)  # on no grid of round numbers
    expect_close(
        call_with_clones(largest, lam),
        exact,
        "with the eigenvalues -0.37 + 1.1i, 0.1 + 3i, 0.1 - 3i, the largest step",
        [
            (0.2 / 9.01, "An eigenvalue with positive real part has set the limit: its mode grows in truth."),
            (-0.2 / 9.01, "An eigenvalue with positive real part has set the limit: its mode grows in truth."),
            (round(exact, 2), "That step is rounded: solve for h instead of trying steps from a list."),
            (int(100 * exact) / 100, "That step is rounded: solve for h instead of trying steps from a list."),
            (int(1000 * exact) / 1000, "That step is rounded: solve for h instead of trying steps from a list."),
        ],
    )


def _observed_order(observed: Any) -> None:
    """The answer is ``observed_order(coarse, middle, fine)``, three states with steps h, h/2, h/4."""
    expect_function(observed, "observed_order(...)")
    limit = torch.tensor([3.0, -1.0, 2.0], dtype=torch.float64)
    off = torch.tensor([1.0, 2.0, -0.5], dtype=torch.float64)
    for order in (4, 2):
        coarse, middle, fine = (limit + off / 2.0 ** (order * k) for k in range(3))
        ratio = 2.0**order
        known = torch.log2(coarse.norm() / middle.norm())
        expect_close(
            call_with_clones(observed, coarse, middle, fine),
            float(order),
            f"with states that approach their limit as h^{order}, the order",
            [
                (ratio, f"That is the ratio of the two distances, 2^{order}: take its logarithm to the base 2."),
                (math.log(ratio), "That is the natural logarithm: the step was halved, so the base is 2."),
                (math.log10(ratio), "That is the logarithm to the base 10: the step was halved, so the base is 2."),
                (-float(order), "The sign is wrong: put the larger distance, that of the coarse pair, on top."),
                (
                    math.log2(1 + ratio),
                    "One distance is from coarse to fine: compare neighbours, coarse-middle with middle-fine.",
                ),
                (order / 2, "From h to h/2 is one halving: the base is 2, not 4."),
                (known, "Those are lengths of states, not distances between them: subtract first."),
                (2.0 * order, "That is twice the order: compare distances, not their squares."),
                (order - 1.0, "Nothing is to be subtracted: the states are ends, their error is of order p."),
            ],
            "Divide the distance of coarse and middle by that of middle and fine.",
        )


EXERCISES = (
    Exercise("heun-layer", "A layer of Heun", 5, "easy", _heun_layer),
    Exercise("refined", "Finer steps, same weights", 5, "easy", _refined),
    Exercise("one-draw", "One draw for one step", 10, "medium", _one_draw),
    Exercise("largest-step", "The largest step of a normal Jacobian", 10, "medium", _largest_step),
    Exercise("observed-order", "An order without the truth", 10, "hard", _observed_order),
)
