import gc
import math
import weakref

import pytest
import torch
import torchdiffeq
from torch import nn

import odelib
from odelib.solvers import SolverError
from odelib.solvers.torchdiffeq_methods import ADAPTIVE_METHODS

F64 = torch.float64
LEVEL = 0.337
KINDS = {
    "smooth": lambda t, y: y[0] - LEVEL,
    "plateau": lambda t, y: torch.relu(LEVEL - y[0]),
    "truth value": lambda t, y: y[0] < LEVEL,
    "truth value, first false": lambda t, y: y[0] > LEVEL,
    "jump": lambda t, y: torch.where(y[0] < LEVEL, -1.0, 1.0),
    "cube root": lambda t, y: torch.sign(y[0] - LEVEL) * (y[0] - LEVEL).abs() ** (1 / 3),
    "no number beyond": lambda t, y: torch.sqrt(LEVEL - y[0]),
    "plain number": lambda t, y: abs(float(t)) - LEVEL,
    "the first of several": lambda t, y: torch.stack([y[0] + 9, y[0] - LEVEL, y[0] - 0.4]),
}


@pytest.mark.parametrize(
    ("method", "options", "dtype", "reverse"),
    [
        ("dopri5", None, torch.float32, False),
        ("rk4", {"step_size": 0.1}, torch.float32, True),
    ],
)
def test_every_kind_of_event_is_found_to_the_last_digits(method, options, dtype, reverse):
    sign, start, y0 = (-1.0 if reverse else 1.0), torch.zeros((), dtype=dtype), torch.zeros(1, dtype=dtype)
    keywords = {"reverse_time": reverse, "method": method, "options": options, "rtol": 1e-5, "atol": 1e-6}
    for kind, event_fn in KINDS.items():
        time, ys = odelib.odeint_event(lambda t, y: torch.full_like(y, sign), y0, start, event_fn=event_fn, **keywords)
        slack = 2e-7 if dtype == torch.float32 else 1e-12
        assert time.dtype == ys.dtype == dtype
        assert float(time) == pytest.approx(sign * LEVEL, abs=slack), kind
        assert float(ys[-1]) == pytest.approx(LEVEL, abs=slack), kind


@pytest.mark.parametrize("method", [*ADAPTIVE_METHODS])
def test_in_single_precision_a_decay_is_at_half_at_log_two(method):
    y0, event = torch.ones(2), (lambda t, y: y[0] - 0.5)
    time, _ = odelib.odeint_event(
        lambda t, y: -y, y0, torch.tensor(0.0), event_fn=event, method=method, rtol=1e-4, atol=1e-5
    )
    assert float(time) == pytest.approx(math.log(2), abs=2e-4)


def test_a_floor_or_an_end_of_time():
    def fall(t, y):
        return torch.stack([y[1], -torch.ones_like(y[1])])

    y0, start = torch.tensor([10.0, 0.0], dtype=F64), torch.zeros((), dtype=F64)
    for end, wanted in ((4.6, math.sqrt(20)), (3.0, 3.0)):
        time, _ = odelib.odeint_event(
            fall, y0, start, event_fn=lambda t, y, end=end: torch.zeros_like(t) if t > end else y[0]
        )
        assert float(time) == pytest.approx(wanted, abs=1e-12)


@pytest.mark.parametrize(
    ("method", "options"), [("dopri5", None), ("dopri5", {"dtype": torch.float32}), ("rk4", {"step_size": 0.1})]
)
def test_the_event_function_gets_its_times_as_from_torchdiffeq(method, options):
    seen = {odelib: set(), torchdiffeq: set()}
    for library, dtypes in seen.items():

        def event_fn(t, y, dtypes=dtypes):
            dtypes.add(t.dtype)
            return y[0] - 0.5

        library.odeint_event(
            lambda t, y: -y, torch.ones(1), torch.tensor(0.0), event_fn=event_fn, method=method, options=options
        )
    # The initial time comes to torchdiffeq's as it was given.
    assert seen[odelib] | {torch.float32} == seen[torchdiffeq]


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
    monkeypatch.setattr("odelib.solvers.torchdiffeq_events._EVENT_STEPS", 20)  # of 20,000
    never = {"event_fn": lambda t, y: y[0] + 9, "options": {"step_size": 1e-4}}
    with pytest.raises(SolverError, match="no event up to t="):
        odelib.odeint(field, y0, torch.tensor([0.0, 1.0]), method="euler", **never)


