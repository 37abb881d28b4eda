import math
from dataclasses import replace

import numpy as np
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


def four_knots_to_six(t, knots, T):
    n = min(int(t / 2), 2)
    return torch.lerp(knots[n], knots[min(n + 1, len(knots) - 1)], t / 2 - n)


def theta_by_numpy(t, knots, T):
    times = np.linspace(0, T, len(knots))
    return np.array([np.interp(t, times, column) for column in knots.T.numpy()])


RIGHT = {
    "longer-or-finer": ((LONGER, FINER), [ViTConfig(intervals=2, steps=6), replace(LONGER, step_size=1 / 2)]),
    "flow-power": (far, far_by_steps),
    "absorb-step": (absorb, absorb_by_ratio),
    "theta-linear": (theta, theta_by_hats, theta_by_numpy),
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
        ("another solver", (replace(LONGER, step_rule="rk4"), FINER), "differs from the trained network in step_rule"),
        ("another width", (LONGER, replace(FINER, dim=32, num_heads=2)), "in dim"),
        ("another norm", (replace(LONGER, norm_place="post"), FINER), "in norm_place"),
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
        ("in place", lambda P, n: P.zero_(), "changes its argument number 1"),
        ("a matrix", torch.eye(2), "Pass the function itself"),
    ),
    "absorb-step": (
        ("unchanged", lambda w, b, h, new: (w, b), "unchanged"),
        ("upside down", lambda w, b, h, new: (w * new / h, b * new / h), "grows with the step"),
        ("root", lambda w, b, h, new: (w * math.sqrt(h / new), b * math.sqrt(h / new)), "square root"),
        ("bias forgotten", lambda w, b, h, new: (w * h / new, b), "The bias is unchanged"),
        ("new step forgotten", lambda w, b, h, new: (w * h, b * h), "not divided out"),
        ("old step forgotten", lambda w, b, h, new: (w / new, b / new), "not been multiplied in"),
        ("half of the old step", lambda w, b, h, new: (w * h / 2, b * h / 2), "from h = 0.3"),
        ("square of the old step", lambda w, b, h, new: (w * h**2 * new, b * h**2 * new), "from h = 0.3"),
        ("twice", lambda w, b, h, new: (w * (h / new) ** 2, b * (h / new) ** 2), "enters twice"),
        ("in place", lambda w, b, h, new: (w.mul_(h / new), b.mul_(h / new)), "changes its argument number 1"),
        ("nothing left", lambda w, b, h, new: (w.zero_(), b.zero_()), "changes its argument number 1"),
        ("weight alone", lambda w, b, h, new: w * h / new, "two tensors"),
    ),
    "theta-linear": (
        ("piecewise", lambda t, k, T: k[min(int(t * (len(k) - 1) / T), len(k) - 1)], "jump"),
        ("piecewise over all", lambda t, k, T: k[min(int(t * len(k) / T), len(k) - 1)], "jump"),
        ("shares exchanged", exchanged, "shares are exchanged"),
        ("one interval too many", one_interval_too_many, "one interval fewer"),
        ("time not scaled", lambda t, k, T: theta(min(t, len(k) - 1), k, len(k) - 1), "scale the time"),
        ("halfway", halfway, "Halfway"),
        ("off the end", off_the_end, "raised IndexError"),
        ("always to 6", lambda t, k, T: theta(min(t, 6.0), k, 6.0), "use the argument T"),
        ("always four knots to 6", four_knots_to_six, "with 3 knots on [0, 2]"),
    ),
}
