"""Exercises of the chapter on how many runs a comparison takes."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch

from odelib.teaching.exercises import Exercise, NotYet, expect_close, expect_function
from odelib.teaching.handed_out import call_with_clones, expect_without


def _next_run(next_run: Any) -> None:
    """The answer is ``next_run(scores)``: both ends of the 95 % prediction interval for one more run."""
    from scipy import stats

    expect_function(next_run, "next_run(scores)")

    for scores in ([85.5, 84.1, 85.3, 84.6, 85.1], [71.0, 70.2, 72.9]):
        a = torch.tensor(scores, dtype=torch.float64)
        n, mean, spread = len(scores), float(a.mean()), float(a.std())
        t = float(stats.t.ppf(0.975, n - 1))

        def ends(reach: float, middle: float = mean) -> list[float]:
            return [middle - reach, middle + reach]

        wide = math.sqrt(1 + 1 / n)
        expect_close(
            call_with_clones(next_run, scores),
            torch.tensor(ends(t * spread * wide), dtype=torch.float64),
            f"with {n} scores, the ends",
            [
                (ends(t * spread / math.sqrt(n)), "That is the interval for the mean: the next run scatters too."),
                (ends(t * spread), "The mean is not known exactly: it adds 1 / S under the root."),
                (ends(1.96 * spread * wide), "1.96 holds for many seeds: take t with S - 1."),
                (ends(t * float(a.std(correction=0)) * wide), "The deviation divides by S - 1, not by S."),
                (
                    ends(float(stats.t.ppf(0.95, n - 1)) * spread * wide),
                    "That leaves 5 % on each side: an interval of 95 % leaves 2.5 %.",
                ),
                (
                    ends(float(stats.t.ppf(0.975, n)) * spread * wide),
                    "t has S - 1 degrees of freedom, since the mean was estimated from the same runs.",
                ),
                (ends(t * spread * wide)[::-1], "The ends are exchanged: the lower comes first."),
                (t * spread * wide, "That is how far the ends are from the mean: return both ends."),
            ],
            "Compare with the formula term by term: mean, t, deviation, root.",
        )


def _seeds_needed(seeds_needed: Any) -> None:
    """The answer is ``seeds_needed(first, second, width)``: values of a pilot by seed, half the interval's length."""
    from scipy import stats

    expect_function(seeds_needed, "seeds_needed(first, second, width)")

    def t(seeds: int, share: float = 0.975) -> float:
        return float(stats.t.ppf(share, seeds - 1))

    def least(spread: float, width: float, half: Callable[[int], float]) -> float:
        return float(next(seeds for seeds in range(2, 100_000) if spread * half(seeds) <= width))

    def half(seeds: int) -> float:
        return t(seeds) / math.sqrt(seeds)

    for first, second, width in (
        ([85.5, 84.1, 85.3, 84.6, 85.1], [84.3, 82.5, 84.7, 83.9, 82.2], 0.31),
        ([71.0, 70.2, 72.9, 73.0], [68.9, 69.9, 70.6, 72.8], 0.6),
    ):
        a, b = (torch.tensor(values, dtype=torch.float64) for values in (first, second))
        spread, pilot = float((a - b).std()), len(first)
        right = least(spread, width, half)
        suspects = [
            (least(spread, width, lambda n: 1.96 / math.sqrt(n)), "1.96 holds for many seeds: take t."),
            (
                math.ceil((t(pilot) * spread / width) ** 2),
                "That is t of the pilot: t depends on the number of seeds that is wanted, so try them in turn.",
            ),
            (
                least(float((a.var() + b.var()).sqrt()), width, half),
                "That is the spread of two groups without pairs: subtract seed by seed first.",
            ),
            (
                least(float((a - b).std(correction=0)), width, half),
                "The standard deviation divides by n - 1, not by n.",
            ),
            (
                least(spread, width, lambda n: t(n) / n),
                "The standard error falls with the root of the number of seeds.",
            ),
            (least(spread, width / 2, half), "That makes the whole interval so long: half of it is asked for."),
            (
                least(spread, width, lambda n: t(n, 0.95) / math.sqrt(n)),
                "That leaves 5 % on each side: an interval of 95 % leaves 2.5 %.",
            ),
            (
                least(spread, width, lambda n: 1 / math.sqrt(n)),
                "That is one standard error: the half length is t times as long.",
            ),
            (right - 1, "So many are not quite enough: the interval may not be longer than that."),
        ]
        expect_close(
            call_with_clones(seeds_needed, first, second, width),
            right,
            f"with a pilot of {pilot} seeds and half a length of at most {width}, the number of seeds",
            suspects,
            "Try 2, 3, 4, ... seeds until t times the standard error of the paired differences is small enough.",
        )
    expect_close(
        call_with_clones(seeds_needed, first, second, 30.0),
        2.0,
        "with half a length of at most 30, which two seeds keep, the number of seeds",
        otherwise="Begin with two seeds, however many the pilot has.",
    )


