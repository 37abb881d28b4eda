import inspect
import math

import pytest
import torch

from odelib.solvers import Adaptive, Grid, SolverError, Sum, solve
from odelib.solvers.checks import check_rule, check_times

Y0 = torch.ones(2)


def decay(t, y):
    return -y


@pytest.mark.parametrize("times", [[0.0, math.nan], [0.0, math.inf], torch.tensor([math.nan, 1.0])], ids=str)
def test_times_that_are_not_finite_are_refused(times):
    with pytest.raises(ValueError, match=r"times must be finite, but .* are not: replace NaN and infinity"):
        check_times(times)


def test_times_in_another_shape_are_refused():
    with pytest.raises(ValueError, match=r"times is a tensor of shape \(2, 1\): give a one-dimensional one"):
        check_times(torch.tensor([[0.0], [1.0]]))


@pytest.mark.parametrize("times", [[0.0, 1.0, 1.0], [0.0, 1.0, 0.5], torch.tensor([1.0, 1.0])], ids=str)
def test_times_that_do_not_go_one_way_are_refused(times):
    with pytest.raises(
        ValueError, match=r"strictly increasing or strictly decreasing, .*: sort them and drop repeated"
    ):
        check_times(times)


def test_times_may_be_a_tensor_or_numbers():
    assert check_times(torch.tensor([0.0, 0.5])) == check_times([0, 0.5]) == (0.0, 0.5)


@pytest.mark.parametrize("steps", [True, 2.5, "rk4", None])
def test_steps_of_another_kind_are_refused(steps):
    with pytest.raises(
        TypeError, match=r"steps is .*: give the number of steps between two times, a Grid\(\.\.\.\) or Ad"
    ):
        inspect.unwrap(check_rule)("rk4", steps, decay)


@pytest.mark.parametrize("steps", [0, -3])
def test_less_than_one_step_is_refused(steps):
    with pytest.raises(ValueError, match=f"steps is {steps}: take at least 1 step"):
        solve(decay, Y0, (0.0, 1.0), steps=steps)


@pytest.mark.parametrize("rule", ["rk4", "euler", "strang"])
def test_adaptive_steps_need_an_error_estimate(rule):
    field = Sum(decay, decay)
    with pytest.raises(
        ValueError, match="has no error estimate by which steps could be chosen: take one of heun, bosh3"
    ):
        solve(field, Y0, (0.0, 1.0), rule=rule, steps=Adaptive())


def test_an_unknown_rule_names_the_nearest():
    with pytest.raises(ValueError, match="unknown step rule 'dopri55': the nearest valid name is 'dopri5'"):
        solve(decay, Y0, (0.0, 1.0), rule="dopri55")


@pytest.mark.parametrize("steps", [10, Grid(step_size=0.1)], ids=["steps", "grid"])
def test_a_state_that_becomes_infinite_is_named_with_time_and_step(steps):
    def field(t, y):
        return y * (1e300 if t > 0.55 else 1.0)

    with pytest.raises(SolverError) as error:
        solve(field, torch.ones(2, dtype=torch.float64), (0.0, 1.0, 2.0), rule="euler", steps=steps)
    sentence = str(error.value)
    for word in ("NaN or infinite in the step from t=0.7 to t=0.8", "step 8", "smaller steps", "look at the field"):
        assert word in sentence
    assert error.value.solution.ts == (0.0, 1.0, 2.0)


def test_an_initial_state_that_is_not_finite_is_named():
    with pytest.raises(SolverError, match="the initial state at t=0 holds NaN or infinity: look at y0"):
        solve(decay, torch.tensor([1.0, math.nan]), (0.0, 1.0))


def test_the_look_at_the_values_is_left_out_in_transforms():
    grads = torch.func.grad(lambda y: solve(decay, y, (0.0, 1.0)).ys[-1].sum())(Y0)
    assert grads.shape == (2,)
    batch = torch.vmap(lambda y: solve(decay, y, (0.0, 1.0)).ys[-1])(torch.ones(3, 2))
    assert batch.shape == (3, 2)


@pytest.mark.parametrize(
    "steps", [2, Grid(step_size=0.3), Adaptive(), Adaptive(per_sample=True)], ids=lambda s: type(s).__name__
)
@pytest.mark.parametrize(
    ("field", "kind", "sentence"),
    [
        (
            lambda t, y: y.sum(),
            ValueError,
            r"returned shape \(\) for a state of shape \(2, 3\): return dy/dt in the shape",
        ),
        (lambda t, y: y[:1], ValueError, r"returned shape \(1, 3\)"),
        (lambda t, y: y.double(), TypeError, r"returned torch\.float64 for a state of torch\.float32: return dy/dt in"),
        (lambda t, y: y.to("meta"), TypeError, "returned a tensor on meta for a state on cpu: keep both on one device"),
        (lambda t, y: 1.0, TypeError, "returned a float for a tensor state: return dy/dt as a tensor"),
        (lambda t, y: None, TypeError, "returned a NoneType"),
    ],
    ids=["scalar", "shape", "dtype", "device", "float", "none"],
)
def test_a_field_that_returns_no_derivative_is_refused(field, kind, sentence, steps):
    with pytest.raises(kind, match=sentence):
        solve(field, torch.ones(2, 3), (0.0, 1.0), steps=steps)


@pytest.mark.parametrize("mode", ["checkpoint", "adjoint", "reversible"])
def test_fields_are_checked_in_every_mode(mode):
    y0 = torch.ones(2, 3, requires_grad=True)
    with pytest.raises(ValueError, match="the field returned shape"):
        solve(lambda t, y: y[:1], y0, (0.0, 1.0), gradient=mode, parameters=())
