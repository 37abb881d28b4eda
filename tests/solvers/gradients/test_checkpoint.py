import math
import weakref

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from odelib.solvers import Adaptive, Checkpoint, Event, Grid, RandomField, Sum, solve


class Swirl(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(3, 3, generator=torch.Generator().manual_seed(0)))
        self.calls = 0

    def forward(self, t, y):
        self.calls += 1
        return torch.tanh(y @ self.weight)


class Noisy(Swirl, RandomField):
    """A field with dropout: a new mask for each step, one mask for all its stages."""

    def draw(self, y):
        mask = torch.empty_like(y).bernoulli_(0.5)
        return lambda t, y: mask * self(t, y)


@pytest.mark.parametrize("segments", [None, "sqrt", 1, 3, 100])
@pytest.mark.parametrize(
    "steps", [7, Grid(step_size=0.15), Adaptive(rtol=1e-4, atol=1e-4)], ids=["steps", "grid", "adaptive"]
)
def test_randomness_is_drawn_again_alike(segments, steps):
    rule, found = "dopri5" if isinstance(steps, Adaptive) else "rk4", []
    for mode in ("backprop", Checkpoint(segments)):
        field, y0 = Noisy(), torch.ones(2, 3, requires_grad=True)
        torch.manual_seed(3)
        ys = solve(field, y0, (0.0, 0.4, 1.0), rule=rule, steps=steps, gradient=mode).ys
        after = torch.rand(1)
        found.append((ys.detach(), after, *torch.autograd.grad(ys.square().sum(), (y0, field.weight))))
    assert torch.equal(found[0][0], found[1][0])
    assert torch.equal(found[0][1], found[1][1])
    torch.testing.assert_close(found[1][2:], found[0][2:], rtol=1e-5, atol=1e-5)


def dropping():
    """A field that is no `RandomField`: it drops other entries at each evaluation."""
    torch.manual_seed(5)
    return nn.Sequential(nn.Linear(3, 3), nn.Tanh(), nn.Dropout(0.5)).double()


@pytest.mark.parametrize("segments", [None, "sqrt", 2])
@pytest.mark.parametrize("rule", ["rk4", "dopri5", "strang(heun)"])
@pytest.mark.parametrize("steps", [3, Grid(step_size=0.15), Grid(step_size=0.15, interpolation="cubic")], ids=str)
def test_what_a_field_draws_by_itself_is_drawn_again_alike(segments, rule, steps):
    found, net = [], dropping()
    field = Sum(lambda t, y: net(y), lambda t, y: -y)
    for mode in ("backprop", Checkpoint(segments)):
        y0 = torch.ones(4, 3, dtype=torch.float64, requires_grad=True)
        torch.manual_seed(3)
        ys = solve(field, y0, (0.0, 0.4, 1.0), rule=rule, steps=steps, gradient=mode, parameters=[*net.parameters()]).ys
        after = torch.get_rng_state()
        found.append((ys.detach(), *torch.autograd.grad(ys.square().sum(), (y0, *net.parameters()))))
        assert torch.equal(torch.get_rng_state(), after)
    assert found[0][1].abs().max() > 1e-2
    torch.testing.assert_close(found[1], found[0], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    "options",
    [
        {"gradient": "adjoint"},
        {"gradient": "reversible"},
        {"gradient": "checkpoint", "steps": Adaptive(rtol=0.1, atol=0.1)},
        {"gradient": "checkpoint", "events": Event(lambda t, y: y.sum())},
    ],
    ids=["adjoint", "reversible", "adaptive", "events"],
)
def test_what_cannot_be_drawn_again_alike_is_refused(options):
    net, y0 = dropping(), torch.ones(4, 3, dtype=torch.float64, requires_grad=True)
    options |= {"parameters": [*net.parameters()]}
    with pytest.raises(ValueError, match=r"drew random numbers, which gradient=.* cannot draw again alike .*: call ev"):
        solve(lambda t, y: net(y) * (t <= 0.1), y0, (0.0, 1.0), **options)
    net.eval()
    solve(lambda t, y: net(y) * (t <= 0.1), y0, (0.0, 1.0), **options).ys.sum().backward()


