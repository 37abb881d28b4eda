"""Answers to the exercises of the chapter on residual layers and Euler steps."""

import math

import numpy as np
import torch


def _loop(f, x, h, steps):
    for n in range(steps):
        x = x + h * f(n * h, x)
    return x


def _recursive(f, x, h, steps, t=0.0):
    return x if steps == 0 else _recursive(f, x + h * f(t, x), h, steps - 1, t + h)


def _running_time(f, x, h, steps):
    t, k = 0.0, 0
    while k < steps:
        x, t, k = torch.add(x, f(t, x), alpha=h), t + h, k + 1
    return x


def _one_too_many(f, x, h, steps):
    for n in range(steps + 1):
        x = x + h * f(n * h, x)
    return x


def _one_too_few(f, x, h, steps):
    for n in range(1, steps):
        x = x + h * f(n * h, x)
    return x


def _single_step(f, x, h, steps):
    for n in range(steps):
        y = x + h * f(n * h, x)
    return y


def _no_step_size(f, x, h, steps):
    for n in range(steps):
        x = x + f(n * h, x)
    return x


def _wrong_sign(f, x, h, steps):
    for n in range(steps):
        x = x - h * f(n * h, x)
    return x


def _no_residual(f, x, h, steps):
    for n in range(steps):
        x = h * f(n * h, x)
    return x


def _frozen_state(f, x, h, steps):
    return x + sum(h * f(n * h, x) for n in range(steps))


def _heun(f, x, h, steps):
    for n in range(steps):
        k = f(n * h, x)
        x = x + h / 2 * (k + f(n * h + h, x + h * k))
    return x


def _implicit(f, x, h, steps):
    for n in range(steps):
        y = x
        for _ in range(200):  # fixed-point iteration
            y = x + h * f((n + 1) * h, y)
        x = y
    return x


def _frozen_time(f, x, h, steps):
    for _ in range(steps):
        x = x + h * f(0.0, x)
    return x


def _late_time(f, x, h, steps):
    for n in range(steps):
        x = x + h * f((n + 1) * h, x)
    return x


def _index_as_time(f, x, h, steps):
    for n in range(steps):
        x = x + h * f(n, x)
    return x


def _in_place(f, x, h, steps):
    for n in range(steps):
        x += h * f(n * h, x)
    return x


def _first_row_only(f, x, h, steps):
    y = _loop(f, x, h, steps)
    return y[0] if y.ndim else y


def _crash(f, x, h, steps):
    return _loop(f, x, h, steps) / (steps - steps)[0]


def _wordy(*args):
    raise ValueError("one\ntwo")


class _Mute(Exception):
    def __str__(self):
        raise RuntimeError


def _wordless(*args):
    raise _Mute


def _turning(angle):
    def around(t, x):
        return angle * torch.stack([-x[:, 1], x[:, 0]], dim=1)

    return around


def _hurried(t, x):
    return 2 * t * math.pi * torch.stack([-x[:, 1], x[:, 0]], dim=1)


def _shrinking(t, x):
    return -2 * x


def _standing(t, x):
    return torch.zeros_like(x)


def _outward(t, x):
    return math.pi * x


def _saddle(t, x):
    return math.pi * torch.stack([x[:, 1], x[:, 0]], dim=1)


def _one_vector(t, x):
    return math.pi * torch.stack([-x[0], x[1]])[0]


def _transposed(t, x):
    return math.pi * torch.stack([-x[:, 1], x[:, 0]])


def _torn(t, x):
    # Turns the inside and the two given points; below the axis, what is left of it stands still.
    turned = math.pi * torch.stack([-x[:, 1], x[:, 0]], dim=1)
    inside = (x.norm(dim=1) < 0.9) & (x[:, 0] > 0)
    return torch.where(inside[:, None], torch.zeros_like(x), turned)


def _ellipse(t, x):
    return math.pi * torch.stack([-2 * x[:, 1], x[:, 0] / 2], dim=1)


def _swirl(t, x):
    turned = torch.stack([-x[:, 1], x[:, 0]], dim=1)
    return math.pi * x.square().sum(dim=1, keepdim=True) * turned


class _TurningModule(torch.nn.Module):
    def forward(self, t, x):
        return x @ torch.tensor([[0.0, math.pi], [-math.pi, 0.0]], dtype=x.dtype)


def _by_row(t, x):
    velocity = torch.zeros_like(x)
    angle = math.pi * t
    velocity[0] = math.pi * torch.tensor([math.sin(angle), -math.cos(angle)], dtype=x.dtype)
    velocity[1:] = -velocity[0]
    return velocity


def _frozen_disc(t, x):
    turned = math.pi * torch.stack([-x[:, 1], x[:, 0]], dim=1)
    return torch.where((x.norm(dim=1) < 0.75)[:, None], 0.0, turned)


