from dataclasses import replace

import torch

from odelib.models import ViTConfig

USUAL = ViTConfig(step_rule="lie-trotter", intervals=12)
RK4 = replace(USUAL, step_rule="rk4", intervals=1, steps=3, step_size=4.0)


def usual(A, M, x, h):
    y = x + h * A(x)
    return y + h * M(y)


def usual_in_one_line(A, M, x, h):
    return x + h * A(x) + h * M(x + h * A(x))


def centred(weight, dim=1):
    return weight - weight.mean(dim=dim, keepdim=True)


def fold(gain, shift, weight, bias):
    return centred(weight * gain), bias + weight @ shift


def by_the_rows(gain, shift, weight, bias):
    scaled = weight * gain
    return scaled - scaled.sum(dim=1, keepdim=True) / len(weight), bias + weight @ shift


def fold_by_matrices(gain, shift, weight, bias):
    d = len(gain)
    centring = torch.eye(d, dtype=gain.dtype) - torch.full((d, d), 1 / d, dtype=gain.dtype)
    return weight @ gain.diag() @ centring, (weight * shift).sum(dim=1) + bias


RIGHT = {
    "usual-step": (usual, usual_in_one_line),
    "shared-rk4": (RK4, ViTConfig(step_rule="rk4", intervals=1, steps=3, step_size=4)),
    "fold-norm": (fold, fold_by_matrices),
}

WRONG = {
    "usual-step": (
        ("parallel", lambda A, M, x, h: x + h * A(x) + h * M(x), "parallel layer"),
        ("residual from x", lambda A, M, x, h: x + h * M(x + h * A(x)), "starts at Y"),
        ("dropped residual", lambda A, M, x, h: h * M(x + h * A(x)), "residual is missing"),
        ("no h at the end", lambda A, M, x, h: x + h * A(x) + M(x + h * A(x)), "second half"),
        ("no h at all", lambda A, M, x, h: x + A(x) + M(x + A(x)), "step size is missing"),
        ("MLP first", lambda A, M, x, h: usual(M, A, x, h), "attention comes first"),
        ("no MLP", lambda A, M, x, h: x + h * A(x), "Only attention"),
        ("in place", lambda A, M, x, h: x.add_(h * A(x)).add_(h * M(x)), "changes its argument number 3"),
        ("called instead of passed", torch.zeros(2), "Pass the function itself"),
        ("h of the example", lambda A, M, x, h: usual(A, M, x, 0.5), "h = 0.25"),
    ),
    "shared-rk4": (
        ("steps as evaluations", replace(RK4, steps=12, step_size=1.0), "four times"),
        ("interval too short", replace(RK4, step_size=1.0), "step_size"),
        ("step divided", replace(RK4, step_size=0.25), "step_size"),
        ("weights not shared", replace(RK4, intervals=3, steps=1), "intervals=1"),
        ("other method", replace(RK4, step_rule="midpoint", steps=6, step_size=2.0), '"rk4"'),
        ("post-norm", replace(RK4, norm_place="post"), "something else"),
        ("another width", replace(RK4, dim=192, num_heads=3), "something else"),
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
        ("zeroed", lambda g, s, w, b: (w.zero_(), b.zero_()), "changes its argument number 3"),
        ("in place", lambda g, s, w, b: (w.mul_(g).sub_(w.mean(1, keepdim=True)), b + w @ s), "argument number 3"),
        ("divided by the rows", by_the_rows, "Not every map is square"),
        ("called instead of passed", (1.0, 2.0), "Pass the function itself"),
        ("shift on the left", lambda g, s, w, b: (centred(w * g), b + s @ w), "W is transposed"),
    ),
}
