import gc
import inspect
import math
import weakref

import pytest
import torch
from torch import nn

from odelib.solvers import (
    GRADIENTS,
    Adaptive,
    Adjoint,
    Checkpoint,
    Grid,
    RandomField,
    Reversible,
    SolverError,
    Step,
    StepRule,
    Sum,
    solve,
    step_rule,
)
from odelib.solvers.gradients import gradient_mode

F64 = torch.float64
STEPS = {
    "steps": 4,
    "grid": Grid(step_size=0.09),
    "cubic": Grid(
        points=lambda times: [*(times[0] + (times[-1] - times[0]) * i / 8 for i in range(8)), times[-1]],
        interpolation="cubic",
    ),
    "adaptive": Adaptive(rtol=1e-7, atol=1e-7),
}
MODES = {
    **GRADIENTS,
    "checkpoint sqrt": Checkpoint("sqrt"),
    "checkpoint 2": Checkpoint(2),
    "adjoint with parameters in the state": Adjoint(seminorm=False),
}


class Swirl(nn.Module):
    """Nonlinear, non-autonomous, with two parameters."""

    def __init__(self):
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.weight = nn.Parameter(torch.randn(3, 3, dtype=F64, generator=generator))
        self.rate = nn.Parameter(torch.tensor(0.7, dtype=F64))

    def forward(self, t, y):
        wave = torch.cos(t) if isinstance(t, torch.Tensor) else math.cos(t)
        return torch.tanh(y @ self.weight) * wave - self.rate * y


def rule_for(steps):
    return "dopri5" if isinstance(steps, Adaptive) else "rk4"


def inputs(times=(0.1, 0.4, 0.7)):
    y0 = torch.tensor([[0.3, -0.8, 0.5], [1.0, 0.2, -0.4]], dtype=F64, requires_grad=True)
    return y0, torch.tensor(times, dtype=F64, requires_grad=True)


@pytest.mark.parametrize(
    ("steps", "times"),
    [*((steps, (0.1, 0.4, 0.7)) for steps in STEPS), *((steps, (0.7, 0.3, 0.1)) for steps in ("steps", "adaptive"))],
)
@pytest.mark.parametrize("mode", [name for name in MODES if name not in ("checkpoint sqrt", "checkpoint 2")])
def test_gradcheck_of_state_times_and_parameters(mode, steps, times):
    field, (y0, clock) = Swirl(), inputs(times)
    stride = STEPS[steps]

    def ys(y0, clock, *parameters):
        # gradcheck nudges the parameters in place, so the module sees it.
        return solve(field, y0, clock, rule=rule_for(stride), steps=stride, gradient=MODES[mode]).ys

    assert torch.autograd.gradcheck(ys, (y0, clock, *field.parameters()), eps=1e-4, atol=2e-5, fast_mode=True)


def gradients(mode, steps, rule=None, field=None, y0=None, clock=None, weight=None):
    field = Swirl() if field is None else field
    y0, clock = inputs() if y0 is None else (y0, clock)
    solution = solve(field, y0, clock, rule=rule or rule_for(steps), steps=steps, gradient=mode)
    loss = (solution.ys**3).sum() + solution.ys[1].sin().sum()
    return solution.ys.detach(), torch.autograd.grad(loss, (y0, clock, *field.parameters()))


@pytest.mark.parametrize("steps", STEPS)
@pytest.mark.parametrize("mode", [name for name in MODES if name not in ("backprop", "reversible")])
def test_values_are_bitwise_the_same_in_all_modes_and_gradients_agree(mode, steps):
    ys, expected = gradients("backprop", STEPS[steps])
    same, found = gradients(MODES[mode], STEPS[steps])
    assert torch.equal(same, ys)
    # The adjoint equation is solved anew, to the accuracy of the steps; a replay is exact.
    tolerance = 1e-4 if "adjoint" in mode else 1e-12
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("rule", ["strang(midpoint)", "yoshida4(rk4)", "lie-trotter"])
def test_splittings_have_the_same_gradient_from_checkpoints(rule):
    field = nn.ModuleList([Swirl(), Swirl()])
    split = Sum(*field)
    y0, _ = inputs()
    found = []
    for mode in ("backprop", "checkpoint", Checkpoint("sqrt")):
        ys = solve(split, y0, (0.0, 1.0, 0.5 + 1.0), rule=rule, steps=3, gradient=mode).ys
        found.append(torch.autograd.grad(ys.square().sum(), (y0, *field.parameters())))
    for other in found[1:]:
        for a, b in zip(other, found[0], strict=True):
            torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("steps", ["steps", "grid", "adaptive"])
