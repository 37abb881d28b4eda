"""Answers to the exercises of the chapter on residual layers and Euler steps."""

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


RIGHT = {"euler-step": (_loop, _recursive, _running_time)}
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
        ("writes into its argument", _in_place, "x = x + ..."),
        ("drops a row", _first_row_only, "shape"),
        ("raises", _crash, "raised TypeError"),
        ("called instead of passed", 1.5, "Pass the function itself"),
    )
}