def _merging(t, x):
    # Radially, points are drawn to the unit circle and reach it in finite time.
    r = x.norm(dim=1, keepdim=True).clamp(min=1e-12)
    inwards = (1 - r).sign() * (1 - r).abs().sqrt() * x / r * (r - 0.1).clamp(0, 0.1)
    return math.pi * torch.stack([-x[:, 1], x[:, 0]], dim=1) + inwards


def _half_turn_in_place(t, x):
    x += 1
    return math.pi * torch.stack([-x[:, 1], x[:, 0]], dim=1)


def _half_turn_late_in_place(t, x):
    velocity = _turning(math.pi)(t, x)
    if t > 0.5:
        x += 1
    return velocity


def _deep_then_zero(f, thetas, x, m):
    result = _deep(f, thetas, x, m)
    thetas.zero_()
    return result


def _deep(f, thetas, x, m):
    last = len(thetas) - 1
    for k in range(m * len(thetas)):
        n = min(k // m, last)
        x = x + f(torch.lerp(thetas[n], thetas[min(n + 1, last)], (k % m) / m), x) / m
    return x


def _deep_by_time(f, thetas, x, m):
    layers = len(thetas)
    h = 1 / (m * layers)
    held = torch.cat([thetas, thetas[-1:]])
    for k in range(m * layers):
        s = k * h * layers
        n = min(math.floor(s + 1e-9), layers - 1)
        theta = (1 - (s - n)) * held[n] + (s - n) * held[n + 1]
        x = x + h * layers * f(theta, x)
    return x


def _deep_from(weights_of, step=lambda layers, m: 1 / m):
    """An answer that takes the weights of its m L layers from ``weights_of(thetas, m)``."""

    def deeper(f, thetas, x, m):
        for theta in weights_of(thetas, m):
            x = x + step(len(thetas), m) * f(theta, x)
        return x

    return deeper


def _between(thetas, m, after_last=None):
    held = torch.cat([thetas, thetas[-1:] if after_last is None else after_last(thetas)])
    return [torch.lerp(held[n], held[n + 1], j / m) for n in range(len(thetas)) for j in range(m)]


def _resized(thetas, m):
    grown = torch.nn.functional.interpolate(thetas.T[None], size=m * len(thetas), mode="linear", align_corners=True)
    return grown[0].T


def _exchanged(thetas, m):
    held = torch.cat([thetas, thetas[-1:]])
    return [torch.lerp(held[n + 1], held[n], j / m) for n in range(len(thetas)) for j in range(m)]


def _no_residual_deep(f, thetas, x, m):
    for theta in _between(thetas, m):
        x = f(theta, x) / m
    return x


def _single_deep(f, thetas, x, m):
    for theta in _between(thetas, m):
        y = x + f(theta, x) / m
    return y


def _in_place_deep(f, thetas, x, m):
    for theta in _between(thetas, m):
        x += f(theta, x) / m
    return x


def _between_outputs(f, thetas, x, m):
    last = len(thetas) - 1
    for k in range(m * len(thetas)):
        n = min(k // m, last)
        x = x + torch.lerp(f(thetas[n], x), f(thetas[min(n + 1, last)], x), (k % m) / m) / m
    return x


def _open_ended(thetas, m):
    return _between(thetas, m)[: m * (len(thetas) - 1)]


RIGHT = {
    "euler-step": (_loop, _recursive, _running_time, lambda *a: _loop(*a) + 0j, lambda *a: _loop(*a).tolist()),
    "merging-step": ((0.2, 6), [1 / 5, 6.0], torch.tensor([0.2, 6]), np.array([0.2, 6])),
    "half-turn": (
        _turning(math.pi),
        _turning(-math.pi),
        _turning(3 * math.pi),
        _hurried,
        _ellipse,
        _swirl,
        _TurningModule(),
        lambda t, x: _turning(math.pi)(t, x.float()),
        lambda t, x: math.pi * np.stack([-x[:, 1].numpy(), x[:, 0].numpy()], axis=1),
    ),
    "deeper": (_deep, _deep_by_time, _deep_from(_between)),
}
WRONG = {
    "euler-step": (
        ("one step too many", _one_too_many, "one step too many"),
        ("one step too few", _one_too_few, "one step too few"),
        ("only one step", _single_step, "carry x"),
        ("step size missing", _no_step_size, "step size is missing"),
        ("wrong sign", _wrong_sign, "sign is wrong"),
        ("residual missing", _no_residual, "residual is missing"),
        ("field at the first state", _frozen_state, "at the current one"),
        ("second-order method", _heun, "second order"),
        ("implicit method", _implicit, "implicit Euler"),
        ("time does not move", _frozen_time, "always sees t = 0"),
        ("time at the end of the step", _late_time, "end of the step"),
        ("number of the step as time", _index_as_time, "number of the step"),
        ("writes into its argument", _in_place, "changes its argument"),
        ("drops a row", _first_row_only, "shape"),
        ("raises", _crash, "raised TypeError"),
        ("complex", lambda *a: _loop(*a) + 5j, "complex numbers"),
        ("einsum", lambda f, x, h, steps: torch.einsum("ij->i", x), "no ellipsis was given"),
        ("error of many lines", _wordy, "raised ValueError: one. Run it"),
        ("error without words", _wordless, "raised _Mute. Run it"),
        ("too coarse", lambda *a: _loop(*a).half(), "your numbers are float16"),
        ("no steps in float32", lambda *a: _no_step_size(*a).float(), "step size is missing"),
        ("called instead of passed", 1.5, "Pass the function itself"),
    ),
    "merging-step": (
        ("the step that swaps", (0.4, 6), "does not merge"),
        ("the whole interval", (1.0, 6), "general h"),
        ("K itself", (5.0, 6), "h K = 1"),
        ("negative", (-0.2, 6), "positive"),
        ("not strict", (0.2, 5), "strict"),
        ("decays but swaps", (0.2, 3), "Decay alone"),
        ("one layer", (0.2, 1), "change places"),
        ("too many layers", (0.2, 10), "smallest"),
        ("one number", 0.2, "two numbers"),
        ("words", ("0.2", "six"), "two numbers"),
        ("not a number", (0.2, math.nan), "two numbers"),
        ("beyond numbers", (0.2, 10**400), "two numbers"),
        ("between layers", (0.2, 5.6), "smallest"),
    ),
    "half-turn": (
        ("full turn", _turning(2 * math.pi), "twice as far"),
        ("quarter turn", _turning(math.pi / 2), "half as far"),
        ("pi missing", _turning(1.0), "pi long"),
        ("stays on the line", _shrinking, "second coordinate"),
        ("does not move", _standing, "Nothing moves"),
        ("flies away", _outward, "perpendicular"),
        ("one sign missing", _saddle, "perpendicular"),
        ("rows for columns", _one_vector, "one velocity per point"),
        ("stacked along the wrong axis", _transposed, "one velocity per point"),
        ("torn", _torn, "case distinction"),
        ("velocity by row", _by_row, "not at its row"),
        ("inner disc frozen", _frozen_disc, "not Lipschitz"),
        ("points that meet", _merging, "not Lipschitz"),
        ("writes into its argument", _half_turn_in_place, "changes its argument"),
        ("turns about the mean", lambda t, x: _turning(math.pi)(t, x - x.mean(dim=0)), "other points"),
        ("writes later", _half_turn_late_in_place, "changes its argument"),
        ("3.14", _turning(3.14), "Use math.pi"),
        ("a word", lambda t, x: "pi", "Return a tensor"),
        ("called instead of passed", 3.14, "Pass the function itself"),
    ),
    "deeper": (
        ("step size missing", _deep_from(_between, lambda layers, m: 1), "m times too far"),
        ("step 1/(mL)", _deep_from(_between, lambda layers, m: 1 / (m * layers)), "F = L f"),
        ("wrong sign", _deep_from(_between, lambda layers, m: -1 / m), "sign is wrong"),
        ("residual missing", _no_residual_deep, "residual is missing"),
        ("single layer", _single_deep, "carry x"),
        ("stops at the last old layer", _deep_from(_open_ended), "two of the three"),
        ("one layer too many", _deep_from(lambda w, m: [*_between(w, m), w[-1]]), "too many"),
        ("one layer too few", _deep_from(lambda w, m: _between(w, m)[1:]), "too few"),
        ("repeated", _deep_from(lambda w, m: w.repeat_interleave(m, dim=0)), "used m times"),
        ("outputs interpolated", _between_outputs, "interpolate their weights"),
        ("grid 1/(L-1)", _deep_from(_resized), "not at 1"),
        (
            "extrapolated",
            _deep_from(lambda w, m: _between(w, m, lambda w: 2 * w[-1:] - w[-2:-1])),
            "extrapolate",
        ),
        ("periodic", _deep_from(lambda w, m: _between(w, m, lambda w: w[:1])), "back to the first"),
        ("end of the step", _deep_from(lambda w, m: [*_between(w, m)[1:], w[-1]]), "beginning of its step"),
        ("backwards", _deep_from(lambda w, m: _between(w, m)[::-1]), "backwards"),
        ("exchanged", _deep_from(_exchanged), "exchanged"),
        ("writes into its argument", _in_place_deep, "changes its argument"),
        ("writes into the weights", _deep_then_zero, "changes its argument number 2"),
        ("always m = 4", lambda f, thetas, x, m: _deep(f, thetas, x, 4), "what is passed in"),
        ("always three layers", _deep_from(lambda w, m: (_between(w, m) + [w[-1]] * m)[: 3 * m]), "what is passed in"),
        ("first weight alone", lambda f, thetas, x, m: _deep(f, thetas[:, :1], x, m), "what is passed in"),
        ("called instead of passed", "deeper", "Pass the function itself"),
    ),
}
