"""Answers to the exercises of the chapter on tokens as particles."""

import math

import torch


def _along(x, y):
    return y - (x * y).sum(dim=-1, keepdim=True) * x


def _weights(X, beta, dim=-1):
    return (beta * X @ X.T).softmax(dim=dim)


def _velocity(X, V, beta):
    return _along(X, _weights(X, beta) @ X @ V.T)


def _velocity_by_tokens(X, V, beta):
    rows = []
    for x in X:
        share = torch.exp(beta * X @ x)
        pull = V @ (share @ X) / share.sum()
        rows.append((torch.eye(len(x), dtype=X.dtype) - torch.outer(x, x)) @ pull)
    return torch.stack(rows)


def _nu(x, dim=-1, correction=0):
    return (x - x.mean(dim=dim, keepdim=True)) / x.std(dim=dim, correction=correction, keepdim=True)


def _step(f, x, h):
    return _nu(x + h * f(x))


def _step_by_torch(f, x, h):
    return torch.nn.functional.layer_norm(x + h * f(x), x.shape[-1:], eps=0.0)


def _step_by_lengths(f, x, h):
    y = torch.add(x, f(x), alpha=h)
    y = y - y.mean(dim=1)[:, None]
    return y / y.norm(dim=1)[:, None] * math.sqrt(x.shape[1])


RIGHT = {
    "flock-field": (_velocity, _velocity_by_tokens),
    "post-step": (_step, _step_by_torch, _step_by_lengths),
    "gather-depth": ((14.6, 1000), [10 + math.log(100), 1e3]),
}
WRONG = {
    "flock-field": (
        ("projection missing", lambda X, V, b: _weights(X, b) @ X @ V.T, "The projection is missing"),
        ("x taken off", lambda X, V, b: _weights(X, b) @ X @ V.T - X, "no projection"),
        (
            "number taken off",
            lambda X, V, b: (y := _weights(X, b) @ X @ V.T) - (X * y).sum(-1, keepdim=True),
            "is a number",
        ),
        (
            "the other part",
            lambda X, V, b: (X * (_weights(X, b) @ X @ V.T)).sum(-1, keepdim=True) * X,
            "the part along x_i",
        ),
        (
            "projected at the mean",
            lambda X, V, b: _along(X.mean(0, keepdim=True) / X.mean(0).norm(), _weights(X, b) @ X @ V.T),
            "its own place",
        ),
        ("wrong sign", lambda X, V, b: -_velocity(X, V, b), "The sign is wrong"),
        ("no values", lambda X, V, b: _along(X, _weights(X, b) @ X), "value matrix is missing"),
        ("values transposed", lambda X, V, b: _velocity(X, V.T, b), "V is transposed"),
        ("values after", lambda X, V, b: _along(X, _weights(X, b) @ X) @ V.T, "before the projection"),
        ("beta missing", lambda X, V, b: _velocity(X, V, 1.0), "Beta is missing"),
        ("a temperature", lambda X, V, b: _velocity(X, V, 1 / b), "inverse of a temperature"),
        ("root of d", lambda X, V, b: _velocity(X, V, b / math.sqrt(X.shape[1])), "no root of d"),
        ("wrong axis", lambda X, V, b: _along(X, _weights(X, b, dim=0) @ X @ V.T), "The columns sum to one"),
        ("no softmax", lambda X, V, b: _along(X, b * X @ X.T @ X @ V.T), "The softmax is missing"),
        ("a step", lambda X, V, b: X + _velocity(X, V, b), "orthogonal"),
        ("called instead of passed", torch.zeros(5, 3), "Pass the function itself"),
    ),
    "post-step": (
        ("h outside", lambda f, x, h: x + h * (_nu(x + f(x)) - x), "h multiplies f alone"),
        ("no h", lambda f, x, h: _nu(x + f(x)), "step size is missing"),
        ("h before the result", lambda f, x, h: h * _nu(x + f(x)), "not the result"),
        ("pre-norm", lambda f, x, h: x + h * f(_nu(x)), "the norm"),
        ("branch normalised", lambda f, x, h: x + h * _nu(f(x)), "residual sum comes before"),
        ("no residual", lambda f, x, h: _nu(h * f(x)), "residual is missing"),
        ("wrong sign", lambda f, x, h: _nu(x - h * f(x)), "sign of the step"),
        ("over the tokens", lambda f, x, h: _nu(x + h * f(x), dim=0), "over its own entries"),
        ("unbiased", lambda f, x, h: _nu(x + h * f(x), correction=1), "correction=0"),
        (
            "not centred",
            lambda f, x, h: (y := x + h * f(x)) / y.square().mean(-1, keepdim=True).sqrt(),
            "mean is not taken off",
        ),
        (
            "unit length",
            lambda f, x, h: torch.nn.functional.normalize(_nu(x + h * f(x)), dim=-1),
            "radius sqrt(d)",
        ),
        ("only centred", lambda f, x, h: (y := x + h * f(x)) - y.mean(-1, keepdim=True), "Only the mean"),
        (
            "by the variance",
            lambda f, x, h: _nu(y := x + h * f(x)) / y.std(-1, correction=0, keepdim=True),
            "root of the variance",
        ),
        ("called instead of passed", torch.zeros(3, 4), "Pass the function itself"),
    ),
    "gather-depth": (
        ("10 not added", (4.6, 1000), "add the 10"),
        ("powers of ten", (12, 1000), "powers of ten"),
        ("from 1", (16.9, 1000), "factor of 100 only"),
        ("exchanged", (1000, 14.6), "exchange the two"),
        ("times ten", (46.05, 1000), "add ln 100"),
        ("the factor", (14.6, 100), "That is the factor"),
        ("factor added", (14.6, 110), "multiplied by 100"),
        ("10 added", (14.6, 1010), "multiplied by 100"),
        ("the same", (14.6, 14.6), "law of post-norm"),
        ("from 1, pre", (14.6, 10_000), "factor of 100 only"),
        ("one number", 14.6, "Give 2 numbers"),
    ),
}
