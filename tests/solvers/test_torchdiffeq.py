import math
import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
import torch
import torchdiffeq
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

import odelib
from odelib.solvers import SolverError

F64 = torch.float64
# torchdiffeq's warnings, and ours in its place, are tested for in tests/solvers/test_torchdiffeq_field.py.
pytestmark = pytest.mark.filterwarnings("ignore:Solver", "ignore:a fixed method does not call")
FIXED = ["euler", "midpoint", "heun2", "heun3", "rk4"]
ADAPTIVE = ["dopri5", "dopri8", "bosh3", "adaptive_heun"]


class Field(nn.Module):
    """Nonlinear, non-autonomous; notes the calls of its callbacks."""

    def __init__(self):
        super().__init__()
        generator = torch.Generator().manual_seed(1)
        self.weight = nn.Parameter(torch.randn(3, 3, dtype=F64, generator=generator))
        self.calls = []

    def forward(self, t, y):
        return torch.tanh(y @ self.weight) * torch.cos(t) - 0.3 * y

    def callback_step(self, t, y, h):
        self.calls.append(("step", float(t), y.detach().clone(), float(h)))

    def callback_accept_step(self, t, y, h):
        self.calls.append(("accept", float(t), y.detach().clone(), float(h)))

    def callback_reject_step(self, t, y, h):
        self.calls.append(("reject", float(t), y.detach().clone(), float(h)))


class Plain(Field):
    """The same field in times that are numbers."""

    def forward(self, t, y):
        return super().forward(torch.as_tensor(t, dtype=F64), y)


class Decay(Field):
    def forward(self, t, y):
        return -y


Y0 = torch.tensor([[0.5, -1.0, 0.3], [0.1, 0.8, -0.6]], dtype=F64)
TIMES = torch.tensor([0.0, 0.3, 0.45, 1.1], dtype=F64)


def both(method, y0=Y0, t=TIMES, field=None, **arguments):
    field = Field() if field is None else field
    return tuple(door(field, y0, t, method=method, **arguments) for door in (odelib.odeint, torchdiffeq.odeint))


@pytest.mark.parametrize("sign", [1.0, -1.0])
@pytest.mark.parametrize(
    "options",
    [
        None,
        {"step_size": 0.04},
        {"step_size": 0.04, "interp": "cubic"},
        {"perturb": True},
        {"step_size": 0.04, "perturb": True},
        {"norm": torch.max},
    ],
    ids=lambda options: str(options).partition(" at 0x")[0],  # without the address of a function
)
@pytest.mark.parametrize("method", FIXED)
def test_fixed_methods_equal_torchdiffeq(method, options, sign):
    ours, theirs = both(method, t=sign * TIMES, options=options)
    # With perturb, the time is nudged by one rounding unit.
    torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)


def test_a_grid_constructor_gets_what_torchdiffeq_gives_it():
    def constructor(func, y0, t):
        assert func is not None
        return torch.linspace(float(t[0]), float(t[-1]), 24, dtype=y0.dtype, device=y0.device)

    ours, theirs = both("rk4", options={"grid_constructor": constructor})
    torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("method", ["midpoint", "rk4"])
def test_perturb_keeps_a_jump_between_two_steps(method):
    def field(t, y):
        return torch.where(t < 0.5, torch.ones_like(y), -y)

    times = torch.tensor([0.0, 0.25, 0.5, 0.75, 1.0], dtype=F64)
    ours, theirs = both(method, y0=torch.ones(2, dtype=F64), t=times, field=field, options={"perturb": True})
    torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)
    assert float(ours[2, 0]) == 1.5


@pytest.mark.parametrize("sign", [1.0, -1.0])
@pytest.mark.parametrize("method", ADAPTIVE)
def test_adaptive_methods_agree_with_torchdiffeq(method, sign):
    tolerance = 1e-5 if method == "adaptive_heun" else 1e-8
    ours, theirs = both(method, t=sign * TIMES, rtol=tolerance, atol=tolerance)
    exact = odelib.solve(Plain(), Y0, sign * TIMES, rule="dopri8", steps=30).ys
    torch.testing.assert_close(ours, exact, rtol=30 * tolerance, atol=30 * tolerance)
    # torchdiffeq interpolates everywhere, and for some methods to a lower order than their own.
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("method", ["tsit5", "fehlberg45", "cash-karp", "rk4_classic", "ralston", "ssprk3", "heun2"])
def test_methods_that_torchdiffeq_lacks_agree_with_dopri5(method):
    exact = torchdiffeq.odeint(Field(), Y0, TIMES, rtol=1e-10, atol=1e-10)
    options = None if method in ("tsit5", "fehlberg45", "cash-karp") else {"step_size": 0.01}
    ours = odelib.odeint(Field(), Y0, TIMES, method=method, options=options)
    torch.testing.assert_close(ours, exact, rtol=1e-4, atol=1e-4)


