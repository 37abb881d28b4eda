import math

import pytest
import torch
import torchdiffeq
from torch import nn

import odelib

F64 = torch.float64
FIXED = ["euler", "midpoint", "heun2", "heun3", "rk4"]


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


Y0 = torch.tensor([[0.5, -1.0, 0.3], [0.1, 0.8, -0.6]], dtype=F64)
TIMES = torch.tensor([0.0, 0.3, 0.45, 1.1], dtype=F64)


@pytest.mark.parametrize("sign", [1.0, -1.0])
@pytest.mark.parametrize("method", FIXED)
@pytest.mark.filterwarnings("ignore:Solver", "ignore:a fixed method does not call")
def test_fixed_methods_call_back_as_torchdiffeq_does(method, sign):
    ours, theirs = Field(), Field()
    odelib.odeint(ours, Y0, sign * TIMES, method=method)
    torchdiffeq.odeint(theirs, Y0, sign * TIMES, method=method)
    steps = [call for call in ours.calls if call[0] == "step"]
    assert len(steps) == len(theirs.calls) == 3
    for (_, t, y, h), (_, their_t, their_y, their_h) in zip(steps, theirs.calls, strict=True):
        assert (t, h) == pytest.approx((their_t, their_h))
        torch.testing.assert_close(y, their_y)


def test_adaptive_methods_call_back_once_per_step_and_say_how_it_went():
    field = Field()
    odelib.odeint(field, Y0, TIMES, method="dopri5", options={"first_step": 1.0})
    counts = {kind: len([call for call in field.calls if call[0] == kind]) for kind in ("step", "accept", "reject")}
    assert counts["step"] == counts["accept"] + counts["reject"]
    assert counts["reject"] >= 1
    assert [call[0] for call in field.calls[::2]] == ["step"] * counts["step"]


@pytest.mark.filterwarnings("ignore:a fixed method does not call")
def test_callbacks_see_the_time_even_where_the_times_have_a_gradient():
    plain, asked = Field(), Field()
    odelib.odeint(plain, Y0, TIMES, method="rk4")
    odelib.odeint(asked, Y0, TIMES.clone().requires_grad_(), method="rk4")
    for a, b in zip(asked.calls, plain.calls, strict=True):
        assert (a[1], a[3]) == pytest.approx((b[1], b[3]))


@pytest.mark.parametrize("method", FIXED)
def test_callbacks_that_a_fixed_method_never_calls_are_a_warning(method):
    field = Field()
    with pytest.warns(
        UserWarning, match="does not call callback_accept_step and callback_reject_step.*: use callback_step, or take"
    ):
        odelib.odeint(field, Y0, TIMES, method=method)
    assert {call[0] for call in field.calls} == {"step"}


@pytest.mark.parametrize("sign", [1.0, -1.0])
@pytest.mark.parametrize(
    ("method", "options", "dtype"),
    [
        ("rk4", None, torch.float32),
        ("rk4", None, F64),
        ("bosh3", None, F64),
        ("bosh3", {"dtype": torch.float32}, torch.float32),
    ],
)
def test_times_and_steps_come_as_torchdiffeq_gives_them(method, options, dtype, sign):
    seen = {odelib: [], torchdiffeq: []}
    times = sign * TIMES.to(dtype if method == "rk4" else torch.float32)
    for library, calls in seen.items():

        class Noting(nn.Module):
            def forward(self, t, y):
                return -y

            def callback_step(self, t, y, h, calls=calls):
                calls.append(("forth", t.dtype, h.dtype, t.shape, h.shape, bool(h > 0)))

            def callback_step_adjoint(self, t, y, h, calls=calls):
                calls.append(("back", t.dtype, h.dtype, t.shape, h.shape, bool(h > 0)))

        y0 = torch.ones(2, requires_grad=True)
        library.odeint_adjoint(
            Noting(), y0, times, method=method, options=options, rtol=1e-3, atol=1e-3
        ).sum().backward()
    assert set(seen[odelib]) == set(seen[torchdiffeq])
    assert seen[odelib][0] == ("forth", dtype, dtype, (), (), True)


SHAPES = [((), (1,)), ((1,), ()), ((1, 3), (3,)), ((3,), (1, 3)), ((3,), (3, 1)), ((3, 1), (3,))]
BROADCASTS = [((), (3,)), ((1,), (3,)), ((3,), (2, 3)), ((2, 1), (2, 3))]


@pytest.mark.parametrize("interface", ["odeint", "odeint_adjoint"])
@pytest.mark.parametrize("method", ["rk4", "bosh3"])
@pytest.mark.parametrize(("given", "shape"), SHAPES)
def test_a_derivative_in_another_shape_is_taken_with_a_warning(method, given, shape, interface):
    def solved(field):
        y0 = torch.full(shape, 0.5, dtype=F64, requires_grad=True)
        keywords = {"adjoint_params": ()} if interface == "odeint_adjoint" else {}
        ys = getattr(odelib, interface)(field, y0, TIMES, method=method, rtol=1e-4, atol=1e-4, **keywords)
        return ys.detach(), torch.autograd.grad(ys[-1].sum(), y0)[0]

    with pytest.warns(UserWarning, match=r"and is taken to mean that: return dy/dt in the dtype and shape of y"):
        ours = solved(lambda t, y: -y.reshape(given))
    for mended, plain in zip(ours, solved(lambda t, y: -y), strict=True):
        assert torch.equal(mended, plain)


