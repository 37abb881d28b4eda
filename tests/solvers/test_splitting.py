import math

import pytest
import torch

from odelib.analysis import convergence_order
from odelib.solvers import Exact, SolverError, SplitField, Splitting, Sum, check_terms, solve, step_rule

F64 = torch.float64


def sequence(name, terms=2):
    return step_rule(name).sequence(terms)


@pytest.mark.parametrize("terms", [1, 2, 3])
@pytest.mark.parametrize("name", ["lie-trotter", "strang", "yoshida4", "suzuki4"])
def test_every_term_is_integrated_over_the_whole_step(name, terms):
    for term in range(terms):
        assert math.fsum(part for index, part in sequence(name, terms) if index == term) == pytest.approx(1.0)


@pytest.mark.parametrize("name", ["strang", "yoshida4", "suzuki4"])
@pytest.mark.parametrize("terms", [2, 3])
def test_symmetric_schemes_read_the_same_from_both_ends(name, terms):
    parts = sequence(name, terms)
    assert [index for index, _ in parts] == [index for index, _ in reversed(parts)]
    assert [part for _, part in parts] == pytest.approx([part for _, part in reversed(parts)])


def test_the_sequences_are_those_of_the_papers():
    assert sequence("lie-trotter") == [(0, 1.0), (1, 1.0)]
    assert sequence("strang") == [(1, 0.5), (0, 1.0), (1, 0.5)]
    y = 1 / (2 - 2 ** (1 / 3))
    whole = [(0, y), (0, 1 - 2 * y), (0, y)]
    assert [pair for pair in sequence("yoshida4") if pair[0] == 0] == whole
    assert len(sequence("suzuki4")) == 11, "five Strang steps, whose neighbouring halves are one sub-step"


def test_each_term_has_a_clock_of_its_own():
    seen = {"a": [], "b": []}
    field = Sum(lambda t, y: seen["a"].append(t) or y, lambda t, y: seen["b"].append(t) or y)
    solve(field, torch.ones(1), (1.0, 2.0), rule="strang")
    assert seen == {"a": [1.0], "b": [1.0, 1.5]}


def test_an_unknown_scheme_is_refused():
    with pytest.raises(ValueError, match="unknown splitting 'strand': the nearest valid name is 'strang'"):
        Splitting("strand", step_rule("rk4"))


def order_of(field, y0, rule, exact, steps=(8, 16, 32)):
    ends = [solve(field, y0, (0.0, 1.0), rule=rule, steps=n).ys[-1] for n in steps]
    return convergence_order([1 / n for n in steps], [float((end - exact).abs().max()) for end in ends])


def walk(t, y):
    """A robot (x, z, angle) that goes where it looks."""
    x, _, angle = y
    return torch.stack([torch.cos(angle), torch.sin(angle), torch.zeros_like(x)])


def turn(t, h, y):
    return y + torch.tensor([0.0, 0.0, 2.0 * h], dtype=y.dtype)


def straight(t, h, y):
    return y + h * walk(t, y)


@pytest.mark.parametrize(("scheme", "order"), [("lie-trotter", 1), ("strang", 2), ("suzuki4", 4)])
def test_a_robot_along_exact_flows_has_the_order_of_the_scheme(scheme, order):
    # Both flows are known: turning on the spot, and walking straight on. So Euler's sub-steps are never taken.
    field = Sum(Exact(straight), Exact(turn))
    y0 = torch.tensor([0.0, 0.0, 0.3], dtype=F64)
    exact = torch.tensor([(math.sin(2.3) - math.sin(0.3)) / 2, (math.cos(0.3) - math.cos(2.3)) / 2, 2.3], dtype=F64)
    assert order_of(field, y0, scheme, exact) == pytest.approx(order, abs=0.2)


SPEEDS = torch.tensor([[0.0, 40.0], [-40.0, 0.0]], dtype=F64)


