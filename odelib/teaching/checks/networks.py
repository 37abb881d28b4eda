"""Exercises of the chapter on networks in use."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from odelib.teaching.exercises import Exercise, expect_close, expect_function
from odelib.teaching.handed_out import call_with_clones


def _norm(x: Tensor) -> Tensor:
    return torch.nn.functional.layer_norm(x, x.shape[-1:])


def _euler(phi: Callable[[Tensor], Tensor], x: Tensor, steps: int, h: float) -> Tensor:
    for _ in range(steps):
        x = x + h * (phi(x) - x)
    return x


def _refined_layer(refined: Any) -> None:
    """The answer is ``refined(phi, x, n)``: n Euler steps of size 1/n along the field of a layer."""
    expect_function(refined, "refined(...)")
    generator = torch.Generator().manual_seed(5)
    matrix = torch.randn(4, 4, generator=generator, dtype=torch.float64) / 4
    x = torch.randn(2, 4, generator=generator, dtype=torch.float64)

    def phi(y: Tensor) -> Tensor:
        return _norm(y + torch.tanh(y @ matrix))

    def applied(times: int) -> Tensor:
        y = x
        for _ in range(times):
            y = phi(y)
        return y

    def added(steps: int) -> Tensor:
        y = x
        for _ in range(steps):
            y = y + phi(y) / steps
        return y

    def normed(steps: int) -> Tensor:
        y = x
        for _ in range(steps):
            y = _norm(y + (phi(y) - y) / steps)
        return y

    for n in (1, 3):
        suspects = [
            (added(n), "You add the layer itself: its field is what it changes, phi(x) - x."),
            (normed(n), "You normalise after each step, but the layer's norm is inside phi: mix x and phi(x)."),
        ]
        if n > 1:
            suspects += [
                (applied(n), "That applies the layer n times: each step goes only 1/n of the way."),
                (_euler(phi, x, 1, 1 / n), "That is the first of the n steps: go on from where it ends."),
                (x + (phi(x) - x), "n steps along the field of the start end where the layer does: evaluate it anew."),
                (_euler(phi, x, n, 1.0), "The steps have size 1: n of them have to fit into one unit of time."),
                (_euler(phi, x, n - 1, 1 / n), "One step is missing: together they last one unit of time."),
            ]
        expect_close(
            call_with_clones(refined, phi, x, n),
            _euler(phi, x, n, 1 / n),
            f"with n = {n}, the state after a refined layer",
            suspects,
            "Each step: (1 - 1/n) of the state, and 1/n of what the layer makes of it.",
        )


def _what_remains(remains: Any) -> None:
    """The answer is ``remains(n)``: the share of a forgotten direction after n Euler steps of size 1/n."""
    expect_function(remains, "remains(...)")
    for n in (8, 2, 1):
        want = (1 - 1 / n) ** n
        expect_close(
            float(remains(n)),
            want,
            f"with n = {n}, what remains",
            [
                (1 - want, "That is what is gone."),
                (1 - 1 / n, "That is what one step of the n leaves."),
                (math.exp(-1), "That is the equation's own: n steps of Euler's method leave less."),
                ((1 + 1 / n) ** n, "The sign: the field points back, towards zero."),
                (0.0, "Only one step of size 1 forgets all."),
                ((1 - 1 / n) ** (n - 1), "One step is missing."),
                ((1 - 1 / n) ** (n + 1), "One step too many."),
            ],
            "In such a direction dx/dt = -x. Take n Euler steps of size 1/n, from 1.",
        )


def _paired_change(change: Any) -> None:
    """The answer is ``change(before, after)``: the mean change of hits and both ends of its 95 % interval."""
    from scipy import stats

    expect_function(change, "change(before, after)")
    generator = torch.Generator().manual_seed(3)
    for items in (40, 12):
        before = (torch.rand(items, generator=generator) < 0.8).double()
        flipped = torch.rand(items, generator=generator) < 0.3
        after = torch.where(flipped, 1 - before, before)
        d = after - before
        mean, spread, root = float(d.mean()), float(d.std()), math.sqrt(items)
        t = float(stats.t.ppf(0.975, items - 1))
        apart = math.sqrt(float(before.var() + after.var()) / items)

        def ends(reach: float, mean: float = mean) -> list[float]:
            return [mean, mean - reach, mean + reach]

        right = ends(t * spread / root)
        expect_close(
            call_with_clones(change, before, after),
            torch.tensor(right, dtype=torch.float64),
            f"with {items} items, the change and its ends",
            [
                ([-right[0], -right[2], -right[1]], "The sign: a change is after less before."),
                (ends(t * apart), "That takes the two for different items: use each item's own difference."),
                (ends(float(stats.t.ppf(0.975, 2 * items - 2)) * apart), "The items are the same: take pairs."),
                (ends(t * spread), "The error of a mean is the deviation divided by the root of the number of items."),
                (ends(1.96 * spread / root), "1.96 holds for many items: take t with one degree less than items."),
                (ends(t * float(d.std(correction=0)) / root), "The deviation divides by n - 1, not by n."),
                (right[1:], "Return three numbers: the change, and both ends."),
                ([right[0], right[2], right[1]], "The ends are exchanged: the lower comes first."),
            ],
            "One difference for each item; then mean, deviation, t, root.",
        )


EXERCISES = (
    Exercise("refined-layer", "A layer in smaller steps", 5, "easy", _refined_layer),
    Exercise("what-remains", "What Euler forgets", 10, "easy", _what_remains),
    Exercise("paired-change", "Before and after", 10, "medium", _paired_change),
)
