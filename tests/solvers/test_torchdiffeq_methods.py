import math
import re

import pytest
import torch
import torchdiffeq
from torch import nn

import odelib
from odelib.solvers import STEP_RULES, Adaptive, Grid
from odelib.solvers.torchdiffeq_methods import (
    ADAPTIVE_METHODS,
    FIXED_METHODS,
    adaptive_arguments,
    fixed_steps,
    installed_methods,
    is_torchdiffeqs,
    known_options,
)

F64 = torch.float64
Y0 = torch.tensor([[0.5, -1.0, 0.3], [0.1, 0.8, -0.6]], dtype=F64)
TIMES = torch.tensor([0.0, 0.3, 0.45, 1.1], dtype=F64)
LIKE = torch.empty(0, dtype=F64)


def decay(t, y):
    return -y * torch.cos(t)


def both(method, **arguments):
    return tuple(door(decay, Y0, TIMES, method=method, **arguments) for door in (odelib.odeint, torchdiffeq.odeint))


def test_every_method_of_torchdiffeq_has_its_place():
    own = {*ADAPTIVE_METHODS, *FIXED_METHODS}
    theirs = [method for method in installed_methods() if is_torchdiffeqs(method)]
    assert {"explicit_adams", "implicit_adams", "fixed_adams", "scipy_solver"} <= set(theirs)
    assert own.isdisjoint(theirs)
    assert set(installed_methods()) <= {*own, *theirs}
    assert {*ADAPTIVE_METHODS.values(), *FIXED_METHODS.values()} <= set(STEP_RULES)


def test_a_method_that_a_newer_torchdiffeq_has_is_handed_to_it(monkeypatch):
    from torchdiffeq._impl.odeint import SOLVERS

    installed_methods.cache_clear()
    monkeypatch.setitem(SOLVERS, "radau9", SOLVERS["implicit_adams"])
    options = {"step_size": 0.05}
    ours, theirs = both("radau9", options=options)
    assert torch.equal(ours, theirs)
    installed_methods.cache_clear()


def test_the_defaults_of_adaptive_methods_are_torchdiffeqs():
    steps = Adaptive(rtol=1e-7, atol=1e-9, **adaptive_arguments({}))
    assert ADAPTIVE_METHODS["dopri5"] == "dopri5"
    assert (steps.rtol, steps.atol, steps.first_step, steps.min_step, steps.max_step) == (
        1e-7,
        1e-9,
        None,
        0.0,
        math.inf,
    )
    assert (steps.controller.i, steps.controller.p, steps.controller.d) == (1.0, 0.0, 0.0)
    assert (steps.controller.safety, steps.controller.grow, steps.controller.shrink) == (0.9, 10.0, 0.2)
    assert steps.max_steps == 2**31 - 1


def test_every_option_of_adaptive_methods_finds_its_name():
    options = {
        **{"first_step": torch.tensor(0.1), "min_step": 0.01, "max_step": 0.5, "max_num_steps": 9, "safety": 0.8},
        **{"ifactor": 5.0, "dfactor": 0.3, "step_t": torch.tensor([0.5]), "jump_t": [0.25], "dtype": torch.float64},
        **{"norm": torch.max},
    }
    steps = Adaptive(**adaptive_arguments(known_options("tsit5", options)))
    assert steps.first_step == pytest.approx(0.1)
    assert (steps.min_step, steps.max_step, steps.max_steps, steps.step_t, steps.jump_t) == (
        0.01,
        0.5,
        9,
        (0.5,),
        (0.25,),
    )
    assert (steps.controller.safety, steps.controller.grow, steps.controller.shrink) == (0.8, 5.0, 0.3)
    assert steps.norm is torch.max


def test_a_controller_and_control_per_sample_are_options_too():
    steps = Adaptive(**adaptive_arguments(known_options("tsit5", {"controller": "PI", "per_sample": True})))
    assert (steps.controller, steps.per_sample) == ("PI", True)


def fixed(options, like=LIKE):
    return fixed_steps(options, decay, Y0, like)


def test_fixed_methods_step_from_time_to_time_or_over_a_grid():
    assert (FIXED_METHODS["rk4"], fixed({})) == ("rk38", 1)
    assert (FIXED_METHODS["rk4_classic"], fixed({"step_size": 0.1})) == ("rk4", Grid(0.1, interpolation="linear"))
    grid = fixed({"perturb": True, "interp": "cubic"})
    assert grid.two_sided
    assert grid.interpolation == "cubic"
    assert grid.points((0.0, 1.0)) == (0.0, 1.0)


@pytest.mark.parametrize("times", [(0.0, 1.0), (1.0, 0.0), (3.0, 3.7)])
def test_in_single_precision_a_grid_has_torchdiffeqs_points(times):
    ends = torch.tensor(times)
    points = fixed({"step_size": 0.1}, torch.empty(0)).points(tuple(ends.tolist()))
    sign = 1 if times[1] > times[0] else -1
    theirs = torchdiffeq._impl.solvers.FixedGridODESolver._grid_constructor_from_step_size(0.1)
    wanted = sign * theirs(None, None, sign * ends)
    assert list(points) == pytest.approx(wanted.tolist(), abs=3e-7)
    assert torch.tensor(points).double().tolist() == list(points)


