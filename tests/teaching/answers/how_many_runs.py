"""Answers to the exercises of the chapter on how many runs a comparison takes."""

import math

import numpy as np
import torch
from scipy import stats


def next_run(scores):
    a = np.asarray(scores)
    reach = stats.t.ppf(0.975, len(a) - 1) * a.std(ddof=1) * math.sqrt(1 + 1 / len(a))
    return a.mean() - reach, a.mean() + reach


def next_with(reach):
    """The mean less and plus ``reach(scores, S, s)``."""

    def answer(scores):
        a = torch.tensor(scores, dtype=torch.float64)
        far = reach(a, len(a), a.std().item())
        return [a.mean() - far, a.mean() + far]

    return answer


def variances(first, second, correction=1):
    return [torch.tensor(x).double().var(correction=correction).item() for x in (first, second)]


def seeds_with(half, *, start=2, correction=1):
    """The least number of seeds for which ``half(S, p, q)`` is at most the width, with the variances p and q."""

    def seeds_for_width(first, second, width):
        p, q = variances(first, second, correction)
        return next(n for n in range(start, 100_000) if half(n, p, q) <= width)

    return seeds_for_width


def t(freedom, share=0.975):
    return stats.t.ppf(share, freedom)


def welch(n, p, q):
    return (n - 1) * (p + q) ** 2 / (p**2 + q**2)


def half_length(n, p, q):
    return t(welch(n, p, q)) * math.sqrt((p + q) / n)


def seeds_by_numpy(first, second, width):
    squares = np.array([np.var(first, ddof=1), np.var(second, ddof=1)])
    n = 2
    while True:
        parts = squares / n
        nu = parts.sum() ** 2 / (parts**2 / (n - 1)).sum()
        if stats.t.isf(0.025, nu) * np.sqrt(parts.sum()) <= width:
            return n
        n += 1


def with_t_of_the_pilot(first, second, width):
    p, q = variances(first, second)
    v, w = p / len(first), q / len(second)
    nu = (v + w) ** 2 / (v**2 / (len(first) - 1) + w**2 / (len(second) - 1))
    return math.ceil(t(nu) ** 2 * (p + q) / width**2)


def in_pairs(first, second, width):
    s = np.std([a - b for a, b in zip(first, second, strict=False)], ddof=1)
    return next(n for n in range(2, 100_000) if t(n - 1) * s / math.sqrt(n) <= width)


def verdict(low, high, relevant):
    if low > 0:
        return "supported"
    if high < 0:
        return "worse"
    return "smaller than matters" if high < relevant else "undecided"


def verdict_by_cases(low, high, relevant):
    inside = low <= 0 <= high
    words = {(False, True): "supported", (False, False): "worse"}
    return words.get((inside, high > 0)) or ("undecided" if high >= relevant else "smaller than matters")


RIGHT = {
    "next-run": (
        next_run,
        next_with(lambda a, S, s: t(S - 1) * s * math.sqrt(1 + 1 / S)),
        lambda scores: np.array(next_run(scores)),
        lambda scores: torch.tensor(next_run(scores)),
    ),
    "seeds-for-width": (seeds_with(half_length), seeds_by_numpy),
    "verdict": (verdict, verdict_by_cases),
}

WRONG = {
    "next-run": (
        ("of the mean", next_with(lambda a, S, s: t(S - 1) * s / math.sqrt(S)), "interval for the mean"),
        ("mean known", next_with(lambda a, S, s: t(S - 1) * s), "adds 1 / S"),
        ("normal", next_with(lambda a, S, s: 1.96 * s * math.sqrt(1 + 1 / S)), "1.96 holds"),
        ("divided by S", next_with(lambda a, S, s: t(S - 1) * a.std(correction=0) * math.sqrt(1 + 1 / S)), "by S - 1"),
        ("5 % each", next_with(lambda a, S, s: t(S - 1, 0.95) * s * math.sqrt(1 + 1 / S)), "leaves 2.5 %"),
        ("t of S", next_with(lambda a, S, s: t(S) * s * math.sqrt(1 + 1 / S)), "degrees of freedom"),
        ("exchanged", lambda scores: next_run(scores)[::-1], "exchanged"),
        ("reach", lambda scores: (next_run(scores)[1] - next_run(scores)[0]) / 2, "return both ends"),
        ("sorted in place", lambda scores: scores.sort() or next_run(scores), "changes its argument number 1"),
        ("table", next_with(lambda a, S, s: {5: 2.78, 3: 4.3}[S] * s * math.sqrt(1 + 1 / S)), "term by term"),
        ("called instead of passed", (1.0, 2.0), "Pass the function itself"),
        ("range", lambda scores: (min(scores), max(scores)), "term by term"),
    ),
    "seeds-for-width": (
        ("normal", seeds_with(lambda n, p, q: 1.96 * math.sqrt((p + q) / n)), "1.96 holds for many seeds"),
        ("pilot's t", with_t_of_the_pilot, "t of the pilot"),
        ("pairs", in_pairs, "two runs of one seed are no pair"),
        ("divided by n", seeds_with(half_length, correction=0), "divides by n - 1"),
        ("no root", seeds_with(lambda n, p, q: t(welch(n, p, q)) * math.sqrt(p + q) / n), "falls with the root"),
        ("whole length", seeds_with(lambda n, p, q: 2 * half_length(n, p, q)), "half of it"),
        (
            "5 % on each side",
            seeds_with(lambda n, p, q: t(welch(n, p, q), 0.95) * math.sqrt((p + q) / n)),
            "leaves 2.5 %",
        ),
        ("one error", seeds_with(lambda n, p, q: math.sqrt((p + q) / n)), "one standard error"),
        (
            "errors added",
            seeds_with(lambda n, p, q: t(welch(n, p, q)) * (math.sqrt(p / n) + math.sqrt(q / n))),
            "Variances are added",
        ),
        ("one too few", lambda a, b, w: seeds_by_numpy(a, b, w) - 1, "not quite enough"),
        ("from three", seeds_with(half_length, start=3), "Begin with two seeds"),
        ("popped", lambda a, b, w: a.pop() and seeds_by_numpy(a, b, w), "changes its argument number 1"),
        ("called instead of passed", 12, "Pass the function itself"),
        ("two too many", lambda a, b, w: seeds_by_numpy(a, b, w) + 2, "Try 2, 3, 4"),
    ),
    "verdict": (
        ("small first", lambda a, b, r: "smaller than matters" if b < r else verdict(a, b, r), "zero comes first"),
        ("what matters only", lambda a, b, r: "supported" if a > r else "undecided", "only above zero"),
        (
            "no worse",
            lambda a, b, r: "supported" if a > 0 else "smaller than matters" if b < r else "undecided",
            "says more",
        ),
        ("by the middle", lambda a, b, r: "supported" if a + b > 0 else "worse", "zero is not"),
        (
            "three words",
            lambda a, b, r: "supported" if a > 0 else "worse" if b < 0 else "undecided",
            "A gain of what matters is excluded",
        ),
        ("capital", lambda a, b, r: verdict(a, b, r).capitalize(), "Mind the spelling"),
        ("yes or no", lambda a, b, r: a > 0, "Return one of the words"),
        ("fixed", lambda a, b, r: verdict(a, b, 1.0), "Both zero and a gain"),
        ("called instead of passed", "supported", "Pass the function itself"),
    ),
}
