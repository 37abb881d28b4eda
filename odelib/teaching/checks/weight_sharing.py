"""Exercises of the chapter on weight sharing."""

from __future__ import annotations

import math
from dataclasses import fields, replace
from typing import Any

import torch
from torch import Tensor

from odelib.models import ViTConfig
from odelib.teaching.exercises import Exercise, NotYet, expect_close, expect_function
from odelib.teaching.handed_out import call_with_clones

_TRAINED = ViTConfig(intervals=2, steps=3)


def _longer_or_finer(answer: Any) -> None:
    """The answer is a pair of configurations: twice the time, and the same time in steps half as long."""
    if not isinstance(answer, tuple | list) or len(answer) != 2:
        raise NotYet(f"the answer is {answer!r}", "Give two configurations: (longer, finer).")
    for name, config in zip(("longer", "finer"), answer, strict=True):
        if not isinstance(config, ViTConfig):
            hint = "Pass two ViTConfigs, each made with replace(trained, ...)."
            raise NotYet(f"{name} is a {type(config).__name__}", hint)
        if config.intervals != _TRAINED.intervals:
            hint = "The two weight sets are trained: there is no third one, so leave intervals alone."
            raise NotYet(f"{name} has {config.intervals} weight sets instead of {_TRAINED.intervals}", hint)
        _expect_nothing_else(name, config)
    longer, finer = answer
    _expect_depth("longer", longer, 2 * _TRAINED.schedule.depth, "Twice as many steps of the size that was trained.")
    if longer.step_size != _TRAINED.step_size:
        hint = "The trained step is kept: more time comes from more steps."
        raise NotYet(f"longer has steps of size {longer.step_size:g} instead of {_TRAINED.step_size:g}", hint)
    _expect_depth("finer", finer, _TRAINED.schedule.depth, "The time stays: twice as many steps must each be shorter.")
    if finer.step_size != _TRAINED.step_size / 2:
        hint = "Finer means that each step is cut in two."
        raise NotYet(f"finer has steps of size {finer.step_size:g} instead of {_TRAINED.step_size / 2:g}", hint)


def _expect_nothing_else(name: str, config: ViTConfig) -> None:
    """Steps and their size may differ from those of the trained network, and nothing else."""
    same = replace(config, steps=_TRAINED.steps, step_size=_TRAINED.step_size)
    changed = [f.name for f in fields(_TRAINED) if getattr(same, f.name) != getattr(_TRAINED, f.name)]
    if changed:
        hint = "Only steps and step_size change: begin with replace(trained_config, ...)."
        raise NotYet(f"{name} differs from the trained network in {', '.join(changed)}", hint)


def _expect_depth(name: str, config: ViTConfig, depth: float, hint: str) -> None:
    if config.schedule.depth != depth:
        raise NotYet(f"{name} integrates over a time of {config.schedule.depth:g} instead of {depth:g}", hint)


def _flow_power(far: Any) -> None:
    """The answer is ``far(P, n)``: the matrix of the flow over n units of time, from that over one."""
    expect_function(far, "far(...)")
    matrix = torch.tensor([[0.8, -0.6], [0.5, 1.1]], dtype=torch.float64)
    unit = torch.eye(2, dtype=torch.float64)
    for n in (3, 0, 1, -2):
        want = torch.linalg.matrix_power(matrix, n)
        size = abs(n)
        suspects = [
            (n * matrix, "The flow is multiplied by n: apply it n times, that is, take a product of n factors."),
            (matrix**n, "The entries were raised to a power: powers of a flow are matrix products."),
            (torch.linalg.matrix_power(matrix, size + 1), "One factor too many: n = 1 gives P itself."),
            (torch.linalg.matrix_power(matrix, max(size - 1, 0)), "One factor too few: n = 1 gives P itself."),
            (torch.linalg.matrix_power(matrix, size), "Negative time goes back: the flow over -t is the inverse."),
            (-torch.linalg.matrix_power(matrix, size), "A minus sign does not go back: take the inverse."),
            (torch.linalg.matrix_power(matrix, n).T, "This is the transpose of the right matrix."),
            (unit, "Nothing moves: that is right for n = 0 only. Count negative n, too."),
        ]
        expect_close(call_with_clones(far, matrix, n), want, f"with n = {n}, the flow", suspects)


