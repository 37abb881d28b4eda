"""Exercises of the chapter on how many runs a comparison takes."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch

from odelib.teaching.exercises import Exercise, NotYet, expect_close, expect_function
from odelib.teaching.handed_out import call_with_clones


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


def _t(freedom: float, share: float = 0.975) -> float:
    from scipy import stats

    return float(stats.t.ppf(share, freedom))


def _least(half: Callable[[int], float], width: float) -> float:
    """The least number of seeds, from 2, for which half an interval is at most so long."""
    return float(next(seeds for seeds in range(2, 100_000) if half(seeds) <= width))


def _seeds_for_width(seeds_for_width: Any) -> None:
    """The answer is ``seeds_for_width(first, second, width)``: a pilot's values, half the interval's length."""
    expect_function(seeds_for_width, "seeds_for_width(first, second, width)")
    pilots = (
        ([85.5, 84.1, 85.3, 84.6, 85.1], [84.3, 82.5, 84.7, 83.9, 82.2], 0.6),
        ([71.0, 70.2, 72.9, 73.0], [68.9, 69.9, 70.6, 72.8, 70.1, 66.0], 0.9),
    )
    for first, second, width in pilots:
        _check_pilot(seeds_for_width, first, second, width)
    expect_close(
        call_with_clones(seeds_for_width, first, second, 90.0),
        2.0,
        "with half a length of at most 90, which two seeds keep, the number of seeds",
        otherwise="Begin with two seeds, however many the pilot has.",
    )


def _check_pilot(seeds_for_width: Any, first: list[float], second: list[float], width: float) -> None:
    a, b = (torch.tensor(values, dtype=torch.float64) for values in (first, second))
    p, q = float(a.var()), float(b.var())
    both, roots = p + q, math.sqrt(p) + math.sqrt(q)
    biased = float(a.var(correction=0) + b.var(correction=0))
    v, w = p / len(a), q / len(b)
    pilot = (v + w) ** 2 / (v**2 / (len(a) - 1) + w**2 / (len(b) - 1))
    shared = min(len(a), len(b))
    paired = float((a[:shared] - b[:shared]).std())

    def t(n: int, share: float = 0.975) -> float:
        return _t((n - 1) * both**2 / (p**2 + q**2), share)

    def half(n: int) -> float:
        return t(n) * math.sqrt(both / n)

    right = _least(half, width)
    suspects = [
        (_least(lambda n: 1.96 * math.sqrt(both / n), width), "1.96 holds for many seeds: take t."),
        (
            math.ceil(_t(pilot) ** 2 * both / width**2),
            "That is t of the pilot: t depends on the number of seeds that is wanted, so try them in turn.",
        ),
        (
            _least(lambda n: _t(n - 1) * paired / math.sqrt(n), width),
            "That is the interval of pairs: two runs of one seed are no pair, so add the variances of the two.",
        ),
        (_least(lambda n: t(n) * math.sqrt(biased / n), width), "The variance divides by n - 1, not by n."),
        (
            _least(lambda n: t(n) * math.sqrt(both) / n, width),
            "The standard error falls with the root of the number of seeds.",
        ),
        (_least(half, width / 2), "That makes the whole interval so long: half of it is asked for."),
        (
            _least(lambda n: t(n, 0.95) * math.sqrt(both / n), width),
            "That leaves 5 % on each side: an interval of 95 % leaves 2.5 %.",
        ),
        (
            _least(lambda n: math.sqrt(both / n), width),
            "That is one standard error: the half length is t times as long.",
        ),
        (
            _least(lambda n: t(n) * roots / math.sqrt(n), width),
            "Variances are added, not standard errors: take the root of the sum.",
        ),
        (right - 1, "So many are not quite enough: the interval may not be longer than that."),
    ]
    expect_close(
        call_with_clones(seeds_for_width, first, second, width),
        right,
        f"with a pilot of {len(first)} and {len(second)} seeds and half a length of at most {width}, the number",
        suspects,
        "Try 2, 3, 4, ... seeds of each until t times the standard error of the difference is small enough.",
    )


_WORDS = ("supported", "worse", "smaller than matters", "undecided")


def _verdict(verdict: Any) -> None:
    """The answer is ``verdict(low, high, relevant)``: the word that is read off an interval."""
    expect_function(verdict, "verdict(low, high, relevant)")
    for low, high, relevant, right, hint in (
        (1.2, 2.6, 1.0, "supported", "All of it is above zero."),
        (0.2, 2.6, 1.0, "supported", "It need not be above what matters, only above zero."),
        (0.1, 0.8, 1.0, "supported", "It is below what matters as well, but zero comes first: there is a gain."),
        (-0.9, 0.7, 1.0, "smaller than matters", "A gain of what matters is excluded, though zero is not."),
        (-0.9, 0.7, 0.5, "undecided", "Both zero and a gain that matters are inside."),
        (-0.6, 2.2, 1.0, "undecided", "Both zero and a gain that matters are inside."),
        (-2.2, -0.5, 1.0, "worse", "All of it is below zero, which says more than that it is small."),
        (-40.0, -39.0, 50.0, "worse", "All of it is below zero, whatever would matter."),
        (0.001, 0.002, 0.005, "supported", "The unit does not matter: accuracies may be shares."),
    ):
        given = verdict(low, high, relevant)
        if not isinstance(given, str):
            raise NotYet(
                f"the answer returns a {type(given).__name__}", f"Return one of the words {', '.join(_WORDS)}."
            )
        if given != right:
            near = " Mind the spelling." if given not in _WORDS else ""
            what = f"for {low} to {high}, where {relevant} matters, the answer is {given!r} instead of {right!r}"
            raise NotYet(what, hint + near)


EXERCISES = (
    Exercise("next-run", "Where will the next run fall?", 10, "easy", _next_run),
    Exercise("seeds-for-width", "How many seeds for an interval?", 15, "medium", _seeds_for_width),
    Exercise("verdict", "Read the verdict", 5, "easy", _verdict),
)
