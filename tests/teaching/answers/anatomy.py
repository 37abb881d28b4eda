"""Answers to the exercises of the chapter on the anatomy of a layer."""

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
    for i in range(len(X) - 1):
        order = torch.arange(len(X))
        order[i], order[i + 1] = i + 1, i
        if not torch.allclose(f(X[order]), f(X)[order]):
            return True
    return False


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


RIGHT = {
    "masked-heads": (_heads(), _heads_by_rows, _heads_by_torch),
    "sees-order": (_sees_by_exchanges, _sees_by_chance, _sees_by_matrices),
    "norm-numbers": ((62, 0.5), [62.0, 1 / 2]),
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
        ("called instead of passed", 1.0, "Pass the function itself"),
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
        ("ring only", _sees(_turned_ring), "Turning the ring"),
        ("turned row only", _sees(_turned_row), "Turning the row round"),
        ("writes into X", _in_place, "has changed"),
        ("a measure", lambda f, X: (f(X.flip(0)) - f(X).flip(0)).norm() + 0.5, "Return True or False"),
        ("a word", lambda f, X: "no", "Return True or False"),
        ("called instead of passed", True, "Pass the function itself"),
    ),
    "norm-numbers": (
        ("no kernel", (64, 0.5), "The kernel is not empty"),
        ("length only", (63, 0.5), "two directions"),
        ("kernel itself", (2, 0.5), "dimension of the kernel"),
        ("three dimensions", (61, 0.5), "spanned by the token"),
        ("sigma", (62, 2), "That is sigma"),
        ("variance", (62, 0.25), "1 / sigma^2"),
        ("projection", (62, 1), "multiplied by 1 / sigma"),
        ("length", (62, 1 / 16), "1 / |Cx|"),
        ("radius", (62, 8), "radius of the sphere"),
        ("one number", 62, "Give 2 numbers"),
    ),
}


def _all_swaps(X):
    for i in range(len(X) - 1):
        order = torch.arange(len(X))
        order[i], order[i + 1] = i + 1, i
        yield order
