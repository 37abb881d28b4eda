import pytest
import torch
from torch import nn

from odelib.solvers import GRADIENTS, Adaptive, Adjoint, Checkpoint, odeint, odeint_adjoint, solve
from odelib.solvers.gradients.node import missing_among, parameters_of

F64 = torch.float64
MODES = {**GRADIENTS, "checkpoint sqrt": Checkpoint("sqrt"), "adjoint in the state": Adjoint(seminorm=False)}
Y0 = torch.tensor([0.5, -0.3], dtype=F64)


def leaf(*shape):
    return (torch.randn(shape, dtype=F64, generator=torch.Generator().manual_seed(3)) / 2).requires_grad_()


class Net(nn.Module):
    """A field of which one parameter is frozen and one has no part in it."""

    def __init__(self):
        super().__init__()
        self.weight, self.idle = nn.Parameter(leaf(2, 2).detach()), nn.Parameter(torch.ones(2, dtype=F64))
        self.frozen = nn.Parameter(torch.ones(2, dtype=F64), requires_grad=False)

    def forward(self, t, y):
        return torch.tanh(y @ self.weight) * self.frozen


def a_module():
    net = Net()
    return net, None, [net.weight]


def captured():
    w = leaf(2, 2)
    return lambda t, y: torch.tanh(y @ w), (w,), [w]


def computed_once():
    w = leaf(2, 2)
    k = torch.matrix_exp(w)
    return lambda t, y: torch.tanh(y @ k) @ w, (w,), [w]


def computed_once_and_used_later():
    w = leaf(2, 2)
    k = torch.matrix_exp(w)
    return lambda t, y: torch.tanh(y @ (k if t > 0.5 else w)), (w,), [w]


def computed_once_and_named():
    w = leaf(2, 2)
    k = torch.matrix_exp(w)
    return lambda t, y: torch.tanh(y @ k), (k,), [w]


def computed_from_another_one_named():
    w, v = leaf(2, 2), leaf(2)
    k = torch.matrix_exp(w) * v
    return lambda t, y: torch.tanh(y @ k) @ w, (w, k), [w, v]


def computed_from_one_another():
    w = leaf(2, 2)
    k = w.exp()
    bent = k.sin()
    return lambda t, y: torch.tanh(y @ bent) @ k, (bent, k), [w]


def a_view():
    w = leaf(6)
    k = w[:4].view(2, 2)
    return lambda t, y: torch.tanh(y @ k) + w[4:], (w,), [w]


def shared():
    net = Net()
    return lambda t, y: net(t, net(t, y)), tuple(net.parameters()), [net.weight]


def called_with_other_parameters():
    net, scale = Net(), leaf(1)
    given = {name: parameter.detach() * scale for name, parameter in net.named_parameters()}
    return lambda t, y: torch.func.functional_call(net, given, (t, y)), (scale,), [scale]


def a_gradient_by_torch_func():
    w = leaf(2, 2)
    return lambda t, y: torch.func.grad(lambda x: torch.tanh(x @ w).sum())(y), (w,), [w]


def a_gradient_by_autograd():
    w = leaf(2, 2)

    def field(t, y):
        with torch.enable_grad():
            x = y if y.requires_grad else y.detach().requires_grad_()
            return torch.autograd.grad(torch.tanh(x @ w).sum(), x, create_graph=True)[0]

    return field, (w,), [w]


def mapped():
    w = leaf(2)
    return lambda t, y: torch.func.vmap(lambda row, v: torch.tanh(row * v))(y, w), (w,), [w]


def pushed_forward():
    w = leaf(2, 2)
    return lambda t, y: torch.func.jvp(lambda x: torch.tanh(x @ w), (y,), (torch.ones_like(y),))[1], (w,), [w]


def a_replica():
    net = Net()
    replica = net._replicate_for_data_parallel()
    replica._former_parameters = {name: tensor * 1.0 for name, tensor in net._parameters.items()}
    for name, tensor in replica._former_parameters.items():
        setattr(replica, name, tensor)
    return replica, None, [net.weight]


FIELDS = [
    *(a_module, captured, computed_once, computed_once_and_used_later, computed_once_and_named),
    *(computed_from_another_one_named, computed_from_one_another, a_view, shared, called_with_other_parameters),
    *(a_gradient_by_torch_func, a_gradient_by_autograd, mapped, pushed_forward, a_replica),
]


@pytest.mark.parametrize(
    ("make", "steps"),
    [
        *((make, 4) for make in FIELDS),
        *((make, Adaptive(1e-4, 1e-4)) for make in (a_module, computed_once_and_used_later, a_replica)),
    ],
    ids=lambda part: getattr(part, "__name__", type(part).__name__),
)
def test_every_mode_has_the_gradient_of_backprop_whatever_the_field_depends_on(make, steps):
    found = {}
    for name, mode in MODES.items():
        field, parameters, wanted = make()
        y0, rule = Y0.clone().requires_grad_(), "bosh3" if isinstance(steps, Adaptive) else "rk4"
        ys = solve(field, y0, (0.0, 0.4, 1.0), rule=rule, steps=steps, gradient=mode, parameters=parameters).ys
        found[name] = torch.autograd.grad(ys.square().sum(), (y0, *wanted))
    assert all(grad.abs().max() > 1e-3 for grad in found["backprop"])
    for name, grads in found.items():
        slack = 1e-12 if name.startswith("checkpoint") else 1e-2
        for grad, right in zip(grads, found["backprop"], strict=True):
            torch.testing.assert_close(grad, right, rtol=slack, atol=slack)


