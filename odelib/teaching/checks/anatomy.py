"""Exercises of the chapter on the anatomy of a layer."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, einsum

from odelib.teaching.exercises import Exercise, NotYet, expect_close


def _must_be_function(answer: Any, name: str) -> None:
    if not callable(answer):
        raise NotYet(f"the answer is a {type(answer).__name__}", f"Pass the function itself: {name}, not {name}(...).")


def _random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def _masked_heads(heads: Any) -> None:
    """The answer is ``masked_heads(q, k, v)``, all of shape (heads, tokens, width)."""
    _must_be_function(heads, "masked_heads")
    q, k, v = (_random(2, 5, 3, seed=seed) for seed in (1, 2, 3))
    tokens, width = q.shape[1:]
    products = einsum("hic,hjc->hij", q, k)
    scores = products / math.sqrt(width)
    future = torch.ones(tokens, tokens, dtype=torch.bool).triu(1)

    def mixed(s: Tensor, dim: int = -1) -> Tensor:
        return s.masked_fill(future, -math.inf).softmax(dim=dim) @ v

    late = scores.softmax(dim=-1).masked_fill(future, 0.0)
    result = heads(q, k, v)
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
    _must_be_function(sees, "sees_order")
    x = _random(6, 4)
    kept = x.clone()
    for cases, right in ((_BLIND, False), (_SEEING, True)):
        for name, f, hint in cases:
            said = sees(f, x)
            if isinstance(said, Tensor) and said.numel() == 1:
                said = said.item()
            if said not in (True, False):
                raise NotYet(f"the answer returns a {type(said).__name__}", "Return True or False.")
            if not torch.equal(x, kept):
                raise NotYet("the X that was passed in has changed", "Shuffle a copy: X[order] makes one.")
            if bool(said) != right:
                raise NotYet(f"for {name} it returns {bool(said)}", hint)


def _numbers(answer: Any, count: int, names: str) -> list[float]:
    if not isinstance(answer, tuple | list) or len(answer) != count:
        raise NotYet(f"the answer is {answer!r}", f"Give {count} numbers: {names}.")
    return [float(part) for part in answer]


def _norm_numbers(answer: Any) -> None:
    """The answer is the rank and the non-zero singular value for d = 64, sigma = 2: (62, 0.5)."""
    rank, size = _numbers(answer, 2, "(rank, size)")
    hints = {
        64.0: "The kernel is not empty: which changes of a token does the norm not feel?",
        63.0: "There are two directions that the norm does not feel: the length and the mean.",
        2.0: "That is the dimension of the kernel: the others are asked for.",
        61.0: "The kernel has two dimensions, spanned by the token and the vector of ones.",
    }
    if rank != 62.0:
        raise NotYet(f"the rank is {rank:g}", hints.get(rank, "Take the dimension of the kernel from d."))
    sizes = {
        2.0: "That is sigma: a longer token is scaled down, so its inverse stands before the projection.",
        0.25: "That is 1 / sigma^2: the norm divides by the standard deviation, not by the variance.",
        1.0: "A projection has singular values 1, but it is multiplied by 1 / sigma.",
        1 / 16: "That is 1 / |Cx|: the sphere has the radius sqrt(d), which multiplies it.",
        4.0: "That is the variance: the factor is 1 / sigma.",
        8.0: "That is the radius of the sphere: the factor is 1 / sigma.",
    }
    if not math.isclose(size, 0.5):
        close = next((hint for wrong, hint in sizes.items() if math.isclose(size, wrong)), "The factor is 1 / sigma.")
        raise NotYet(f"the size is {size:g}", close)


EXERCISES = (
    Exercise("masked-heads", "Heads that do not see the future", 10, "easy", _masked_heads),
    Exercise("sees-order", "Does it see the order?", 15, "medium", _sees_order),
    Exercise("norm-numbers", "The norm by its numbers", 5, "easy", _norm_numbers),
)
