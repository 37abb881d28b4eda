import itertools

import pytest
import torch
from torch.utils import _pytree as pytree

from odelib.solvers import TABLEAUS, Adaptive, Event, Grid, Sum, solve, step_rule

F64 = torch.float64
TIMES = (0.0, 0.3, 0.5, 1.0)
Y0 = torch.linspace(0.5, 1.0, 4, dtype=F64)
PAIR = (Y0, Y0[:2].clone())
LOOSE = Adaptive(rtol=1e-3, atol=1e-3)


def same(new, buffered, y0, **options):
    """Whether a field that fills one buffer again and again is solved as one that returns new tensors."""
    pairs = zip(
        pytree.tree_leaves(solve(buffered, y0, TIMES, **options).ys),
        pytree.tree_leaves(solve(new, y0, TIMES, **options).ys),
        strict=True,
    )
    return all(torch.equal(a, b) for a, b in pairs)


def one_buffer(like=Y0):
    out = torch.empty_like(like)
    return lambda t, y: torch.neg(y, out=out)


def buffers_by_turns():
    out, turn = [torch.empty_like(Y0), torch.empty_like(Y0)], itertools.count()
    return lambda t, y: torch.neg(y, out=out[next(turn) % 2])


def two_views_of_one_buffer():
    out = torch.empty(6, dtype=F64)

    def field(t, y):
        return torch.neg(y[0], out=out[:4]), torch.mul(y[1], 0.5, out=out[4:])

    return field


def a_buffer_for_the_second_leaf():
    out = torch.empty(2, dtype=F64)
    return lambda t, y: (-y[0], torch.mul(y[1], 0.5, out=out))


def summed(shared):
    out, other = torch.empty(4, dtype=F64), torch.empty(4, dtype=F64)
    return Sum(lambda t, y: torch.neg(y, out=out), lambda t, y: torch.mul(y, 0.3, out=out if shared else other))


@pytest.mark.parametrize("rule", [*TABLEAUS, "reversible(heun)"])
def test_a_buffer_that_is_used_again_changes_nothing_with_any_rule(rule):
    assert same(lambda t, y: -y, one_buffer(), Y0, rule=rule, steps=2)
    assert same(lambda t, y: -y, buffers_by_turns(), Y0, rule=rule, steps=2)
    assert same(lambda t, y: (-y[0], 0.5 * y[1]), two_views_of_one_buffer(), PAIR, rule=rule, steps=1)
    if step_rule(rule).error_order:
        assert same(lambda t, y: -y, one_buffer(), Y0, rule=rule, steps=LOOSE)


@pytest.mark.parametrize("steps", [1, 3, Grid(0.2, interpolation="linear"), Grid(0.2, interpolation="cubic")], ids=str)
def test_a_buffer_changes_nothing_on_any_grid(steps):
    assert same(lambda t, y: -y, one_buffer(), Y0, steps=steps)
    assert same(lambda t, y: (-y[0], 0.5 * y[1]), a_buffer_for_the_second_leaf(), PAIR, steps=steps)


@pytest.mark.parametrize("rule", ["lie-trotter", "strang(midpoint)", "yoshida4(heun)", "reversible(strang)"])
def test_buffers_of_terms_change_nothing(rule):
    new = Sum(lambda t, y: -y, lambda t, y: 0.3 * y)
    for shared in (False, True):
        assert same(new, summed(shared), Y0, rule=rule, steps=3)
    assert same(new, summed(False), Y0, rule="rk4", steps=3)


@pytest.mark.parametrize("mode", ["checkpoint", "adjoint", "reversible"])
def test_buffers_change_nothing_in_any_mode_without_gradients(mode):
    assert same(lambda t, y: -y, one_buffer(), Y0, steps=3, gradient=mode, parameters=())


def test_buffers_change_nothing_per_sample_nor_in_dense_output_nor_at_events():
    batch = torch.rand(3, 4, dtype=F64, generator=torch.Generator().manual_seed(0))
    assert same(lambda t, y: -y, one_buffer(batch), batch, steps=Adaptive(1e-3, 1e-3, per_sample=True))
    dense, event = ({"steps": LOOSE, "dense": True}, {"steps": 3, "events": Event(lambda t, y: y[0] - 0.4)})
    ours, right = (solve(field, Y0, (0.0, 1.0), **dense)(0.37) for field in (one_buffer(), lambda t, y: -y))
    assert torch.equal(ours, right)
    ours, right = (solve(field, Y0, (0.0, 1.0), **event).events[0].ys for field in (one_buffer(), lambda t, y: -y))
    assert torch.equal(ours, right)


def test_a_field_may_return_its_state():
    assert same(lambda t, y: y.clone(), lambda t, y: y, Y0, steps=3)