def test_dopri5_takes_the_steps_of_torchdiffeq():
    # One controller and one end; ours lands on it, torchdiffeq steps beyond. No step is rejected here. Its error
    # estimate (Shampine's) is exactly 2/3 of Dormand and Prince's.
    options = {"first_step": 0.01, "safety": 0.9, "ifactor": 10.0, "dfactor": 0.2}
    sizes = []
    for door, share in ((odelib.odeint, 1.5), (torchdiffeq.odeint, 1.0)):
        field, t = Decay(), torch.tensor([0.0, 4.0], dtype=F64)
        door(field, Y0, t, method="dopri5", rtol=share * 1e-7, atol=share * 1e-9, options=options)
        assert not [call for call in field.calls if call[0] == "reject"]
        sizes.append([call[3] for call in field.calls if call[0] == "accept"])
    assert len(sizes[0]) == len(sizes[1]) > 10
    assert sizes[0][:-1] == pytest.approx(sizes[1][:-1], rel=1e-6)


@pytest.mark.parametrize("method", ["rk4", "dopri5"])
def test_tuples_come_back_as_tuples(method):
    def field(t, y):
        return y[1], -y[0].sum(-1) * torch.cos(t)

    y0 = (torch.ones(2, 3, dtype=F64), torch.zeros(2, dtype=F64))

    def wide(t, y):
        place, speed = field(t, y)
        return place[:, None].expand(2, 3), speed

    ours, theirs = both(method, y0=y0, field=wide, options={"step_size": 0.05} if method == "rk4" else None)
    assert isinstance(ours, tuple)
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-6, atol=1e-8)


def test_a_list_will_do_for_the_derivative_of_a_tuple():
    y0 = (torch.ones(2, dtype=F64), torch.zeros(3, dtype=F64))
    ours, theirs = both("dopri5", y0=y0, field=lambda t, y: [-y[0], torch.cos(t) + y[1]])
    assert isinstance(ours, tuple)
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-6, atol=1e-8)


def test_tolerances_may_be_tuples_and_the_norm_sees_the_state():
    seen = []

    def norm(y):
        seen.append(type(y))
        return torch.stack([leaf.abs().max() for leaf in y]).max()

    y0 = (torch.ones(2, dtype=F64), torch.ones(3, dtype=F64))
    rtol, atol = (1e-4, 1e-9), (1e-6, torch.full((3,), 1e-9, dtype=F64))
    odelib.odeint(lambda t, y: (-y[0], y[1] * 0.1), y0, TIMES, rtol=rtol, atol=atol, options={"norm": norm})
    assert set(seen) == {tuple}


def test_the_jump_option_lands_on_the_jump():
    field_calls = []

    def field(t, y):
        field_calls.append(float(t))
        return torch.where(t < 0.7, torch.ones_like(y), -y)

    options = {"jump_t": torch.tensor([0.7], dtype=F64)}
    y0 = torch.ones(1, dtype=F64)
    ours, theirs = both("dopri5", y0=y0, t=torch.tensor([0.0, 0.7, 1.4], dtype=F64), field=field, options=options)
    torch.testing.assert_close(ours, theirs, rtol=1e-7, atol=1e-9)
    torch.testing.assert_close(ours[1:, 0], torch.tensor([1.7, 1.7 * math.exp(-0.7)], dtype=F64), rtol=1e-7, atol=0)
    assert 0.7 not in field_calls


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"adjoint_options": {"norm": "seminorm"}},
        {"adjoint_options": {"norm": lambda tensors: max(tensor.abs().max() for tensor in tensors if tensor.numel())}},
        {"adjoint_rtol": 1e-7, "adjoint_atol": 1e-8, "adjoint_method": "dopri5", "adjoint_options": {}},
        {"method": "rk4", "options": {"step_size": 0.02}},
        {"method": "dopri8"},
        {"method": "rk4", "options": {"step_size": 0.02, "perturb": True}},
    ],
    ids=lambda options: str(options).partition(" at 0x")[0],  # without the address of a function
)
def test_the_adjoint_has_the_gradients_of_torchdiffeq(arguments):
    results = []
    for library in (odelib, torchdiffeq):
        field, y0 = Field(), Y0.clone().requires_grad_()
        t = TIMES.clone().requires_grad_()
        ys = library.odeint_adjoint(field, y0, t, **{"rtol": 1e-9, "atol": 1e-10} | arguments)
        results.append((ys.detach(), *torch.autograd.grad((ys**2).sum(), (y0, field.weight, t))))
    for ours, theirs in zip(*results, strict=True):
        # On a grid, both are off by the same order of the step and not by the same number.
        loose = 1e-4 if "method" in arguments else 1e-5
        torch.testing.assert_close(ours, theirs, rtol=loose, atol=loose)


