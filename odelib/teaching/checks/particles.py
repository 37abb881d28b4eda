"""Exercises of the chapter on tokens as particles."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from odelib.teaching.exercises import Exercise, expect_close, expect_function
from odelib.teaching.handed_out import call_with_clones, expect_formula, expect_without


def _random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def _along(x: Tensor, y: Tensor) -> Tensor:
    return y - (x * y).sum(dim=-1, keepdim=True) * x


def _flock_field(velocity: Any) -> None:
    """The answer is ``velocity(X, V, beta)`` with unit rows X, (tokens, d), and V, (d, d)."""
    expect_function(velocity, "velocity(X, V, beta)")
    for count, dim, beta in ((5, 3, 2.0), (4, 2, 0.7)):
        _expect_velocity(velocity, torch.nn.functional.normalize(_random(count, dim), dim=-1), beta)


def _expect_velocity(velocity: Any, x: Tensor, beta: float) -> None:
    count, dim = x.shape
    v = _random(dim, dim, seed=4)
    cosines = x @ x.T
    a = (beta * cosines).softmax(dim=-1)

    y = a @ x @ v.T
    others = (beta * cosines).fill_diagonal_(-math.inf)
    mean = torch.nn.functional.normalize(x.mean(dim=0, keepdim=True), dim=-1)
    expect_close(
        call_with_clones(velocity, x, v, beta),
        _along(x, y),
        f"with {count} tokens on the sphere in {dim} dimensions and beta = {beta:g}, the velocity",
        [
            (y, "The projection is missing: take off the part along x_i, or tokens leave the sphere."),
            (y - x, "Subtracting x_i is no projection: subtract x_i times the product of x_i and the pull."),
            (y - (x * y).sum(dim=-1, keepdim=True), "The product of x_i and the pull is a number: it multiplies x_i."),
            ((x * y).sum(dim=-1, keepdim=True) * x, "This is the part along x_i: the other part is asked for."),
            (_along(mean, y), "The pull is projected at the mean token: project each at its own place."),
            (-_along(x, y), "The sign is wrong: tokens move towards the weighted mean."),
            (_along(x, a @ x), "The value matrix is missing: the mean is taken over V x_j."),
            (_along(x, a @ x @ v), "V is transposed: V x_j multiplies the column x_j from the left."),
            (_along(x, a @ x) @ v.T, "V comes before the projection: else the velocity is not tangent."),
            (_along(x, cosines.softmax(dim=-1) @ x @ v.T), "Beta is missing: it multiplies the products."),
            (
                _along(x, (cosines / beta).softmax(dim=-1) @ x @ v.T),
                "Beta is the inverse of a temperature: multiply by it.",
            ),
            (
                _along(x, (beta / math.sqrt(dim) * cosines).softmax(dim=-1) @ x @ v.T),
                "There is no root of d here: beta has taken its place.",
            ),
            (
                _along(x, (beta * cosines).softmax(dim=0) @ x @ v.T),
                "The columns sum to one: normalise over j, the last axis.",
            ),
            (_along(x, beta * cosines @ x @ v.T), "The softmax is missing: these are scores, not weights."),
            (_along(x, others.softmax(dim=-1) @ x @ v.T), "A token sees itself, too: sum over all j."),
            (
                _along(x, (beta * x @ v @ x.T).softmax(dim=-1) @ x @ v.T),
                "V is in the scores: they compare x_i with x_j.",
            ),
            (
                _along(x, (beta * x @ (x @ v.T).T).softmax(dim=-1) @ x @ v.T),
                "V is in the scores: they compare x_i with x_j.",
            ),
            (torch.nn.functional.normalize(_along(x, y), dim=-1), "The velocity has been normalised: its size counts."),
        ],
        "Take one token: are its weights positive, do they sum to 1, and is its velocity orthogonal to it?",
    )


def _post_step(step: Any) -> None:
    """The answer is ``post_norm_step(f, x, h)``, nu(x + h f(x))."""
    expect_function(step, "post_norm_step(f, x, h)")
    for count, dim, h in ((3, 4, 0.5), (4, 5, 0.3)):
        _expect_post_step(step, count, dim, h)


def _expect_post_step(step: Any, count: int, dim: int, h: float) -> None:
    matrix = _random(dim, dim, seed=6)

    def f(x: Tensor) -> Tensor:
        return x @ matrix + 0.5

    def centre(x: Tensor) -> Tensor:
        return x - x.mean(dim=-1, keepdim=True)

    def nu(x: Tensor, dim: int = -1, correction: int = 0) -> Tensor:
        return (x - x.mean(dim=dim, keepdim=True)) / x.std(dim=dim, correction=correction, keepdim=True)

    x = nu(_random(count, dim, seed=7))
    y = x + h * f(x)
    expect_close(
        call_with_clones(step, f, x, h),
        nu(y),
        f"with {count} tokens of {dim} entries on the sphere and h = {h:g}, the step",
        [
            (x + h * (nu(x + f(x)) - x), "h multiplies f alone, inside the norm: step by h f(x), then drop back."),
            (nu(x + f(x)), "The step size is missing: a step adds h times the field."),
            (h * nu(x + f(x)), "h multiplies f(x) inside the norm, not the result."),
            (x + h * f(nu(x)), "That is pre-norm: here the norm comes last."),
            (x + h * nu(f(x)), "The residual sum comes before the norm: normalise x + h f(x)."),
            (nu(h * f(x)), "The residual is missing: normalise x + h f(x)."),
            (y, "The norm is missing: drop back onto the sphere."),
            (nu(x - h * f(x)), "The sign of the step is wrong."),
            (
                torch.nn.functional.layer_norm(y, y.shape[-1:]),
                "PyTorch's layer_norm adds eps = 1e-5 to the variance: give it eps=0.",
            ),
            (nu(y, dim=0), "The mean runs over the tokens: each token is normalised over its own entries."),
            (nu(y, correction=1), "The variance is divided by d - 1: take the mean square, correction=0."),
            (y / y.square().mean(dim=-1, keepdim=True).sqrt(), "The mean is not taken off before scaling."),
            (torch.nn.functional.normalize(centre(y), dim=-1), "The sphere has the radius sqrt(d), not 1."),
            (centre(y), "Only the mean is taken off: scale to the length sqrt(d), too."),
            (centre(y) / y.var(dim=-1, correction=0, keepdim=True), "Divide by the root of the variance."),
        ],
        "At h = 0 a token on the sphere must stay where it is.",
    )


def _energy_rate(rate: Any) -> None:
    """The answer is ``energy_rate(X, beta)``, the sum of Z_i |velocity of i|^2, with unit rows X, (tokens, d)."""
    expect_function(rate, "energy_rate(X, beta)")
    expect_without(rate, "autograd", "backward", "grad", "jvp", "vjp", "jacobian", "jacrev", "jacfwd")
    for count, dim, beta in ((5, 3, 1.5), (4, 2, 0.7)):
        x = torch.nn.functional.normalize(_random(count, dim, seed=count), dim=-1)
        shares = (beta * x @ x.T).exp()
        total = shares.sum(dim=1, keepdim=True)
        pull = shares @ x / total
        moved = _along(x, pull)
        energy = shares.sum() / 2 / beta
        expect_close(
            call_with_clones(rate, x, beta),
            (total * moved.square()).sum(),
            f"with {count} tokens in {dim} dimensions and beta = {beta:g}, the rate",
            [
                (
                    moved.square().sum(),
                    "A denominator is missing: along the sphere the gradient is Z_i times the velocity.",
                ),
                ((total * pull.square()).sum(), "The projection is missing: tokens move by the part along the sphere."),
                ((total * moved.norm(dim=1, keepdim=True)).sum(), "The speed enters squared."),
                (-(total * moved.square()).sum(), "The sign is wrong: the energy rises."),
                (
                    2 * (total * moved.square()).sum(),
                    "Too large by 2: token i occurs twice, and 1/2 stands before the sum.",
                ),
                (
                    beta * (total * moved.square()).sum(),
                    "The factor beta of the derivative cancels the 1 / beta before the sum.",
                ),
                (
                    (total * moved.square()).sum() / beta,
                    "The 1 / beta before the sum cancels the beta of the derivative.",
                ),
                ((total * moved.square()).sum() / 2, "The 1/2 cancels: token i occurs in a row and in a column."),
                (
                    (total.square() * moved.square()).sum(),
                    "The velocity has the denominator already: once Z_i is left.",
                ),
                ((total * moved.square()).mean(), "The energy is a sum over tokens, not a mean."),
                (energy, "That is the energy: its derivative along the flock is asked for."),
            ],
            "Compare with (E(X + h velocity) - E(X)) / h for a small h.",
        )
    # Close together the rate is a small part of the energy, and differences of energies have few digits of it.
    middle = _random(1, 3, seed=1)
    for spread in (1.0, 0.01):
        x = torch.nn.functional.normalize(middle + spread * _random(5, 3, seed=2), dim=-1)
        shares = (1.5 * x @ x.T).exp()
        total = shares.sum(dim=1, keepdim=True)
        expect_formula(
            call_with_clones(rate, x, 1.5),
            (total * _along(x, shares @ x / total).square()).sum(),
            f"with tokens about {spread:g} apart, the rate",
            "Differentiate the energy by hand, as the proof does: no step is small enough for all flocks.",
        )


EXERCISES = (
    Exercise("flock-field", "A flock with opinions", 10, "medium", _flock_field),
    Exercise("post-step", "A post-norm step", 10, "medium", _post_step),
    Exercise("energy-rate", "How fast does the energy rise?", 15, "hard", _energy_rate),
)
