import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch._subclasses.fake_tensor import FakeTensorMode

from odelib.solvers import STEP_RULES, RandomField, Sum, integrate, solve, step_rule


def decay(t, y):
    return -y


@given(
    shape=st.lists(st.integers(0, 3), max_size=3),
    dtype=st.sampled_from([torch.float32, torch.float64, torch.complex64, torch.complex128]),
    start=st.floats(-2, 2),
    span=st.floats(0.1, 2) | st.floats(-2, -0.1),
    steps=st.integers(1, 4),
    rule=st.sampled_from(["euler", "midpoint", "heun", "rk4"]),
)
def test_shape_dtype_and_direction_are_kept(shape, dtype, start, span, steps, rule):
    y0 = torch.ones(shape, dtype=dtype)
    solution = solve(decay, y0, (start, start + span / 2, start + span), rule=rule, steps=steps)
    assert solution.ys.shape == (3, *shape)
    assert solution.ys.dtype == dtype
    assert solution.ts == (start, start + span / 2, start + span)
    assert solution.stats.steps == 2 * steps
    if y0.numel():
        grown = solution.ys[-1].real.max() > 1
        assert bool(grown) == (span < 0), "decay shrinks forwards and grows backwards in time"


def test_back_and_forth_returns_to_the_start():
    y0 = torch.tensor([1.0, 2.0], dtype=torch.float64)
    there = solve(decay, y0, (0.0, 1.0), rule="rk4", steps=50).ys[-1]
    back = solve(decay, there, (1.0, 0.0), rule="rk4", steps=50).ys[-1]
    torch.testing.assert_close(back, y0, rtol=1e-8, atol=0)


def test_a_single_time_returns_the_initial_state():
    y0 = torch.tensor([3.0])
    solution = solve(decay, y0, [0.5])
    torch.testing.assert_close(solution.ys, y0[None])
    assert solution.stats.nfe == 0


@pytest.mark.parametrize("times", [(0.0, 1.0, 0.5), (0.0, 0.0), (1.0, 0.0, 0.0)])
def test_times_that_turn_back_are_refused(times):
    with pytest.raises(ValueError, match="strictly increasing or strictly decreasing"):
        solve(decay, torch.ones(1), times)


def test_no_times_and_no_steps_are_refused():
    with pytest.raises(ValueError, match="times is empty"):
        solve(decay, torch.ones(1), [])
    with pytest.raises(ValueError, match="at least 1 step"):
        solve(decay, torch.ones(1), (0.0, 1.0), steps=0)


def test_randomness_is_drawn_once_per_step():
    class Noisy(RandomField):
        draws = 0

        def draw(self, y):
            self.draws += 1
            value = torch.randn_like(y)
            return lambda t, y: value

        def __call__(self, t, y):
            raise AssertionError("a field that draws must not be called undrawn")

    field = Noisy()
    record = []
    integrate(field, step_rule("rk4"), torch.zeros(2), t=0.0, h=0.5, steps=3, record=record)
    assert field.draws == 3
    assert len(record) == 3


def test_the_field_sees_the_stage_times():
    seen = []

    def field(t, y):
        seen.append(t)
        return y

    integrate(field, step_rule("rk4"), torch.ones(1), t=1.0, h=0.5, steps=2)
    assert seen == [1.0, 1.25, 1.25, 1.5, 1.5, 1.75, 1.75, 2.0]


@pytest.mark.parametrize("rule", [*STEP_RULES, "strang(midpoint)"])
def test_nothing_is_read_back_from_the_device(rule):
    # Under FakeTensorMode a read of a value on the host, or a mix of devices, raises.
    with FakeTensorMode():
        y0 = torch.ones(4, 3, device="cuda")
        weight = torch.ones(3, 3, device="cuda")
        field = Sum(lambda t, y: torch.tanh(y @ weight) * math.cos(t), lambda t, y: -y)
        end = solve(field, y0, (0.0, 1.0), rule=rule, steps=4).ys
    assert end.device.type == "cuda"


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
@pytest.mark.parametrize("rule", STEP_RULES)
def test_cuda_gives_the_same_numbers(rule):
    field = Sum(lambda t, y: torch.sin(y), lambda t, y: -y)
    y0 = torch.linspace(-1, 1, 7, dtype=torch.float64)
    here = solve(field, y0, (0.0, 1.0), rule=rule, steps=8).ys
    there = solve(field, y0.cuda(), (0.0, 1.0), rule=rule, steps=8).ys
    torch.testing.assert_close(there.cpu(), here)
