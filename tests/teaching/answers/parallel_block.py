import math
from dataclasses import replace

import torch

from odelib.models import ViTConfig

USUAL = ViTConfig(step_rule="lie-trotter", intervals=12)
RK4 = replace(USUAL, step_rule="rk4", intervals=1, steps=3, step_size=4.0)


def weights(q, k):
    return (q @ k.T / math.sqrt(q.shape[-1])).softmax(-1)


def weights_by_exp(q, k):
    scores = (q @ k.T * q.shape[-1] ** -0.5).exp()
    return scores / scores.sum(dim=1, keepdim=True)


def usual(A, M, x, h):
    y = x + h * A(x)
    return y + h * M(y)


def usual_in_one_line(A, M, x, h):
    return x + h * A(x) + h * M(x + h * A(x))


def centred(weight, dim=1):
    return weight - weight.mean(dim=dim, keepdim=True)


def fold(gain, shift, weight, bias):
    return centred(weight * gain), bias + weight @ shift


def fold_by_matrices(gain, shift, weight, bias):
    d = len(gain)
    centring = torch.eye(d, dtype=gain.dtype) - torch.full((d, d), 1 / d, dtype=gain.dtype)
    return weight @ gain.diag() @ centring, (weight * shift).sum(dim=1) + bias


RIGHT = {
    "attention-weights": (weights, weights_by_exp),
    "usual-step": (usual, usual_in_one_line),
    "shrink-factor": ((9, 3), [9.0, 3.0]),
    "shared-rk4": (RK4, ViTConfig(dim=32, step_rule="rk4", intervals=1, steps=3, step_size=4)),
    "fold-norm": (fold, fold_by_matrices),
}

WRONG = {
    "attention-weights": (
        ("no scale", lambda q, k: (q @ k.T).softmax(-1), "scale is missing"),
        ("divided by d", lambda q, k: (q @ k.T / q.shape[-1]).softmax(-1), "divided by d"),
        ("scale of tokens", lambda q, k: (q @ k.T / math.sqrt(len(q))).softmax(-1), "number of tokens"),
        ("multiplied", lambda q, k: (q @ k.T * math.sqrt(q.shape[-1])).softmax(-1), "divide by it"),
        ("over the queries", lambda q, k: (q @ k.T / math.sqrt(q.shape[-1])).softmax(0), "columns sum to one"),
        ("no softmax", lambda q, k: q @ k.T / math.sqrt(q.shape[-1]), "softmax is missing"),
        ("exchanged", lambda q, k: weights(k, q), "exchanged"),
        ("transposed", lambda q, k: weights(q, k).T, "transpose"),
    ),
    "usual-step": (
        ("parallel", lambda A, M, x, h: x + h * A(x) + h * M(x), "parallel layer"),
        ("residual from x", lambda A, M, x, h: x + h * M(x + h * A(x)), "starts at Y"),
        ("dropped residual", lambda A, M, x, h: h * M(x + h * A(x)), "residual is missing"),
        ("no h at the end", lambda A, M, x, h: x + h * A(x) + M(x + h * A(x)), "second half"),
        ("no h at all", lambda A, M, x, h: x + A(x) + M(x + A(x)), "step size is missing"),
        ("MLP first", lambda A, M, x, h: usual(M, A, x, h), "attention comes first"),
        ("no MLP", lambda A, M, x, h: x + h * A(x), "Only attention"),
    ),
    "shrink-factor": (
        ("first order", (3, 3), "second order"),
        ("no accumulation", (9, 9), "three times as many layers"),
        ("third order", (27, 9), "second order"),
        ("added factors", (6, 3), "second order"),
        ("upside down", (1 / 9, 1 / 3), "above 1"),
        ("one number", 9, "two numbers"),
    ),
    "shared-rk4": (
        ("steps as evaluations", replace(RK4, steps=12, step_size=1.0), "four times"),
        ("interval too short", replace(RK4, step_size=1.0), "step_size"),
        ("step divided", replace(RK4, step_size=0.25), "step_size"),
        ("weights not shared", replace(RK4, intervals=3, steps=1), "intervals=1"),
        ("other method", replace(RK4, step_rule="midpoint", steps=6, step_size=2.0), '"rk4"'),
        ("a name", "rk4", "ViTConfig"),
    ),
    "fold-norm": (
        ("not centred", lambda g, s, w, b: (w * g, b + w @ s), "mean is still there"),
        ("centred too early", lambda g, s, w, b: (centred(w) * g, b + w @ s), "Centred too early"),
        ("columns centred", lambda g, s, w, b: (centred(w * g, dim=0), b + w @ s), "columns are centred"),
        ("mean of all", lambda g, s, w, b: (w * g - (w * g).mean(), b + w @ s), "its own mean"),
        ("rows", lambda g, s, w, b: (centred(g[:, None] * w), b + w @ s), "scales columns"),
        ("no gain", lambda g, s, w, b: (centred(w), b + w @ s), "gain is missing"),
        ("divided", lambda g, s, w, b: (centred(w / g), b + w @ s), "divided out"),
        ("transposed", lambda g, s, w, b: (centred(w * g).T, b + w @ s), "transpose"),
        ("no shift", lambda g, s, w, b: (centred(w * g), b), "shift is missing"),
        ("shift not mapped", lambda g, s, w, b: (centred(w * g), b + s), "passes through W"),
        ("bias lost", lambda g, s, w, b: (centred(w * g), w @ s), "old bias is lost"),
        ("gain on the shift", lambda g, s, w, b: (centred(w * g), b + (w * g) @ s), "does not act on the shift"),
        ("shift centred", lambda g, s, w, b: (centred(w * g), b + centred(w * g) @ s), "joins after the centring"),
        ("shift on the left", lambda g, s, w, b: (centred(w * g), b + s @ w), "W is transposed"),
    ),
}
