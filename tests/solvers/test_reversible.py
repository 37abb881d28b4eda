import cmath
import math

import pytest
import torch
from torch import nn
from torch.utils import _pytree as pytree

from odelib.analysis import convergence_order, global_errors
from odelib.solvers import Adaptive, Event, Grid, Reversible, Sum, solve, step_rule

F64 = torch.float64


class Swing(nn.Module):
    """A pendulum with friction and a force."""

    def __init__(self):
        super().__init__()
        self.rates = nn.Parameter(torch.tensor([1.3, 0.2], dtype=F64))

    def forward(self, t, y):
        return torch.stack([y[1], -self.rates[0] * torch.sin(y[0]) - self.rates[1] * y[1] + 0.3 * math.cos(t)])


Y0 = torch.tensor([0.7, 0.4], dtype=F64)


SPIN = torch.tensor([1.0, 0.6j], dtype=torch.complex128)
ROTATIONS = {
    "nonlinear": (lambda t, y: 1j * y * (y * y.conj()), SPIN * torch.exp(4j * SPIN.abs() ** 2)),
    "non-autonomous": (lambda t, y: 1j * (1 + math.cos(t)) * y, SPIN * cmath.exp(1j * (4 + math.sin(4)))),
}


# Near 1, the difference of the two states dies out slowly, and the slope of an odd order shows on no grid before
# rounding does.
@pytest.mark.parametrize(
    ("base", "coupling", "problem"),
    [
        ("midpoint", 0.9, "nonlinear"),
        ("midpoint", 0.9, "non-autonomous"),
        ("rk4", 0.9, "nonlinear"),
        ("rk4", 0.9, "non-autonomous"),
        ("tsit5", 0.5, "non-autonomous"),
    ],
)
def test_the_order_is_that_of_the_base(base, coupling, problem):
    rule = Reversible(step_rule(base), coupling)
    field, exact = ROTATIONS[problem]
    grid = (96, 128, 192, 256)
    errors = global_errors(field, SPIN, rule=rule, steps=grid, exact=exact, times=(0.0, 4.0))
    assert rule.order == step_rule(base).order
    assert convergence_order([1 / n for n in grid], errors) == pytest.approx(rule.order, abs=0.15)


@pytest.mark.parametrize("base", ["euler", "rk4", "dopri5"])
def test_a_step_can_be_taken_back_to_rounding(base):
    rule = step_rule(f"reversible({base})")
    field = Swing().requires_grad_(False)
    y, z = Y0, Y0 + 0.01
    y1, _, carry, *_ = rule.step(field, 0.3, 0.1, y, (z, []))
    back, (z_back, _) = rule.unstep(field, 0.3, 0.1, y1, carry)
    torch.testing.assert_close((back, z_back), (y, z), rtol=0, atol=1e-14)


STEPS = {
    "steps": 8,
    "grid": Grid(step_size=0.15),
    "linear": Grid(step_size=0.15, interpolation="linear"),
    "cubic": Grid(step_size=0.15, interpolation="cubic"),
    "adaptive": Adaptive(rtol=1e-6, atol=1e-6),
}


@pytest.mark.parametrize("steps", STEPS)
@pytest.mark.parametrize("base", ["midpoint", "dopri5"])
def test_the_gradient_is_that_of_backprop_through_the_rule(base, steps):
    if base == "midpoint" and steps == "adaptive":
        base = "bosh3"
    rule, found = Reversible(step_rule(base), 0.95), []
    for mode in ("backprop", "reversible"):
        field, y0 = Swing(), Y0.clone().requires_grad_()
        ys = solve(field, y0, (0.0, 0.5, 1.3, 2.0), rule=rule, steps=STEPS[steps], gradient=mode).ys
        found.append((ys.detach(), *torch.autograd.grad((ys**3).sum(), (y0, *field.parameters()))))
    assert torch.equal(found[0][0], found[1][0])
    torch.testing.assert_close(found[1], found[0], rtol=1e-12, atol=1e-12)


def test_a_splitting_is_reversed_too():
    found = []
    for mode in ("backprop", "reversible"):
        field, y0 = Sum(Swing(), Swing()), Y0.clone().requires_grad_()
        rule = Reversible(step_rule("strang(midpoint)"))
        ys = solve(field, y0, (0.0, 1.0, 2.0), rule=rule, steps=6, gradient=mode).ys
        found.append(torch.autograd.grad(ys.square().sum(), (y0, field.terms[0].rates, field.terms[1].rates)))
    torch.testing.assert_close(found[1], found[0], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("steps", [Grid(step_size=0.1), Adaptive(rtol=1e-7, atol=1e-7)], ids=["grid", "adaptive"])
def test_events_have_the_gradient_of_backprop_through_the_rule(steps):
    rule, found = Reversible(step_rule("dopri5"), 0.95), []
    for mode in ("backprop", "reversible"):
        field, y0 = Swing(), Y0.clone().requires_grad_()
        event = Event(lambda t, y: y[0])
        solution = solve(field, y0, (0.0, 10.0), rule=rule, steps=steps, gradient=mode, events=event)
        crossing = solution.events[0]
        found.append(torch.autograd.grad(crossing.ts.sum() + crossing.ys.sum(), (y0, *field.parameters())))
    torch.testing.assert_close(found[1], found[0], rtol=1e-11, atol=1e-11)


def test_the_mode_takes_the_rule_as_its_base():
    field, y0 = Swing(), Y0.clone().requires_grad_()
    by_mode = solve(field, y0, (0.0, 1.0), rule="rk4", steps=5, gradient="reversible").ys
    by_rule = solve(field, y0, (0.0, 1.0), rule=Reversible(step_rule("rk4")), steps=5).ys
    assert torch.equal(by_mode, by_rule)


def test_a_step_costs_two_of_the_base():
    assert step_rule("reversible(rk4)").evaluations(1) == 8
    solution = solve(Swing(), Y0, (0.0, 1.0), rule="reversible(rk4)", steps=5)
    assert solution.stats.nfe == 40


def test_only_the_last_pair_of_states_is_kept():
    kept = []
    for steps in (4, 64):
        field, y0 = Swing(), Y0.clone().requires_grad_()
        ys = solve(field, y0, (0.0, 1.0), rule="rk4", steps=steps, gradient="reversible").ys
        node = ys.grad_fn
        while not hasattr(node, "saved_tensors") or not hasattr(node, "strategy"):
            node = next(edge for edge, _ in reversed(node.next_functions) if edge is not None)
        kept.append(sum(tensor.numel() for tensor in (*node.saved_tensors, *pytree.tree_leaves(node.strategy.last))))
    assert kept[0] == kept[1]


def test_checkpoints_of_a_reversible_rule_are_refused():
    field, y0 = Swing(), Y0.clone().requires_grad_()
    with pytest.raises(ValueError, match=r"keeps one state per step.*choose 'reversible'"):
        solve(field, y0, (0.0, 1.0), rule="reversible(rk4)", gradient="checkpoint")


def test_half_precision_keeps_its_dtype():
    y0 = torch.ones(3, dtype=torch.bfloat16, requires_grad=True)
    ys = solve(lambda t, y: -y, y0, (0.0, 1.0), rule="rk4", steps=4, gradient="reversible", parameters=()).ys
    assert ys.dtype == torch.bfloat16
    ys.sum().backward()
    assert y0.grad.dtype == torch.bfloat16
    torch.testing.assert_close(y0.grad, torch.full_like(y0, 1 + math.exp(-1)), rtol=0.03, atol=0)
