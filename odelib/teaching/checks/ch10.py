"""Exercises of the chapter on image classifiers."""

from __future__ import annotations

import math
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


def _learning_rate(learning_rate: Any) -> None:
    """The answer is ``learning_rate(k, peak, warmup, total)`` with steps k from 0."""
    peak, warmup, total = 0.5, 4, 20
    for k in (0, 3, 4, 8, 19):
        part = (k - warmup) / (total - warmup)
        half = peak * (1 + math.cos(math.pi * part)) / 2
        right = peak * (k + 1) / warmup if k < warmup else half
        suspects = [
            (peak * k / warmup, "The warm-up starts at 0: its first step, k = 0, already has peak / warmup."),
            (half, "The warm-up is missing: below `warmup` the rate rises linearly."),
            (peak * (k + 1) / total, "The warm-up ends too late: it takes `warmup` steps, not `total`."),
            (peak, "The warm-up is missing, or the rate does not fall: it follows a cosine after the warm-up."),
            (peak * (1 + math.cos(math.pi * k / total)) / 2, "The cosine starts at k = 0: start it after the warm-up."),
            (
                peak * (1 + math.cos(math.pi * (k - warmup) / total)) / 2,
                "The cosine is stretched: it runs over total - warmup steps.",
            ),
            (2 * half, "The factor one half is missing: (1 + cos) / 2 goes from 1 to 0."),
            (
                peak * math.cos(math.pi * part),
                "The cosine alone goes down to -peak: use (1 + cos) / 2, which goes from 1 to 0.",
            ),
            (peak * (1 + math.cos(part)) / 2, "The cosine hardly falls: its angle goes from 0 to pi."),
            (peak * (1 + math.cos(2 * math.pi * part)) / 2, "The rate rises again: the angle goes from 0 to pi only."),
            (peak * (1 - math.cos(math.pi * part)) / 2, "The cosine rises: it must start at the peak and end near 0."),
            (peak * (1 - part), "That is a straight line: the rate falls along a cosine."),
        ]
        what = f"with peak {peak}, {warmup} warm-up steps of {total}, the rate at step k = {k}"
        if k < warmup:  # the cosine's mistakes can look like the warm-up's
            suspects = suspects[:4]
        expect_close(learning_rate(k, peak, warmup, total), right, what, suspects)


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


def _images_needed(images_needed: Any) -> None:
    """The answer is ``images_needed(accuracy, error)``: the least whole number of images."""
    for accuracy, error in ((0.87, 0.005), (0.6, 0.04), (0.5, 0.03)):
        variance = accuracy * (1 - accuracy)
        exact = variance / error**2
        expect_close(
            images_needed(accuracy, error),
            float(math.ceil(exact)),
            f"with accuracy {accuracy} and a standard error of at most {error}, the number of images",
            [
                (math.floor(exact), "That many are not quite enough: round up."),
                (exact, "An image cannot be divided: round up to a whole number."),
                (math.ceil(variance / error), "The standard error falls with the root of n: solve for n, square it."),
                (math.ceil(math.sqrt(variance) / error), "The standard error falls with the root of n: square it."),
                (math.ceil(accuracy / error**2), "The factor 1 - p is missing from the variance p (1 - p)."),
                (math.ceil((1 - accuracy) / error**2), "The factor p is missing from the variance p (1 - p)."),
                (math.ceil(1 / error**2), "The variance p (1 - p) of one image is missing."),
                (math.ceil(4 * exact), "That asks for two standard errors within the bound: one is asked for."),
                (math.ceil(1.96**2 * exact), "That asks for 1.96 standard errors within the bound: one is asked for."),
            ],
            "Solve s = sqrt(p (1 - p) / n) for n, then round up.",
        )