def _absorb_step(absorb: Any) -> None:
    """The answer is ``absorb(weight, bias, h, new)``: the output map that makes steps of size ``new`` do the same."""
    weight = torch.tensor([[1.0, -2.0, 0.5], [0.0, 3.0, 1.0]], dtype=torch.float64)
    bias = torch.tensor([0.5, -1.0], dtype=torch.float64)
    h, new = 0.3, 1.25  # neither is a power of the other
    expect_function(absorb, "absorb(...)")
    result = call_with_clones(absorb, weight, bias, h, new)
    if not isinstance(result, tuple | list) or len(result) != 2:
        raise NotYet(f"the answer returns a {type(result).__name__}", "Return two tensors: the new weight and bias.")
    for got, old, name in ((result[0], weight, "weight"), (result[1], bias, "bias")):
        expect_close(
            got,
            old * h / new,
            f"from h = {h:g} to h = {new:g}, the new {name}",
            [
                (old, f"The {name} is unchanged, but the branch as a whole has to shrink when the step grows."),
                (old * new / h, "It grows with the step: h times the branch must stay what it was."),
                (old * math.sqrt(h / new), "A square root is too much: the step enters once, not squared."),
                (old * h, "The old step is absorbed, but the new one is not divided out."),
                (old / new, "The new step is divided out, but the old one has not been multiplied in."),
                (old * (h / new) ** 2, "The ratio enters twice: scale the output map alone, and once."),
            ],
        )


def _linear(t: float, knots: Tensor, end: float) -> Tensor:
    """Linear interpolation between knots that are equally far apart on [0, end]."""
    place = t / end * (len(knots) - 1)
    left = min(int(place), len(knots) - 2)
    return torch.lerp(knots[left], knots[left + 1], place - left)


def _theta_linear(theta: Any) -> None:
    """The answer is ``theta(t, knots, T)``; knots is a tensor (knots, weights)."""
    expect_function(theta, "theta_between(...)")
    four = torch.tensor([[0.0, 1.0], [2.0, -1.0], [5.0, 0.5], [4.0, 4.0]], dtype=torch.float64)
    three = torch.tensor([[1.0, 0.0, 2.0], [-1.0, 3.0, 0.5], [2.0, 2.0, -1.0]], dtype=torch.float64)
    for knots, end, times in ((four, 6.0, (2.5, 0.0, 5.0, 6.0)), (three, 2.0, (0.25, 1.0, 1.75, 2.0))):
        for t in times:
            said = f"with {len(knots)} knots on [0, {end:g}], at t = {t:g}"
            got = call_with_clones(theta, t, knots, end)
            expect_close(got, _linear(t, knots, end), said, _theta_suspects(t, knots, end))


def _theta_suspects(t: float, knots: Tensor, end: float) -> list[tuple[Any, str]]:
    last = len(knots) - 1
    place = t / end * last
    left = min(int(place), last - 1)
    share = place - left
    crowded = t / end * len(knots)
    wrong_left = min(int(crowded), last)
    return [
        (knots[min(int(place), last)], "The weights jump from knot to knot: go along the line between them."),
        (knots[wrong_left], "The weights jump: these are piecewise constant weights."),
        (torch.lerp(knots[left + 1], knots[left], share), "The shares are exchanged: at a knot, its own is 1."),
        (
            torch.lerp(knots[wrong_left], knots[min(wrong_left + 1, last)], crowded - wrong_left),
            "There is one interval fewer than there are knots.",
        ),
        (_linear(min(t, last), knots, last), "Knots lie T / (their number - 1) apart, not 1: scale the time."),
        (_linear(min(t, 6.0), knots, 6.0), "The end of time was taken to be 6: use the argument T."),
        ((knots[left] + knots[left + 1]) / 2, "Halfway between the knots, whatever the time: weigh them by it."),
    ]


EXERCISES = (
    Exercise("longer-or-finer", "Longer, or finer?", 5, "easy", _longer_or_finer),
    Exercise("flow-power", "Far, near and back", 5, "easy", _flow_power),
    Exercise("absorb-step", "A step size moved into the weights", 10, "medium", _absorb_step),
    Exercise("theta-linear", "Weights between knots", 15, "hard", _theta_linear),
)