@pytest.mark.parametrize(("given", "shape"), BROADCASTS)
def test_what_broadcasts_to_the_state_is_taken_by_fixed_methods_as_in_torchdiffeq(given, shape):
    def field(t, y):
        return -y.sum().expand(given)

    y0 = torch.linspace(0.1, 0.5, math.prod(shape), dtype=F64).reshape(shape)
    with pytest.warns(UserWarning, match="return dy/dt in the dtype and shape of y"):
        ours = odelib.odeint(field, y0, TIMES, method="rk4")
    torch.testing.assert_close(ours, torchdiffeq.odeint(field, y0, TIMES, method="rk4"))
    with pytest.raises(ValueError, match="return dy/dt in the shape of y"):
        odelib.odeint(field, y0, TIMES, method="dopri5")


@pytest.mark.parametrize("method", ["rk4", "dopri5"])
@pytest.mark.parametrize(("given", "dtype"), [(F64, torch.float32), (torch.float32, F64), (torch.int64, F64)])
def test_a_derivative_of_another_dtype_is_cast_with_a_warning(method, given, dtype):
    def field(t, y):
        return (2 * y).to(given) if given.is_floating_point else torch.ones_like(y).to(given)

    with pytest.warns(
        UserWarning, match=f"func returned {given} .* for a state of {dtype} .*: return dy/dt in the dtype"
    ):
        ours = odelib.odeint(field, torch.ones(2, dtype=dtype), TIMES, method=method, rtol=1e-5, atol=1e-5)
    assert ours.dtype == dtype
    theirs = torchdiffeq.odeint(field, torch.ones(2, dtype=dtype), TIMES, method=method, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("method", ["rk4", "dopri5"])
@pytest.mark.filterwarnings("ignore:func returned")
def test_the_leaves_of_a_tuple_may_be_flat_or_of_another_dtype(method):
    def field(t, y):
        return [-y[0].flatten(), y[1].float()[None]]

    y0 = (torch.ones(2, 3, dtype=F64), torch.ones(3, dtype=F64))
    ours = odelib.odeint(field, y0, TIMES, method=method)
    for a, b in zip(ours, torchdiffeq.odeint(field, y0, TIMES, method=method), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-6, atol=1e-6)


def test_under_autocast_a_lower_precision_is_meant(recwarn):
    net, y0 = nn.Linear(3, 3), torch.ones(2, 3)
    with torch.autocast("cpu", torch.bfloat16):
        ys = odelib.odeint(lambda t, y: net(y), y0, TIMES, method="rk4")
    assert ys.dtype == torch.float32
    assert not [warning for warning in recwarn if "func returned" in str(warning.message)]


@pytest.mark.parametrize("method", FIXED)
def test_a_fixed_method_goes_on_with_what_is_not_a_number(method):
    def field(t, y):
        return -y * torch.tensor([1.0, math.nan], dtype=F64)

    y0 = torch.ones(2, dtype=F64)
    torch.testing.assert_close(
        odelib.odeint(field, y0, TIMES, method=method),
        torchdiffeq.odeint(field, y0, TIMES, method=method),
        equal_nan=True,
    )


@pytest.mark.parametrize("interface", ["odeint", "odeint_adjoint"])
@pytest.mark.parametrize("method", ["rk4", "dopri5"])
@pytest.mark.filterwarnings("error:the field depends", "error:func returned")
def test_a_field_that_differentiates_within_has_the_gradient_of_torchdiffeq(method, interface):
    """As continuous normalising flows and Hamiltonian networks do, which mark the state that they are given."""

    class Flow(nn.Module):
        def __init__(self):
            super().__init__()
            generator = torch.Generator().manual_seed(1)
            self.weight = nn.Parameter(torch.randn(3, 3, dtype=F64, generator=generator))

        def forward(self, t, y):
            state, _ = y
            with torch.enable_grad():
                state.requires_grad_()
                slope = torch.tanh(state @ self.weight)
                divergence = sum(
                    torch.autograd.grad(slope[:, i].sum(), state, create_graph=True)[0][:, i] for i in range(3)
                )
            return slope, -divergence

    grads = []
    for library in (odelib, torchdiffeq):
        flow, y0 = Flow(), (Y0.clone().requires_grad_(), torch.zeros(2, dtype=F64))
        options = {"step_size": 0.1} if method == "rk4" else None
        _, density = getattr(library, interface)(flow, y0, TIMES, method=method, options=options, rtol=1e-8, atol=1e-8)
        grads.append(torch.autograd.grad(density[-1].sum(), (flow.weight, y0[0])))
    for ours, theirs in zip(*grads, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)


@pytest.mark.gpu
def test_times_on_another_device_are_brought_to_the_state_with_a_warning():
    y0, t = torch.ones(2, device="cuda"), torch.tensor([0.0, 1.0], requires_grad=True)
    with pytest.warns(UserWarning, match="t is on cpu and y0 on cuda:0: give t on the device of y0"):
        ys = odelib.odeint(lambda t, y: -y, y0, t)
    assert torch.autograd.grad(ys[-1].sum(), t)[0].device.type == "cpu"