@pytest.mark.parametrize(("method", "options"), [("dopri5", None), ("rk4", {"step_size": 0.1})])
def test_an_event_at_the_initial_time_is_returned_at_once(method, options):
    y0, start = torch.ones(2, dtype=F64), torch.tensor(0.3, dtype=F64)
    with pytest.warns(UserWarning, match=r"event_fn is 0 at the initial time t=0\.3.*: start beside the event"):
        time, ys = odelib.odeint_event(
            lambda t, y: -y, y0, start, event_fn=lambda t, y: y[0] - 1, method=method, options=options
        )
    assert float(time) == 0.3
    assert torch.equal(ys, torch.stack([y0, y0]))


def test_an_event_without_a_slope_warns_and_leaves_the_gradient_at_a_fixed_time():
    def gradient(library):
        y0, start = torch.ones(2, dtype=F64, requires_grad=True), torch.tensor(0.0, dtype=F64)
        _, ys = library.odeint_event(
            lambda t, y: -y, y0, start, event_fn=lambda t, y: torch.where(t < 0.5, 1.0, -1.0), rtol=1e-9, atol=1e-9
        )
        return torch.autograd.grad(ys[-1].sum(), y0)[0]

    with pytest.warns(UserWarning, match="has no slope along the motion.*: return a tensor.*the time gets no gradient"):
        ours = gradient(odelib)
    torch.testing.assert_close(ours, gradient(torchdiffeq), rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("interface", ["odeint", "odeint_adjoint"])
def test_an_event_keeps_no_graph_when_it_is_gone(interface):
    gc.disable()
    try:
        y0 = torch.ones(3, dtype=F64, requires_grad=True)
        alive, keywords = weakref.ref(y0), {"adjoint_params": ()} if interface == "odeint_adjoint" else {}
        ys = odelib.odeint_event(
            lambda t, y: -y,
            y0,
            torch.tensor(0.0, dtype=F64),
            event_fn=lambda t, y: y.mean() - 0.5,
            odeint_interface=getattr(odelib, interface),
            **keywords,
        )[1]
        ys.sum().backward()
        del y0, ys
        assert alive() is None
    finally:
        gc.enable()


@pytest.mark.parametrize(("method", "options"), [("fehlberg2", None), ("implicit_adams", {"step_size": 0.01})])
def test_events_of_torchdiffeqs_own_methods_have_its_gradients(method, options):
    results = []
    for library in (odelib, torchdiffeq):
        y0 = torch.ones(1, dtype=F64, requires_grad=True)
        time, ys = library.odeint_event(
            lambda t, y: -y,
            y0,
            torch.tensor(0.0, dtype=F64),
            event_fn=lambda t, y: y[0] - 0.5,
            method=method,
            options=options,
        )
        results.append((time.detach(), torch.autograd.grad(time + ys[-1].sum(), y0)[0]))
    assert results[0] == results[1]
    assert float(results[0][1]) == pytest.approx(1.0, abs=1e-6)


def test_a_far_start_still_has_a_direction():
    start = torch.tensor(1e9)
    time, _ = odelib.odeint_event(
        lambda t, y: torch.ones_like(y), torch.zeros(1), start, event_fn=lambda t, y: y[0] + 300, reverse_time=True
    )
    assert float(time) == pytest.approx(1e9 - 300, rel=1e-7)


def test_events_have_derivatives_under_torch_func():
    def time(rate):
        y0, start = torch.ones(1, dtype=F64), torch.tensor(0.0, dtype=F64)
        return odelib.odeint_event(lambda t, y: -rate * y, y0, start, event_fn=lambda t, y: y[0] - 0.5)[0]

    rate = torch.tensor(2.0, dtype=F64)
    wanted = pytest.approx(-math.log(2) / 4, abs=1e-6)
    assert float(torch.func.grad(time)(rate)) == wanted
    assert float(torch.func.jvp(time, (rate,), (torch.ones_like(rate),))[1]) == wanted
    with pytest.raises(RuntimeError, match=r"inside of torch\.vmap there are none yet: take a fixed grid"):
        torch.func.vmap(time)(rate[None])
