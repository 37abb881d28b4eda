import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from odelib.solvers import CONTROLLERS, Adaptive, Adjoint, Controller, solve
from odelib.solvers.control import measure

F64 = torch.float64


@given(error=st.floats(1e-12, 1e6), order=st.integers(2, 8))
def test_the_integral_controller_is_the_classic_formula(error, order):
    factor = CONTROLLERS["I"].factor([error], order)
    wanted = 0.9 * error ** (-1 / order)
    assert factor == pytest.approx(min(10.0, max(wanted, 1.0 if error <= 1 else 0.2)))


@given(errors=st.lists(st.floats(1e-9, 1.0), min_size=1, max_size=3), controller=st.sampled_from(sorted(CONTROLLERS)))
def test_an_accepted_step_is_never_followed_by_a_smaller_one_nor_by_one_too_large(errors, controller):
    assert 1.0 <= CONTROLLERS[controller].factor(errors, 5) <= 10.0
    assert CONTROLLERS[controller].factor(errors, 5, after_rejection=True) == 1.0


@given(error=st.floats(1.0, 1e9, exclude_min=True), before=st.lists(st.floats(1e-9, 1.0), max_size=2))
def test_a_rejected_step_is_mended_by_its_own_error_alone(error, before):
    control = CONTROLLERS["PI"]
    assert control.factor([error, *before], 5) == control.factor([error], 5) < 1.0


def test_pi_and_pid_weigh_the_errors_before():
    errors, k = [0.01, 0.02, 0.03], 5
    assert CONTROLLERS["PI"].factor(errors, k) == pytest.approx(0.9 * 0.01 ** (-0.7 / k) * 0.02 ** (0.4 / k))
    pid = 0.9 * 0.01 ** (-0.49 / k) * 0.02 ** (0.34 / k) * 0.03 ** (-0.10 / k)
    assert CONTROLLERS["PID"].factor(errors, k) == pytest.approx(pid)


@pytest.mark.parametrize("error", [math.inf, math.nan])
def test_an_error_that_is_no_number_shrinks_the_step(error):
    assert CONTROLLERS["PI"].factor([error], 5) == 0.2


@pytest.mark.parametrize(
    "options", [{"shrink": 0.0}, {"shrink": 1.0}, {"grow": 1.0}, {"safety": 0.0}, {"safety": 1.1}], ids=str
)
def test_a_controller_out_of_range_is_refused(options):
    with pytest.raises(ValueError, match="choose 0 < shrink < 1 < grow and 0 < safety <= 1"):
        Controller(**options)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"rtol": -1e-3}, r"rtol is -0\.001: choose a tolerance of at least 0"),
        ({"atol": -1.0}, r"atol is -1\.0: choose a tolerance of at least 0"),
        ({"rtol": math.nan}, "rtol is nan"),
        ({"rtol": (1e-3, -1e-3)}, r"rtol is -0\.001: choose a tolerance of at least 0"),
        ({"rtol": 0.0, "atol": 0.0}, "rtol and atol are both 0: no step can have no error"),
        ({"first_step": 0.0}, "first_step is 0.0: choose a size above 0"),
        ({"first_step": -0.1}, "first_step is -0.1: choose a size above 0, whatever the direction of time"),
        ({"min_step": 1.0, "max_step": 0.5}, "min_step is 1.0 and max_step 0.5: choose"),
        ({"min_step": -1.0}, "min_step is -1.0"),
        ({"max_step": 0.0}, "max_step 0.0"),
        ({"max_steps": 0}, "max_steps is 0: allow at least 1 step"),
        ({"controller": "PDI"}, "unknown controller 'PDI': the nearest valid name is 'P"),
    ],
)
def test_options_out_of_range_are_refused(options, sentence):
    with pytest.raises(ValueError, match=sentence):
        Adaptive(**options)


def test_as_many_tolerances_as_leaves_are_needed():
    with pytest.raises(
        ValueError, match="rtol has 3 entries for 2 leaves of the state: give one for each, or one number"
    ):
        solve(lambda t, y: y, (torch.ones(1), torch.ones(1)), (0.0, 1.0), steps=Adaptive(rtol=(1e-3, 1e-3, 1e-3)))


def errors_of(steps, y0=None):
    y0 = torch.ones(2, dtype=F64) if y0 is None else y0
    return solve(lambda t, y: -5.0 * y, y0, (0.0, 1.0), rule="dopri5", steps=steps)


