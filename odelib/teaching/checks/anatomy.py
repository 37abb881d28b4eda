"""Exercises of the chapter on the anatomy of a layer."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, einsum

from odelib.teaching.exercises import Exercise, NotYet, expect_close, expect_function
from odelib.teaching.handed_out import call_with_clones, expect_formula, expect_without


def _random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def _masked_heads(heads: Any) -> None:
    """The answer is ``masked_heads(q, k, v)``, all of shape (heads, tokens, width)."""
    expect_function(heads, "masked_heads(q, k, v)")
    q, k, v = (_random(2, 5, 3, seed=seed) for seed in (1, 2, 3))
    tokens, width = q.shape[1:]
    products = einsum("hic,hjc->hij", q, k)
    scores = products / math.sqrt(width)
    future = torch.ones(tokens, tokens, dtype=torch.bool).triu(1)

    def mixed(s: Tensor, dim: int = -1) -> Tensor:
        return s.masked_fill(future, -math.inf).softmax(dim=dim) @ v

    late = scores.softmax(dim=-1).masked_fill(future, 0.0)
    result = call_with_clones(heads, q, k, v)
    if isinstance(result, Tensor) and result.isnan().any():
        hint = "A row of scores is -inf throughout: token i reads itself and those before it, so mask j > i alone."
        if torch.allclose(result, mixed(scores, dim=0), equal_nan=True):
            hint = "The softmax runs over the heads: it runs over the keys, the last axis."
        raise NotYet("the result holds numbers that are none (nan)", hint)
    expect_close(
        result,
        mixed(scores),
        "with 2 heads of width 3 and 5 tokens, the result",
        [
            (scores.softmax(dim=-1) @ v, "The future is not masked: token i must not read the tokens j > i."),
            (late @ v, "The mask comes after the softmax, so rows do not sum to one: put -inf into the scores."),
            (
                scores.masked_fill(future.T, -math.inf).softmax(dim=-1) @ v,
                "The past is masked instead of the future: keep the keys j <= i.",
            ),
            (
                scores.masked_fill(future, 0.0).softmax(dim=-1) @ v,
                "A score of 0 still gets a weight: the masked ones are -inf.",
            ),
            (mixed(products), "The scale is missing: divide the scores by the square root of the width."),
            (mixed(products / width), "The scores are divided by the width: divide them by its square root."),
            (
                mixed(products / math.sqrt(width * len(q))),
                "The scale uses the width of all heads together: each head has its own width.",
            ),
            (
                mixed(products / math.sqrt(tokens)),
                "The scale uses the number of tokens: it is the width of a head.",
            ),
            (mixed(scores, dim=1), "The columns sum to one: normalise over the keys, the last axis."),
            (mixed(scores.mT), "Queries and keys are exchanged: row i belongs to query i."),
        ],
        "If the first row is not the first value, look at the mask.",
    )


def _forward_cyclic(x: Tensor) -> Tensor:
    return x + x.roll(1, dims=0)


def _mirrored(x: Tensor) -> Tensor:
    return x + x.flip(0)


def _marked(place: int) -> Callable[[Tensor], Tensor]:
    def marked(x: Tensor) -> Tensor:
        at = torch.zeros_like(x)
        at[place] = 1.0
        return x + at

    return marked


def _causal_mean(x: Tensor) -> Tensor:
    return x.cumsum(dim=0) / torch.arange(1, len(x) + 1, dtype=x.dtype)[:, None]


def _attend(x: Tensor) -> Tensor:
    return (x @ x.T).softmax(dim=-1) @ x


_BLIND: tuple[tuple[str, Callable[[Tensor], Tensor], str], ...] = (
    (
        "attention without a mask",
        _attend,
        "Its rows are shuffled along: compare f(X[p]) with f(X)[p], by torch.allclose.",
    ),
    ("a map of each token alone", torch.tanh, "It cannot see the order: compare f(X[p]) with f(X)[p]."),
    (
        "the mean of all tokens, given to each",
        lambda x: x.mean(dim=0).expand(len(x), -1),
        "It cannot see the order. Rounding differs with the order of a sum, so compare with torch.allclose.",
    ),
)


def _distant(x: Tensor, kept: Tensor) -> Tensor:
    exchanged = torch.equal(x[1], kept[4]) and torch.equal(x[4], kept[1]) and torch.equal(x[0], kept[0])
    return x + 1.0 if exchanged else x


_SEEING: tuple[tuple[str, Callable[[Tensor], Tensor], str], ...] = (
    ("the mean of a token and those before it", _causal_mean, "Attention to the past sees the order."),
    ("a map that marks the last place", _marked(-1), "Your permutations leave the last place alone: try others."),
    ("a map that marks the first place", _marked(0), "Your permutations leave the first place alone: try others."),
    ("a map that marks the third place", _marked(2), "Your permutations leave the third place alone: try others."),
    ("a map that adds the token before, in a ring", _forward_cyclic, "Turning the ring keeps neighbours: try others."),
    ("a map that adds the token at the mirrored place", _mirrored, "Turning the row round is one permutation of many."),
)


def _sees_order(sees: Any) -> None:
    """The answer is ``sees_order(f, X)``, whether f on (tokens, d) fails to commute with permutations."""
    expect_function(sees, "sees_order(f, X)")
    x = _random(6, 4)
    kept = x.clone()
    distant = (
        "a map that tells only when the second and the fifth token are exchanged",
        lambda x: _distant(x, kept),
        "Try all pairs of places, not only neighbours or a few at random.",
    )
    for cases, right in ((_BLIND, False), ((*_SEEING, distant), True)):
        for name, f, hint in cases:
            said = sees(f, x)
            if isinstance(said, Tensor) and said.numel() == 1:
                said = said.item()
            if getattr(said, "ndim", 0) or said not in (True, False):
                raise NotYet(f"the answer returns a {type(said).__name__}", "Return True or False.")
            if not torch.equal(x, kept):
                raise NotYet("the X that was passed in has changed", "Shuffle a copy: X[order] makes one.")
            if bool(said) != right:
                raise NotYet(f"for {name} it returns {bool(said)}", hint)


def _norm_derivative(derivative: Any) -> None:
    """The answer is ``norm_derivative(x, v)``, P_x v / sigma for each row, both (tokens, d)."""
    expect_function(derivative, "norm_derivative(x, v)")
    expect_without(derivative, "autograd", "backward", "grad", "jvp", "vjp", "jacobian", "jacrev", "jacfwd")
    x, v = 1.0 + 2.0 * _random(4, 5, seed=8), 0.5 + _random(4, 5, seed=9)

    def centre(y: Tensor) -> Tensor:
        return y - y.mean(dim=-1, keepdim=True)

    def off(y: Tensor, u: Tensor) -> Tensor:
        return y - (u * y).sum(dim=-1, keepdim=True) * u

    length = centre(x).norm(dim=-1, keepdim=True)
    u, sigma = centre(x) / length, length / math.sqrt(5)
    right = off(centre(v), u) / sigma
    raw = torch.nn.functional.normalize(x, dim=-1)
    expect_close(
        call_with_clones(derivative, x, v),
        right,
        "with 4 tokens of 5 entries, the derivative",
        [
            (off(centre(v), u), "The factor 1 / sigma is missing."),
            (right / math.sqrt(5), "That is 1 / |Cx|: the sphere has the radius sqrt(d), so divide by sigma."),
            (off(centre(v), u) / sigma.square(), "Divide by the standard deviation, not by the variance."),
            (off(centre(v), u) * sigma, "Divide by sigma: a longer token is scaled down."),
            (off(centre(v), u) / x.std(dim=-1, keepdim=True), "sigma is divided by d, not by d - 1: correction=0."),
            (centre(v) / sigma, "The part along u is to be taken off: the norm does not feel the length."),
            (off(v, u) / sigma, "The mean of v is to be taken off: the norm does not feel it."),
            (off(centre(v), raw) / sigma, "u is the direction of Cx: take the mean off x first."),
            (off(v, raw) / sigma, "Take the means off x and v first."),
            (off(centre(v), centre(x)) / sigma, "u has length 1: divide Cx by its length."),
            (off(centre(v), centre(x) / sigma) / sigma, "u has length 1, and Cx / sigma has sqrt(d)."),
            ((u * v).sum(dim=-1, keepdim=True) * u / sigma, "This is the part along u: the other part is asked for."),
            (centre(x) / sigma, "That is the norm itself: its derivative in the direction v is asked for."),
            (centre(v) / centre(v).norm(dim=-1, keepdim=True) * math.sqrt(5), "That is the norm of v."),
        ],
        "For v = x and for v = (1, ..., 1) it must be zero.",
    )
    for scale in (1e-8, 1e6):  # a step that is small for one of them is not for the other
        expect_formula(
            call_with_clones(derivative, scale * x, v),
            right / scale,
            f"with tokens {scale:g} times as long, the derivative",
            "Write out the projections and divide by sigma: no step is small enough for all tokens.",
        )


EXERCISES = (
    Exercise("masked-heads", "Heads that do not see the future", 10, "easy", _masked_heads),
    Exercise("sees-order", "Does it see the order?", 15, "medium", _sees_order),
    Exercise("norm-derivative", "The norm's derivative without autograd", 10, "medium", _norm_derivative),
)
