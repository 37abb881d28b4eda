import math

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from odelib.analysis import convergence_order
from odelib.solvers import Grid, Sum, solve
from odelib.solvers.grid import Sides, equal_steps

F64 = torch.float64


@given(start=st.floats(-5, 5), span=st.floats(0.01, 10), size=st.floats(0.01, 3), sign=st.sampled_from([-1, 1]))
def test_steps_of_a_size_join_and_land_on_the_end(start, span, size, sign):
    stop = start + sign * span
    steps = list(Grid(step_size=size).steps((start, stop)))
    assert steps[0][0] == start
    assert steps[-1][2] == stop
    assert len(steps) == max(1, math.ceil(abs(stop - start) / size - 1e-9))
    for (t, h, end), (after, _, _) in zip(steps, [*steps[1:], (stop, 0, 0)], strict=True):
        assert end == after
        assert t + h == pytest.approx(end)
        assert 0 < sign * h <= size * (1 + 1e-8)


@given(times=st.lists(st.floats(-5, 5), min_size=2, max_size=5, unique=True).map(sorted), steps=st.integers(1, 5))
def test_equal_steps_land_on_every_time(times, steps):
    ends = [end for _, _, end in equal_steps(times, steps)]
    assert ends[steps - 1 :: steps] == times[1:]


@pytest.mark.parametrize(("interpolation", "order"), [("step", 4), ("linear", 2), ("cubic", 4)])
def test_states_between_the_points_have_the_order_of_the_interpolation(interpolation, order):
    sizes, errors = (0.1, 0.05, 0.025, 0.0125), []
    for size in sizes:
        # The time asked for lies at the same place within a step of every grid.
        time = 0.4 + 0.37 * size
        grid = Grid(step_size=size, interpolation=interpolation)
        ys = solve(lambda t, y: y * math.cos(t), torch.ones(1, dtype=F64), (0.0, time, 1.0), rule="rk4", steps=grid).ys
        errors.append(abs(float(ys[1]) - math.exp(math.sin(time))))
    assert convergence_order(sizes, errors) == pytest.approx(order, abs=0.25)


def test_a_grid_of_points_is_used_as_it_is():
    seen = []

    def points(times):
        seen.append(tuple(times))
        return [0.0, 0.1, 0.7, 1.0]

    stats = solve(lambda t, y: -y, torch.ones(1), (0.0, 0.5, 1.0), rule="euler", steps=Grid(points=points)).stats
    assert stats.accepted == 3
    assert (stats.smallest, stats.largest) == pytest.approx((0.1, 0.6))
    assert seen == [(0.0, 0.5, 1.0)]


def test_points_that_do_not_lead_from_start_to_end_are_refused():
    with pytest.raises(ValueError, match=r"the grid leads from \[0.1\] to \[1.0\], the times from 0.0 to 1.0: return"):
        solve(lambda t, y: -y, torch.ones(1), (0.0, 1.0), steps=Grid(points=lambda times: [0.1, 1.0]))
    with pytest.raises(ValueError, match=r"the grid leads from \[\]"):
        solve(lambda t, y: -y, torch.ones(1), (0.0, 1.0), steps=Grid(points=lambda times: []))


def test_points_that_turn_back_are_refused():
    with pytest.raises(ValueError, match="the points of the grid must go one way"):
        solve(lambda t, y: -y, torch.ones(1), (0.0, 1.0), steps=Grid(points=lambda times: [0.0, 0.7, 0.7, 1.0]))


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({}, "give exactly one of the two"),
        ({"step_size": 0.1, "points": list}, "give exactly one of the two"),
        ({"step_size": 0.0}, r"step_size is 0\.0: choose a size above 0"),
        ({"step_size": -0.1}, "whatever the direction of time"),
        ({"step_size": math.inf}, "step_size is inf"),
        ({"step_size": 0.1, "interpolation": "cubik"}, "nearest valid name is 'cubic'"),
    ],
)
def test_grids_out_of_range_are_refused(options, sentence):
    with pytest.raises(ValueError, match=sentence):
        Grid(**options)


@given(
    t=st.floats(-1e6, 1e6).filter(lambda t: t == 0 or abs(t) > 1e-30),
    dtype=st.sampled_from([torch.float64, torch.float32, torch.bfloat16, torch.float16]),
    sign=st.sampled_from([-1.0, 1.0]),
)
@example(t=1 - 2**-53, dtype=torch.bfloat16, sign=1.0)
def test_the_sides_of_a_time_are_numbers_of_the_dtype_just_beside_it(t, dtype, sign):
    if dtype == torch.float16:
        t = t / 1e3
    sides = Sides(dtype, sign)
    limits = torch.finfo(dtype)
    for side, way in ((sides.after(t), sign), (sides.before(t), -sign)):
        assert way * (side - t) > 0
        assert float(torch.tensor(side, dtype=torch.float64).to(dtype)) == side
        assert abs(side - t) <= 2 * max(limits.eps * abs(t), limits.tiny)


@pytest.mark.parametrize("steps", ["step", "linear", "cubic"])
@pytest.mark.parametrize("rule", ["rk4", "dopri5", "strang(midpoint)", "reversible(rk4)"])
def test_a_two_sided_grid_sees_each_side_of_a_jump(steps, rule):
    seen = []

    def side(t, y):
        seen.append(t)
        return torch.ones_like(y) if t < 0.5 else -torch.ones_like(y)

    grid = Grid(step_size=0.25, interpolation=steps, two_sided=True)
    field = Sum(side, lambda t, y: torch.zeros_like(y))
    ys = solve(field, torch.zeros(1, dtype=F64), (0.0, 0.3, 0.5, 1.0), rule=rule, steps=grid).ys
    assert ys[:, 0].tolist() == pytest.approx([0.0, 0.3, 0.5, 0.0], abs=1e-13)
    assert 0.5 not in seen


@pytest.mark.parametrize(
    "grid",
    [
        Grid(step_size=0.3),
        Grid(step_size=0.3, interpolation="linear"),
        Grid(step_size=0.3, interpolation="cubic"),
        Grid(step_size=0.3, two_sided=True),
    ],
)
@pytest.mark.parametrize("rule", ["rk4", "dopri5"])
def test_evaluations_are_counted_exactly(rule, grid):
    calls = []
    stats = solve(lambda t, y: calls.append(t) or -y, torch.ones(1), (0.0, 0.5, 1.0), rule=rule, steps=grid).stats
    assert stats.nfe == len(calls)


def test_evaluations_are_counted_exactly_where_the_times_have_a_gradient():
    calls, times = [], torch.tensor([0.0, 0.5, 1.0], requires_grad=True)
    stats = solve(lambda t, y: calls.append(t) or -y, torch.ones(1), times, rule="rk4", steps=3).stats
    assert stats.nfe == len(calls) == 24
    assert stats.steps == stats.accepted == 6
