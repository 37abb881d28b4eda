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


def _energy_rate(X, beta, power=2):
    total = (beta * X @ X.T).exp().sum(1, keepdim=True)
    return (total * _velocity(X, torch.eye(X.shape[1], dtype=X.dtype), beta) ** power).sum()


def _energy(X, beta):
    return (beta * X @ X.T).exp().sum() / 2 / beta


def _energy_rate_by_autograd(X, beta):
    velocity = _velocity(X, torch.eye(X.shape[1], dtype=X.dtype), beta)
    return torch.func.jvp(lambda x: _energy(x, beta), (X,), (velocity,))[1]


def _energy_rate_by_grad(X, beta):
    def gradient(x):
        return torch.func.grad(lambda x: _energy(x, beta))(x)

    return (gradient(X) * _velocity(X, torch.eye(X.shape[1], dtype=X.dtype), beta)).sum()


def _energy_rate_by_loops(X, beta):
    X = X.tolist()
    rate = 0.0
    for x in X:
        shares = [math.exp(beta * sum(a * b for a, b in zip(x, y, strict=True))) for y in X]
        total = sum(shares)
        pull = [sum(s * y[c] for s, y in zip(shares, X, strict=True)) / total for c in range(len(x))]
        along = sum(a * b for a, b in zip(x, pull, strict=True))
        rate += total * sum((p - along * a) ** 2 for a, p in zip(x, pull, strict=True))
    return rate


def _speed(X, beta):
    return _velocity(X, torch.eye(X.shape[1], dtype=X.dtype), beta).square().sum(1)


def _total(X, beta):
    return (beta * X @ X.T).exp().sum(1)


def _energy_rate_by_differences(h, order=2):
    def rate(X, beta):
        velocity = _velocity(X, torch.eye(X.shape[1], dtype=X.dtype), beta)

        def quotient(h):
            return (_energy(X + h * velocity, beta) - _energy(X - h * velocity, beta)) / 2 / h

        return quotient(h) if order == 2 else (4 * quotient(h) - quotient(2 * h)) / 3

    return rate


def _energy_in_place(X, beta):
    rate = _energy_rate(X, beta)
    X.zero_()
    return rate


RIGHT = {
    "flock-field": (
        _velocity,
        _velocity_by_tokens,
        lambda X, V, beta: _velocity(X, V, beta).numpy()[::-1][::-1],
        lambda X, V, beta: _velocity(X, V, beta).flip(0).numpy()[::-1],
        lambda X, V, beta: _velocity(X, V, beta).to(torch.complex64),
    ),
    "energy-rate": (
        _energy_rate,
        _energy_rate_by_loops,
        lambda X, b: _energy_rate(X, b).item(),
        lambda X, b: _energy_rate(X, b).numpy(),
        lambda X, b: _energy_rate(X.float(), b),
        lambda X, b: _energy_rate(X.float(), b).item(),
    ),
    "post-step": (_step, _step_by_torch, _step_by_lengths),
}
WRONG = {
    "energy-rate": (
        ("no denominator", lambda X, b: _speed(X, b).sum(), "denominator is missing"),
        ("no square", lambda X, b: (_total(X, b) * _speed(X, b).sqrt()).sum(), "squared"),
        ("no projection", lambda X, b: (_total(X, b) * (_weights(X, b) @ X).square().sum(1)).sum(), "projection"),
        ("falls", lambda X, b: -_energy_rate(X, b), "sign is wrong"),
        ("twice", lambda X, b: 2 * _energy_rate(X, b), "Too large by 2"),
        ("half", lambda X, b: _energy_rate(X, b) / 2, "The 1/2 cancels"),
        ("with beta", lambda X, b: b * _energy_rate(X, b), "cancels the 1 / beta"),
        ("by beta", lambda X, b: _energy_rate(X, b) / b, "cancels the beta"),
        ("denominator squared", lambda X, b: (_total(X, b) ** 2 * _speed(X, b)).sum(), "once Z_i is left"),
        ("a mean", lambda X, b: (_total(X, b)[:, None] * _speed(X, b)[:, None]).mean() / X.shape[1], "not a mean"),
        ("the energy", _energy, "That is the energy"),
        ("each token's", lambda X, b: _total(X, b) * _speed(X, b), "small h"),
        ("overwrites", _energy_in_place, "changes its argument"),
        ("by jvp", _energy_rate_by_autograd, "the answer uses jvp"),
        *((f"central, h = {h:g}", _energy_rate_by_differences(h), "difference quotient") for h in (1e-4, 1e-5, 1e-6)),
        *((f"order 4, h = {h:g}", _energy_rate_by_differences(h, 4), "difference quotient") for h in (3e-3, 1e-3)),
        (
            "central, as a number",
            lambda X, b: _energy_rate_by_differences(1e-5)(X, b).item(),
            "difference quotient",
        ),
        ("by a nested grad", _energy_rate_by_grad, "the answer uses grad"),
        ("imaginary", lambda X, b: torch.complex(r := _energy_rate(X, b), r), "gives complex numbers"),
        ("called instead of passed", 1.0, "Pass the function itself"),
    ),
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
        (
            "itself excluded",
            lambda X, V, b: _along(X, (b * X @ X.T).fill_diagonal_(-math.inf).softmax(1) @ X @ V.T),
            "sees itself",
        ),
        ("V in the scores", lambda X, V, b: _along(X, (b * X @ V @ X.T).softmax(1) @ X @ V.T), "V is in the scores"),
        ("V in the keys", lambda X, V, b: _along(X, (b * X @ V.T @ X.T).T.softmax(1) @ X @ V.T), "V is in the scores"),
        (
            "normalised",
            lambda X, V, b: torch.nn.functional.normalize(_velocity(X, V, b), dim=1),
            "has been normalised",
        ),
        ("beta of the example", lambda X, V, b: _velocity(X, V, 2.0), "beta = 0.7"),
        ("no numbers", lambda X, V, b: _velocity(X, V, b).to("meta"), "a tensor of numbers"),
        ("no values, in float32", lambda X, V, b: _along(X, _weights(X, b) @ X).float(), "value matrix is missing"),
        ("called instead of passed", torch.zeros(5, 3), "Pass the function itself"),
    ),
    "post-step": (
        ("h outside", lambda f, x, h: x + h * (_nu(x + f(x)) - x), "h multiplies f alone"),
        ("PyTorch's eps", lambda f, x, h: torch.nn.functional.layer_norm(x + h * f(x), x.shape[-1:]), "give it eps=0"),
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
        ("root of four", lambda f, x, h: 2 * torch.nn.functional.normalize(_nu(x + h * f(x)), dim=-1), "h = 0.3"),
        ("one over h", lambda f, x, h: torch.nn.functional.normalize(_nu(x + h * f(x)), dim=-1) / h, "h = 0.3"),
        ("called instead of passed", torch.zeros(3, 4), "Pass the function itself"),
    ),
}