def _rejected(rejected: Any) -> None:
    """The answer is ``rejected(p_values, alpha)``: for each p-value whether Holm's method rejects."""
    expect_function(rejected, "rejected(p_values, alpha)")
    expect_without(rejected, "holm", "corrected")
    for p, alpha in (
        ([0.032, 0.004, 0.015, 0.60, 0.009, 0.045], 0.05),
        ([0.021, 0.04, 0.02], 0.05),
        ([0.08, 0.03, 0.02], 0.10),
        ([0.01, 0.60, 0.01], 0.05),
    ):
        m = len(p)
        order = sorted(range(m), key=p.__getitem__)
        right = _until(p, order, [alpha / (m - rank) for rank in range(m)])
        upward = [p[i] for rank, i in enumerate(order, 1) if p[i] <= alpha * rank / m]
        suspects = [
            ([x <= alpha for x in p], "Nothing is corrected: each is compared with alpha itself."),
            ([x <= alpha / m for x in p], "That is Bonferroni's bound, alpha / m for all: the next may be larger."),
            (
                [x <= alpha / (m - order.index(i)) for i, x in enumerate(p)],
                "Stop at the first that is not rejected: those after it stay too.",
            ),
            ([right[i] for i in order], "They come in the order of size: give them in the order of p_values."),
            ([not value for value in right], "Yes and no are exchanged: True is for what is rejected."),
            (
                _until(p, order, [alpha / max(m - rank - 1, 1) for rank in range(m)]),
                "The bounds are one step ahead: the smallest of m is compared with alpha / m.",
            ),
            (
                [x <= max(upward, default=0.0) for x in p],
                "That goes up from the largest with bounds alpha j / m: it limits another kind of error.",
            ),
            (
                [x and p.index(p[i]) == i for i, x in enumerate(right)],
                "Two values are equal, and index() finds the first of them alone: sort places, not values.",
            ),
        ]
        given = _yes_or_no(call_with_clones(rejected, p, alpha), m)
        if given != right:
            hints = [hint for value, hint in suspects if value == given]
            otherwise = "Go from the smallest to the largest, and compare with alpha / m, alpha / (m - 1), ..."
            what = f"with p = {p} and alpha = {alpha} the answer is {given} instead of {right}"
            raise NotYet(what, hints[0] if hints else otherwise)


def _until(p: list[float], order: list[int], bounds: list[float]) -> list[bool]:
    """For each p-value whether it and all before it in ``order`` stay within their bounds."""
    passed = [False] * len(p)
    for i, bound in zip(order, bounds, strict=True):
        if p[i] > bound:
            break
        passed[i] = True
    return passed


def _yes_or_no(given: Any, m: int) -> list[bool]:
    """Refuse what is not one yes or no for each question."""
    try:
        values = [float(value) for value in given]
    except (TypeError, ValueError):
        raise NotYet(f"the answer returns a {type(given).__name__}", "Return a list of True and False.") from None
    if len(values) != m or not set(values) <= {0.0, 1.0}:
        raise NotYet(f"for {m} p-values the answer returns {given}", "Return True or False for each, in their order.")
    return [value == 1.0 for value in values]


EXERCISES = (
    Exercise("next-run", "Where will the next run fall?", 10, "easy", _next_run),
    Exercise("seeds-needed", "How many seeds?", 10, "medium", _seeds_needed),
    Exercise("rejected", "Several questions at once", 10, "medium", _rejected),
)
