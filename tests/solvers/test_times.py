import pytest
import torch

from odelib.solvers import Adaptive, solve
from odelib.solvers.times import along, differentiable_once, varies

F64 = torch.float64


def test_moving_the_time_changes_the_gradient_and_not_the_value():
    t = torch.tensor(2.0, requires_grad=True)
    y = torch.tensor([1.0, 3.0])
    result = along(lambda t, y: t * y, 2.0, t, y)
    assert torch.equal(result, y)
    result.sum().backward()
    assert t.grad == 2.0 * 4.0


def test_each_leaf_keeps_its_dtype():
    y = torch.ones(2, dtype=torch.bfloat16), torch.ones(1, dtype=torch.complex64)
    t = torch.tensor(0.5, dtype=F64, requires_grad=True)
    result = along(lambda t, y: y, 0.5, t, y)
    assert [leaf.dtype for leaf in result] == [torch.bfloat16, torch.complex64]


def test_a_second_derivative_by_the_time_is_refused_and_others_are_right():
    # L = (y + t y dt)^2 / 2 at t = 0.7: dL/dt = t y^2, dL/dy = y, d2L/dy2 = 1, d2L/dydt = 2 t y.
    t, y = (torch.tensor(value, dtype=F64, requires_grad=True) for value in (0.7, 3.0))
    loss = along(lambda t, y: t * y, 0.7, t, y) ** 2 / 2
    by_t, by_y = torch.autograd.grad(loss, (t, y), create_graph=True)
    assert (float(by_t), float(by_y)) == (pytest.approx(0.7 * 9.0), 3.0)
    by_both, by_yy = torch.autograd.grad(by_y, (t, y), retain_graph=True)
    assert (float(by_both), float(by_yy)) == (pytest.approx(2 * 0.7 * 3.0), 1.0)
    with pytest.raises(RuntimeError, match="differentiate once, or, by the times, take a number of steps"):
        torch.autograd.grad(by_t, t)


def test_the_time_at_which_the_state_had_to_be_so_counts_the_other_way():
    t = torch.tensor(2.0, dtype=F64, requires_grad=True)
    value = along(lambda t, y: t * y, 2.0, t, torch.ones((), dtype=F64), -1.0)
    assert float(torch.autograd.grad(value, t)[0]) == -2.0


@pytest.mark.parametrize("steps", [200, Adaptive(rtol=1e-9, atol=1e-9)], ids=["grid", "adaptive"])
def test_forward_derivatives_by_the_times(steps):
    y0, tangent = torch.tensor([1.0, 2.0], dtype=F64), torch.tensor([0.3, 0.0, 1.0], dtype=F64)

    def ys(times):
        return solve(lambda t, y: -y, y0, times, steps=steps).ys

    times = torch.tensor([0.0, 0.5, 1.0], dtype=F64)
    values, change = torch.func.jvp(ys, (times,), (tangent,))
    expected = torch.tensor([0.0, 0.3, -0.7], dtype=F64)[:, None] * values
    torch.testing.assert_close(change, expected, rtol=1e-6, atol=1e-9)


def test_times_vary_where_a_derivative_by_them_is_wanted():
    times = torch.tensor([0.0, 1.0])
    assert not varies(times)
    assert not varies([0.0, 1.0])
    assert varies(times.clone().requires_grad_())
    with torch.no_grad():
        assert not varies(times.clone().requires_grad_())
    assert torch.func.jvp(lambda t: t * float(varies(t)), (times,), (times,))[0].tolist() == [0.0, 1.0]


def test_a_second_derivative_is_refused_before_it_can_be_wrong():
    t = torch.tensor(2.0, requires_grad=True)
    (first,) = torch.autograd.grad(differentiable_once(t, "this time") ** 2, t, create_graph=True)
    assert float(first) == 4.0
    with pytest.raises(RuntimeError, match="the second derivative of this time is not known: differentiate once"):
        torch.autograd.grad(first, t)