def test_second_derivatives_of_backprop(steps):
    field, (y0, _) = Swirl(), inputs()
    stride = Adaptive(rtol=1e-8, atol=1e-8, first_step=0.1) if steps == "adaptive" else STEPS[steps]

    def ys(y0, *parameters):
        return solve(field, y0[:1], (0.1, 0.5), rule=rule_for(stride), steps=stride).ys[-1]

    assert torch.autograd.gradgradcheck(ys, (y0, *field.parameters()), atol=1e-4, fast_mode=True)


def test_second_derivatives_by_the_times_on_equal_steps():
    field, (y0, clock) = Swirl(), inputs()
    assert torch.autograd.gradgradcheck(
        lambda y0, clock: solve(field, y0, clock, steps=3).ys[-1], (y0, clock), atol=1e-5, fast_mode=True
    )


@pytest.mark.parametrize("mode", ["checkpoint", "adjoint", "reversible"])
def test_second_derivatives_are_refused_elsewhere(mode):
    field, (y0, _) = Swirl(), inputs()
    ys = solve(field, y0, (0.0, 1.0), steps=2, gradient=mode).ys
    (first,) = torch.autograd.grad(ys.square().sum(), y0, create_graph=True)
    with pytest.raises(RuntimeError, match=r"second derivatives are known in gradient='backprop' only"):
        torch.autograd.grad(first.sum(), y0)


@pytest.mark.parametrize("steps", ["grid", "adaptive"])
def test_second_derivatives_by_the_times_are_refused_on_other_steps(steps):
    field, (y0, clock) = Swirl(), inputs()
    ys = solve(field, y0, clock, rule=rule_for(STEPS[steps]), steps=STEPS[steps]).ys
    (plain,) = torch.autograd.grad(ys.sum(), clock, retain_graph=True)
    (first,) = torch.autograd.grad(ys.sum(), clock, create_graph=True)
    assert torch.equal(first, plain), "a graph of the derivative does not change the derivative"
    with pytest.raises(RuntimeError, match=r"second derivative .* with respect to the time .* is not known"):
        torch.autograd.grad(first.sum(), clock)


@pytest.mark.parametrize("steps", ["steps", "adaptive"])
@pytest.mark.parametrize("mode", MODES)
def test_a_retained_graph_gives_the_same_gradient_twice(mode, steps):
    field, (y0, clock) = Swirl(), inputs()
    ys = solve(field, y0, clock, rule=rule_for(STEPS[steps]), steps=STEPS[steps], gradient=MODES[mode]).ys
    wanted = (y0, clock, *field.parameters())
    first = torch.autograd.grad(ys.square().sum(), wanted, retain_graph=True)
    second = torch.autograd.grad(ys.square().sum(), wanted)
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


@pytest.mark.parametrize("steps", ["steps", "grid", "adaptive"])
@pytest.mark.parametrize("mode", MODES)
def test_the_graph_is_freed_without_the_garbage_collector(mode, steps):
    field, (y0, clock) = Swirl(), inputs()
    gc.disable()
    try:
        solution = solve(field, y0, clock, rule=rule_for(STEPS[steps]), steps=STEPS[steps], gradient=MODES[mode])
        state, parameter = weakref.ref(solution.ys), weakref.ref(field.weight)
        solution.ys.sum().backward()
        del solution, field
        assert state() is None
        assert parameter() is None, "the graph held it"
    finally:
        gc.enable()


