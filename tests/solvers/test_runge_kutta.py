import math

import pytest
import torch

from odelib.analysis import convergence_order
from odelib.solvers import TABLEAUS, Adaptive, Callbacks, Event, solve, step_rule
from odelib.solvers.loop import Taken

F64 = torch.float64
WITH_ERROR = [name for name, tableau in TABLEAUS.items() if tableau.b_error]


def driven(t, y):
    return y * math.cos(t) - 0.1 * y**2


def one_step(rule, h, y0):
    method = step_rule(rule)
    begun = method.init(driven, 0.2, y0)
    step = method.step(driven, 0.2, h, y0, begun)
    return Taken(method, driven, 0.2, h, 0.2 + h, y0, begun, step)


@pytest.mark.parametrize("rule", WITH_ERROR)
def test_the_error_estimate_is_of_the_stated_order(rule):
    y0, sizes = torch.tensor([1.0, 0.7], dtype=F64), (0.8, 0.4, 0.2) if rule == "dopri8" else (0.1, 0.05, 0.025)
    errors = []
    for h in sizes:
        errors.append(float(one_step(rule, h, y0).step.error().abs().max()))
    assert convergence_order(sizes, errors) == pytest.approx(step_rule(rule).error_order, abs=0.6)


@pytest.mark.parametrize("rule", WITH_ERROR)
def test_dense_output_within_a_step_is_of_its_order(rule):
    y0, sizes, errors = torch.tensor([1.0, 0.7], dtype=F64), (0.8, 0.4, 0.2), []
    for h in sizes:
        step = one_step(rule, h, y0)
        time = 0.2 + 0.37 * h
        exact = solve(driven, y0, (0.2, time), rule="dopri8", steps=8).ys[-1]
        errors.append(float((step.at(time) - exact).abs().max()))
    assert convergence_order(sizes, errors) > step_rule(rule).tableau.dense_order + 1 - 0.4


def oscillator(t, y):
    return torch.stack([y[1], -y[0]])


@pytest.mark.parametrize("rule", WITH_ERROR)
def test_outputs_cost_no_more_than_the_further_stages_of_the_steps_that_they_lie_in(rule):
    tableau, y0 = TABLEAUS[rule], torch.tensor([1.0, 0.0], dtype=F64)

    def evaluations(*times):
        stats = solve(oscillator, y0, times, rule=rule, steps=Adaptive(rtol=1e-3, atol=1e-3)).stats
        return stats.nfe, stats.accepted

    without, steps = evaluations(0.0, 5.0)
    # The field at the result, which is the first of them, begins the next step; the last step has no next one.
    further = len(tableau.a_dense) - tableau.dense_fsal
    assert evaluations(0.0, 2.51, 5.0) == (without + further, steps)
    many = [i / 100 for i in range(501)]
    assert evaluations(*many) == (without + further * steps + tableau.dense_fsal, steps)


@pytest.mark.parametrize("rule", WITH_ERROR)
def test_states_within_the_steps_are_as_exact_as_those_at_their_ends(rule):
    ends, times, rtol = [], torch.linspace(0.0, 10.0, 501, dtype=F64), 1e-4 if TABLEAUS[rule].order > 3 else 1e-3
    callbacks = Callbacks(tried=lambda t, y, h: ends.append(abs(float(y[0]) - math.cos(t))))
    steps, y0 = Adaptive(rtol=rtol, atol=rtol / 10), torch.tensor([1.0, 0.0], dtype=F64)
    ys = solve(oscillator, y0, times, rule=rule, steps=steps, callbacks=callbacks).ys
    assert (ys[:, 0] - times.cos()).abs().max() <= 1.15 * max(ends)


@pytest.mark.parametrize("rule", WITH_ERROR)
def test_dense_output_before_a_jump_sees_nothing_behind_it(rule):
    def jumps(t, y):
        return torch.full_like(y, 1.0 if t < 1.0 else -3.0)

    times = (0.0, 0.9, 0.99, 1.0, 1.01, 2.0)
    steps = Adaptive(rtol=1e-6, atol=1e-6, jump_t=(1.0,))
    ys = solve(jumps, torch.zeros(1, dtype=F64), times, rule=rule, steps=steps).ys[:, 0]
    assert ys.tolist() == pytest.approx([0.0, 0.9, 0.99, 1.0, 0.97, -2.0], abs=1e-12)


@pytest.mark.parametrize("gradient", ["checkpoint", "adjoint"])
def test_further_stages_of_dense_output_have_their_gradient(gradient):
    def value(mode):
        y0 = torch.tensor([1.0, 0.2], dtype=F64, requires_grad=True)
        steps = Adaptive(rtol=1e-8, atol=1e-8)
        ys = solve(
            oscillator,
            y0,
            torch.linspace(0.0, 2.0, 9, dtype=F64),
            rule="dopri8",
            steps=steps,
            gradient=mode,
            parameters=(),
        ).ys
        return torch.autograd.grad((ys**3).sum(), y0)[0]

    assert value(gradient) == pytest.approx(value("backprop"), rel=1e-12 if gradient == "checkpoint" else 1e-6)


@pytest.mark.parametrize("rule", ["fehlberg45", "dopri8"])
def test_a_search_for_an_event_leaves_the_gradient_of_outputs_in_its_step(rule):
    def gradient(*events):
        y0 = torch.tensor([1.0, 0.2], dtype=F64, requires_grad=True)
        steps = Adaptive(rtol=1e-6, atol=1e-6)
        ys = solve(oscillator, y0, [i / 20 for i in range(61)], rule=rule, steps=steps, events=events).ys
        return torch.autograd.grad((ys**3).sum(), y0)[0]

    crossing = Event(lambda t, y: y[0] - 0.3, terminal=False)
    assert gradient(crossing) == pytest.approx(gradient(), rel=1e-12)


def test_many_outputs_of_dopri8_cost_no_accuracy_and_few_evaluations():
    times = torch.linspace(0.0, 10.0, 2001, dtype=F64)
    steps = Adaptive(rtol=1e-5, atol=1e-6)
    solution = solve(oscillator, torch.tensor([1.0, 0.0], dtype=F64), times, rule="dopri8", steps=steps)
    errors = (solution.ys[:, 0] - times.cos()).abs()
    # torchdiffeq 0.2.5: 119 evaluations, error 5.5e-4; DOP853 has as many further stages.
    assert solution.stats.nfe <= 150
    assert errors.max() < 1e-5


@pytest.mark.parametrize("rule", ["bosh3", "dopri5", "tsit5"])
def test_first_same_as_last_is_reused(rule):
    calls = []

    def field(t, y):
        calls.append(t)
        return -y

    stats = solve(field, torch.ones(1, dtype=F64), (0.0, 1.0), rule=rule, steps=Adaptive(first_step=0.01)).stats
    assert len(calls) == 1 + stats.steps * (TABLEAUS[rule].stages - 1)


def test_the_state_at_the_end_of_a_step_is_the_result_itself():
    step = one_step("dopri5", 0.5, torch.ones(2, dtype=F64))
    assert step.at(step.end) is step.y1
