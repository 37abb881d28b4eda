"""Exercises of the chapter on residual layers and Euler steps."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch

from odelib.solvers import solve
from odelib.teaching.exercises import Exercise, NotYet, expect_close, expect_function, expect_numbers, hint_for
from odelib.teaching.handed_out import call_with_clones


def _euler_step(euler: Any) -> None:
    """The answer is ``euler_steps(f, x, h, steps)`` with ``f(t, x)``, from time 0, returning the last state."""
    expect_function(euler, "euler_steps(...)")
    start, h, steps = 2.0, 0.1, 4
    expect_close(
        euler(lambda t, x: torch.full_like(x, 3.0), _scalar(start), h, steps),
        _scalar(start + steps * h * 3),
        f"with dx/dt = 3, from x = {start:g}, {steps} steps of h = {h:g}",
        [
            (_scalar(start + (steps + 1) * h * 3), "That is one step too many: range(steps) already makes them all."),
            (_scalar(start + (steps - 1) * h * 3), "That is one step too few: count the steps your loop makes."),
            (_scalar(start + h * 3), "That is a single step: carry x from one step to the next."),
            (_scalar(start + steps * 3), "The step size is missing: a step adds h * f(t, x), not f(t, x)."),
            (_scalar(start - steps * h * 3), "The sign is wrong: a step adds h * f(t, x)."),
            (_scalar(h * 3), "The residual is missing: the new x is the old x plus h * f(t, x)."),
        ],
    )
    expect_close(
        euler(lambda t, x: -x, _scalar(1.0), 0.5, 3),
        _scalar(0.125),
        "with dx/dt = -x, from x = 1, 3 steps of h = 0.5",
        [
            (_scalar(1 - 3 * 0.5), "The field is always taken at the first x: take it at the current one."),
            (_scalar(1.5**-3), "That is the implicit Euler method: take the field before the step, not after."),
            (_scalar(0.625**3), "That is a method of second order: one Euler step takes the field once."),
            (_scalar(math.exp(-1.5)), "That is the exact solution: here the steps themselves are asked for."),
        ],
    )
    expect_close(
        euler(lambda t, x: torch.full_like(x, float(t)), _scalar(0.0), 0.5, 4),
        _scalar(1.5),
        "with dx/dt = t, from x = 0 at t = 0, 4 steps of h = 0.5",
        [
            (_scalar(0.0), "The field always sees t = 0: step n starts at t = n h."),
            (_scalar(2.5), "The field sees the time at the end of the step: step n starts at t = n h."),
            (_scalar(3.0), "The field sees the number of the step: its time is t = n h."),
        ],
    )
    x = torch.tensor([[1.0, -2.0], [0.5, 4.0]], dtype=torch.float64)
    result = call_with_clones(euler, lambda t, x: x.flip(0), x, 0.5, 2)
    expect_close(result, 1.25 * x + x.flip(0), "with dx/dt a swap of two rows")


def _merging_step(answer: Any) -> None:
    """The answer is a pair of numbers: the step that merges all points, the fewest layers that keep their order."""
    step, layers = expect_numbers(answer, 2, "(step size, number of layers)")
    if not math.isclose(step, 0.2, rel_tol=1e-6):
        hints = {
            0.4: "With h = 2/5 a step multiplies x by -1: it swaps the points and does not merge them.",
            1.0: "With h = 1 a step multiplies x by -4. Write down the factor for a general h.",
            5.0: "That is K. The step that merges has h K = 1.",
            -0.2: "A step goes forward in time: h is positive.",
        }
        otherwise = "A step multiplies x by 1 - 5 h: when is that zero?"
        raise NotYet(f"the step size is {step:.10g}", hint_for(step, hints, otherwise))
    if not math.isclose(layers, 6):
        hints = {
            5: "With 5 layers h is exactly 1/5 and all points merge: the condition h K < 1 is strict.",
            3: "With 3 layers the factor 1 - 5/3 is negative: each step swaps the points. Decay alone is not enough.",
            1: "With 1 layer the factor is -4: the points change places.",
        }
        otherwise = "Every step must have h < 1/5 with h = 1/L: take the smallest such L."
        raise NotYet(f"the number of layers is {layers:g}", hint_for(layers, hints, otherwise))


def _half_turn(field: Any) -> None:
    """The answer is a field ``around(t, x)`` for x of shape (points, 2)."""
    expect_function(field, "around(...)")
    x = torch.tensor([[-1.0, 0.0], [1.0, 0.0], [-1.0, 0.5]], dtype=torch.float64)

    def moving(t: float, x: torch.Tensor) -> torch.Tensor:
        """The field with clones handed out, and with its velocities in the type of x."""
        given = call_with_clones(field, t, x)
        try:
            velocity = torch.as_tensor(given).detach()
        except (TypeError, ValueError, RuntimeError):
            raise NotYet(f"the field gives a {type(given).__name__}", "Return a tensor: torch.stack.") from None
        if velocity.shape != x.shape:
            symptom = f"for x of shape {tuple(x.shape)} the field gives {tuple(velocity.shape)}"
            raise NotYet(symptom, "Return one velocity per point, shape (points, 2).")
        return velocity if velocity.is_complex() else velocity.to(x)

    velocity = moving(0.0, x)
    ends = solve(moving, x[:2], (0.0, 1.0), rule="rk4", steps=400).ys[-1]
    symptom = f"(-1, 0) ends at ({_rounded(ends[0, 0])}, {_rounded(ends[0, 1])})"
    symptom += f" and (1, 0) at ({_rounded(ends[1, 0])}, {_rounded(ends[1, 1])})"
    if torch.allclose(ends, -x[:2], atol=1e-4):
        precise = getattr(field(0.0, x.clone()), "dtype", None) in (x.dtype, x.numpy().dtype)
        _judge_field(moving, 20 if precise else 12)
        return
    miss = float((ends + x[:2]).norm(dim=1).max())
    if miss < 0.01:
        hint = "Use math.pi, not its first digits, and a velocity that does not jump in time."
        raise NotYet(f"the points miss their ends by {miss:.1g}", hint)
    flat = bool((ends[:, 1].abs() < 1e-6).all())
    if torch.allclose(ends, x[:2], atol=1e-4):
        still = bool(velocity.abs().max() < 1e-9)
        hint = "Nothing moves." if still else "You turned twice as far as needed: half a circle is an angle of pi."
        raise NotYet(symptom, hint)
    if not bool(torch.isfinite(ends).all()) or bool(ends.norm(dim=1).max() > 2):
        raise NotYet(symptom, "The points fly away: the velocity must be perpendicular to x, as (-x2, x1) is.")
    if flat:
        raise NotYet(symptom, "The points never leave the line, where they cannot pass: use the second coordinate.")
    if bool((ends[:, 0].abs() < 1e-4).all()):
        raise NotYet(symptom, "They end on the vertical axis: you turned half as far as needed.")
    raise NotYet(symptom, "On a circle of radius 1 the way is pi long: that is the speed for one unit of time.")


def _judge_field(field: Any, halvings: int) -> None:
    """The velocity of a point must depend on its place alone, and be Lipschitz in it, for ever closer neighbours."""
    generator = torch.Generator().manual_seed(0)
    places = 3 * torch.rand(256, 2, generator=generator, dtype=torch.float64) - 1.5
    order = torch.randperm(256, generator=generator)
    for t in (0.0, 0.3, 0.8):
        for rows, symptom in ((order, "with its rows in another order"), (order[:100], "with some points left out")):
            if not torch.allclose(field(t, places[rows]), field(t, places)[rows], rtol=1e-4, atol=1e-6):
                hint = "A field looks at the place of a point, not at its row or at the other points."
                raise NotYet(f"{symptom}, the same points get other velocities", hint)
        # Neighbours on lines, through the origin and elsewhere; then closer ones, where the velocity changes most.
        a, b = torch.cat([places[:128], places[128:]]), torch.cat([-places[:128], places[128:].roll(1, 0)])
        fractions = torch.linspace(0, 1, 514, dtype=torch.float64)[:, None, None]
        line = torch.lerp(a, b, fractions)
        moved = field(t, line.flatten(0, 1)).view_as(line)
        at = moved.diff(dim=0).norm(dim=2).argmax(dim=0)
        columns = torch.arange(len(a))
        a, b = line[at, columns], line[at + 1, columns]
        for _ in range(halvings):
            middle = (a + b) / 2
            first, half, last = (field(t, x) for x in (a, middle, b))
            left = ((half - first).norm(dim=1) > (last - half).norm(dim=1))[:, None]
            a, b = torch.where(left, a, middle), torch.where(left, middle, b)
        steepness = (field(t, a) - field(t, b)).norm(dim=1) / (a - b).norm(dim=1)
        if bool(steepness.max() > 1000):
            where = a[steepness.argmax()]
            raise NotYet(
                f"near ({_rounded(where[0])}, {_rounded(where[1])}) neighbours move too differently: the field is not "
                "Lipschitz",
                "Points side by side would be torn apart or meet: find one smooth formula for all x, without a case "
                "distinction.",
            )


def _rounded(value: torch.Tensor) -> str:
    return f"{float(value):.2f}".replace("-0.00", "0.00")


def _deeper(deeper: Any) -> None:
    """The answer is ``deeper(f, thetas, x, m)``, the output of a network with m L layers on the same field."""
    expect_function(deeper, "deeper(...)")
    start, m = _scalar(1.0), 4
    expect_close(
        deeper(lambda theta, x: theta[0] + 0 * x, torch.full((3, 1), 2.0, dtype=torch.float64), start, m),
        _scalar(7.0),
        "with f = 2 in 3 layers, from x = 1, m = 4",
        [
            (_scalar(25.0), "That is m times too far: each new layer takes 1/m of an old one's step."),
            (_scalar(3.0), "The step is 1/(mL), but F = L f: a new layer adds f / m."),
            (_scalar(5.0), "That covers two of the three layers: old layers sit at n/L, and there are m L new ones."),
            (_scalar(4.0), "The step is 1/(mL - 1) or there are too few layers: m L layers of 1/m each reach the end."),
            (_scalar(7.5), "That is one layer too many: make m L of them."),
            (_scalar(6.5), "That is one layer too few: make m L of them."),
            (_scalar(-5.0), "The sign is wrong: a layer adds f / m."),
            (_scalar(0.5), "The residual is missing: the new x is the old x plus f / m."),
            (_scalar(1.5), "That is a single layer: carry x from one layer to the next."),
        ],
        "A constant branch must carry x as far as the old network did, from 1 to 7.",
    )

    def branch(theta: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        return torch.tanh(theta[0] + x / 2)  # not linear in theta: weights are interpolated, not outputs

    def walk(weights: Sequence[float]) -> torch.Tensor:
        x = start
        for weight in weights:
            x = x + branch(_scalar(weight)[None], x) / m
        return x

    def between_outputs() -> torch.Tensor:
        x, old = start, torch.tensor([1.0, 3.0, 0.0, 0.0], dtype=torch.float64)
        for k in range(3 * m):
            n, j = divmod(k, m)
            x = x + torch.lerp(branch(old[n, None], x), branch(old[n + 1, None], x), j / m) / m
        return x

    expect_close(
        call_with_clones(deeper, branch, torch.tensor([[1.0], [3.0], [0.0]], dtype=torch.float64), start, m),
        walk(_BETWEEN),
        "with f = tanh(theta + x / 2) and weights 1, 3, 0, from x = 1, m = 4",
        [(between_outputs(), _OUTPUTS), *((walk(weights), hint) for weights, hint in _MISPLACED)],
        "Print the weights that your layers use: they should be 1, 1.5, 2, 2.5, 3, 2.25, 1.5, 0.75, 0, 0, 0, 0.",
    )
    thetas = torch.tensor([[1.0, -0.5], [-2.0, 1.0]], dtype=torch.float64)
    x = wide = torch.tensor([1.0, -2.0], dtype=torch.float64)
    for j in (0.0, 1 / 3, 2 / 3, 1.0, 1.0, 1.0):
        wide = wide + torch.tanh(torch.lerp(thetas[0], thetas[1], j) * wide) / 3
    expect_close(
        call_with_clones(deeper, lambda theta, x: torch.tanh(theta * x), thetas, x, 3),
        wide,
        "with f = tanh(theta x), two layers of two weights, two entries of x, and m = 3",
        otherwise="L, m and the number of weights are those of what is passed in.",
    )


# The weights of 12 layers made from three with weights 1, 3, 0, and what mistakes make of them.
_BETWEEN = (1.0, 1.5, 2.0, 2.5, 3.0, 2.25, 1.5, 0.75, 0.0, 0.0, 0.0, 0.0)
_OUTPUTS = "You interpolate what two layers add: interpolate their weights, and add once."
_NEAREST = "You take the nearest layer: interpolate linearly between two."
_MISPLACED = (
    ((1.0,) * 4 + (3.0,) * 4 + (0.0,) * 4, "Each weight is used m times: interpolate between layers."),
    ((1.0,) * 3 + (3.0,) * 4 + (0.0,) * 5, _NEAREST),
    ((1.0,) * 2 + (3.0,) * 4 + (0.0,) * 6, _NEAREST),
    (
        tuple(1 + 4 * k / 11 if k <= 5 else 3 - 6 * (k - 5.5) / 11 for k in range(12)),
        "The last old layer sits at (L-1)/L, not at 1: the new layers after it keep its weights.",
    ),
    ((*_BETWEEN[:9], -0.75, -1.5, -2.25), "After the last old layer you extrapolate: keep its weights."),
    ((*_BETWEEN[:9], 0.25, 0.5, 0.75), "After the last old layer you run back to the first: keep the last weights."),
    ((*_BETWEEN[1:], 0.0), "Layer k acts at t = k/(mL), the beginning of its step: you use its end."),
    (_BETWEEN[::-1], "Time runs backwards: the first layer comes first."),
    (
        (3.0, 2.5, 2.0, 1.5, 0.0, 0.75, 1.5, 2.25, 0.0, 0.0, 0.0, 0.0),
        "The two weights of the interpolation are exchanged: at k = 0 it must give the first layer's.",
    ),
)


def _scalar(value: float) -> torch.Tensor:
    return torch.tensor(value, dtype=torch.float64)


EXERCISES = (
    Exercise("euler-step", "Walk with Euler's method", 10, "easy", _euler_step),
    Exercise("merging-step", "When do points merge?", 5, "medium", _merging_step),
    Exercise("half-turn", "Walk around", 10, "medium", _half_turn),
    Exercise("deeper", "Make a network deeper", 15, "hard", _deeper),
)
