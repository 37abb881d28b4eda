import pytest
import torch

from odelib.solvers import Adaptive, solve, step_rule
from odelib.solvers.stiffness import StiffnessWatch

F64 = torch.float64
STEPS = Adaptive(rtol=1e-4, atol=1e-6)


def stiff(t, y):
    return torch.tensor([-1.0, -2000.0], dtype=F64) * y


def van_der_pol(t, y):
    return torch.stack([y[1], 1000 * (1 - y[0] ** 2) * y[1] - y[0]])


def lorenz(t, y):
    a, b, c = y
    return torch.stack([10 * (b - a), a * (28 - c) - b, a * b - 8 / 3 * c])


@pytest.mark.parametrize("rule", ["dopri5", "tsit5", "dopri8"])
def test_a_stiff_linear_problem_is_named(rule):
    stats = solve(stiff, torch.ones(2, dtype=F64), (0.0, 0.5), rule=rule, steps=STEPS).stats
    assert f"stability limit of {rule}" in stats.hint
    assert "scipy_solver" in stats.hint


@pytest.mark.parametrize("rule", ["dopri5", "tsit5"])
def test_van_der_pol_with_a_large_mu_is_named(rule):
    stats = solve(van_der_pol, torch.tensor([2.0, 0.0], dtype=F64), (0.0, 0.3), rule=rule, steps=STEPS).stats
    assert "the problem looks stiff" in stats.hint


@pytest.mark.parametrize(
    ("rule", "tolerance"), [("dopri5", 1e-3), ("dopri5", 1e-6), ("tsit5", 1e-3), ("dopri8", 1e-6), ("bosh3", 1e-3)]
)
def test_lorenz_is_not(rule, tolerance):
    steps = Adaptive(rtol=tolerance, atol=tolerance)
    assert solve(lorenz, torch.ones(3, dtype=F64), (0.0, 2.0), rule=rule, steps=steps).stats.hint is None


def test_many_rejections_are_named():
    def jumping(t, y):
        return torch.full_like(y, float(int(20 * t) % 2) * 100)

    stats = solve(jumping, torch.zeros(1, dtype=F64), (0.0, 0.3), steps=Adaptive(rtol=1e-6, atol=1e-6)).stats
    assert stats.rejected * 3 > stats.steps
    assert "jump_t" in stats.hint
    assert f"{stats.rejected} of {stats.steps} steps were rejected" in stats.hint


@pytest.mark.parametrize("rule", ["dopri5", "tsit5", "dopri8"])
def test_the_quotient_of_the_last_two_stages_is_the_eigenvalue(rule):
    watch, method = StiffnessWatch(), step_rule(rule)
    y0 = torch.ones(1, dtype=F64)
    step = method.step(lambda t, y: -7.0 * y, 0.0, 0.1, y0, [-7.0 * y0])
    slopes, states = watch.probe(step, 0)
    assert float(slopes / states) == pytest.approx(7.0, rel=1e-6)


def test_methods_without_two_stages_at_the_end_are_not_looked_at():
    method, y0 = step_rule("bosh3"), torch.ones(1, dtype=F64)
    step = method.step(lambda t, y: -y, 0.0, 0.1, y0, [-y0])
    assert StiffnessWatch().probe(step, 0) == ()


def test_a_fixed_grid_gives_no_hint():
    assert solve(stiff, torch.ones(2, dtype=F64), (0.0, 0.001), steps=4).stats.hint is None