@pytest.mark.parametrize("mode", ["backprop", "checkpoint", "reversible"])
def test_a_field_with_randomness_on_a_tree_is_freed_too(mode):
    class Noisy(nn.Module, RandomField):
        def __init__(self):
            super().__init__()
            self.rate = nn.Parameter(torch.ones(1))

        def draw(self, y):
            mask = torch.rand(1)
            return lambda t, y: (mask * self.rate * y[0],)

        def forward(self, t, y):
            raise AssertionError("drawn only")

    field = Noisy()
    parameter = weakref.ref(field.rate)
    gc.disable()
    try:
        solution = solve(field, (torch.ones(1),), (0.0, 1.0), steps=Grid(step_size=0.3), gradient=mode)
        solution.ys[0].sum().backward()
        del solution, field
        assert parameter() is None, "the graph held it"
    finally:
        gc.enable()


@pytest.mark.parametrize("mode", ["checkpoint", "adjoint", "reversible"])
def test_a_field_that_cannot_be_asked_for_its_parameters_is_refused(mode):
    y0 = torch.ones(2, requires_grad=True)
    with pytest.raises(TypeError, match=r"function is no nn\.Module.*pass parameters="):
        solve(lambda t, y: -y, y0, (0.0, 1.0), gradient=mode)
    solve(lambda t, y: -y, y0, (0.0, 1.0), gradient=mode, parameters=()).ys.sum().backward()
    assert y0.grad is not None
    with torch.no_grad():
        solve(lambda t, y: -y, y0, (0.0, 1.0), gradient=mode)


@pytest.mark.parametrize("mode", ["checkpoint", "adjoint", "reversible"])
def test_a_sum_of_modules_is_asked_for_all_its_parameters(mode):
    parts, (y0, _) = nn.ModuleList([Swirl(), Swirl()]), inputs()
    solve(Sum(*parts), y0, (0.0, 1.0), steps=2, gradient=mode).ys.sum().backward()
    assert all(parameter.grad is not None for parameter in parts.parameters())


def test_a_sum_that_is_half_a_module_is_refused():
    y0 = torch.ones(3, dtype=F64, requires_grad=True)
    with pytest.raises(TypeError, match="pass parameters="):
        solve(Sum(Swirl(), lambda t, y: y), y0, (0.0, 1.0), gradient="checkpoint")


@pytest.mark.parametrize("mode", ["checkpoint", "adjoint", "reversible"])
def test_parameters_that_are_given_count_and_frozen_ones_do_not(mode):
    field, (y0, _) = Swirl(), inputs()
    field.rate.requires_grad_(False)
    solve(
        lambda t, y: field(t, y), y0, (0.0, 1.0), gradient=mode, parameters=tuple(field.parameters())
    ).ys.sum().backward()
    assert field.weight.grad is not None
    assert field.rate.grad is None


