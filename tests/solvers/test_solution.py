import torch

from odelib.solvers import Adaptive, Event, Grid, Solution, solve


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
