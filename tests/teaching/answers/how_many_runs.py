"""Answers to the exercises of the chapter on how many runs a comparison takes."""

import math

import numpy as np
import torch
from scipy import stats

from odelib.studies.statistics import holm


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


def seeds_with(half, *, start=2, spread=lambda a, b: (a - b).std()):
    """The least number of seeds for which ``half(n, s)`` is at most the width."""

    def seeds_needed(first, second, width):
        s = spread(torch.tensor(first).double(), torch.tensor(second).double()).item()
        return next(n for n in range(start, 100_000) if half(n, s) <= width)

    return seeds_needed


def t(freedom, share=0.975):
    return stats.t.ppf(share, freedom)


def half_length(n, s):
    return t(n - 1) * s / math.sqrt(n)


def seeds_by_numpy(first, second, width):
    gaps = np.subtract(first, second)
    n = 2
    while stats.t.isf(0.025, n - 1) * gaps.std(ddof=1) > width * np.sqrt(n):
        n += 1
    return n


def with_t_of_the_pilot(first, second, width):
    s = (torch.tensor(first).double() - torch.tensor(second).double()).std().item()
    return math.ceil((t(len(first) - 1) * s / width) ** 2)


def rejected(p_values, alpha):
    answer = [False] * len(p_values)
    for rank, i in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        if p_values[i] > alpha / (len(p_values) - rank):
            break
        answer[i] = True
    return answer


def by_value(p_values, alpha):
    answer = [False] * len(p_values)
    for rank, p in enumerate(sorted(p_values)):
        if p > alpha / (len(p_values) - rank):
            break
        answer[p_values.index(p)] = True
    return answer


def rejected_by_library(p_values, alpha):
    return torch.tensor(holm(p_values)) <= alpha


def rejected_downwards(bound, stop=True):
    """Holm's walk with other bounds, ``bound(alpha, m, rank)``, or without its end."""

    def walk(p_values, alpha):
        m, answer = len(p_values), [False] * len(p_values)
        for rank, i in enumerate(sorted(range(m), key=lambda i: p_values[i])):
            answer[i] = p_values[i] <= bound(alpha, m, rank)
            if stop and not answer[i]:
                break
        return answer

    return walk


def benjamini_hochberg(p_values, alpha):
    m, ranked = len(p_values), sorted(p_values)
    limit = max((p for j, p in enumerate(ranked, 1) if p <= alpha * j / m), default=0.0)
    return [p <= limit for p in p_values]


RIGHT = {
    "next-run": (
        next_run,
        next_with(lambda a, S, s: t(S - 1) * s * math.sqrt(1 + 1 / S)),
        lambda scores: np.array(next_run(scores)),
        lambda scores: torch.tensor(next_run(scores)),
    ),
    "seeds-needed": (seeds_with(half_length), seeds_by_numpy),
    "rejected": (
        rejected,
        lambda p, alpha: np.array(rejected(p, alpha)),
        lambda p, alpha: torch.tensor(rejected(p, alpha)),
    ),
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
    "seeds-needed": (
        ("normal", seeds_with(lambda n, s: 1.96 * s / math.sqrt(n)), "1.96 holds for many seeds"),
        ("pilot's t", with_t_of_the_pilot, "t of the pilot"),
        (
            "not paired",
            seeds_with(half_length, spread=lambda a, b: (a.var() + b.var()).sqrt()),
            "subtract seed by seed",
        ),
        ("divided by n", seeds_with(half_length, spread=lambda a, b: (a - b).std(correction=0)), "divides by n - 1"),
        ("no root", seeds_with(lambda n, s: t(n - 1) * s / n), "falls with the root"),
        ("whole length", seeds_with(lambda n, s: 2 * half_length(n, s)), "half of it"),
        ("5 % on each side", seeds_with(lambda n, s: t(n - 1, 0.95) * s / math.sqrt(n)), "leaves 2.5 %"),
        ("one error", seeds_with(lambda n, s: s / math.sqrt(n)), "one standard error"),
        ("one too few", lambda a, b, w: seeds_by_numpy(a, b, w) - 1, "not quite enough"),
        ("from three", seeds_with(half_length, start=3), "Begin with two seeds"),
        ("popped", lambda a, b, w: a.pop() and seeds_by_numpy(a, b[:-1], w), "changes its argument number 1"),
        ("called instead of passed", 12, "Pass the function itself"),
        ("one too many", lambda a, b, w: seeds_by_numpy(a, b, w) + 1, "Try 2, 3, 4"),
    ),
    "rejected": (
        ("nothing corrected", lambda p, alpha: [x <= alpha for x in p], "Nothing is corrected"),
        ("Bonferroni", lambda p, alpha: [x <= alpha / len(p) for x in p], "Bonferroni"),
        ("no stop", rejected_downwards(lambda alpha, m, rank: alpha / (m - rank), stop=False), "Stop at the first"),
        ("sorted", lambda p, alpha: sorted(rejected(p, alpha), reverse=True), "in the order of p_values"),
        ("exchanged", lambda p, alpha: [not x for x in rejected(p, alpha)], "exchanged"),
        ("a step ahead", rejected_downwards(lambda alpha, m, rank: alpha / max(m - rank - 1, 1)), "one step ahead"),
        ("Benjamini-Hochberg", benjamini_hochberg, "another kind of error"),
        ("by library", rejected_by_library, "the answer uses holm"),
        ("numbers", lambda p, alpha: [x / alpha for x in p], "True or False for each"),
        ("by value", by_value, "index() finds the first"),
        ("sorted in place", lambda p, alpha: p.sort() or rejected(p, alpha), "changes its argument number 1"),
        ("called instead of passed", [True], "Pass the function itself"),
        ("indices", lambda p, alpha: [i for i, x in enumerate(rejected(p, alpha)) if x], "True or False for each"),
        ("a number", lambda p, alpha: sum(rejected(p, alpha)), "a list of True and False"),
        ("nothing rejected", lambda p, alpha: [False] * len(p), "from the smallest"),
    ),
}
