"""Answers to the exercises of the chapter on networks in use."""

import math

import numpy as np
import torch
from scipy import stats


def refined(phi, x, n):
    for _ in range(n):
        x = x + (phi(x) - x) / n
    return x


def refined_by_means(phi, x, n):
    h = 1 / n
    for _ in range(n):
        x = (1 - h) * x + h * phi(x)
    return x


def steps_with(change):
    """n times x = change(phi, x, n)."""

    def answer(phi, x, n):
        for _ in range(n):
            x = change(phi, x, n)
        return x

    return answer


def steps_less_one(phi, x, n):
    for _ in range(n - 1):
        x = x + (phi(x) - x) / n
    return x if n > 1 else phi(x)


def in_place(phi, x, n):
    for _ in range(n):
        x += (phi(x) - x) / n
    return x


def change(before, after):
    d = np.asarray(after) - np.asarray(before)
    half = stats.t.ppf(0.975, len(d) - 1) * d.std(ddof=1) / math.sqrt(len(d))
    return d.mean(), d.mean() - half, d.mean() + half


def change_by_scipy(before, after):
    found = stats.ttest_rel(after, before)
    low, high = found.confidence_interval(0.95)
    return torch.stack([(after - before).mean(), torch.tensor(low), torch.tensor(high)])


def change_with(half):
    """The mean change less and plus ``half(d, n, before, after)``."""

    def answer(before, after):
        d = after - before
        far, mean = half(d, len(d), before, after), d.mean().item()
        return [mean, mean - far, mean + far]

    return answer


def t(freedom):
    return stats.t.ppf(0.975, freedom)


def standard_error(before, after):
    return math.sqrt((before.var() + after.var()).item() / len(before))


RIGHT = {
    "refined-layer": (refined, refined_by_means),
    "what-remains": (
        lambda n: (1 - 1 / n) ** n,
        lambda n: torch.full((n,), 1 - 1 / n, dtype=torch.float64).prod(),
        lambda n: np.power((n - 1) / n, n),
    ),
    "paired-change": (change, change_by_scipy),
}

WRONG = {
    "refined-layer": (
        ("layer added", steps_with(lambda phi, x, n: x + phi(x) / n), "what it changes"),
        ("layer applied", steps_with(lambda phi, x, n: phi(x)), "applies the layer n times"),
        ("first step", lambda phi, x, n: x + (phi(x) - x) / n, "first of the n steps"),
        ("field of the start", lambda phi, x, n: phi(x), "evaluate it anew"),
        ("one missing", steps_less_one, "One step is missing"),
        (
            "normalised again",
            steps_with(lambda phi, x, n: torch.nn.functional.layer_norm(x + (phi(x) - x) / n, x.shape[-1:])),
            "normalise after each step",
        ),
        ("sign", steps_with(lambda phi, x, n: x - (phi(x) - x) / n), "1/n of what the layer makes"),
        ("in place", in_place, "changes its argument number 2"),
        ("called instead of passed", torch.zeros(2, 4), "Pass the function itself"),
    ),
    "what-remains": (
        ("gone", lambda n: 1 - (1 - 1 / n) ** n, "what is gone"),
        ("one step", lambda n: 1 - 1 / n if n > 1 else 0.0, "one step of the n"),
        ("equation", lambda n: math.exp(-1), "the equation's own"),
        ("sign", lambda n: (1 + 1 / n) ** n, "points back"),
        ("nothing", lambda n: 0.0, "Only one step of size 1"),
        ("one too few", lambda n: (1 - 1 / n) ** (n - 1), "One step is missing"),
        ("one too many", lambda n: (1 - 1 / n) ** (n + 1), "One step too many"),
        ("halves", lambda n: 0.0 if n == 1 else 0.5**n, "from 1"),
        ("called instead of passed", 0.25, "Pass the function itself"),
    ),
    "paired-change": (
        ("sign", lambda b, a: change(a, b), "after less before"),
        ("unpaired", change_with(lambda d, n, b, a: t(n - 1) * standard_error(b, a)), "each item's own difference"),
        ("two samples", change_with(lambda d, n, b, a: t(2 * n - 2) * standard_error(b, a)), "take pairs"),
        ("no root", change_with(lambda d, n, b, a: t(n - 1) * d.std().item()), "error of a mean"),
        ("normal", change_with(lambda d, n, b, a: 1.96 * d.std().item() / math.sqrt(n)), "1.96 holds for many"),
        (
            "divided by n",
            change_with(lambda d, n, b, a: t(n - 1) * d.std(correction=0).item() / math.sqrt(n)),
            "divides by n - 1",
        ),
        ("ends only", lambda b, a: change(b, a)[1:], "three numbers"),
        ("exchanged", lambda b, a: [change(b, a)[i] for i in (0, 2, 1)], "exchanged"),
        (
            "half as wide",
            change_with(lambda d, n, b, a: t(n - 1) * d.std().item() / math.sqrt(n) / 2),
            "One difference",
        ),
        ("called instead of passed", (0.0, -0.1, 0.1), "Pass the function itself"),
    ),
}
