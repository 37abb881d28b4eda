"""Answers to the exercises of the chapter on the anatomy of a layer."""

import itertools
import math

import torch
from torch import einsum


def _heads(scale=lambda q: math.sqrt(q.shape[-1]), dim=-1, forbid=lambda n: torch.ones(n, n).triu(1), fill=-math.inf):
    """Masked attention, with mistakes in the scale, the axis of the softmax, the mask or what it puts in."""

    def heads(q, k, v):
        scores = einsum("hic,hjc->hij", q, k) / scale(q)
        return scores.masked_fill(forbid(q.shape[1]).bool(), fill).softmax(dim=dim) @ v

    return heads


def _heads_by_rows(q, k, v):
    rows = []
    for i in range(q.shape[1]):
        scores = einsum("hc,hjc->hj", q[:, i], k[:, : i + 1]) / q.shape[-1] ** 0.5
        rows.append(einsum("hj,hjc->hc", scores.softmax(dim=-1), v[:, : i + 1]))
    return torch.stack(rows, dim=1)


def _heads_by_torch(q, k, v):
    return torch.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)


def _heads_masked_late(q, k, v):
    return (q @ k.mT / math.sqrt(q.shape[-1])).softmax(dim=-1).tril() @ v


def _heads_no_softmax(q, k, v):
    return (q @ k.mT / math.sqrt(q.shape[-1])).tril() @ v


def _heads_exchanged(q, k, v):
    return _heads()(k, q, v)


def _sees_by_exchanges(f, X):
    for i, j in itertools.combinations(range(len(X)), 2):
        order = list(range(len(X)))
        order[i], order[j] = j, i
        if not torch.allclose(f(X[order]), f(X)[order]):
            return True
    return False


def _sees_by_neighbours(f, X):
    return not all(torch.allclose(f(X[p]), f(X)[p]) for p in _all_swaps(X))


def _sees_by_chance(f, X):
    trials = (torch.randperm(len(X), generator=torch.Generator().manual_seed(k)) for k in range(50))
    return any((f(X[p]) - f(X)[p]).abs().max() > 1e-9 for p in trials)


def _sees_by_matrices(f, X):
    eye = torch.eye(len(X), dtype=X.dtype)
    swaps = [eye[[j if k == i else i if k == j else k for k in range(len(X))]] for i in range(len(X)) for j in range(i)]
    return torch.stack([(f(P @ X) - P @ f(X)).abs().max() for P in swaps]).max() > 1e-9


def _sees(order, same=lambda f, X, p: torch.allclose(f(X[p]), f(X)[p])):
    """One permutation only, or another comparison."""
    return lambda f, X: not same(f, X, torch.tensor(order(len(X))))


def _turned_ring(n):
    return [*range(1, n), 0]


def _turned_row(n):
    return list(range(n))[::-1]


def _in_place(f, X):
    before = f(X).clone()
    X[[0, 1]] = X[[1, 0]]
    return not torch.allclose(f(X)[[1, 0, *range(2, len(X))]], before)


def _parts(x, v):
    """Cx, Cv, its direction u and sigma."""
    x, v = x - x.mean(-1, keepdim=True), v - v.mean(-1, keepdim=True)
    return x, v, x / x.norm(dim=-1, keepdim=True), x.square().mean(-1, keepdim=True).sqrt()


def _off(v, u):
    return v - (u * v).sum(-1, keepdim=True) * u


def _norm_derivative(x, v):
    _, v, u, sigma = _parts(x, v)
    return _off(v, u) / sigma


def _nu(y):
    y = y - y.mean(-1, keepdim=True)
    return y / y.square().mean(-1, keepdim=True).sqrt()


def _norm_derivative_by_jvp(x, v):
    return torch.func.jvp(_nu, (x,), (v,))[1]


def _norm_derivative_by_differences(h, relative=False, order=2):
    def derivative(x, v):
        eps = h * x.norm(dim=-1, keepdim=True) / v.norm(dim=-1, keepdim=True) if relative else h

        def quotient(eps):
            return (_nu(x + eps * v) - _nu(x - eps * v)) / 2 / eps

        return quotient(eps) if order == 2 else (4 * quotient(eps) - quotient(2 * eps)) / 3

    return derivative


def _norm_derivative_by_matrices(x, v):
    d = x.shape[1]
    C = torch.eye(d, dtype=x.dtype) - 1 / d
    rows = []
    for token, w in zip(x, v, strict=True):
        u = C @ token / (C @ token).norm()
        rows.append((C - torch.outer(u, u)) @ w / token.std(correction=0))
    return torch.stack(rows)


def _wrong_derivative(rule):
    return lambda x, v: rule(*_parts(x, v))


def _derivative_in_place(x, v):
    result = _norm_derivative(x, v)
    x.zero_()
    return result


def _heads_in_place(q, k, v):
    result = _heads()(q, k, v)
    v.zero_()
    return result