def test_a_callable_adjoint_norm_sees_time_state_adjoint_and_parameters():
    seen = []

    def norm(tensors):
        seen.append([tuple(tensor.shape) for tensor in tensors])
        return torch.stack([tensor.abs().max() for tensor in tensors]).max()

    field, y0 = Field(), Y0.clone().requires_grad_()
    odelib.odeint_adjoint(field, y0, TIMES, adjoint_options={"norm": norm}).sum().backward()
    assert seen[0] == [(), (2, 3), (2, 3), (3, 3)]


def test_the_way_back_calls_back():
    field, y0, seen = Field(), Y0.clone().requires_grad_(), []
    field.callback_step_adjoint = lambda t, y, h: seen.append((float(t), len(y), float(h)))
    odelib.odeint_adjoint(field, y0, TIMES, method="rk4").sum().backward()
    assert [n for _, n, _ in seen] == [2, 2, 2]
    assert [t for t, _, _ in seen] == pytest.approx([1.1, 0.45, 0.3])
    assert [h for _, _, h in seen] == pytest.approx([0.65, 0.15, 0.3])


def test_adjoint_parameters_may_be_given():
    weight, y0 = torch.tensor(0.4, dtype=F64, requires_grad=True), Y0.clone().requires_grad_()
    odelib.odeint_adjoint(lambda t, y: -weight * y, y0, TIMES, adjoint_params=(weight,)).sum().backward()
    assert weight.grad is not None
    with pytest.raises(TypeError, match=r"no nn\.Module"):
        odelib.odeint_adjoint(lambda t, y: -weight * y, y0, TIMES)


def test_options_of_another_method_are_not_taken_back():
    with pytest.raises(ValueError, match="give adjoint_options too"):
        odelib.odeint_adjoint(Field(), Y0, TIMES, method="rk4", options={"step_size": 0.1}, adjoint_method="dopri5")


def test_step_options_are_heeded():
    options = {"min_step": 0.05, "max_step": 0.1, "first_step": 0.07, "step_t": [0.33], "max_num_steps": 50}
    field = Field()
    odelib.odeint(field, Y0, TIMES, options=options, rtol=1e-12, atol=1e-13)
    accepted = [(t, h) for kind, t, _, h in field.calls if kind == "accept"]
    assert field.calls[0][3] == 0.07
    assert 0.33 in [t for t, _ in accepted]
    assert max(h for _, h in accepted) <= 0.1 + 1e-12
    with pytest.raises(SolverError, match="max_steps=2 reached"):
        odelib.odeint(Field(), Y0, TIMES, options={"max_num_steps": 2})


def test_single_precision_times_and_states_stay_so():
    field = nn.Linear(3, 3)
    times = torch.linspace(0, 1, 5)
    seen = []
    ours = odelib.odeint(lambda t, y: seen.append(t.dtype) or field(y), Y0.float(), times, method="dopri5", rtol=1e-5)
    theirs = torchdiffeq.odeint(lambda t, y: field(y), Y0.float(), times, method="dopri5", rtol=1e-5)
    assert ours.dtype == torch.float32
    assert set(seen) == {torch.float32}
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


def test_a_state_without_tensors_is_refused():
    with pytest.raises(TypeError, match=r"give a tensor, or a tuple, list or dict of tensors"):
        odelib.odeint(Field(), [], TIMES)


