import cmath
import itertools
import math

import pytest
import torch

from odelib.analysis import convergence_order, global_errors
from odelib.solvers import STEP_RULES, TABLEAUS, ExplicitRungeKutta, StepRule, Sum, solve, step_rule

F64 = torch.float64
GRIDS = {1: (64, 128, 256, 512), 2: (32, 64, 128, 256), 3: (16, 32, 64, 128), 4: (16, 32, 64, 128)}


def linear(t, y):
    matrix = torch.tensor([[-0.5, 2.0], [-2.0, -0.3]], dtype=y.dtype)
    return y @ matrix.T


def linear_exact(y0):
    matrix = torch.tensor([[-0.5, 2.0], [-2.0, -0.3]], dtype=y0.dtype)
    return torch.linalg.matrix_exp(matrix) @ y0


def logistic(t, y):
    return y * (1 - y)


def logistic_exact(y0):
    return 1 / (1 + (1 / y0 - 1) * math.exp(-1.0))


def driven(t, y):
    return y * math.cos(t)


def driven_exact(y0):
    return y0 * math.exp(math.sin(1.0))


PROBLEMS = {
    "linear": (linear, linear_exact, torch.tensor([1.0, -0.5], dtype=F64)),
    "nonlinear": (logistic, logistic_exact, torch.tensor([0.2, 0.9], dtype=F64)),
    "non-autonomous": (driven, driven_exact, torch.tensor([1.0, 2.0], dtype=F64)),
}


@pytest.mark.parametrize("problem", PROBLEMS)
@pytest.mark.parametrize("name", [name for name, tableau in TABLEAUS.items() if tableau.order <= 4])
def test_runge_kutta_order_is_measured(name, problem):
    field, exact, y0 = PROBLEMS[problem]
    rule = step_rule(name)
    steps = GRIDS[rule.order]
    errors = global_errors(field, y0, rule=rule, steps=steps, exact=exact(y0))
    assert convergence_order([1 / n for n in steps], errors) == pytest.approx(rule.order, abs=0.15)


# For the orders above 4: rotations, whose next error term stands at a right angle to the first, so that the slope is
# that of the first before rounding enters. (dopri8 is nearly of order 9 on y' = iy, hence its other problems.)
SPIN = torch.tensor([1.0, 0.6j], dtype=torch.complex128)
ROTATIONS = {
    "linear": (lambda t, y: 1j * y, SPIN * cmath.exp(4j)),
    "nonlinear": (lambda t, y: 1j * y * (y * y.conj()), SPIN * torch.exp(4j * SPIN.abs() ** 2)),
    "non-autonomous": (
        lambda t, y: 1j * (y - 0.5 * cmath.exp(2j * t)),
        SPIN * cmath.exp(4j) - 0.5 * cmath.exp(4j) * (cmath.exp(4j) - 1),
    ),
    "chirp": (lambda t, y: 1j * (1 + math.cos(t)) * y, SPIN * cmath.exp(1j * (4 + math.sin(4)))),
}
FINE = {5: (48, 64, 96, 128), 8: (8, 12, 16, 24)}


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        *itertools.product(["fehlberg45", "cash-karp", "tsit5", "dopri5"], ["linear", "nonlinear", "non-autonomous"]),
        *itertools.product(["dopri8"], ["chirp", "nonlinear", "non-autonomous"]),
    ],
)
def test_high_order_is_measured(name, problem):
    field, exact = ROTATIONS[problem]
    rule = step_rule(name)
    steps = FINE[rule.order]
    errors = global_errors(field, SPIN, rule=rule, steps=steps, exact=exact, times=(0.0, 4.0))
    assert min(errors) > 1e-12, "rounding must not enter"
    assert convergence_order([1 / n for n in steps], errors) == pytest.approx(rule.order, abs=0.15)


def pendulum_kick(t, y):
    return torch.stack([torch.zeros_like(y[0]), -torch.sin(y[0]) + 0.3 * math.cos(2 * t)])


def pendulum_drift(t, y):
    return torch.stack([y[1] * (1 + 0.2 * t), torch.zeros_like(y[1])])


PENDULUM = Sum(pendulum_drift, pendulum_kick)


@pytest.mark.parametrize(
    ("name", "order"),
    [
        ("lie-trotter", 1),
        ("lie-trotter(rk4)", 1),
        ("strang", 1),
        ("strang(midpoint)", 2),
        ("strang(heun)", 2),
        ("strang(rk4)", 2),
        ("yoshida4", 1),
        ("yoshida4(midpoint)", 2),
        ("yoshida4(rk4)", 4),
        ("suzuki4(heun3)", 3),
        ("suzuki4(rk4)", 4),
    ],
)
def test_splitting_order_is_the_smaller_of_the_two(name, order):
    # A pendulum with a driving force and a mass that changes: nonlinear, non-autonomous, terms do not commute.
    y0 = torch.tensor([0.7, 0.4], dtype=F64)
    exact = solve(PENDULUM, y0, (0.0, 1.0), rule="dopri8", steps=50).ys[-1]
    # Sub-steps of Euler are exact on a drift and a kick without time; time in both makes them inexact.
    rule = step_rule(name)
    steps = (64, 128, 256, 512) if order < 3 else (16, 32, 48, 64)
    errors = global_errors(PENDULUM, y0, rule=rule, steps=steps, exact=exact)
    assert rule.order == order
    assert convergence_order([1 / n for n in steps], errors) == pytest.approx(order, abs=0.15)


