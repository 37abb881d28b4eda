import math

import pytest
import torch
import torchdiffeq
from torch import nn

import odelib
from odelib.solvers import SolverError

F64 = torch.float64
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
@pytest.mark.filterwarnings("ignore::UserWarning")
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


@pytest.mark.parametrize("sign", [1.0, -1.0])
@pytest.mark.parametrize("method", FIXED)
@pytest.mark.filterwarnings("ignore:Solver")
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


def test_callbacks_see_the_time_even_where_the_times_have_a_gradient():
    plain, asked = Field(), Field()
    odelib.odeint(plain, Y0, TIMES, method="rk4")
    odelib.odeint(asked, Y0, TIMES.clone().requires_grad_(), method="rk4")
    for a, b in zip(asked.calls, plain.calls, strict=True):
        assert (a[1], a[3]) == pytest.approx((b[1], b[3]))


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


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("interface", ["odeint", "odeint_adjoint"])
def test_events_have_the_time_state_and_gradients_of_torchdiffeq(interface, reverse):
    class Swing(nn.Module):
        def __init__(self):
            super().__init__()
            self.rate = nn.Parameter(torch.tensor(1.4, dtype=F64))

        def forward(self, t, y):
            return torch.stack([y[1], -self.rate * y[0]])

    results = []
    for library in (odelib, torchdiffeq):
        field, y0 = Swing(), torch.tensor([1.0, 0.2], dtype=F64, requires_grad=True)
        t0 = torch.tensor(0.3, dtype=F64, requires_grad=True)
        time, ys = library.odeint_event(
            field,
            y0,
            t0,
            event_fn=lambda t, y: y[0] - 0.1 * t,
            reverse_time=reverse,
            odeint_interface=getattr(library, interface),
            rtol=1e-9,
            atol=1e-10,
        )
        grads = torch.autograd.grad(time + ys[-1].sum(), (y0, field.rate, t0), allow_unused=True)
        results.append((time.detach(), ys.detach(), *grads))
    for ours, theirs in zip(*results, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(("method", "options"), [("dopri5", None), ("rk4", {"step_size": 0.01})])
def test_event_fn_ends_at_the_first_of_several_values(method, options):
    def field(t, y):
        return torch.stack([y[1], -y[0]])

    def event(t, y):
        return torch.stack([y[0] + 0.9, y[0] - 0.5])

    y0, t = torch.tensor([1.0, 0.0], dtype=F64), torch.tensor([0.0, 1.0], dtype=F64)
    time, ys = odelib.odeint(field, y0, t, method=method, options=options, event_fn=event)
    assert float(time) == pytest.approx(math.pi / 3, abs=1e-7)
    assert ys.shape == (2, 2)
    assert torch.equal(ys[0], y0)


def test_events_are_refused_where_they_cannot_be(monkeypatch):
    y0, field = torch.ones(2, dtype=F64), (lambda t, y: -y)
    with pytest.raises(ValueError, match="t has 3 times: with event_fn give two"):
        odelib.odeint(field, y0, torch.tensor([0.0, 1.0, 2.0]), event_fn=lambda t, y: y[0] - 0.5)
    with pytest.raises(ValueError, match="needs a step size: give options="):
        odelib.odeint(field, y0, torch.tensor([0.0, 1.0]), method="rk4", event_fn=lambda t, y: y[0] - 0.5)
    with pytest.warns(UserWarning, match=r"event_fn is 0 at the initial time t=0.*: start beside the event"):
        odelib.odeint(field, y0, torch.tensor([0.0, 1.0]), event_fn=lambda t, y: y[0] - 1)
    monkeypatch.setattr("odelib.solvers.torchdiffeq_events._EVENT_STEPS", 20)  # of 20,000
    never = {"event_fn": lambda t, y: y[0] + 9, "options": {"step_size": 1e-4}}
    with pytest.raises(SolverError, match="no event up to t="):
        odelib.odeint(field, y0, torch.tensor([0.0, 1.0]), method="euler", **never)


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


@pytest.mark.parametrize(
    ("method", "options"),
    [
        ("implicit_adams", {"step_size": 0.02}),
        ("explicit_adams", {"step_size": 0.02}),
        ("fixed_adams", {"step_size": 0.02}),
        ("scipy_solver", {"solver": "Radau"}),
        ("fehlberg2", None),
    ],
)
def test_methods_of_torchdiffeq_are_handed_to_it(method, options):
    ours, theirs = both(method, field=lambda t, y: -y * torch.cos(t), options=options, rtol=1e-6, atol=1e-7)
    assert torch.equal(ours, theirs)


def test_the_adjoint_of_a_method_of_torchdiffeq_is_its_own():
    grads = []
    for library in (odelib, torchdiffeq):
        field, y0 = Field(), Y0.clone().requires_grad_()
        options = {"step_size": 0.05}
        library.odeint_adjoint(field, y0, TIMES, method="explicit_adams", options=options).sum().backward()
        grads.append(y0.grad)
    assert torch.equal(*grads)


def test_unknown_methods_and_options_name_the_nearest():
    with pytest.raises(ValueError, match="unknown method 'dopri6': the nearest valid name is 'dopri"):
        odelib.odeint(Field(), Y0, TIMES, method="dopri6")
    with pytest.warns(UserWarning, match="unknown option of rk4 'stepsize': the nearest valid name is 'step_size'"):
        odelib.odeint(Field(), Y0, TIMES, method="rk4", options={"stepsize": 0.1})
    with pytest.warns(UserWarning, match="unknown option of dopri5 'max_steps': the nearest valid name is 'max_"):
        odelib.odeint(Field(), Y0, TIMES, options={"max_steps": 3})
    with pytest.raises(ValueError, match="unknown interpolation 'cubi'"):
        odelib.odeint(Field(), Y0, TIMES, method="rk4", options={"interp": "cubi"})
    both_grids = {"step_size": 0.1, "grid_constructor": lambda f, y, t: t}
    with pytest.raises(ValueError, match="step_size and grid_constructor came together"):
        odelib.odeint(Field(), Y0, TIMES, method="rk4", options=both_grids)


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
