"""A rule that somebody wrote with the reference alone: it must work wherever the package's own do."""

import inspect
import math
from dataclasses import dataclass

import pytest
import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from odelib import DepthBlock, DepthSchedule, ViT, ViTConfig
from odelib.analysis import convergence_order
from odelib.solvers import Adaptive, Adjoint, Event, Grid, Reversible, Splitting, Step, StepRule, Sum, solve, step_rule
from odelib.solvers.state import combine, weighted

F64 = torch.float64


class RosenbrockEuler(StepRule):
    """y1 = y + h phi_1(h J) f(y), J the Jacobian along f, by Krylov vectors: of order 2 for autonomous fields."""

    name, order, error_order, differentiates = "rosenbrock-euler", 2, 2, True

    def evaluations(self, terms):
        return 1.0

    def step(self, field, t, h, y, carry):
        jvp = torch.func.jvp
        slope = field(t, y)
        power, factor, total = slope, 1.0, slope
        for k in range(2, 6):
            power = jvp(lambda x: field(t, x), (y,), (power,))[1]
            factor = factor * h / k
            total = total + factor * power
        y1 = y + h * total
        return Step(y1, lambda: h * (total - slope))


@dataclass(frozen=True)
class AdamsBashforth2(StepRule):
    """A rule that remembers: y1 = y + h (3 f_n - f_{n-1}) / 2."""

    name, order, one_step = "adams-bashforth-2", 2, False

    def evaluations(self, terms):
        return 1.0

    def init(self, field, t, y, carry=None):
        return carry

    def step(self, field, t, h, y, carry):
        slope = field(t, y)
        before = slope if carry is None else carry
        return Step(y + h * (1.5 * slope - 0.5 * before), carry=slope)


class Leapfrog(StepRule):
    """An invertible rule of one's own: the asynchronous leapfrog of Zhuang et al. 2021 (arXiv 2102.04668)."""

    name, order, invertible, one_step = "leapfrog", 2, True, False

    def evaluations(self, terms):
        return 1.0

    def init(self, field, t, y, carry=None):
        return field(t, y) if carry is None else carry

    def step(self, field, t, h, y, carry):
        slope = field(t + h / 2, y + h / 2 * carry)
        return Step(y + h * slope, carry=2 * slope - carry)

    def unstep(self, field, t, h, y1, carry):
        slope = field(t + h / 2, y1 - h / 2 * carry)
        return y1 - h * slope, 2 * slope - carry


class Heun(StepRule):
    """A rule that says nothing of its weights, on tensors and tuples of them."""

    name, order, error_order = "my heun", 2, 2

    def evaluations(self, terms):
        return 2.0

    def step(self, field, t, h, y, carry):
        k1 = field(t, y)
        k2 = field(t + h, combine(y, h, ((0, 1.0),), [k1]))
        y1 = combine(y, h, ((0, 0.5), (1, 0.5)), [k1, k2])
        return Step(y1, lambda: weighted(h, ((0, -0.5), (1, 0.5)), [k1, k2]))


class Pendulum(nn.Module):
    def __init__(self):
        super().__init__()
        self.rate = nn.Parameter(torch.tensor(1.3, dtype=F64))

    def forward(self, t, y):
        return torch.stack([y[1], -self.rate * torch.sin(y[0])])


Y0 = torch.tensor([0.7, 0.4], dtype=F64)


def exact(times=(0.0, 1.0)):
    return solve(Pendulum(), Y0, times, rule="dopri8", steps=40).ys.detach()


@pytest.mark.parametrize("rule", [RosenbrockEuler(), AdamsBashforth2(), Leapfrog()], ids=lambda rule: rule.name)
def test_its_order_is_measured_on_grids(rule):
    sizes = (32, 64, 128)
    ends = [solve(Pendulum(), Y0, (0.0, 1.0), rule=rule, steps=n).ys[-1].detach() for n in sizes]
    errors = [float((end - exact()[-1]).abs().max()) for end in ends]
    assert convergence_order([1 / n for n in sizes], errors) == pytest.approx(2, abs=0.15)


@pytest.mark.parametrize("steps", [16, Grid(step_size=0.03), Grid(step_size=0.03, interpolation="cubic")], ids=str)
@pytest.mark.parametrize("rule", [RosenbrockEuler(), AdamsBashforth2(), Leapfrog()], ids=lambda rule: rule.name)
def test_it_meets_times_and_events_on_grids(rule, steps):
    event = Event(lambda t, y: y[1], terminal=False)
    times = (0.0, 0.31, 1.0)
    solution = solve(Pendulum(), Y0, times, rule=rule, steps=steps, events=event)
    torch.testing.assert_close(solution.ys, exact(times), rtol=0, atol=3e-3)
    found = solve(Pendulum(), Y0, times, rule="dopri8", steps=40, events=event).events[0].ts
    torch.testing.assert_close(solution.events[0].ts, found, rtol=0, atol=3e-3)