@pytest.mark.parametrize("method", ["rk4", "dopri5"])
@pytest.mark.parametrize(
    "given",
    [
        lambda w, u: (w, u),
        lambda w, u: (x for x in (w, u)),
        lambda w, u: [w, u],
        lambda w, u: {"w": w, "u": u}.values(),
    ],
)
def test_adjoint_params_may_come_in_any_form_and_unused_ones_get_zero(method, given):
    w, u = (torch.tensor(0.4, dtype=F64, requires_grad=True) for _ in range(2))
    ys = odelib.odeint_adjoint(lambda t, y: -w * y, Y0, TIMES, method=method, adjoint_params=given(w, u))
    ys[-1].sum().backward()
    assert float(w.grad) == pytest.approx(float(-1.1 * Y0.sum()) * math.exp(-0.44), rel=1e-3)
    assert float(u.grad) == 0.0


def test_one_tensor_is_its_own_adjoint_params():
    """Not its rows, which nothing depends on."""
    w = torch.ones(2, dtype=F64, requires_grad=True)
    y0 = torch.ones(2, dtype=F64)
    odelib.odeint_adjoint(lambda t, y: -w * y, y0, torch.tensor([0.0, 1.0]), adjoint_params=w)[-1].sum().backward()
    assert w.grad.tolist() == pytest.approx([-math.exp(-1)] * 2, rel=1e-5)


def test_unused_parameters_of_a_module_get_zero_as_in_torchdiffeq():
    for library in (odelib, torchdiffeq):
        field = Field()
        field.more = nn.Parameter(torch.ones(2))
        library.odeint_adjoint(field, Y0, TIMES).sum().backward()
        assert field.more.grad.tolist() == [0.0, 0.0]


@pytest.mark.parametrize("method", ["rk4", "dopri5"])
def test_a_tensor_that_is_missing_among_adjoint_params_is_a_warning(method):
    w, y0 = torch.tensor(0.4, dtype=F64, requires_grad=True), Y0.clone().requires_grad_()
    with pytest.warns(UserWarning, match=r"depends on a tensor .* not among its parameters.*adjoint_params=\(\.\.\.\)"):
        ys = odelib.odeint_adjoint(lambda t, y: -w * y, y0, TIMES, method=method, adjoint_params=())
    ys.sum().backward()
    assert w.grad is None
    assert y0.grad is not None


def test_a_replica_of_data_parallel_passes_its_gradients_on():
    grads = []
    for library in (odelib, torchdiffeq):
        field = Field()
        replica = field._replicate_for_data_parallel()
        replica.weight = field.weight * 1.0
        replica._former_parameters = {"weight": replica.weight}
        library.odeint_adjoint(replica, Y0, TIMES, rtol=1e-8, atol=1e-8).sum().backward()
        grads.append(field.weight.grad)
    torch.testing.assert_close(*grads, rtol=1e-5, atol=1e-6)


def test_the_norm_of_the_way_back_warns_of_a_tensor_that_it_does_not_see():
    w, frozen = torch.tensor(0.4, dtype=F64, requires_grad=True), torch.tensor(1.0)
    norm = {"norm": lambda tensors: torch.stack([tensor.abs().max() for tensor in tensors]).max()}
    with pytest.warns(UserWarning, match="adjoint_params holds a tensor without gradient.*: leave it out"):
        odelib.odeint_adjoint(lambda t, y: -w * y, Y0, TIMES, adjoint_params=(w, frozen), adjoint_options=norm)


def test_the_norm_of_the_way_there_is_that_of_state_and_adjoint_on_the_way_back():
    seen = []

    def norm(y):
        seen.append(type(y))
        return torch.stack([leaf.abs().max() for leaf in y]).max()

    y0 = (torch.ones(2, dtype=F64, requires_grad=True), torch.ones(3, dtype=F64))
    a, b = odelib.odeint_adjoint(
        lambda t, y: (-y[0] * y[1].sum(), -y[1]), y0, TIMES, options={"norm": norm}, adjoint_params=()
    )
    forth = len(seen)
    (a.sum() + b.sum()).backward()
    assert len(seen) > forth
    assert set(seen) == {tuple}


@pytest.mark.parametrize(
    "rtol",
    [(1e-5, 1e-6), [1e-5, torch.full((3,), 1e-6)], (torch.full((6,), 1e-5), 1e-6), torch.tensor([1e-5, 1e-6])],
)
def test_tolerances_of_a_tuple_come_leaf_by_leaf_and_flat(rtol):
    y0 = (torch.ones(2, 3, dtype=F64), torch.ones(3, dtype=F64))
    for library in (odelib, torchdiffeq):
        ys = library.odeint(lambda t, y: (-y[0], -y[1]), y0, TIMES, rtol=rtol, atol=1e-9)
        assert ys[0][-1].flatten().tolist() == pytest.approx([math.exp(-1.1)] * 6, rel=1e-4)


