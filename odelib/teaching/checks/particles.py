"""Exercises of the chapter on tokens as particles."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from odelib.teaching.exercises import Exercise, NotYet, expect_close


def _must_be_function(answer: Any, name: str) -> None:
    if not callable(answer):
        raise NotYet(f"the answer is a {type(answer).__name__}", f"Pass the function itself: {name}, not {name}(...).")


def _random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def _flock_field(velocity: Any) -> None:
    """The answer is ``velocity(X, V, beta)`` with unit rows X, (tokens, d), and V, (d, d)."""
    _must_be_function(velocity, "velocity")
    x = torch.nn.functional.normalize(_random(5, 3), dim=-1)
    v, beta = _random(3, 3, seed=4), 2.0
    cosines = x @ x.T
    a = (beta * cosines).softmax(dim=-1)

    def along(x: Tensor, y: Tensor) -> Tensor:
        return y - (x * y).sum(dim=-1, keepdim=True) * x

    y = a @ x @ v.T
    mean = torch.nn.functional.normalize(x.mean(dim=0, keepdim=True), dim=-1)
    expect_close(
        velocity(x, v, beta),
        along(x, y),
        "with 5 tokens on the sphere in 3 dimensions and beta = 2, the velocity",
        [
            (y, "The projection is missing: take off the part along x_i, or tokens leave the sphere."),
            (y - x, "Subtracting x_i is no projection: subtract x_i times the product of x_i and the pull."),
            (y - (x * y).sum(dim=-1, keepdim=True), "The product of x_i and the pull is a number: it multiplies x_i."),
            ((x * y).sum(dim=-1, keepdim=True) * x, "This is the part along x_i: the other part is asked for."),
            (along(mean, y), "The pull is projected at the mean token: project each at its own place."),
            (-along(x, y), "The sign is wrong: tokens move towards the weighted mean."),
            (along(x, a @ x), "The value matrix is missing: the mean is taken over V x_j."),
            (along(x, a @ x @ v), "V is transposed: V x_j multiplies the column x_j from the left."),
            (along(x, a @ x) @ v.T, "V comes before the projection: else the velocity is not tangent."),
            (along(x, cosines.softmax(dim=-1) @ x @ v.T), "Beta is missing: it multiplies the products."),
            (
                along(x, (cosines / beta).softmax(dim=-1) @ x @ v.T),
                "Beta is the inverse of a temperature: multiply by it.",
            ),
            (
                along(x, (beta / math.sqrt(3) * cosines).softmax(dim=-1) @ x @ v.T),
                "There is no root of d here: beta has taken its place.",
            ),
            (
                along(x, (beta * cosines).softmax(dim=0) @ x @ v.T),
                "The columns sum to one: normalise over j, the last axis.",
            ),
            (along(x, beta * cosines @ x @ v.T), "The softmax is missing: these are scores, not weights."),
        ],
        "Check first that each row of the result is orthogonal to the same row of X.",
    )


def _numbers(answer: Any, count: int, names: str) -> list[float]:
    if not isinstance(answer, tuple | list) or len(answer) != count:
        raise NotYet(f"the answer is {answer!r}", f"Give {count} numbers: {names}.")
    return [float(part) for part in answer]


def _post_step(step: Any) -> None:
    """The answer is ``post_norm_step(f, x, h)``, nu(x + h f(x))."""
    _must_be_function(step, "post_norm_step")
    matrix = _random(4, 4, seed=6)

    def f(x: Tensor) -> Tensor:
        return x @ matrix + 0.5

    def centre(x: Tensor) -> Tensor:
        return x - x.mean(dim=-1, keepdim=True)

    def nu(x: Tensor, dim: int = -1, correction: int = 0) -> Tensor:
        return (x - x.mean(dim=dim, keepdim=True)) / x.std(dim=dim, correction=correction, keepdim=True)

    x, h = nu(_random(3, 4, seed=7)), 0.5
    y = x + h * f(x)
    expect_close(
        step(f, x, h),
        nu(y),
        "with 3 tokens of 4 entries on the sphere and h = 0.5, the step",
        [
            (x + h * (nu(x + f(x)) - x), "h multiplies f alone, inside the norm: step by h f(x), then drop back."),
            (nu(x + f(x)), "The step size is missing: a step adds h times the field."),
            (h * nu(x + f(x)), "h multiplies f(x) inside the norm, not the result."),
            (x + h * f(nu(x)), "That is pre-norm: here the norm comes last."),
            (x + h * nu(f(x)), "The residual sum comes before the norm: normalise x + h f(x)."),
            (nu(h * f(x)), "The residual is missing: normalise x + h f(x)."),
            (y, "The norm is missing: drop back onto the sphere."),
            (nu(x - h * f(x)), "The sign of the step is wrong."),
            (nu(y, dim=0), "The mean runs over the tokens: each token is normalised over its own entries."),
            (nu(y, correction=1), "The variance is divided by d - 1: take the mean square, correction=0."),
            (y / y.square().mean(dim=-1, keepdim=True).sqrt(), "The mean is not taken off before scaling."),
            (torch.nn.functional.normalize(centre(y), dim=-1), "The sphere has the radius sqrt(d), not 1."),
            (centre(y), "Only the mean is taken off: scale to the length sqrt(d), too."),
            (centre(y) / y.var(dim=-1, correction=0, keepdim=True), "Divide by the root of the variance."),
        ],
        "At h = 0 a token on the sphere must stay where it is.",
    )


def _gather_depth(answer: Any) -> None:
    """The answer is (10 + ln 100, 1000), the first to a per cent."""
    post, pre = _numbers(answer, 2, "(post, pre)")
    after = math.log(100)
    post_hints = {
        after: "That is how far from depth 10: add the 10 that have passed.",
        12.0: "That counts powers of ten: the rate belongs to powers of e, ln 100.",
        10 + math.log(1000): "The distance is already 0.1: it has to shrink by a factor of 100 only.",
        1000.0: "That is the law of pre-norm: exchange the two.",
        10 * after: "The exponential does not ask when it started: add ln 100 to 10.",
    }
    if not math.isclose(post, 10 + after, rel_tol=0.01):
        hint = next((h for w, h in post_hints.items() if math.isclose(post, w, rel_tol=0.01)), "Solve e^(-s) = 1/100.")
        raise NotYet(f"the depth for post-norm is {post:g}", hint)
    pre_hints = {
        100.0: "That is the factor: the depth, which is 10 now, grows by it.",
        1010.0: "The law is 1/t with t from the start: the depth is multiplied by 100.",
        110.0: "The law is 1/t: the depth is multiplied by 100, not increased by it.",
        20.0: "Ten more depths only halve the distance.",
        10 + after: "That is the law of post-norm: in pre-norm the distance falls like 1/t.",
        10_000.0: "The distance is already 0.1: it has to shrink by a factor of 100 only.",
    }
    if not math.isclose(pre, 1000.0, rel_tol=0.001):
        hint = next((h for w, h in pre_hints.items() if math.isclose(pre, w, rel_tol=0.01)), "Solve 10 / t = 1/100.")
        raise NotYet(f"the depth for pre-norm is {pre:g}", hint)


EXERCISES = (
    Exercise("flock-field", "A flock with opinions", 10, "medium", _flock_field),
    Exercise("post-step", "A post-norm step", 10, "medium", _post_step),
    Exercise("gather-depth", "How deep until they meet?", 10, "hard", _gather_depth),
)