def test_a_grid_of_steps_below_the_precision_of_the_times_still_leads_to_the_end():
    points = fixed({"step_size": 1e-3}, torch.empty(0)).points((1e6, 1e6 + 1.0))
    assert list(points) == sorted(set(points))
    assert (points[0], points[-1]) == (1e6, 1e6 + 1.0)


@pytest.mark.parametrize("sign", [1.0, -1.0])
@pytest.mark.parametrize("dtype", [torch.float32, F64])
def test_a_grid_constructor_gets_its_times_as_torchdiffeq_gives_them(dtype, sign):
    seen = {odelib: None, torchdiffeq: None}
    for library in seen:

        def constructor(func, y0, t, library=library):
            seen[library] = (t.tolist(), t.dtype, t.device, y0.dtype)
            return torch.linspace(float(t[0]), float(t[-1]), 5, dtype=t.dtype)

        options = {"grid_constructor": constructor}
        library.odeint(decay, torch.ones(2), sign * TIMES.to(dtype), method="rk4", options=options)
    assert seen[odelib] == seen[torchdiffeq]


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
    ours, theirs = both(method, options=options, rtol=1e-6, atol=1e-7)
    assert torch.equal(ours, theirs)


def test_the_adjoint_of_a_method_of_torchdiffeq_is_its_own():
    grads = []
    for library in (odelib, torchdiffeq):
        y0, keywords = Y0.clone().requires_grad_(), {"options": {"step_size": 0.05}, "adjoint_params": ()}
        library.odeint_adjoint(decay, y0, TIMES, method="explicit_adams", **keywords).sum().backward()
        grads.append(y0.grad)
    assert torch.equal(*grads)


def test_a_way_back_of_torchdiffeqs_own_takes_the_whole_call_there():
    net, y0 = nn.Linear(3, 3).double(), Y0.clone().requires_grad_()

    def solved(library, method):
        keywords = {"adjoint_method": "implicit_adams", "adjoint_options": {"step_size": 0.1}}
        weight = net.weight if library is odelib else (net.weight,)
        ys = library.odeint_adjoint(lambda t, y: net(y), y0, TIMES, method=method, adjoint_params=weight, **keywords)
        return torch.autograd.grad(ys.sum(), (y0, net.weight))

    for ours, theirs in zip(solved(odelib, "dopri5"), solved(torchdiffeq, "dopri5"), strict=True):
        assert torch.equal(ours, theirs)
    with pytest.raises(ValueError, match="'tsit5' is odelib's own, so the other way must be too: method='tsit5'"):
        solved(odelib, "tsit5")


def test_unknown_methods_name_the_nearest():
    with pytest.raises(ValueError, match="unknown method 'dopri6': the nearest valid name is 'dopri"):
        odelib.odeint(decay, Y0, TIMES, method="dopri6")
    with pytest.raises(ValueError, match="unknown method 'implicit_adam': the nearest valid name is 'implicit_adams'"):
        odelib.odeint(decay, Y0, TIMES, method="implicit_adam")


def test_options_out_of_their_range_are_refused():
    with pytest.raises(ValueError, match="unknown interpolation 'cubi'"):
        odelib.odeint(decay, Y0, TIMES, method="rk4", options={"interp": "cubi"})
    both_grids = {"step_size": 0.1, "grid_constructor": lambda f, y, t: t}
    with pytest.raises(ValueError, match="step_size and grid_constructor came together"):
        odelib.odeint(decay, Y0, TIMES, method="rk4", options=both_grids)


@pytest.mark.parametrize("interface", ["odeint", "odeint_adjoint"])
@pytest.mark.parametrize(
    ("method", "option", "sentence"),
    [
        ("rk4", "stepsize", "unknown option of rk4 'stepsize': the nearest valid name is 'step_size'.*no effect"),
        ("dopri5", "max_steps", "unknown option of dopri5 'max_steps': the nearest valid name is 'max_.*no effect"),
        ("dopri5", "step_size", "'step_size' has no effect, as 'dopri5' chooses its steps: drop it, or take 'rk4'"),
        ("euler", "first_step", "'first_step' has no effect, as 'euler' does not choose its steps: drop it, or take"),
    ],
)
def test_options_without_effect_are_a_warning_once(method, option, sentence, interface, recwarn):
    keywords = {"adjoint_params": ()} if interface == "odeint_adjoint" else {}
    solve = getattr(odelib, interface)
    ours = solve(decay, Y0, TIMES, method=method, options={option: 3}, **keywords)
    (warning,) = [warning for warning in recwarn if "no effect" in str(warning.message)]
    assert warning.filename == __file__
    assert re.search(sentence, str(warning.message))
    assert torch.equal(ours, solve(decay, Y0, TIMES, method=method, **keywords))