@pytest.mark.parametrize("rtol", [[1e-5, 1e-6, 1e-7], torch.tensor([1e-5, 1e-6, 1e-7]), torch.tensor(1e-5)])
def test_tolerances_of_a_tensor_broadcast_with_it(rtol):
    for library in (odelib, torchdiffeq):
        ys = library.odeint(lambda t, y: -y, Y0, TIMES, rtol=rtol, atol=1e-9)
        torch.testing.assert_close(ys[-1], Y0 * math.exp(-1.1), rtol=1e-4, atol=1e-9)


@pytest.mark.parametrize("interface", ["odeint", "odeint_adjoint"])
@pytest.mark.parametrize("method", ["rk4", "dopri5"])
def test_times_in_double_precision_with_gradient_go_with_a_state_in_single(method, interface):
    net, grads = nn.Linear(3, 2), []

    def field(t, y):
        return torch.tanh(net(torch.cat([y, t.expand(len(y), 1)], 1)))

    for library in (odelib, torchdiffeq):
        t = TIMES.clone().requires_grad_()
        keywords = {"adjoint_params": tuple(net.parameters())} if interface == "odeint_adjoint" else {}
        ys = getattr(library, interface)(field, torch.ones(4, 2), t, method=method, rtol=1e-6, atol=1e-6, **keywords)
        grads.append(torch.autograd.grad(ys.sum(), t)[0])
    assert grads[0].dtype == F64
    torch.testing.assert_close(*grads, rtol=1e-3, atol=1e-3)


def test_the_way_back_is_in_real_time_where_the_times_have_a_gradient():
    results = []
    for wanted in (False, True):
        for library in (odelib, torchdiffeq):

            class Decays(nn.Module):
                def __init__(self):
                    super().__init__()
                    self.rate, self.seen = nn.Parameter(torch.tensor(-0.5, dtype=F64)), []

                def forward(self, t, y):
                    return self.rate * y

                def callback_step_adjoint(self, t, y, h):
                    self.seen.append((float(t), float(h)))

            field, t = Decays(), torch.tensor([2.0, 3.0, 7.0], dtype=F64, requires_grad=wanted)
            y0, back = torch.ones(1, dtype=F64, requires_grad=True), {"step_size": 1.0}
            library.odeint_adjoint(field, y0, t, method="rk4", options={}, adjoint_options=back)[-1].sum().backward()
            results.append((field.seen, float(field.rate.grad)))
    seen, gradient = results[1]
    assert [t for t, _ in seen] == [7.0, 6.0, 5.0, 4.0, 3.0]
    for other, value in results:
        assert other == seen
        assert value == pytest.approx(gradient, rel=1e-12)


