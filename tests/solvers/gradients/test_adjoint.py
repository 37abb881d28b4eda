import math

import pytest
import torch
from torch import nn

from odelib.solvers import Adaptive, Adjoint, Callbacks, RandomField, Sum, solve

F64 = torch.float64


class Decay(nn.Module):
    def __init__(self):
        super().__init__()
        self.rate = nn.Parameter(torch.tensor(0.8, dtype=F64))

    def forward(self, t, y):
        return -self.rate * y


def gradients(mode, steps=Adaptive(rtol=1e-9, atol=1e-9), rule="dopri5", times=(0.0, 0.5, 2.0)):  # noqa: B008 - a value
    field, y0 = Decay(), torch.tensor([1.5], dtype=F64, requires_grad=True)
    ys = solve(field, y0, times, rule=rule, steps=steps, gradient=mode).ys
    return torch.autograd.grad(ys[-1].sum(), (y0, field.rate))


@pytest.mark.parametrize(
    "mode",
    [
        Adjoint(),
        Adjoint(seminorm=False),
        Adjoint(rule="tsit5"),
        Adjoint(rule="rk4", steps=100),
        Adjoint(rule="bosh3", steps=Adaptive(rtol=1e-8, atol=1e-8)),
    ],
)
def test_the_gradient_is_the_exact_one(mode):
    by_y0, by_rate = gradients(mode)
    assert float(by_y0) == pytest.approx(math.exp(-1.6), rel=1e-6)
    assert float(by_rate) == pytest.approx(-2 * 1.5 * math.exp(-1.6), rel=1e-6)


def test_the_way_back_may_be_as_loose_as_asked():
    exact = -2 * 1.5 * math.exp(-1.6)
    errors = [
        abs(float(gradients(Adjoint(steps=Adaptive(rtol=tolerance, atol=tolerance)))[1]) - exact)
        for tolerance in (1e-2, 1e-5, 1e-8)
    ]
    assert errors[0] > 10 * errors[1] > 100 * errors[2]


def test_the_quadrature_has_the_order_of_the_rule():
    exact = -2 * 1.5 * math.exp(-1.6)
    errors = [abs(float(gradients(Adjoint(), steps=steps, rule="rk4")[1]) - exact) for steps in (16, 32)]
    assert math.log2(errors[0] / errors[1]) == pytest.approx(4, abs=0.3)


def test_the_parameters_have_no_part_in_the_error_unless_asked():
    counts = []
    for seminorm in (True, False):
        tried = []
        mode = Adjoint(seminorm=seminorm, callbacks=Callbacks(tried=lambda t, y, h, tried=tried: tried.append(len(y))))
        gradients(mode)
        counts.append(set(tried))
    assert counts == [{2}, {3}]


def test_the_way_back_restarts_from_each_output():
    begins = []
    callbacks = Callbacks(tried=lambda t, y, h: begins.append((t, h)))
    gradients(Adjoint(callbacks=callbacks), steps=3, rule="rk4")
    assert [t for t, _ in begins] == pytest.approx([2.0, 1.5, 1.0, 0.5, 1 / 3, 1 / 6])
    assert all(h < 0 for _, h in begins)


class Noisy(Decay, RandomField):
    def draw(self, y):
        if not self.training:
            return self
        noise = torch.randn_like(y)
        return lambda t, y: noise - self.rate * y


def test_randomness_is_refused():
    y0 = torch.ones(2, dtype=F64, requires_grad=True)
    with pytest.raises(TypeError, match=r"gradient='adjoint' needs a field without randomness.*'checkpoint'.*eval\(\)"):
        solve(Noisy(), y0, (0.0, 1.0), gradient="adjoint")


@pytest.mark.parametrize("tree", [False, True])
def test_a_field_that_draws_nothing_in_eval_mode_is_not_refused(tree):
    field = Noisy().eval()
    y0 = torch.ones(2, dtype=F64, requires_grad=True)
    if tree:

        class OnTree(Noisy):
            def forward(self, t, y):
                return (-self.rate * y[0],)

        solve(OnTree().eval(), (y0,), (0.0, 1.0), gradient="adjoint").ys[0].sum().backward()
    else:
        solve(field, y0, (0.0, 1.0), gradient="adjoint").ys.sum().backward()
    assert y0.grad is not None


def test_the_transformer_field_in_eval_mode_has_an_adjoint():
    from odelib import TransformerField

    field = TransformerField(8, 2, dropout=0.1).eval()
    solve(field, torch.randn(1, 3, 8), (0.0, 1.0), gradient="adjoint").ys.sum().backward()
    assert all(parameter.grad is not None for parameter in field.parameters())


def test_a_splitting_needs_another_rule_for_the_way_back():
    field, y0 = Sum(Decay(), Decay()), torch.ones(2, dtype=F64, requires_grad=True)
    with pytest.raises(TypeError, match=r"the adjoint equation can't be solved with 'strang'.*Adjoint\(rule='rk4'\)"):
        solve(field, y0, (0.0, 1.0), rule="strang", gradient="adjoint")
    solve(field, y0, (0.0, 1.0), rule="strang", steps=9, gradient=Adjoint(rule="rk4")).ys[-1].sum().backward()
    assert y0.grad.tolist() == pytest.approx([math.exp(-1.6)] * 2, rel=1e-4)


def test_a_jump_is_seen_from_its_sides_on_the_way_back_too():
    rate, seen = torch.tensor(0.5, dtype=F64, requires_grad=True), []

    def field(t, y):
        seen.append(t)
        return rate * y if t < 0.4 else -rate * y

    y0 = torch.ones(1, dtype=F64, requires_grad=True)
    steps = Adaptive(rtol=1e-9, atol=1e-9, jump_t=(0.4,))
    ys = solve(field, y0, (0.0, 1.0), steps=steps, gradient="adjoint", parameters=(rate,)).ys
    by_y0, by_rate = torch.autograd.grad(ys[-1].sum(), (y0, rate))
    assert 0.4 not in seen
    assert float(by_y0) == pytest.approx(math.exp(-0.1), rel=1e-7)
    assert float(by_rate) == pytest.approx(-0.2 * math.exp(-0.1), rel=1e-7)


def test_memory_does_not_grow_with_the_steps():
    kept = []
    for steps in (4, 64):
        field, y0 = Decay(), torch.ones(3, dtype=F64, requires_grad=True)
        total = []
        with torch.autograd.graph.saved_tensors_hooks(lambda x, total=total: total.append(x.numel()) or x, lambda x: x):
            solve(field, y0, (0.0, 1.0), steps=steps, gradient="adjoint")
        kept.append(sum(total))
    assert kept[0] == kept[1]


def test_a_rule_without_an_estimate_has_no_adaptive_way_back():
    with pytest.raises(ValueError, match=r"'rk4' has no error estimate .* as in Adjoint\(rule='dopri5'\) or Adjoint\("):
        gradients(Adjoint(rule="rk4"))
