"""Answers to the exercises of the chapter on image classifiers."""

import math

import numpy as np
import torch
import torch.nn.functional as F
from scipy import stats

from odelib.models import ViT
from odelib.studies.statistics import holm


def tokens(config):
    return (config.image_size // config.patch_size) ** 2 + (config.pool == "class")


def tokens_by_model(config):
    with torch.device("meta"):
        return ViT(config).embed.tokens


def side(config):
    return config.image_size // config.patch_size


def loss(logits, labels, eps):
    logs = logits.log_softmax(dim=-1)
    target = F.one_hot(labels, logits.shape[-1]) * (1 - eps) + eps / logits.shape[-1]
    return -(target * logs).sum(dim=-1).mean()


def loss_by_torch(logits, labels, eps):
    return F.cross_entropy(logits, labels, label_smoothing=eps)


def loss_with(right, other, reduce=torch.mean, logs=lambda x: x.log_softmax(-1), sign=-1):
    """Cross-entropy whose targets are ``right(eps, K)`` for the label and ``other(eps, K)`` for the rest."""

    def smoothed_loss(logits, labels, eps):
        classes = logits.shape[-1]
        one = F.one_hot(labels, classes).to(logits.dtype)
        target = one * right(eps, classes) + (1 - one) * other(eps, classes)
        return reduce(sign * (target * logs(logits)).sum(-1))

    return smoothed_loss


def keep(eps, classes):
    return 1 - eps + eps / classes


def spread(eps, classes):
    return eps / classes


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
    "tokens": (tokens, tokens_by_model),
    "smoothed-loss": (loss, loss_by_torch),
    "seeds-needed": (seeds_with(half_length), seeds_by_numpy),
    "rejected": (rejected, rejected_by_library),
}

WRONG = {
    "tokens": (
        ("one row", side, "one row of patches"),
        ("no class token", lambda c: side(c) ** 2, "one token more"),
        ("always a class token", lambda c: side(c) ** 2 + 1, "only with pool"),
        ("pixels of a patch", lambda c: c.patch_size**2, "pixels in a patch"),
        ("pixels", lambda c: c.image_size**2, "number of pixels"),
        ("width", lambda c: c.dim, "width of a token"),
        ("row and class token", lambda c: side(c) + (c.pool == "class"), "one row of patches"),
    ),
    "smoothed-loss": (
        ("hard labels", loss_with(lambda e, n: 1, lambda e, n: 0), "not smoothed"),
        ("others only", loss_with(lambda e, n: 1 - e, lambda e, n: e / (n - 1)), "wrong classes only"),
        ("more than one", loss_with(lambda e, n: 1 + e / n, spread), "more than one"),
        ("eps each", loss_with(lambda e, n: 1, lambda e, n: e), "eps in all"),
        ("share lost", loss_with(lambda e, n: 1 - e, lambda e, n: 0), "share eps is lost"),
        ("exchanged", loss_with(lambda e, n: e + (1 - e) / n, lambda e, n: (1 - e) / n), "exchanged"),
        ("sum", loss_with(keep, spread, torch.sum), "sum over the images"),
        ("each image", loss_with(keep, spread, lambda x: x), "one loss per image"),
        ("sign", loss_with(keep, spread, sign=1), "sign is wrong"),
        ("over images", loss_with(keep, spread, logs=lambda x: x.log_softmax(0)), "over the classes"),
        ("no logarithm", loss_with(keep, spread, logs=lambda x: x.softmax(-1)), "log_softmax"),
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
        ("corrected values", lambda p, alpha: holm(p), "True or False for each"),
        ("indices", lambda p, alpha: [i for i, x in enumerate(rejected(p, alpha)) if x], "True or False for each"),
        ("a number", lambda p, alpha: sum(rejected(p, alpha)), "a list of True and False"),
        ("nothing rejected", lambda p, alpha: [False] * len(p), "from the smallest"),
    ),
}