@pytest.mark.parametrize("per_sample", [False, True])
def test_it_takes_adaptive_steps(per_sample):
    steps = Adaptive(rtol=1e-4, atol=1e-4, per_sample=per_sample)
    y0 = torch.ones(3, 1, dtype=F64)
    solution = solve(lambda t, y: -y, y0, (0.0, 0.4, 1.0), rule=RosenbrockEuler(), steps=steps)
    torch.testing.assert_close(solution.ys[-1], torch.full_like(y0, math.exp(-1)), rtol=1e-2, atol=0)
    assert solution.stats.accepted > 3
    assert solution.stats.nfe >= 5 * solution.stats.accepted, "Jacobian products evaluate the field too"


@pytest.mark.parametrize("steps", [12, Adaptive(rtol=1e-4, atol=1e-4)], ids=["steps", "adaptive"])
@pytest.mark.parametrize(
    "mode",
    ["checkpoint", Adjoint(rule="dopri5"), Heun(), "reversible"],
    ids=["checkpoint", "adjoint", "heun", "reversible"],
)
def test_its_gradients_are_those_of_backprop(mode, steps):
    found = []
    rule = Reversible(RosenbrockEuler()) if mode == "reversible" else RosenbrockEuler()
    if isinstance(mode, Heun):
        # A rule without weights: the parameters' integral is then part of the state.
        rule, mode = mode, "adjoint"
    for gradient in ("backprop", mode):
        field, y0 = Pendulum(), Y0.clone().requires_grad_()
        ys = solve(field, y0, (0.0, 0.5, 1.0), rule=rule, steps=steps, gradient=gradient).ys
        found.append((ys.detach(), *torch.autograd.grad((ys**2).sum(), (y0, field.rate))))
    tolerance = 1e-11 if mode in ("checkpoint", "reversible") else 1e-2
    torch.testing.assert_close(found[1], found[0], rtol=tolerance, atol=tolerance)


def test_an_invertible_rule_of_ones_own_steps_back():
    found = []
    for mode in ("backprop", "reversible"):
        field, y0 = Pendulum(), Y0.clone().requires_grad_()
        ys = solve(field, y0, (0.0, 0.5, 1.0), rule=Leapfrog(), steps=9, gradient=mode).ys
        found.append((ys.detach(), *torch.autograd.grad((ys**2).sum(), (y0, field.rate))))
    assert torch.equal(found[0][0], found[1][0]), "it is not wrapped in another rule"
    torch.testing.assert_close(found[1], found[0], rtol=1e-12, atol=1e-12)


def test_it_is_a_sub_step_and_a_block_and_a_vision_transformer():
    split = Sum(lambda t, y: -y, lambda t, y: 0.5 * y)
    end = solve(split, Y0, (0.0, 1.0), rule=Splitting("strang", RosenbrockEuler()), steps=8).ys[-1]
    torch.testing.assert_close(end, Y0 * math.exp(-0.5), rtol=1e-5, atol=0)
    block = DepthBlock([Pendulum()], RosenbrockEuler(), DepthSchedule(1, steps=8, step_size=1 / 8))
    torch.testing.assert_close(block(Y0), exact()[-1], rtol=0, atol=1e-3)
    vit = ViT(ViTConfig.preset("micro")).eval()
    images = torch.rand(2, 1, 28, 28)
    # The rule takes derivatives forwards, which PyTorch's fast attention has none of.
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH):
        usual = vit(images)
        vit.depth.swap(RosenbrockEuler(), refine=2)
        assert vit.depth.rule.name == "rosenbrock-euler"
        assert not torch.equal(vit(images), usual)


def test_what_it_cannot_do_is_said_in_one_sentence():
    with pytest.raises(ValueError, match="'adams-bashforth-2' has no error estimate"):
        solve(Pendulum(), Y0, (0.0, 1.0), rule=AdamsBashforth2(), steps=Adaptive())
    y0 = Y0.clone().requires_grad_()
    with pytest.raises(ValueError, match="keeps one state per step, and 'adams-bashforth-2' goes on from more: choose"):
        solve(Pendulum(), y0, (0.0, 1.0), rule=AdamsBashforth2(), gradient="checkpoint")
    for rule, what in ((AdamsBashforth2(), "goes on from more"), (RosenbrockEuler(), "takes derivatives of its field")):
        with pytest.raises(TypeError, match=f"the adjoint equation can't be solved with '{rule.name}', which {what}"):
            solve(Pendulum(), y0, (0.0, 1.0), rule=rule, gradient="adjoint")
    with pytest.raises(TypeError, match=r"the step rule is <.*>: give a name such as 'rk4', a Tableau, or"):
        inspect.unwrap(step_rule)(object())

    class Nothing(StepRule):
        name, order = "nothing", 1

    with pytest.raises(NotImplementedError, match=r"Nothing takes no step: define step\(field, t, h, y, carry\)"):
        solve(Pendulum(), Y0, (0.0, 1.0), rule=Nothing())
