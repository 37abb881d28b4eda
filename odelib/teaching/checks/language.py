"""Exercises of the chapter on language."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import torch
from torch import Tensor

from odelib.teaching.exercises import Exercise, NotYet, expect_close, expect_function


def _mix(q: Tensor, k: Tensor, v: Tensor, allowed: Tensor, scale: float, dim: int = 1) -> Tensor:
    scores = (q @ k.T * scale).masked_fill(~allowed, -torch.inf)
    return scores.softmax(dim=dim).nan_to_num() @ v


def _causal_attention(attend: Any) -> None:
    """The answer is ``causal_attention(q, k, v)``, each (tokens, width), of one head."""
    expect_function(attend, "causal_attention(...)")
    generator = torch.Generator().manual_seed(11)
    q, k, v = torch.randn(3, 5, 4, generator=generator, dtype=torch.float64)
    past = torch.ones(5, 5, dtype=torch.bool).tril()
    everything = torch.ones_like(past)
    scale = 1 / math.sqrt(4)
    whole = (q @ k.T * scale).softmax(dim=1)
    zeroed = (q @ k.T * scale * past).softmax(dim=1)
    expect_close(
        attend(q.clone(), k.clone(), v.clone()),
        _mix(q, k, v, past, scale),
        "for random q, k, v of shape (5, 4), the result",
        [
            (_mix(q, k, v, everything, scale), "Every token reads the whole text: the mask is missing."),
            (_mix(q, k, v, past, 1.0), "The scores are not divided by the square root of the width."),
            (_mix(q, k, v, past, 1 / 4), "The scores are divided by the width: divide by its square root."),
            (_mix(q, k, v, past.T, scale), "The mask is transposed: tokens read their future instead of their past."),
            (_mix(q, k, v, past.tril(-1), scale), "A token must read itself too: the diagonal belongs to the mask."),
            (_mix(q, k, v, past, scale, dim=0), "The softmax runs over the queries: each row sums to one, over keys."),
            (whole * past @ v, "The rows no longer sum to one: mask the scores, before the softmax."),
            (zeroed @ v, "A score of 0 still has weight: put -inf where nothing may be read."),
            (
                zeroed * past @ v,
                "Masked scores are 0, which the softmax counts: put -inf where nothing may be read.",
            ),
            (_mix(k, q, v, past, scale), "Queries and keys have changed places: row i belongs to query i."),
        ],
        "Scores q @ k.T / sqrt(width), -inf above the diagonal, softmax over each row, times v.",
    )


_CACHE = {"tokens": 100, "dim": 96, "intervals": 3, "steps": 5, "stages": 4}


def _cache_numbers(count: Any) -> None:
    """The answer is ``cache_numbers(tokens, dim, intervals, steps, stages)``."""
    expect_function(count, "cache_numbers(...)")
    n, d, sets, steps, stages = _CACHE.values()
    found = float(count(n, d, sets, steps, stages))
    right = 2 * n * d * sets * steps * stages
    if found != right:
        hints = {
            right / 2: "Keys and values are both kept: that is twice as many.",
            right / stages: "Each stage looks at other states, so each has keys and values of its own.",
            right / steps: "Steps with the same weights start from different states: each has its own entry.",
            right / (steps * stages): "You count sets of weights; what is kept belongs to evaluations of attention.",
            right / sets: "Each interval has entries too.",
            right / n: "That is one token: there are as many entries as tokens.",
            right * 1.5: "Queries are not kept: only the token that asks needs its query.",
            right / 2 + n * d * sets * steps: "Values are kept at every stage, as keys are.",
            2 * n * n * sets * steps * stages: "Scores are not kept: keys and values have d numbers for each token.",
        }
        hint = hints.get(found, "Two vectors of d numbers, for each token and each evaluation of attention.")
        raise NotYet(f"for {_CACHE} the count is {found:g} instead of {right}", hint)
    if float(count(7, 8, 2, 1, 4)) != 2 * 7 * 8 * 2 * 4:
        raise NotYet("for 7 tokens, d = 8, 2 intervals, 1 step, 4 stages the count is wrong", "Use all arguments.")


def _units(answer: Any) -> None:
    """The answer is ``units_of(nats)``, which returns the perplexity and the bits for each character."""
    expect_function(answer, "units_of(...)")
    for nats in (1.5, 0.4):
        given = answer(nats)
        if not isinstance(given, tuple | list) or len(given) != 2:
            raise NotYet(f"the function returns {given!r}", "Return two numbers: perplexity, bits.")
        e, two = math.exp(nats), math.log(2)
        expect_close(
            given[0],
            e,
            f"for {nats} nats, the perplexity",
            [
                (2**nats, "A nat belongs to the base e, not 2."),
                (math.exp(-nats), "That is the typical probability: the perplexity is its inverse."),
                (nats / two, "The perplexity comes first, then the bits."),
                (math.log(nats), "The perplexity undoes a logarithm: use the exponential."),
                (2 ** (nats * two), "Bits are nats divided by ln 2; or take the exponential of the nats at once."),
            ],
        )
        expect_close(
            given[1],
            nats / two,
            f"for {nats} nats, the bits",
            [
                (nats * two, "A bit is smaller than a nat, so there are more bits: divide by ln 2."),
                (math.log2(nats), "The number of nats is a logarithm already: only its base changes."),
                (nats / math.log(10), "That is in decimal digits: a bit has the base 2."),
                (nats, "Those are still nats."),
                (e, "The perplexity comes first, then the bits."),
            ],
        )


def _grams(words: list[str], n: int) -> Counter[tuple[str, ...]]:
    return Counter(zip(*(words[i:] for i in range(n)), strict=False))


_WRITTEN = "a dog and a dog and a cat sleeps".split()
_REFERENCE = "a dog and a small cat run in the snow".split()


def _clipped_precision(precision: Any) -> None:
    """The answer is ``clipped_precision(written, reference, n)`` for lists of words."""
    expect_function(precision, "clipped_precision(...)")
    for n in (1, 2):
        ours, theirs = _grams(_WRITTEN, n), _grams(_REFERENCE, n)
        hits, tried = (ours & theirs).total(), ours.total()
        unclipped = sum(count for gram, count in ours.items() if gram in theirs)
        kinds = len(ours.keys() & theirs.keys())
        expect_close(
            precision(list(_WRITTEN), list(_REFERENCE), n),
            hits / tried,
            f"for {' '.join(_WRITTEN)!r} against {' '.join(_REFERENCE)!r} and n = {n}, the precision",
            [
                (unclipped / tried, "A repeated n-gram counts each time: clip its count by that in the reference."),
                (hits / theirs.total(), "That is recall: divide by the number of n-grams that were written."),
                (kinds / len(ours), "Each n-gram counts once: count how often it occurs."),
                (kinds / tried, "Each n-gram that is found counts once: count it as often as it occurs in both."),
                (hits / len(_WRITTEN), "Divide by the number of n-grams, which is smaller than that of words."),
                (hits / len(ours), "You divide by the number of different n-grams: count repetitions too."),
                (100 * hits / tried, "That is in per cent: return a share."),
                (hits, "That is a count: divide by the number of n-grams that were written."),
                (
                    sum((_grams(_WRITTEN, 1) & _grams(_REFERENCE, 1)).values()) / len(_WRITTEN),
                    "Those are single words: n of them belong together.",
                ),
            ],
            "Count n-grams on both sides; the smaller of the two counts is what is right.",
        )


def _decoder_step(step: Any) -> None:
    """The answer is ``decoder_step(A, C, M, y, S, h)``, a Lie-Trotter step in the usual order."""
    expect_function(step, "decoder_step(...)")
    y, m, h = torch.tensor([1.0, -2.0], dtype=torch.float64), torch.tensor([0.5, 3.0], dtype=torch.float64), 0.5

    def a(y: Tensor) -> Tensor:
        return y.flip(0)

    def c(y: Tensor, m: Tensor) -> Tensor:
        return y * m

    def f(y: Tensor) -> Tensor:
        return y**2 / 4

    def along(*terms: Any, size: float = h) -> Tensor:
        state = y
        for term in terms:
            state = state + size * term(state)
        return state

    def cross(y: Tensor) -> Tensor:
        return c(y, m)

    given = y.clone()
    expect_close(
        step(a, c, f, given, m.clone(), h),
        along(a, cross, f),
        "with A a swap, C(y, S) = y S, M(y) = y^2 / 4, y = [1, -2], S = [0.5, 3], h = 0.5, the step",
        [
            (y + h * (a(y) + cross(y) + f(y)), "That is the parallel layer: each term starts where the last ended."),
            (along(a, f, cross), "C comes before M."),
            (along(cross, a, f), "A comes before C."),
            (along(cross, f, a), "The order is A, C, M."),
            (along(f, cross, a), "The order is A, C, M; yours is the reverse."),
            (along(f, a, cross), "The order is A, C, M."),
            (along(a, f), "C is missing: the decoder does not read the source."),
            (along(a, cross), "M is missing."),
            (along(a, cross, f, size=1.0), "The step size h is missing."),
            (along(a, cross, f) - y, "The residual is missing: a step starts from y."),
            (along(a, lambda s: c(s, s), f), "C reads y twice: its second argument is the memory S."),
            (along(a, lambda s: c(m, s), f), "The arguments of C have changed places."),
            (along(a, lambda s: c(y, m), f), "C reads the old y: it starts where A has led."),
        ],
        "Write y = y + h * A(y), then one such line for each further term.",
    )
    if not torch.equal(given, y):
        raise NotYet("the y that was passed in has changed", "Write y = y + ..., not y += ...: the caller needs y.")


def _next_probabilities(probabilities: Any) -> None:
    """The answer is ``next_probabilities(logits, temperature)`` with logits (vocabulary,)."""
    expect_function(probabilities, "next_probabilities(...)")
    logits = torch.tensor([2.0, 1.0, -1.0, 0.5], dtype=torch.float64)
    for temperature in (0.5, 2.0):
        plain = logits.softmax(dim=0)
        expect_close(
            probabilities(logits.clone(), temperature),
            (logits / temperature).softmax(dim=0),
            f"for the logits [2, 1, -1, 0.5] at temperature {temperature}, the probabilities",
            [
                ((logits * temperature).softmax(dim=0), "Hot and cold are exchanged: divide by the temperature."),
                (plain, "The temperature has no effect."),
                (plain / temperature, "They do not sum to one: divide the logits, before the softmax."),
                ((logits / temperature).exp(), "They do not sum to one: divide by their sum."),
                (plain ** (1 / temperature), "The powers are right, but they do not sum to one: divide by their sum."),
                ((logits / temperature).log_softmax(dim=0), "Those are logarithms of probabilities."),
                (
                    (plain / temperature).softmax(dim=0),
                    "The softmax was applied twice: divide the logits, not the probabilities.",
                ),
                ((logits - temperature).softmax(dim=0), "A softmax does not see what is subtracted from all: divide."),
            ],
            "One line: a softmax of the logits, each divided by the temperature.",
        )


EXERCISES = (
    Exercise("causal-attention", "Attention to the past", 10, "medium", _causal_attention),
    Exercise("cache-numbers", "What a cache must hold", 5, "easy", _cache_numbers),
    Exercise("units", "Nats, bits and perplexity", 5, "easy", _units),
    Exercise("next-probabilities", "Temperature", 5, "easy", _next_probabilities),
    Exercise("decoder-step", "A step of three terms", 10, "medium", _decoder_step),
    Exercise("clipped-precision", "Words that were right", 10, "hard", _clipped_precision),
)
