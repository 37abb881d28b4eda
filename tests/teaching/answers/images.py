"""Answers to the exercises of the chapter on image classifiers."""

import math
from dataclasses import replace

import numpy as np
import torch
import torch.nn.functional as F

from odelib.models import ViT, ViTConfig
from odelib.training.optim import learning_rate

STAGES = {"midpoint": 2, "rk4": 4}


def rival(config):
    stages = STAGES[config.step_rule]
    return replace(config, step_rule="euler", steps=stages * config.steps, step_size=config.step_size / stages)


def rival_by_model(config):
    with torch.device("meta"):
        stages = int(ViT(config).nfe) // (config.intervals * config.steps)
    changed = {"step_rule": "euler", "steps": config.steps * stages, "step_size": config.step_size / stages}
    return ViTConfig.from_dict(config.to_dict() | changed)


def changed(**options):
    return lambda config: replace(rival(config), **options)


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


def rate(k, total, warmup, peak):
    if k < warmup:
        return peak * (k + 1) / warmup
    return peak * (1 + math.cos(math.pi * (k - warmup) / (total - warmup))) / 2


def rate_as(up=lambda k, w: (k + 1) / w, down=lambda s: (1 + math.cos(math.pi * s)) / 2, begin=True, peaked=True):
    def answer(k, total, warmup, peak):
        s = (k - warmup) / (total - warmup) if begin else k / total
        return (peak if peaked else 1.0) * (up(k, warmup) if k < warmup else down(s))

    return answer


RIGHT = {
    "rival": (rival, rival_by_model),
    "smoothed-loss": (loss, lambda logits, labels, eps: loss(logits.double(), labels, eps).item()),
    "rate": (
        rate,
        lambda k, total, warmup, peak: torch.tensor(rate(k, total, warmup, peak), dtype=torch.float64),
        lambda k, total, warmup, peak: np.float64(rate(k, total, warmup, peak)),
        lambda k, total, warmup, peak: learning_rate(k, peak=peak, warmup=warmup, total=total),
    ),
}

WRONG = {
    "rival": (
        ("the same", lambda c: c, "step rule 'rk4'"),
        ("rule alone", lambda c: replace(c, step_rule="euler"), "evaluations instead of"),
        ("long steps", lambda c: replace(rival(c), step_size=c.step_size), "shorter ones"),
        (
            "more weights",
            lambda c: replace(c, step_rule="euler", intervals=STAGES[c.step_rule] * c.intervals),
            "same weights",
        ),
        ("short steps alone", lambda c: replace(rival(c), steps=c.steps), "evaluations instead of"),
        ("always four", lambda c: replace(c, step_rule="euler", steps=4, step_size=0.25), "evaluations instead of"),
        ("usual layer", changed(step_rule="lie-trotter"), "an Euler step"),
        ("narrower", changed(dim=4), "another dim"),
        ("a number", lambda c: STAGES[c.step_rule] * c.steps, "Return a ViTConfig"),
        ("called instead of passed", ViTConfig(), "Pass the function itself"),
    ),
    "smoothed-loss": (
        ("hard labels", loss_with(lambda e, n: 1, lambda e, n: 0), "not smoothed"),
        ("others only", loss_with(lambda e, n: 1 - e, lambda e, n: e / (n - 1)), "wrong classes only"),
        ("more than one", loss_with(lambda e, n: 1 + e / n, spread), "more than one"),
        ("eps each", loss_with(lambda e, n: 1, lambda e, n: e), "eps in all"),
        ("share lost", loss_with(lambda e, n: 1 - e, lambda e, n: 0), "share eps is lost"),
        ("exchanged", loss_with(lambda e, n: e + (1 - e) / n, lambda e, n: (1 - e) / n), "exchanged"),
        ("by library", loss_by_torch, "the answer uses cross_entropy"),
        ("four classes", loss_with(lambda e, n: 1 - 3 * e / 4, lambda e, n: e / 4), "3 classes"),
        ("in place", lambda logits, labels, eps: loss(logits.sub_(1.0), labels, eps), "changes its argument number 1"),
        ("called instead of passed", 1.0, "Pass the function itself"),
        ("sum", loss_with(keep, spread, torch.sum), "sum over the images"),
        ("each image", loss_with(keep, spread, lambda x: x), "one loss per image"),
        ("sign", loss_with(keep, spread, sign=1), "sign is wrong"),
        ("over images", loss_with(keep, spread, logs=lambda x: x.log_softmax(0)), "over the classes"),
        ("no logarithm", loss_with(keep, spread, logs=lambda x: x.softmax(-1)), "log_softmax"),
    ),
    "rate": (
        ("first is zero", rate_as(up=lambda k, w: k / w), "that step is wasted"),
        ("whole cosine", rate_as(down=lambda s: (1 + math.cos(2 * math.pi * s)) / 2), "whole cosine"),
        ("from step 0", rate_as(begin=False), "begins where the warm-up ends"),
        ("straight", rate_as(down=lambda s: 1 - s), "half a cosine is asked for"),
        ("no peak", rate_as(peaked=False), "multiplies both parts"),
        ("pi by hand", rate_as(down=lambda s: (1 + math.cos(3.14 * s)) / 2), "the two parts"),
        ("called instead of passed", 0.1, "Pass the function itself"),
        ("no warm-up", rate_as(up=lambda k, w: 1.0), "the two parts"),
        ("degrees", rate_as(down=lambda s: (1 + math.cos(180 * s)) / 2), "the two parts"),
    ),
}