def test_a_fast_linear_term_by_the_matrix_exponential_sets_no_limit_to_the_step():
    fast = Exact(lambda t, h, y: y @ torch.matrix_exp(h * SPEEDS).T, lambda t, y: y @ SPEEDS.T)
    field = Sum(lambda t, y: -torch.tanh(y), fast)
    y0 = torch.tensor([[1.0, 0.5], [0.2, -1.0]], dtype=F64)
    exact = solve(field, y0, (0.0, 1.0), rule="dopri8", steps=400).ys[-1]
    by_flow = solve(field, y0, (0.0, 1.0), rule="strang(midpoint)", steps=80).ys[-1]
    by_steps = solve(Sum(*field.terms[:1], fast.field), y0, (0.0, 1.0), rule="strang(midpoint)", steps=80).ys[-1]
    assert float((by_flow - exact).abs().max()) < 0.02
    assert float((by_steps - exact).abs().max()) > 0.1
    assert order_of(field, y0, "strang(rk4)", exact, (160, 320, 640)) == pytest.approx(2, abs=0.2)


def test_diffusion_by_its_own_flow_is_stable_at_any_step():
    points = torch.arange(32, dtype=F64)
    rates = 4 * 32**2 * torch.sin(math.pi * points / 32) ** 2  # of the periodic second difference

    def diffuse(t, h, y):
        return torch.fft.ifft(torch.fft.fft(y) * torch.exp(-h * rates)).real

    field = Sum(lambda t, y: y - y**3, Exact(diffuse))
    y0 = torch.cos(2 * math.pi * points / 32) + 0.3
    ys = solve(field, y0, (0.0, 1.0), rule="strang(rk4)", steps=10).ys
    fine = solve(field, y0, (0.0, 1.0), rule="strang(rk4)", steps=640).ys
    torch.testing.assert_close(ys[-1], fine[-1], rtol=2e-2, atol=0)
    explicit = Sum(field.terms[0], lambda t, y: torch.fft.ifft(-rates * torch.fft.fft(y)).real)
    with pytest.raises(SolverError, match="NaN or infinite"):
        solve(explicit, y0, (0.0, 1.0), rule="rk4", steps=100)


def test_exact_flows_have_gradients_and_go_with_trees_and_times_that_vary():
    rate = torch.tensor(0.7, dtype=F64, requires_grad=True)

    def fade(t, h, y):
        return {"a": y["a"] * torch.exp(-rate * h)}

    field = Sum(lambda t, y: {"a": torch.ones_like(y["a"])}, Exact(fade))

    def end(y0, times, mode="backprop"):
        options = {"rule": "strang(midpoint)", "steps": 6, "gradient": mode, "parameters": (rate,)}
        return solve(field, {"a": y0}, times, **options).ys["a"][-1]

    y0 = torch.tensor([1.0, 2.0], dtype=F64, requires_grad=True)
    times = torch.tensor([0.0, 0.5, 1.0], dtype=F64, requires_grad=True)
    assert torch.autograd.gradcheck(end, (y0, times))
    found = [torch.autograd.grad(end(y0, times, mode).sum(), (y0, rate, times)) for mode in ("backprop", "checkpoint")]
    torch.testing.assert_close(found[1], found[0], rtol=1e-12, atol=1e-12)


def test_a_flow_alone_is_no_field_for_other_rules():
    with pytest.raises(
        TypeError, match=r"came as Exact\(flow\), and its value at a state is asked for: by a rule that is no splitting"
    ):
        solve(Sum(Exact(turn)), torch.zeros(3), (0.0, 1.0), rule="rk4")


def test_terms_that_do_not_sum_to_the_field_are_found():
    class Wrong(SplitField):
        terms = (lambda t, y: -y, lambda t, y: 0.5 * y)

        def __call__(self, t, y):
            return -y

    with pytest.raises(ValueError, match=r"the terms of Wrong differ from it by .* let the value be the sum"):
        check_terms(Wrong(), torch.zeros(3))
    check_terms(Sum(lambda t, y: {"a": -y["a"]}, lambda t, y: {"a": y["a"] ** 2}), {"a": torch.zeros(4, 5)})
    with pytest.raises(TypeError, match="needs a field with `terms`"):
        check_terms(torch.neg, torch.zeros(3))