def _layer_parameters(layer_parameters: Any) -> None:
    """The answer is ``layer_parameters(d, r)``: width d, hidden width of the MLP r d."""
    for d, r in ((64, 4), (32, 2), (10, 3)):
        matrices, vectors = (4 + 2 * r) * d * d, (4 + r + 1) * d  # of attention and MLP
        norms = 4 * d
        expect_close(
            layer_parameters(d, r),
            float(matrices + vectors + norms),
            f"with d = {d} and r = {r}, the number of parameters of a layer",
            [
                (matrices, "Only the matrices are counted: add the biases and the two norms."),
                (matrices + vectors, "The two layer norms are missing: each has a gain and a shift of d numbers."),
                (matrices + norms, "The biases are missing: each linear map has one number per output."),
                (matrices + vectors + 2 * d, "One norm is missing, or each has only its gain: two norms, 2 d each."),
                (
                    matrices + vectors + norms - d * d - d,
                    "The output map of attention is missing: it has d * d weights and d biases.",
                ),
                (
                    matrices + vectors + norms - 2 * d * d - 2 * d,
                    "Only one of queries, keys and values is counted: there are three maps.",
                ),
                (matrices + vectors + norms - r * d * d - r * d, "The MLP has two maps: d to r d, and r d back to d."),
                (matrices + vectors + norms - r * d * d - d, "The MLP has two maps: d to r d, and r d back to d."),
                (
                    matrices + vectors + norms - (r - 1) * d,
                    "The first map of the MLP has r d outputs, so r d biases.",
                ),
            ],
            "Write a line for each part: norm, queries, keys, values, output, norm, MLP in, MLP out.",
        )


def _paired(paired: Any) -> None:
    """The answer is ``paired(first, second, labels)`` and returns (b, c, z)."""
    labels = torch.tensor([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1])
    first = torch.tensor([0, 1, 2, 3, 4, 5, 6, 0, 1, 1, 1, 0])  # right on the first seven
    second = torch.tensor([0, 1, 0, 0, 0, 0, 0, 7, 2, 2, 1, 0])  # right on the first two and on the eighth
    result = paired(first, second, labels)
    if not isinstance(result, tuple | list) or len(result) != 3:
        raise NotYet(f"the answer returns a {type(result).__name__}", "Return three numbers: b, c and z.")
    b, c, z = (float(part) for part in result)
    if (b, c) == (1, 5):
        raise NotYet("b and c are 1 and 5 instead of 5 and 1", "They are exchanged: b counts for the first network.")
    if (b, c) == (7, 3):
        hint = "These are all images that each gets right: count those that the other one gets wrong."
        raise NotYet("b and c are 7 and 3 instead of 5 and 1", hint)
    if b == c and b in (6, 8):
        hint = "These are all images on which the predictions differ, or on which one errs: ask who is right."
        raise NotYet(f"b and c are both {b:g} instead of 5 and 1", hint)
    expect_close([b, c], torch.tensor([5.0, 1.0]), "with twelve images, the pair (b, c)", [], "Compare with labels.")
    expect_close(
        z,
        (b - c) / math.sqrt(b + c),
        "with b = 5 and c = 1, z",
        [
            ((b - c) / (b + c), "The root is missing: divide by the root of b + c."),
            ((c - b) / math.sqrt(b + c), "The sign is wrong: z is positive if the first network is better."),
            ((b - c) ** 2 / (b + c), "That is the square of z, McNemar's statistic: it has lost the sign."),
            ((b - c) / math.sqrt(len(labels)), "Only the b + c images that decide count, not all of them."),
            ((b - c) / len(labels), "That is the difference in accuracy: divide b - c by its standard deviation."),
            (b - c, "Divide b - c by its standard deviation, the root of b + c."),
        ],
    )


EXERCISES = (
    Exercise("tokens", "How many tokens?", 5, "easy", _tokens),
    Exercise("images-needed", "A test set large enough", 5, "easy", _images_needed),
    Exercise("learning-rate", "Warm-up and cosine", 10, "medium", _learning_rate),
    Exercise("smoothed-loss", "A smoothed loss", 10, "medium", _smoothed_loss),
    Exercise("layer-parameters", "Counting parameters", 10, "medium", _layer_parameters),
    Exercise("paired-counts", "Paired counts", 10, "medium", _paired),
)
