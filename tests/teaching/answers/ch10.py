"""Answers to the exercises of the chapter on image classifiers."""

import math

import torch
import torch.nn.functional as F

from odelib.models import ViT


def tokens(config):
    return (config.image_size // config.patch_size) ** 2 + (config.pool == "class")


def tokens_by_model(config):
    with torch.device("meta"):
        return ViT(config).embed.tokens


def side(config):
    return config.image_size // config.patch_size


def rate(k, peak, warmup, total):
    if k < warmup:
        return peak * (k + 1) / warmup
    return peak * (1 + math.cos(math.pi * (k - warmup) / (total - warmup))) / 2


def rate_by_min(k, peak, warmup, total):
    part = max(0.0, (k - warmup) / (total - warmup))
    return min((k + 1) / warmup, 1.0) * peak * math.cos(math.pi * part / 2) ** 2


def cosine(shape):
    """A schedule with the right warm-up and ``shape(k, warmup, total)`` after it."""

    def learning_rate(k, peak, warmup, total):
        return peak * ((k + 1) / warmup if k < warmup else shape(k, warmup, total))

    return learning_rate


def half(angle):
    return (1 + math.cos(angle)) / 2


def late_start(k, peak, warmup, total):
    return peak * k / warmup if k < warmup else rate(k, peak, warmup, total)


def no_warmup(k, peak, warmup, total):
    return peak * half(math.pi * (k - warmup) / (total - warmup))


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


def needed(accuracy, error):
    return math.ceil(accuracy * (1 - accuracy) / error**2)


def needed_by_search(accuracy, error):
    n = 1
    while math.sqrt(accuracy * (1 - accuracy) / n) > error:
        n += 1
    return n


def parameters(d, r):
    return (4 + 2 * r) * d * d + (9 + r) * d


def parameters_by_part(d, r):
    norm = 2 * d
    attention = 4 * (d * d + d)
    mlp = (d * r * d + r * d) + (r * d * d + d)
    return norm + attention + norm + mlp


def less(change):
    return lambda d, r: parameters(d, r) - change(d, r)


def counts(first, second, labels):
    a, b = first == labels, second == labels
    return (a & ~b).sum().item(), (b & ~a).sum().item()


def paired(first, second, labels):
    b, c = counts(first, second, labels)
    return b, c, (b - c) / math.sqrt(b + c)


def paired_in_tensors(first, second, labels):
    gain = (first == labels).double() - (second == labels).double()
    return (gain > 0).sum(), (gain < 0).sum(), gain.sum() / gain.abs().sum().sqrt()


def paired_with(z):
    def wrong(first, second, labels):
        b, c = counts(first, second, labels)
        return b, c, z(b, c, len(labels))

    return wrong


def all_right(first, second, labels):
    b, c = (first == labels).sum().item(), (second == labels).sum().item()
    return b, c, (b - c) / math.sqrt(b + c)


def differing(first, second, labels):
    n = (first != second).sum().item()
    return n, n, 0.0


RIGHT = {
    "tokens": (tokens, tokens_by_model),
    "images-needed": (needed, needed_by_search),
    "learning-rate": (rate, rate_by_min),
    "smoothed-loss": (loss, loss_by_torch),
    "layer-parameters": (parameters, parameters_by_part),
    "paired-counts": (paired, paired_in_tensors),
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
    "images-needed": (
        ("rounded down", lambda p, s: math.floor(p * (1 - p) / s**2), "round up"),
        ("no square", lambda p, s: math.ceil(p * (1 - p) / s), "root of n"),
        ("deviation over error", lambda p, s: math.ceil(math.sqrt(p * (1 - p)) / s), "root of n"),
        ("no 1 - p", lambda p, s: math.ceil(p / s**2), "1 - p is missing"),
        ("no p", lambda p, s: math.ceil((1 - p) / s**2), "factor p is missing"),
        ("no variance", lambda p, s: math.ceil(1 / s**2), "of one image is missing"),
        ("one more", lambda p, s: needed(p, s) + 1, "Solve s"),
        ("two errors", lambda p, s: math.ceil(4 * p * (1 - p) / s**2), "two standard errors"),
        ("95 per cent", lambda p, s: math.ceil(1.96**2 * p * (1 - p) / s**2), "1.96 standard errors"),
        ("not whole", lambda p, s: p * (1 - p) / s**2, "cannot be divided"),
    ),
    "learning-rate": (
        ("starts at 0", late_start, "starts at 0"),
        ("no warm-up", no_warmup, "warm-up is missing"),
        ("constant", lambda k, peak, warmup, total: peak, "warm-up is missing"),
        ("no half", cosine(lambda k, w, n: 2 * half(math.pi * (k - w) / (n - w))), "one half is missing"),
        ("cosine alone", cosine(lambda k, w, n: math.cos(math.pi * (k - w) / (n - w))), "down to -peak"),
        ("no pi", cosine(lambda k, w, n: half((k - w) / (n - w))), "hardly falls"),
        ("from step 0", cosine(lambda k, w, n: half(math.pi * k / n)), "after the warm-up"),
        ("stretched", cosine(lambda k, w, n: half(math.pi * (k - w) / n)), "stretched"),
        ("whole period", cosine(lambda k, w, n: half(2 * math.pi * (k - w) / (n - w))), "rises again"),
        ("rising", cosine(lambda k, w, n: 1 - half(math.pi * (k - w) / (n - w))), "cosine rises"),
        ("a line", cosine(lambda k, w, n: 1 - (k - w) / (n - w)), "straight line"),
        ("warm-up over all", lambda k, peak, w, n: peak * (k + 1) / n, "ends too late"),
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
    "layer-parameters": (
        ("matrices only", lambda d, r: (4 + 2 * r) * d * d, "Only the matrices"),
        ("no norms", less(lambda d, r: 4 * d), "norms are missing"),
        ("no biases", less(lambda d, r: (5 + r) * d), "biases are missing"),
        ("gains only", less(lambda d, r: 2 * d), "One norm is missing"),
        ("no output map", less(lambda d, r: d * d + d), "output map"),
        ("one of q, k, v", less(lambda d, r: 2 * d * d + 2 * d), "three maps"),
        ("one map in the MLP", less(lambda d, r: r * d * d + d), "two maps"),
        ("no way in", less(lambda d, r: r * d * d + r * d), "two maps"),
        ("narrow bias", less(lambda d, r: (r - 1) * d), "r d biases"),
        ("two layers", lambda d, r: 2 * parameters(d, r), "a line for each part"),
    ),
    "paired-counts": (
        ("exchanged", lambda f, s, y: paired(s, f, y), "exchanged"),
        ("all right ones", all_right, "the other one gets wrong"),
        ("all that differ", differing, "who is right"),
        ("only two numbers", counts, "three numbers"),
        ("no root", paired_with(lambda b, c, n: (b - c) / (b + c)), "root is missing"),
        ("sign", paired_with(lambda b, c, n: (c - b) / math.sqrt(b + c)), "sign is wrong"),
        ("squared", paired_with(lambda b, c, n: (b - c) ** 2 / (b + c)), "square of z"),
        ("all images", paired_with(lambda b, c, n: (b - c) / math.sqrt(n)), "that decide"),
        ("difference", paired_with(lambda b, c, n: (b - c) / n), "difference in accuracy"),
        ("count", paired_with(lambda b, c, n: b - c), "standard deviation"),
        ("plus one", lambda f, s, y: (*[x + 1 for x in counts(f, s, y)], 0.0), "Compare with labels"),
    ),
}