@pytest.mark.parametrize("mode", ["checkpoint", "adjoint", "reversible"])
@pytest.mark.parametrize("steps", [4, Adaptive(rtol=1e-3, atol=1e-3)], ids=["steps", "adaptive"])
def test_autocast_on_the_way_back_is_that_of_the_way_there(mode, steps):
    torch.manual_seed(0)
    field, seen = nn.Linear(3, 3), []

    class Field(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = field

        def forward(self, t, y):
            dy = self.inner(y)
            seen.append(dy.dtype)
            return dy

    y0 = torch.randn(2, 3, requires_grad=True)
    with torch.autocast("cpu", torch.bfloat16):
        ys = solve(Field(), y0, (0.0, 1.0), steps=steps, gradient=mode).ys
    assert ys.dtype == torch.float32
    there = len(seen)
    ys.sum().backward()
    assert len(seen) > there
    assert set(seen) == {torch.bfloat16}
    assert y0.grad.dtype == field.weight.grad.dtype == torch.float32


def test_checkpoints_under_autocast_have_the_gradient_of_backprop():
    torch.manual_seed(0)
    y0, found = torch.randn(2, 3, requires_grad=True), []
    linear = nn.Linear(3, 3)

    class Field(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = linear

        def forward(self, t, y):
            return torch.tanh(self.inner(y))

    for mode in ("backprop", "checkpoint"):
        with torch.autocast("cpu", torch.bfloat16):
            ys = solve(Field(), y0, (0.0, 1.0), steps=4, gradient=mode).ys
        found.append(torch.autograd.grad(ys.sum(), (y0, linear.weight)))
    torch.testing.assert_close(found[0], found[1], rtol=1e-2, atol=1e-3)


@pytest.mark.parametrize("mode", MODES)
def test_trees_have_gradients_in_all_modes(mode):
    rate = torch.tensor(0.4, dtype=F64, requires_grad=True)
    y0 = {"place": torch.ones(2, dtype=F64, requires_grad=True), "speed": [torch.ones((), requires_grad=True)]}

    def field(t, y):
        return {"place": y["speed"][0].double() - rate * y["place"], "speed": [-(rate * y["place"].sum()).float()]}

    def end(gradient):
        ys = solve(field, y0, (0.0, 1.0), rule="rk4", steps=40, gradient=gradient, parameters=(rate,)).ys
        loss = ys["place"][-1].sum() + ys["speed"][0][-1]
        return torch.autograd.grad(loss, (y0["place"], y0["speed"][0], rate))

    for a, b in zip(end(MODES[mode]), end("backprop"), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("mode", MODES)
def test_an_output_without_a_gradient_is_fine(mode):
    field, (y0, _) = Swirl(), inputs()
    ys = solve(field, y0, (0.0, 0.5, 1.0), steps=2, gradient=MODES[mode]).ys
    ys[1].sum().backward()
    half = y0.grad.clone()
    y0.grad = None
    solve(field, y0, (0.0, 0.5), steps=2, gradient=MODES[mode]).ys[1].sum().backward()
    torch.testing.assert_close(half, y0.grad, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("mode", ["checkpoint", "adjoint", "reversible"])
def test_a_failing_walk_has_its_partial_solution_in_every_mode(mode):
    field, (y0, _) = Swirl(), inputs()
    steps = Adaptive(rtol=1e-10, atol=1e-12, max_steps=3, first_step=0.01)
    with pytest.raises(SolverError, match="max_steps=3") as error:
        solve(field, y0, (0.0, 0.001, 10.0), steps=steps, gradient=mode)
    assert error.value.solution.ts == (0.0, 0.001)


def test_an_unknown_mode_and_bad_options_are_refused():
    with pytest.raises(ValueError, match="unknown gradient mode 'adjoin': the nearest valid name is 'adjoint'"):
        solve(Swirl(), torch.ones(3, dtype=F64), (0.0, 1.0), gradient="adjoin")
    with pytest.raises(ValueError, match="segments is 0: keep at least 1"):
        Checkpoint(0)
    with pytest.raises(ValueError, match="nearest valid name is 'sqrt'"):
        Checkpoint("sqr")
    with pytest.raises(ValueError, match=r"coupling is 0\.0: choose it in \(0, 1\]"):
        Reversible(step_rule("rk4"), coupling=0.0)


@pytest.mark.parametrize("gradient", [3, None, Checkpoint, Adjoint])
def test_what_is_no_gradient_mode_is_refused(gradient):
    with pytest.raises(TypeError, match=r"gradient is .*: give one of backprop, checkpoint, adjoint, reversible, or"):
        inspect.unwrap(gradient_mode)(gradient)


@pytest.mark.parametrize("mode", ["checkpoint", "reversible", Adjoint(rule="rk4")], ids=str)
def test_a_rule_sees_the_derivatives_of_its_field_in_every_mode(mode):
    class Taylor(StepRule):
        name, order, differentiates = "taylor", 2, True

        def evaluations(self, terms):
            return 2.0

        def step(self, field, t, h, y, carry):
            with torch.enable_grad():
                free = y if y.requires_grad else y.detach().requires_grad_()
                slope = field(t, free)
                (bend,) = torch.autograd.grad(slope, free, slope.detach(), create_graph=True)
            return Step(y + h * slope + h * h / 2 * bend)

    y0, field = torch.tensor([0.5, 1.0], dtype=F64, requires_grad=True), nn.Linear(1, 1).double()

    def decay(t, y):
        return torch.sin(y) * field.weight[0, 0]

    rule = Reversible(Taylor()) if mode == "reversible" else Taylor()
    found = []
    for gradient in ("backprop", mode):
        options = {"rule": rule, "steps": 5, "gradient": gradient, "parameters": tuple(field.parameters())}
        found.append(solve(decay, y0, (0.0, 1.0), **options).ys.detach())
    torch.testing.assert_close(found[1], found[0], rtol=0, atol=0)
