import math

import pytest
import torch

from odelib.analysis import convergence_order
from odelib.solvers import Adaptive, Event, Grid, Solution, Sum, solve


def test_a_solution_holds_times_states_cost_and_status():
    solution = solve(lambda t, y: -y, torch.ones(2, 3), (0.0, 0.5, 1.0), rule="rk4", steps=Grid(step_size=0.3))
    assert isinstance(solution, Solution)
    assert (solution.ts, solution.ys.shape) == ((0.0, 0.5, 1.0), (3, 2, 3))
    assert (solution.status, solution.events) == ("success", ())
    stats = solution.stats
    assert (stats.steps, stats.accepted, stats.rejected, stats.hint) == (4, 4, 0, None)


def test_steps_tried_are_those_accepted_and_rejected():
    stats = solve(lambda t, y: -50 * y, torch.ones(2), (0.0, 1.0), steps=Adaptive(first_step=1.0)).stats
    assert stats.steps == stats.accepted + stats.rejected
    assert stats.rejected > 0
    assert 0 < stats.smallest < stats.largest < 1.0


def test_a_single_time_costs_nothing():
    solution = solve(lambda t, y: -y, (torch.ones(1), [torch.zeros(2)]), [3.0], events=Event(lambda t, y: y[0].sum()))
    assert (solution.ts, solution.stats.nfe, solution.stats.smallest) == ((3.0,), 0, 0.0)
    assert solution.ys[1][0].shape == (1, 2)
    assert solution.events[0].ts.shape == (0,)


def oscillator(t, y):
    return torch.stack([y[1], -y[0]])


Y0 = torch.tensor([1.0, 0.0], dtype=torch.float64)
KINDS = {
    "grid": {"rule": "rk4", "steps": 60},
    "grid points": {"rule": "midpoint", "steps": Grid(step_size=0.005)},
    "splitting": {"rule": "strang(midpoint)", "steps": 200},
    "adaptive": {"steps": Adaptive(rtol=1e-8, atol=1e-8)},
    "dopri8": {"rule": "dopri8", "steps": Adaptive(rtol=1e-8, atol=1e-8)},
    "reversible": {"rule": "reversible(tsit5)", "steps": Adaptive(rtol=1e-7, atol=1e-7)},
}


@pytest.mark.parametrize("end", [3.0, -3.0])
@pytest.mark.parametrize("kind", KINDS)
def test_dense_output_is_the_solution_and_its_derivative_at_any_time(kind, end):
    field = Sum(lambda t, y: torch.stack([y[1], 0 * y[0]]), lambda t, y: torch.stack([0 * y[1], -y[0]]))
    solution = solve(field, Y0, (0.0, end / 2, end), dense=True, **KINDS[kind])
    for share in (0.0, 0.123, 0.5, 0.777, 1.0):
        t = share * end
        exact = torch.tensor([math.cos(t), -math.sin(t)], dtype=torch.float64)
        torch.testing.assert_close(solution(t), exact, rtol=0, atol=1e-4)
        torch.testing.assert_close(solution.derivative(t), oscillator(t, exact), rtol=0, atol=1e-4)
    assert torch.equal(solution(end), solution.ys[-1])
    torch.testing.assert_close(solution(end / 2), solution.ys[1], rtol=0, atol=1e-12)


def test_a_rule_without_an_interpolant_gets_one_of_order_four():
    errors, sizes = [], (10, 20, 40)
    for steps in sizes:
        solution = solve(oscillator, Y0, (0.0, 1.0), rule="rk4", steps=steps, dense=True)
        errors.append(abs(float(solution(0.5 + 0.37 / steps)[0]) - math.cos(0.5 + 0.37 / steps)))
    assert convergence_order([1 / n for n in sizes], errors) == pytest.approx(4, abs=0.3)


def test_dense_output_is_differentiable_by_states_parameters_and_time():
    def value(y0, rate, t):
        return solve(lambda t, y: -rate * y, y0, (0.0, 1.0), rule="dopri5", steps=20, dense=True)(t)

    inputs = [torch.tensor(x, dtype=torch.float64, requires_grad=True) for x in ([1.0, 2.0], 0.7, 0.43)]
    assert torch.autograd.gradcheck(value, inputs)


def test_dense_output_of_a_tree_has_its_structure():
    y0 = {"a": torch.ones(2), "b": [torch.zeros(3)]}
    solution = solve(lambda t, y: {"a": -y["a"], "b": [1 + y["b"][0]]}, y0, (0.0, 1.0), steps=Adaptive(), dense=True)
    assert solution(0.3)["b"][0].shape == (3,)
    assert solution.derivative(0.3)["a"].shape == (2,)


@pytest.mark.parametrize("t", [-0.1, 1.1, math.nan])
def test_a_time_outside_is_refused(t):
    solution = solve(oscillator, Y0, (0.0, 1.0), steps=4, dense=True)
    with pytest.raises(
        ValueError, match=r"lies outside of the solution, which leads from 0 to 1: ask for a time within"
    ):
        solution(t)


def test_after_an_event_there_is_no_more_solution():
    solution = solve(oscillator, Y0, (0.0, 5.0), steps=Adaptive(), events=Event(lambda t, y: y[0]), dense=True)
    assert float(solution(1.5)[0]) == pytest.approx(math.cos(1.5), abs=1e-4)
    with pytest.raises(ValueError, match="lies outside"):
        solution(1.8)


def test_what_was_not_kept_cannot_be_asked_for():
    with pytest.raises(ValueError, match="no dense output: solve with dense=True"):
        solve(oscillator, Y0, (0.0, 1.0))(0.5)
    for mode in ("checkpoint", "adjoint", "reversible"):
        with pytest.raises(ValueError, match=f"gradient='{mode}' does not keep: take 'backprop'"):
            solve(oscillator, Y0, (0.0, 1.0), gradient=mode, parameters=(), dense=True)
    with pytest.raises(ValueError, match="does not go with dense output"):
        solve(oscillator, Y0[None], (0.0, 1.0), steps=Adaptive(per_sample=True), dense=True)