class NoDouble(TorchDispatchMode):
    """A device that has no float64."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        made = [leaf for leaf in tree_leaves(out) if isinstance(leaf, torch.Tensor) and leaf.dtype == F64]
        assert not made, f"float64 made by {func}"
        return out


@pytest.mark.parametrize(
    ("method", "options"),
    [
        ("dopri5", {"dtype": torch.float32}),
        ("bosh3", {"dtype": torch.float32, "step_t": torch.tensor([0.3]), "jump_t": torch.tensor([0.5])}),
        ("rk4", {"step_size": 0.1}),
        ("euler", {"step_size": 0.1, "perturb": True}),
    ],
)
def test_nothing_in_double_precision_is_made_where_nothing_was_asked_for(method, options):
    class Decays(nn.Module):
        def __init__(self):
            super().__init__()
            self.rate = nn.Parameter(torch.tensor(-1.0))

        def forward(self, t, y):
            return self.rate * y

        def callback_step(self, t, y, h):
            assert t.dtype == h.dtype == torch.float32

        callback_step_adjoint = callback_step

    field, keywords = Decays(), {"method": method, "options": options, "rtol": 1e-4, "atol": 1e-5}
    with NoDouble():
        for interface in (odelib.odeint, odelib.odeint_adjoint):
            y0, t = torch.ones(3, requires_grad=True), torch.tensor([0.0, 0.4, 1.0], requires_grad=True)
            interface(field, y0, t, **keywords).sum().backward()
            time, ys = odelib.odeint_event(
                field, y0, t[0], event_fn=lambda t, y: y.sum() - 2.0, odeint_interface=interface, **keywords
            )
            (time + ys[-1].sum()).backward()


def test_torch_func_transforms_what_it_can_and_the_rest_says_so():
    def last(rate, method, interface=odelib.odeint, **keywords):
        y0 = (torch.ones(1, dtype=F64), torch.zeros(1, dtype=F64))
        t = torch.tensor([0.0, 1.0], dtype=F64)
        return interface(lambda t, y: (y[1], -rate * y[0]), y0, t, method=method, **keywords)[0][-1].sum()

    rates = torch.tensor([1.0, 2.0], dtype=F64)
    fixed = torch.func.vmap(lambda rate: last(rate, "rk4"))(rates)
    assert fixed.tolist() == [float(last(rate, "rk4")) for rate in rates]
    for method in ("rk4", "dopri5"):
        by_rate = partial(last, method=method)
        slope = torch.func.grad(by_rate)(rates[1])
        tangent = torch.func.jvp(by_rate, (rates[1],), (rates[0],))[1]
        assert float(tangent) == pytest.approx(float(slope))
    with pytest.raises(RuntimeError, match=r"inside of torch\.vmap there are none yet: take a fixed grid"):
        torch.func.vmap(lambda rate: last(rate, "dopri5"))(rates)
    with pytest.raises(
        TypeError, match=r"torch\.func can't transform this gradient mode: choose gradient='backprop', or odeint"
    ):
        torch.func.grad(lambda rate: last(rate, "rk4", odelib.odeint_adjoint, adjoint_params=(rate,)))(rates[0])


# In processes of their own: the run-time type checks of the tests are calls too, and slow ones.
def printed_by(program):
    environment = {**os.environ, "PYTHONPATH": str(Path(odelib.__file__).parents[1])}
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, env=environment)
    return ran.stdout.splitlines()


WAY = """
import os, sys, warnings, torch, odelib
root, ways, calls = os.path.dirname(odelib.__file__), [], 0

def solve(**options):
    t = torch.tensor([0.0, 1.0])
    return odelib.odeint(lambda t, y: -y, torch.ones(2), t, rtol=1e-3, atol=1e-6, options=options)

def way_to(frame):
    "The files that lead to a call, one for each change of file."
    files = []
    while frame is not None:
        name = frame.f_code.co_filename
        if name.startswith(root) and os.path.basename(name) not in files[:1]:
            files.insert(0, os.path.basename(name))
        frame = frame.f_back
    return files

def profile(frame, event, arg):
    global calls
    if event == "call" and frame.f_code.co_filename.startswith(root):
        calls += 1
        # Who makes something of the tolerance: its value, and the measure of an error.
        if frame.f_code.co_qualname in ("Adaptive.__post_init__", "Adaptive.repeated", "measure"):
            ways.append(way_to(frame))

solve()
sys.setprofile(profile)
solve()
sys.setprofile(None)
print(calls)
for way in ways[:2]:
    print(*way)
print(all(way == ways[1] for way in ways[1:]))
with warnings.catch_warnings(record=True) as told:
    warnings.simplefilter("always")
    solve(max_steps=3)
print(told[0].filename)
"""


@pytest.mark.slow
def test_the_way_of_a_tolerance_to_the_controller_is_short():
    calls, first, second, rest_is_like_it, warned_at = printed_by(WAY)
    assert first.split() == ["torchdiffeq.py", "adaptive.py"]
    assert second.split() == ["torchdiffeq.py", "solve.py", "loop.py", "control.py"]
    assert rest_is_like_it == "True"
    assert int(calls) <= 250
    assert warned_at == "<string>"


LONG = """
import torch, torchdiffeq, odelib
t, options = torch.tensor([0.0, 10.0]), {"step_size": 1e-3}
for library in (odelib, torchdiffeq):
    ys = library.odeint(lambda t, y: torch.full_like(y, 0.1), torch.ones(1), t, method="euler", options=options)
    print(abs(float(ys[-1]) - 2.0))
"""


@pytest.mark.slow
def test_ten_thousand_steps_in_single_precision_keep_as_many_digits_as_torchdiffeq():
    ours, theirs = map(float, printed_by(LONG))
    assert ours <= theirs < 1e-4
