"""Exercises of the chapter on image classifiers."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch

from odelib.models import ViTConfig
from odelib.teaching.exercises import Exercise, NotYet, expect_close


def _tokens(tokens: Any) -> None:
    """The answer is ``tokens(config)`` with a ``ViTConfig``."""
    for config, side in (
        (ViTConfig(image_size=28, patch_size=4), 7),
        (ViTConfig.deit_tiny(), 14),
        (ViTConfig(image_size=32, patch_size=8, dim=32, pool="class"), 4),
    ):
        size, patch, extra = config.image_size, config.patch_size, config.pool == "class"
        expect_close(
            tokens(config),
            float(side**2 + extra),
            f"with images of {size} pixels, patches of {patch} and pool={config.pool!r}, the number of tokens",
            [
                (side**2, 'With pool="class" there is one token more than patches.'),
                (side**2 + 1, 'A class token is added only with pool="class": here there are as many as patches.'),
                (side, "That is one row of patches: the image has as many rows as columns."),
                (side + extra, "That is one row of patches: the image has as many rows as columns."),
                (patch**2, "That is the number of pixels in a patch: count the patches in the image."),
                (patch**2 + extra, "That is the number of pixels in a patch: count the patches in the image."),
                (size**2, "That is the number of pixels: a token stands for a whole patch."),
                (config.dim, "That is the width of a token: the question is how many there are."),
            ],
        )


def _smoothed_loss(smoothed_loss: Any) -> None:
    """The answer is ``smoothed_loss(logits, labels, eps)``: the mean over a batch."""
    logits = torch.tensor([[2.0, -1.0, 0.5, 0.0], [0.0, 1.0, 3.0, -2.0], [1.0, 0.0, -1.0, 2.0]])
    labels = torch.tensor([0, 1, 3])
    eps, classes = 0.2, 4
    logs = logits.log_softmax(dim=1)
    hard = -logs[torch.arange(3), labels]
    each = (1 - eps) * hard - eps * logs.mean(dim=1)
    other = -(logs.sum(dim=1) + hard)
    expect_close(
        smoothed_loss(logits, labels, eps),
        each.mean(),
        f"with 3 images, {classes} classes and eps = {eps}, the loss",
        [
            (hard.mean(), "The labels are not smoothed: eps has no effect."),
            (each.sum(), "That is the sum over the images: take the mean."),
            (each, "That is one loss per image: take the mean."),
            (-each.mean(), "The sign is wrong: cross-entropy is minus the sum of target times log probability."),
            (
                ((1 - eps) * hard + eps / (classes - 1) * other).mean(),
                "eps is spread over the wrong classes only: spread it over all, eps / K each.",
            ),
            (
                (hard - eps * logs.mean(dim=1)).mean(),
                "The targets sum to more than one: the right class keeps 1 - eps, plus its share eps / K.",
            ),
            (
                ((1 - eps) * hard - eps * logs.sum(dim=1)).mean(),
                "Each class gets eps: it is eps in all, so eps / K for each class.",
            ),
            (((1 - eps) * hard).mean(), "The share eps is lost: it goes to all classes evenly."),
            ((eps * hard - (1 - eps) * logs.mean(dim=1)).mean(), "eps and 1 - eps are exchanged."),
        ],
        "Start from log_softmax over the classes, the last axis.",
    )


def _seeds_needed(seeds_needed: Any) -> None:
    """The answer is ``seeds_needed(first, second, width)``: values of a pilot by seed, half the interval's length."""
    from scipy import stats

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
            seeds_needed(first, second, width),
            right,
            f"with a pilot of {pilot} seeds and half a length of at most {width}, the number of seeds",
            suspects,
            "Try 2, 3, 4, ... seeds until t times the standard error of the paired differences is small enough.",
        )


def _rejected(rejected: Any) -> None:
    """The answer is ``rejected(p_values, alpha)``: for each p-value whether Holm's method rejects."""
    for p, alpha in (
        ([0.032, 0.004, 0.015, 0.60, 0.009, 0.045], 0.05),
        ([0.021, 0.04, 0.02], 0.05),
        ([0.08, 0.03, 0.02], 0.10),
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
        ]
        given = _yes_or_no(rejected(list(p), alpha), m)
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
    Exercise("tokens", "How many tokens?", 5, "easy", _tokens),
    Exercise("smoothed-loss", "A smoothed loss", 10, "medium", _smoothed_loss),
    Exercise("seeds-needed", "How many seeds?", 10, "medium", _seeds_needed),
    Exercise("rejected", "Several questions at once", 10, "medium", _rejected),
)
