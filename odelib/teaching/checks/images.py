"""Exercises of the chapter on image classifiers."""

from __future__ import annotations

import math
from dataclasses import fields, replace
from typing import Any

import torch
from torch import Tensor

from odelib.models import ViT, ViTConfig
from odelib.teaching.exercises import Exercise, NotYet, expect_close, expect_function
from odelib.teaching.handed_out import call_with_clones, expect_without


def _rival(rival: Any) -> None:
    """The answer is ``rival(config)``: Euler's network with weights, evaluations and time of ``config``."""
    expect_function(rival, "rival(config)")
    small = ViTConfig(image_size=8, patch_size=4, dim=8, num_heads=2, intervals=3)
    for rule, steps, size in (("rk4", 1, 1.0), ("midpoint", 2, 0.5), ("rk4", 3, 1.0)):
        asked = replace(small, step_rule=rule, steps=steps, step_size=size)
        got = rival(asked)
        given = f"for {rule} with {steps} steps of {size:g} in each of 3 intervals, the rival"
        if not isinstance(got, ViTConfig):
            raise NotYet(f"{given} is a {type(got).__name__}", "Return a ViTConfig, such as dataclasses.replace gives.")
        if got.step_rule != "euler":
            raise NotYet(f"{given} has the step rule {got.step_rule!r}", "The parallel layer is an Euler step.")
        if (free := replace(got, step_rule=rule, steps=steps, step_size=size)) != asked:
            names = [f.name for f in fields(asked) if getattr(free, f.name) != getattr(asked, f.name)]
            hint = "It must have the same weights: change the step rule, the steps and the step size only."
            raise NotYet(f"{given} has another {' and '.join(names)}", hint)
        with torch.device("meta"):
            evaluations, wanted = (int(ViT(c).nfe) for c in (got, asked))
        if evaluations != wanted:
            hint = "Count how often the rule looks at the field in one step: Euler's must take as many steps instead."
            raise NotYet(f"{given} takes {evaluations} evaluations instead of {wanted}", hint)
        if not math.isclose(got.steps * got.step_size, steps * size):
            hint = "More steps must be shorter ones, so that each weight set still acts for the same time."
            raise NotYet(f"{given} stays {got.steps * got.step_size:g} in each interval, not {steps * size:g}", hint)


def _smoothed_loss(smoothed_loss: Any) -> None:
    """The answer is ``smoothed_loss(logits, labels, eps)``: the mean over a batch."""
    expect_function(smoothed_loss, "smoothed_loss(logits, labels, eps)")
    expect_without(smoothed_loss, "cross_entropy", "CrossEntropyLoss")
    logits = torch.tensor([[2.0, -1.0, 0.5, 0.0], [0.0, 1.0, 3.0, -2.0], [1.0, 0.0, -1.0, 2.0]])
    _expect_loss(smoothed_loss, logits, torch.tensor([0, 1, 3]), 0.2)
    _expect_loss(smoothed_loss, logits.T.contiguous(), torch.tensor([2, 0, 1, 2]), 0.1)


def _expect_loss(smoothed_loss: Any, logits: Tensor, labels: Tensor, eps: float) -> None:
    images, classes = logits.shape
    logs = logits.log_softmax(dim=1)
    hard = -logs[torch.arange(images), labels]
    each = (1 - eps) * hard - eps * logs.mean(dim=1)
    other = -(logs.sum(dim=1) + hard)
    expect_close(
        call_with_clones(smoothed_loss, logits, labels, eps),
        each.mean(),
        f"with {images} images, {classes} classes and eps = {eps}, the loss",
        [
            (hard.mean(), "The labels are not smoothed: eps has no effect."),
            (each.sum(), "That is the sum over the images: take the mean."),
            (each, "That is one loss per image: take the mean."),
            (-each.mean(), "The sign is wrong: cross-entropy is minus the sum of target times log probability."),
            (
                ((1 - eps) * hard + eps / (classes - 1) * other).mean(),
                "eps is spread over the wrong classes only: spread it over all, eps / C each.",
            ),
            (
                (hard - eps * logs.mean(dim=1)).mean(),
                "The targets sum to more than one: the right class keeps 1 - eps, plus its share eps / C.",
            ),
            (
                ((1 - eps) * hard - eps * logs.sum(dim=1)).mean(),
                "Each class gets eps: it is eps in all, so eps / C for each class.",
            ),
            (((1 - eps) * hard).mean(), "The share eps is lost: it goes to all classes evenly."),
            ((eps * hard - (1 - eps) * logs.mean(dim=1)).mean(), "eps and 1 - eps are exchanged."),
        ],
        "Start from log_softmax over the classes, the last axis.",
    )


def _rate(rate: Any) -> None:
    """The answer is ``rate(k, total, warmup, peak)``: warm-up in a straight line, then half a cosine."""
    expect_function(rate, "rate(k, total, warmup, peak)")
    for total, warmup, peak in ((40, 10, 0.2), (12, 3, 1e-3)):
        right = [_cosine(k, total, warmup, peak) for k in range(total)]
        late = [peak * k / warmup if k < warmup else right[k] for k in range(total)]
        whole = [
            right[k] if k < warmup else peak * (1 + math.cos(2 * math.pi * (k - warmup) / (total - warmup))) / 2
            for k in range(total)
        ]
        unshifted = [right[k] if k < warmup else peak * (1 + math.cos(math.pi * k / total)) / 2 for k in range(total)]
        straight = [right[k] if k < warmup else peak * (total - k) / (total - warmup) for k in range(total)]
        expect_close(
            [_number(rate(k, total, warmup, peak)) for k in range(total)],
            torch.tensor(right, dtype=torch.float64),
            f"with {total} steps, {warmup} of them warm-up, and peak {peak}, the rates",
            [
                (late, "The first rate is 0, and that step is wasted: step k has come k + 1 parts of the way up."),
                (whole, "That is a whole cosine, down and up again: half a one ends at its lowest point."),
                (unshifted, "The cosine begins at step 0: it begins where the warm-up ends."),
                (straight, "It falls in a straight line: half a cosine is asked for."),
                ([1 / peak * value for value in right], "The peak has no effect: it multiplies both parts."),
            ],
            "Take the two parts one at a time: a straight line up to peak, then peak (1 + cos(pi s)) / 2, 0 <= s <= 1.",
        )


def _cosine(k: int, total: int, warmup: int, peak: float) -> float:
    if k < warmup:
        return peak * (k + 1) / warmup
    return peak * (1 + math.cos(math.pi * (k - warmup) / (total - warmup))) / 2


def _number(value: Any) -> Any:
    """One rate as it is, so that tensors, arrays and numbers make a list that can be compared."""
    return value.item() if hasattr(value, "item") else value


EXERCISES = (
    Exercise("rival", "A fair rival", 10, "easy", _rival),
    Exercise("smoothed-loss", "A smoothed loss", 10, "medium", _smoothed_loss),
    Exercise("rate", "The rate of a step", 10, "easy", _rate),
)