def test_randomness_is_drawn_again_alike_on_the_way_back_of_a_reversible_step():
    found = []
    for mode in ("backprop", "reversible"):
        field, y0 = Noisy().double(), torch.ones(2, 3, dtype=torch.float64, requires_grad=True)
        torch.manual_seed(3)
        ys = solve(field, y0, (0.0, 0.4, 1.0), rule="reversible(rk4)", steps=7, gradient=mode).ys
        found.append((ys.detach(), *torch.autograd.grad(ys.square().sum(), (y0, field.weight))))
    torch.testing.assert_close(found[1], found[0], rtol=1e-12, atol=1e-12)


def test_the_way_back_leaves_the_random_numbers_as_they_were():
    field, y0 = Noisy(), torch.ones(2, 3, requires_grad=True)
    ys = solve(field, y0, (0.0, 1.0), steps=4, gradient="checkpoint").ys
    before = torch.get_rng_state()
    ys.sum().backward()
    assert torch.equal(torch.get_rng_state(), before)


def states_kept(segments, steps):
    field, y0 = Swirl(), torch.ones(2, 3, requires_grad=True)
    ys = solve(field, y0, (0.0, 1.0), rule="euler", steps=steps, gradient=Checkpoint(segments)).ys
    node = ys.grad_fn
    while not hasattr(node, "strategy"):
        node = next(edge for edge, _ in reversed(node.next_functions) if edge is not None)
    return len(node.strategy.starts)


@pytest.mark.parametrize("steps", [1, 10, 100, 400])
def test_as_many_states_are_kept_as_asked(steps):
    assert states_kept(None, steps) == steps
    assert states_kept("sqrt", steps) <= 2 * math.sqrt(steps) + 1
    assert states_kept(5, steps) <= 5
    assert states_kept(1, steps) == 1


def test_where_the_steps_are_not_known_up_to_twice_as_many_are_kept():
    assert states_kept(5, Grid(step_size=0.01)) <= 10
    assert 5 < states_kept("sqrt", Grid(step_size=0.01)) <= 21


def test_each_step_is_taken_twice_and_no_more():
    field, y0 = Swirl(), torch.ones(2, 3, requires_grad=True)
    ys = solve(field, y0, (0.0, 0.5, 1.0), rule="rk4", steps=6, gradient="checkpoint").ys
    assert field.calls == 48
    ys.sum().backward()
    assert field.calls == 96


def test_a_reversible_way_back_costs_as_much_as_the_way_there():
    field, y0 = Swirl(), torch.ones(2, 3, requires_grad=True)
    ys = solve(field, y0, (0.0, 1.0), rule="rk4", steps=6, gradient="reversible").ys
    assert field.calls == 48
    ys.sum().backward()
    assert field.calls == 96


class Meter(TorchDispatchMode):
    """Counts the tensors that are alive."""

    def __init__(self):
        super().__init__()
        self.alive, self.most = {}, 0

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        result = operation(*args, **(kwargs or {}))
        for leaf in tree_leaves(result):
            if isinstance(leaf, torch.Tensor):
                storage = leaf.untyped_storage()
                key = storage._cdata
                self.alive.setdefault(key, weakref.ref(storage, lambda _, key=key: self.alive.pop(key)))
        self.most = max(self.most, len(self.alive))
        return result


def test_one_segment_is_kept_at_a_time_whatever_the_field_is():
    module, most = Swirl(), []
    for field, named in ((module, {}), (lambda t, y: module(t, y), {"parameters": tuple(module.parameters())})):
        how = {"rule": "euler", "steps": 64, "gradient": Checkpoint("sqrt"), **named}
        with Meter() as meter:
            solve(field, torch.ones(2, 3), (0.0, 1.0), **how).ys[-1].sum().backward()
        most.append(meter.most)
    assert most[1] <= most[0] + 4