RIGHT = {
    "masked-heads": (_heads(), _heads_by_rows, _heads_by_torch),
    "sees-order": (_sees_by_exchanges, _sees_by_matrices),
    "norm-derivative": (
        _norm_derivative,
        _norm_derivative_by_matrices,
        lambda x, v: _norm_derivative(x, v).numpy(),
        lambda x, v: _norm_derivative(x, v).tolist(),
        lambda x, v: _norm_derivative(x.float(), v.float()),
        lambda x, v: list(_norm_derivative(x.float(), v.float())),
    ),
}
WRONG = {
    "masked-heads": (
        ("unmasked future", _heads(forbid=torch.zeros), "The future is not masked"),
        ("mask after the softmax", _heads_masked_late, "rows do not sum to one"),
        ("past masked", _heads(forbid=lambda n: torch.ones(n, n).tril(-1)), "The past is masked"),
        ("itself masked", _heads(forbid=lambda n: torch.ones(n, n).triu()), "reads itself"),
        ("only the future", _heads(forbid=lambda n: torch.ones(n, n).tril()), "mask j > i alone"),
        ("score 0 for the future", _heads(fill=0.0), "A score of 0"),
        ("scale missing", _heads(scale=lambda q: 1.0), "The scale is missing"),
        ("divided by the width", _heads(scale=lambda q: q.shape[-1]), "its square root"),
        ("width of all heads", _heads(scale=lambda q: math.sqrt(q.shape[0] * q.shape[-1])), "each head has its own"),
        ("root of the tokens", _heads(scale=lambda q: math.sqrt(q.shape[1])), "number of tokens"),
        ("softmax over the queries", _heads(dim=1), "The columns sum to one"),
        ("softmax over the heads", _heads(dim=0), "runs over the heads"),
        ("queries and keys exchanged", _heads_exchanged, "exchanged"),
        ("softmax missing", _heads_no_softmax, "look at the mask"),
        ("one head only", lambda q, k, v: _heads()(q, k, v)[0], "look at the mask"),
        ("overwrites", _heads_in_place, "changes its argument"),
        ("einsum", lambda q, k, v: einsum("ic,jc->ij", q, k), "no ellipsis was given"),
        ("called instead of passed", 1.0, "Pass the function itself"),
    ),
    "norm-derivative": (
        ("no sigma", _wrong_derivative(lambda x, v, u, s: _off(v, u)), "1 / sigma is missing"),
        ("by the length", lambda x, v: _norm_derivative(x, v) / math.sqrt(x.shape[1]), "radius sqrt(d)"),
        ("variance", _wrong_derivative(lambda x, v, u, s: _off(v, u) / s**2), "not by the variance"),
        ("times sigma", _wrong_derivative(lambda x, v, u, s: _off(v, u) * s), "scaled down"),
        ("unbiased", lambda x, v: _off(_parts(x, v)[1], _parts(x, v)[2]) / x.std(-1, keepdim=True), "correction=0"),
        ("length felt", _wrong_derivative(lambda x, v, u, s: v / s), "part along u is to be taken off"),
        ("mean felt", lambda x, v: _off(v, _parts(x, v)[2]) / _parts(x, v)[3], "mean of v"),
        ("not centred", lambda x, v: _off(v, x / x.norm(dim=-1, keepdim=True)) / _parts(x, v)[3], "off x and v"),
        ("u too long", _wrong_derivative(lambda x, v, u, s: _off(v, x) / s), "u has length 1"),
        ("u by sigma", _wrong_derivative(lambda x, v, u, s: _off(v, x / s) / s), "Cx / sigma"),
        ("the other part", _wrong_derivative(lambda x, v, u, s: (v - _off(v, u)) / s), "the other part"),
        ("the norm itself", _wrong_derivative(lambda x, v, u, s: x / s), "the norm itself"),
        ("norm of v", lambda x, v: _parts(v, x)[0] / _parts(v, x)[3], "the norm of v"),
        ("wrong sign", lambda x, v: -_norm_derivative(x, v), "must be zero"),
        ("by jvp", _norm_derivative_by_jvp, "the answer uses jvp"),
        *((f"central, h = {h:g}", _norm_derivative_by_differences(h), "difference quotient") for h in (1e-5, 1e-6)),
        ("central, relative", _norm_derivative_by_differences(1e-5, True), "difference quotient"),
        ("order 4", _norm_derivative_by_differences(1e-3, order=4), "difference quotient"),
        ("central, float32", lambda x, v: _norm_derivative_by_differences(1e-5)(x, v).float(), "difference quotient"),
        ("overwrites", _derivative_in_place, "changes its argument"),
        ("called instead of passed", torch.zeros(4, 5), "Pass the function itself"),
    ),
    "sees-order": (
        ("invariance", _sees(_turned_ring, lambda f, X, p: torch.allclose(f(X[p]), f(X))), "compare f(X[p])"),
        ("always", lambda f, X: True, "compare f(X[p])"),
        ("never", lambda f, X: False, "Attention to the past"),
        ("result not shuffled back", _sees(_turned_ring, lambda f, X, p: torch.equal(f(X[p])[p], f(X))), "compare"),
        ("exact equality", lambda f, X: not all(torch.equal(f(X[p]), f(X)[p]) for p in _all_swaps(X)), "allclose"),
        ("first two only", _sees(lambda n: [1, 0, *range(2, n)]), "leave the last place alone"),
        ("last two only", _sees(lambda n: [*range(n - 2), n - 1, n - 2]), "leave the first place alone"),
        ("first and last only", _sees(lambda n: [n - 1, *range(1, n - 1), 0]), "leave the third place alone"),
        ("neighbours only", _sees_by_neighbours, "all pairs of places"),
        ("some at random", _sees_by_chance, "all pairs of places"),
        ("ring only", _sees(_turned_ring), "Turning the ring"),
        ("turned row only", _sees(_turned_row), "Turning the row round"),
        ("writes into X", _in_place, "has changed"),
        ("a measure", lambda f, X: (f(X.flip(0)) - f(X).flip(0)).norm() + 0.5, "Return True or False"),
        ("a word", lambda f, X: "no", "Return True or False"),
        ("one answer for each token", lambda f, X: X[:, 0] > 0, "Return True or False"),
        ("called instead of passed", True, "Pass the function itself"),
    ),
}


def _all_swaps(X):
    for i in range(len(X) - 1):
        order = torch.arange(len(X))
        order[i], order[i + 1] = i + 1, i
        yield order