@pytest.mark.parametrize(
    "steps",
    [
        Adaptive(rtol=torch.tensor(1e-6), atol=1e-8),
        Adaptive(rtol=1e-6, atol=torch.full((2,), 1e-8, dtype=F64)),
        Adaptive(rtol=1e-6, atol=1e-8, norm=lambda e: torch.linalg.vector_norm(e) / math.sqrt(2)),
    ],
)
def test_tolerances_as_tensors_and_the_norm_written_out_take_the_same_steps(steps):
    plain = errors_of(Adaptive(rtol=1e-6, atol=1e-8))
    other = errors_of(steps)
    assert other.stats.steps == plain.stats.steps
    torch.testing.assert_close(other.ys, plain.ys, rtol=1e-9, atol=1e-12)


def test_each_leaf_has_its_own_tolerance():
    def field(t, y):
        return tuple(-5.0 * leaf for leaf in y)

    y0 = (torch.ones(2, dtype=F64), torch.ones(1, dtype=F64))
    loose = solve(field, y0, (0.0, 1.0), steps=Adaptive(rtol=(1e-3, 1e-3), atol=(1e-6, 1e-6))).stats
    tight = solve(field, y0, (0.0, 1.0), steps=Adaptive(rtol=(1e-3, 1e-9), atol=(1e-6, 1e-12))).stats
    assert tight.steps > 2 * loose.steps


def test_tolerances_per_leaf_hold_on_the_way_back_too():
    y0 = (torch.ones(2, dtype=F64, requires_grad=True), torch.ones(1, dtype=F64, requires_grad=True))
    steps = Adaptive(rtol=(1e-8, 1e-9), atol=(1e-8, 1e-9))
    ys = solve(lambda t, y: (-y[0], -y[1]), y0, (0.0, 1.0), steps=steps, gradient="adjoint", parameters=()).ys
    (ys[0][-1].sum() + ys[1][-1].sum()).backward()
    assert y0[0].grad.tolist() == pytest.approx([math.exp(-1)] * 2, rel=1e-6)


def test_tolerances_per_leaf_are_refused_where_parameters_are_leaves():
    y0 = (torch.ones(2, requires_grad=True), torch.ones(1))
    steps, mode = Adaptive(rtol=(1e-3, 1e-3)), Adjoint(seminorm=False)
    with pytest.raises(ValueError, match=r"the parameters are leaves too, .*: give numbers for the way back"):
        solve(lambda t, y: y, y0, (0.0, 1.0), steps=steps, gradient=mode, parameters=())


def test_a_norm_that_looks_at_one_entry_lets_the_other_go():
    y0 = torch.tensor([1.0, 1.0], dtype=F64)

    def field(t, y):
        return torch.stack([-y[0], 30 * torch.cos(30 * torch.as_tensor(t, dtype=F64))])

    both = solve(field, y0, (0.0, 1.0), steps=Adaptive(rtol=1e-6, atol=1e-6)).stats.steps
    first = solve(field, y0, (0.0, 1.0), steps=Adaptive(rtol=1e-6, atol=1e-6, norm=lambda e: e[0].abs())).stats.steps
    assert first < both / 3


def test_the_norm_of_a_tree_sees_the_tree():
    seen = []

    def norm(tree):
        seen.append(sorted(tree))
        return tree["a"].abs().max()

    y0 = {"a": torch.ones(2), "b": torch.ones(1)}
    solve(lambda t, y: {"a": -y["a"], "b": y["b"]}, y0, (0.0, 1.0), steps=Adaptive(norm=norm))
    assert set(map(tuple, seen)) == {("a", "b")}


@given(rtol=st.floats(1e-8, 1.0), atol=st.floats(0, 1.0), size=st.integers(1, 5))
def test_the_short_way_to_the_error_gives_the_same_number(rtol, atol, size):
    error, y0, y1 = (torch.linspace(a, 1, size, dtype=F64) for a in (0.1, 0.3, -2.0))
    short, scale = measure(Adaptive(rtol=rtol, atol=atol), error.clone(), y0, y1)
    plain = (error / (atol + rtol * torch.maximum(y0.abs(), y1.abs()))).square().mean().sqrt()
    assert float(short) * scale == pytest.approx(float(plain))
