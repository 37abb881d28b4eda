import math

import pytest
import torch

from odelib.analysis import convergence_order
from odelib.solvers import TABLEAUS, Adaptive, solve, step_rule

F64 = torch.float64
WITH_ERROR = [name for name, tableau in TABLEAUS.items() if tableau.b_error]


def driven(t, y):
    return y * math.cos(t) - 0.1 * y**2


def one_step(rule, h, y0):
    method = step_rule(rule)
    return method, method.attempt(driven, 0.2, h, y0, driven(0.2, y0), 0.2 + h, 0.2 + h)


@pytest.mark.parametrize("rule", WITH_ERROR)
def test_the_error_estimate_is_of_the_stated_order(rule):
    y0, sizes = torch.tensor([1.0, 0.7], dtype=F64), (0.8, 0.4, 0.2) if rule == "dopri8" else (0.1, 0.05, 0.025)
    errors = []
    for h in sizes:
        method, step = one_step(rule, h, y0)
        errors.append(float(method.error(step).abs().max()))
    assert convergence_order(sizes, errors) == pytest.approx(step_rule(rule).error_order, abs=0.6)


@pytest.mark.parametrize("rule", ["bosh3", "dopri5", "tsit5", "cash-karp"])
def test_dense_output_within_a_step_is_of_its_order(rule):
    y0, sizes, errors = torch.tensor([1.0, 0.7], dtype=F64), (0.8, 0.4, 0.2), []
    for h in sizes:
        _, step = one_step(rule, h, y0)
        time = 0.2 + 0.37 * h
        exact = solve(driven, y0, (0.2, time), rule="dopri8", steps=8).ys[-1]
        errors.append(float((step.at(time) - exact).abs().max()))
    order = step_rule(rule).tableau.dense_order or step_rule(rule).order
    assert convergence_order(sizes, errors) > order + 1 - 0.4


@pytest.mark.parametrize("rule", ["bosh3", "dopri5", "tsit5"])
def test_first_same_as_last_is_reused(rule):
    calls = []

    def field(t, y):
        calls.append(t)
        return -y

    stats = solve(field, torch.ones(1, dtype=F64), (0.0, 1.0), rule=rule, steps=Adaptive(first_step=0.01)).stats
    assert len(calls) == 1 + stats.steps * (TABLEAUS[rule].stages - 1)


def test_the_state_at_the_end_of_a_step_is_the_result_itself():
    _, step = one_step("dopri5", 0.5, torch.ones(2, dtype=F64))
    assert step.at(step.end) is step.y1
