import math
from dataclasses import replace

import torch

from odelib.models import ViTConfig

TRAINED = ViTConfig(intervals=2, steps=3)
LONGER = replace(TRAINED, steps=6)
FINER = replace(TRAINED, steps=6, step_size=0.5)


def far(P, n):
    return torch.linalg.matrix_power(P, n)


def far_by_steps(P, n):
    Q = torch.eye(len(P), dtype=P.dtype)
    one = P if n > 0 else torch.linalg.inv(P)
    for _ in range(abs(n)):
        Q = one @ Q
    return Q


def absorb(weight, bias, h, new):
    return weight * h / new, bias * h / new


def absorb_by_ratio(weight, bias, h, new):
    s = h / new
    return [s * weight, s * bias]


def theta(t, knots, T):
    intervals = len(knots) - 1
    place = t * intervals / T
    n = min(int(place), intervals - 1)
    return knots[n] + (place - n) * (knots[n + 1] - knots[n])


def theta_by_hats(t, knots, T):
    spacing = T / (len(knots) - 1)
    return sum(max(0.0, 1 - abs(t / spacing - j)) * knot for j, knot in enumerate(knots))


def one_interval_too_many(t, knots, T):
    place = t * len(knots) / T
    n = min(int(place), len(knots) - 1)
    return torch.lerp(knots[n], knots[min(n + 1, len(knots) - 1)], place - n)


def exchanged(t, knots, T):
    place = t * (len(knots) - 1) / T
    n = min(int(place), len(knots) - 2)
    return torch.lerp(knots[n + 1], knots[n], place - n)


def off_the_end(t, knots, T):
    place = t * (len(knots) - 1) / T
    n = int(place)
    return torch.lerp(knots[n], knots[n + 1], place - n)


def halfway(t, knots, T):
    n = min(int(t * (len(knots) - 1) / T), len(knots) - 2)
    return (knots[n] + knots[n + 1]) / 2


RIGHT = {
    "longer-or-finer": ((LONGER, FINER), [ViTConfig(intervals=2, steps=6), replace(LONGER, step_size=1 / 2)]),
    "flow-power": (far, far_by_steps),
    "absorb-step": (absorb, absorb_by_ratio),
    "how-far": ((16, 4, 4, 0.25), [16.0, 4.0, 4.0, 1 / 4]),
    "theta-linear": (theta, theta_by_hats),
}

WRONG = {
    "longer-or-finer": (
        ("exchanged", (FINER, LONGER), "longer integrates over a time of 6"),
        ("longer by larger steps", (replace(TRAINED, step_size=2.0), FINER), "comes from more steps"),
        ("more weight sets", (replace(TRAINED, intervals=4), FINER), "no third one"),
        ("finer without smaller steps", (LONGER, LONGER), "each be shorter"),
        ("finer with fewer steps", (LONGER, replace(TRAINED, steps=3, step_size=0.5)), "each be shorter"),
        ("finer three times", (LONGER, replace(TRAINED, steps=12, step_size=0.25)), "cut in two"),
        ("finer by other intervals", (LONGER, replace(TRAINED, intervals=1, steps=12, step_size=0.5)), "no third one"),
        ("a number", (LONGER, 0.5), "replace(trained"),
        ("one configuration", LONGER, "two configurations"),
    ),
    "flow-power": (
        ("times n", lambda P, n: n * P, "multiplied by n"),
        ("entries", lambda P, n: P**n, "entries were raised"),
        ("one too many", lambda P, n: far(P, n + 1), "One factor too many"),
        ("one too few", lambda P, n: far(P, n - 1), "One factor too few"),
        ("never back", lambda P, n: far(P, abs(n)), "Negative time"),
        ("minus for back", lambda P, n: far(P, n) if n >= 0 else -far(P, -n), "minus sign"),
        ("transposed", lambda P, n: far(P.T, n), "transpose"),
        ("empty range", lambda P, n: far(P, max(n, 0)), "Count negative n"),
    ),
    "absorb-step": (
        ("unchanged", lambda w, b, h, new: (w, b), "unchanged"),
        ("upside down", lambda w, b, h, new: (w * new / h, b * new / h), "grows with the step"),
        ("root", lambda w, b, h, new: (w * math.sqrt(h / new), b * math.sqrt(h / new)), "square root"),
        ("bias forgotten", lambda w, b, h, new: (w * h / new, b), "The bias is unchanged"),
        ("new step forgotten", lambda w, b, h, new: (w * h, b * h), "not divided out"),
        ("old step forgotten", lambda w, b, h, new: (w / new, b / new), "not been multiplied in"),
        ("twice", lambda w, b, h, new: (w * (h / new) ** 2, b * (h / new) ** 2), "enters twice"),
        ("weight alone", lambda w, b, h, new: w * h / new, "two tensors"),
    ),
    "how-far": (
        ("all like D", (16, 16, 16, 16), "h = 1/sqrt(D)"),
        ("random walk for shared", (4, 1, 4, 0.25), "same way"),
        ("sum for independent", (16, 4, 16, 1), "random walk, sqrt(D)"),
        ("no decay", (16, 4, 4, 1), "sqrt(D) / D"),
        ("upside down", (1 / 16, 1 / 4, 1 / 4, 4), "same way"),
        ("exponents", (1, 0.5, 0.5, -0.5), "same way"),
        ("three", (16, 4, 4), "four factors"),
    ),
    "theta-linear": (
        ("piecewise", lambda t, k, T: k[min(int(t * (len(k) - 1) / T), len(k) - 1)], "jump"),
        ("piecewise over all", lambda t, k, T: k[min(int(t * len(k) / T), len(k) - 1)], "jump"),
        ("shares exchanged", exchanged, "shares are exchanged"),
        ("one interval too many", one_interval_too_many, "one interval fewer"),
        ("time not scaled", lambda t, k, T: theta(min(t, len(k) - 1), k, len(k) - 1), "scale the time"),
        ("halfway", halfway, "Halfway"),
        ("off the end", off_the_end, "raised IndexError"),
    ),
}