@pytest.mark.parametrize(
    ("name", "order"), [("lie-trotter(rk4)", 1), ("strang(rk4)", 2), ("yoshida4(rk4)", 4), ("suzuki4(rk4)", 4)]
)
def test_splitting_local_error_is_one_order_higher(name, order):
    y0 = torch.tensor([0.7, 0.4], dtype=F64)
    sizes = (0.2, 0.1, 0.05, 0.025)
    errors = []
    for h in sizes:
        step = solve(PENDULUM, y0, (0.0, h), rule=name).ys[-1]
        exact = solve(PENDULUM, y0, (0.0, h), rule="dopri8", steps=10).ys[-1]
        errors.append(float((step - exact).abs().max()))
    assert convergence_order(sizes, errors) == pytest.approx(order + 1, abs=0.2)


def test_terms_that_commute_are_split_without_error():
    field = Sum(lambda t, y: -0.5 * y, lambda t, y: 0.25 * y)
    y0 = torch.tensor([1.0], dtype=F64)
    for name in ("lie-trotter(rk4)", "strang(rk4)"):
        end = solve(field, y0, (0.0, 1.0), rule=name, steps=32).ys[-1]
        torch.testing.assert_close(end, y0 * math.exp(-0.25), rtol=0, atol=1e-9)


@pytest.mark.parametrize(
    ("rule", "method"),
    [("euler", "euler"), ("midpoint", "midpoint"), ("heun", "heun2"), ("heun3", "heun3"), ("rk38", "rk4")],
)
def test_steps_equal_torchdiffeq(rule, method):
    from torchdiffeq import odeint

    times = torch.linspace(0, 1, 9, dtype=F64)
    y0 = torch.tensor([1.0, 2.0], dtype=F64)
    theirs = odeint(lambda t, y: driven(float(t), y), y0, times, method=method)
    ours = solve(driven, y0, times.tolist(), rule=rule)
    torch.testing.assert_close(ours.ys, theirs, rtol=1e-14, atol=1e-14)


@pytest.mark.parametrize("name", ["strang", "yoshida4", "suzuki4"])
def test_symmetric_splittings_step_back_to_the_start(name):
    y0 = torch.tensor([0.7, 0.4], dtype=F64)
    field = Sum(lambda t, y: torch.stack([y[1], 0 * y[1]]), lambda t, y: torch.stack([0 * y[0], -torch.sin(y[0])]))
    there = solve(field, y0, (0.0, 1.0), rule=name, steps=10).ys[-1]
    back = solve(field, there, (1.0, 0.0), rule=name, steps=10).ys[-1]
    torch.testing.assert_close(back, y0, rtol=0, atol=1e-14)


@pytest.mark.parametrize("name", [*STEP_RULES, "strang(midpoint)", "lie-trotter(rk4)", "reversible(rk4)"])
def test_a_name_comes_back_from_its_rule(name):
    rule = step_rule(name)
    assert isinstance(rule, StepRule)
    assert rule.name == name
    assert step_rule(rule.name) == rule
    assert step_rule(rule) is rule


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("rk5", "unknown step rule 'rk5': the nearest valid name is 'rk4'"),
        ("lie-troter", "nearest valid name is 'lie-trotter'"),
        ("strnag(rk4)", "unknown splitting 'strnag': the nearest valid name is 'strang'"),
        ("strang(rk5)", "unknown sub-step of a splitting 'rk5': the nearest valid name is 'rk4'"),
        ("reversible(rk5)", "unknown step rule 'rk5': the nearest valid name is 'rk4'"),
        ("rk4)", "nearest valid name is 'rk4'"),
        ("", "unknown step rule ''"),
    ],
)
def test_an_unknown_rule_names_the_nearest(name, sentence):
    with pytest.raises(ValueError) as error:  # noqa: PT011 - the sentence is compared as it is
        step_rule(name)
    assert sentence in str(error.value)


def test_a_splitting_needs_terms():
    with pytest.raises(TypeError, match=r"needs a field with `terms`, but function has none.*odelib\.solvers\.Sum"):
        solve(logistic, torch.tensor([0.2]), (0.0, 1.0), rule="lie-trotter")


@pytest.mark.parametrize("name", [*STEP_RULES, "strang(midpoint)", "reversible(midpoint)"])
def test_evaluations_are_those_that_happen(name):
    calls = []
    field = Sum(lambda t, y: calls.append(t) or -y, lambda t, y: calls.append(t) or 0.5 * y)
    solution = solve(field, torch.tensor([1.0]), (0.0, 1.0), rule=name, steps=3)
    assert solution.stats.nfe == len(calls) / 2


def test_gradients_pass_gradcheck():
    y0 = torch.tensor([0.3, 0.8], dtype=F64, requires_grad=True)
    rate = torch.tensor(1.3, dtype=F64, requires_grad=True)
    for name in ("euler", "midpoint", "heun", "rk4", "lie-trotter", "strang(midpoint)"):

        def end(y0, rate, name=name):
            field = Sum(lambda t, y: rate * y, lambda t, y: -rate * y**2)
            return solve(field, y0, (0.0, 1.0), rule=name, steps=3).ys[-1]

        assert torch.autograd.gradcheck(end, (y0, rate))


def test_a_rule_is_a_value():
    assert step_rule("rk4") == step_rule("rk4")
    assert isinstance(step_rule("rk4"), ExplicitRungeKutta)
    assert len({step_rule("strang"), step_rule("strang"), step_rule("strang(rk4)")}) == 2
