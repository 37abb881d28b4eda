import math

import pytest
import torch

from odelib.solvers import STEP_RULES, Adaptive, Grid
from odelib.solvers.torchdiffeq_methods import ADAPTIVE_METHODS, FIXED_METHODS, TORCHDIFFEQ_METHODS, method_and_steps


def test_every_method_of_torchdiffeq_has_its_place():
    from torchdiffeq._impl.odeint import SOLVERS

    assert set(SOLVERS) <= {*ADAPTIVE_METHODS, *FIXED_METHODS, *TORCHDIFFEQ_METHODS}
    assert {*ADAPTIVE_METHODS.values(), *FIXED_METHODS.values()} <= set(STEP_RULES)


def test_the_defaults_of_adaptive_methods_are_torchdiffeqs():
    rule, steps = method_and_steps("dopri5", 1e-7, 1e-9, {})
    assert rule == "dopri5"
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
    _, steps = method_and_steps("tsit5", 1e-3, 1e-3, options)
    assert isinstance(steps, Adaptive)
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
    _, steps = method_and_steps("tsit5", 1e-3, 1e-3, {"controller": "PI", "per_sample": True})
    assert (steps.controller, steps.per_sample) == ("PI", True)


def test_fixed_methods_step_from_time_to_time_or_over_a_grid():
    assert method_and_steps("rk4", 0, 0, {}) == ("rk38", 1)
    assert method_and_steps("rk4_classic", 0, 0, {"step_size": 0.1}) == ("rk4", Grid(0.1, interpolation="linear"))
    _, grid = method_and_steps("euler", 0, 0, {"perturb": True, "interp": "cubic"})
    assert grid.two_sided
    assert grid.interpolation == "cubic"
    assert grid.points((0.0, 1.0)) == (0.0, 1.0)