@pytest.mark.parametrize("make", [computed_once, a_view, called_with_other_parameters, a_gradient_by_autograd])
@pytest.mark.parametrize("mode", ["checkpoint", "adjoint", "reversible"])
def test_a_tensor_that_is_missing_is_refused(make, mode):
    field, _, _ = make()
    with pytest.raises(
        ValueError, match="requires a gradient and is not among its parameters, so it gets none: add it"
    ):
        solve(field, Y0.clone().requires_grad_(), (0.0, 1.0), gradient=mode, parameters=())


class Later(Net):
    """A field that makes use of another tensor within a part of the interval alone."""

    def __init__(self, begin=0.5, end=1.0):
        super().__init__()
        self.begin, self.end = begin, end
        self.held = ((2 * leaf(2, 2)).detach().requires_grad_(),)

    def forward(self, t, y):
        return y @ (self.held[0] if self.begin < t <= self.end else self.weight)


@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize("part", [(0.5, 1.0), (0.3, 0.4)])
@pytest.mark.parametrize("mode", ["checkpoint", Checkpoint("sqrt"), "adjoint", Adjoint(steps=Adaptive()), "reversible"])
def test_a_tensor_that_is_missing_and_used_later_is_refused_on_the_way_back(mode, part, named):
    net, y0 = Later(*part), Y0.clone().requires_grad_()
    given = [net.weight] if named else None
    ys = solve(net, y0, (0.0, 1.0), rule="dopri5", steps=8, gradient=mode, parameters=given).ys
    with pytest.raises(ValueError, match="requires a gradient and is not among its parameters, so it gets none: add"):
        ys.sum().backward()
    assert net.held[0].grad is None


def test_odeint_adjoint_warns_once_of_a_tensor_that_is_missing_and_used_later():
    net, y0 = Later(), Y0.clone().requires_grad_()
    ys = odeint_adjoint(net, y0, torch.tensor([0.0, 0.5, 1.0], dtype=F64))
    with pytest.warns(UserWarning, match="is not among its parameters, so it gets none: add") as told:
        ys.sum().backward()
    assert len(told) == 1
    # With the tensor named, nothing is warned of, and the gradients are those of the steps.
    found = []
    for solver, options in ((odeint, {}), (odeint_adjoint, {"adjoint_params": (*net.parameters(), *net.held)})):
        out = solver(net, y0, torch.tensor([0.0, 0.5, 1.0], dtype=F64), **options)
        found.append(torch.autograd.grad(out.sum(), (y0, net.weight, net.held[0])))
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("mode", ["checkpoint", "adjoint", "reversible"])
def test_what_a_module_computed_before_and_uses_later_is_differentiated_or_refused(mode):
    found = []
    for way, named in (("backprop", False), (mode, True), (mode, False)):
        net, y0 = Later(), Y0.clone().requires_grad_()
        net.held = (torch.matrix_exp(net.weight),)
        given = tuple(net.parameters()) if named else None
        ys = solve(net, y0, (0.0, 0.5, 1.0), rule="rk4", steps=20, gradient=way, parameters=given).ys
        if way == mode and not named:
            with pytest.raises(RuntimeError, match=r"computed from its parameters before .* parameters=tuple\("):
                ys.sum().backward()
        else:
            found.append(torch.autograd.grad(ys.sum(), (y0, net.weight)))
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-3)


def test_a_missing_tensor_is_found_deep_in_a_graph():
    weights = [torch.ones(3, requires_grad=True) for _ in range(40)]
    x = torch.ones(3)
    for i in range(40):
        x = torch.tanh(x * weights[i] + x.sum() * weights[7 * i % 40])
    for left_out in range(40):
        assert missing_among([w for i, w in enumerate(weights) if i != left_out], [x], None)[0] is not None
    assert missing_among(weights, [x], None)[0] is None


def test_what_is_computed_from_other_parameters_gives_way_to_them():
    w, v = leaf(2), leaf(2, 2)
    k = w * v.sum()
    assert parameters_of(torch.neg, (x for x in (k, v.detach(), k))) == (k,)
    assert {id(tensor) for tensor in parameters_of(torch.neg, (w, k))} == {id(w), id(v)}


@pytest.mark.parametrize("mode", ["checkpoint", "adjoint", "reversible"])
def test_torch_func_is_refused_in_a_sentence(mode):
    def loss(rate):
        return solve(lambda t, y: -rate * y, Y0, (0.0, 1.0), gradient=mode, parameters=(rate,)).ys.sum()

    with pytest.raises(TypeError, match=r"torch\.func can't transform this gradient mode: choose gradient='backprop'"):
        torch.func.grad(loss)(torch.tensor(1.0, dtype=F64))


def test_the_adjoint_of_what_has_no_part_in_the_field_is_zero():
    net = Net()
    solve(net, Y0, (0.0, 1.0), gradient="adjoint").ys.sum().backward()
    assert net.idle.grad.tolist() == [0.0, 0.0]
    assert net.frozen.grad is None
