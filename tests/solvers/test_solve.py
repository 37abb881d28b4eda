import gc
import weakref

import pytest
import torch

from odelib.solvers import (
    GRADIENTS,
    TABLEAUS,
    Adaptive,
    Adjoint,
    Checkpoint,
    Event,
    Exact,
    Grid,
    SolverError,
    Sum,
    solve,
)

F64 = torch.float64
MODES = {**GRADIENTS, "checkpoint sqrt": Checkpoint("sqrt"), "adjoint in the state": Adjoint(seminorm=False)}


def slow(seen):
    """A field that hardly moves, so that steps would like to be long; notes the times that it is asked for."""

    def field(t, y):
        seen.extend(t.flatten().tolist() if isinstance(t, torch.Tensor) else [t])
        return torch.full_like(y, 1e-3)

    return field


@pytest.mark.parametrize("times", [(0.0, 0.003, 0.01), (5.01, 5.0)])
@pytest.mark.parametrize("rule", [*TABLEAUS])
def test_nothing_is_evaluated_outside_of_the_interval(rule, times):
    steps = [3, Grid(0.003, two_sided=True), Grid(0.003, interpolation="cubic")]
    if TABLEAUS[rule].b_error:
        inner = times[0] + 0.4 * (times[-1] - times[0])
        steps += [Adaptive(), Adaptive(first_step=1.0, jump_t=(inner,)), Adaptive(per_sample=True)]
    for chosen in steps:
        seen = []
        solve(slow(seen), torch.full((1,), 5.0, dtype=F64), times, rule=rule, steps=chosen)
        assert min(times) <= min(seen), chosen
        assert max(seen) <= max(times), chosen


@pytest.mark.parametrize("steps", [3, Grid(0.003, two_sided=True), Adaptive()], ids=str)
@pytest.mark.parametrize("mode", [*MODES])
def test_nor_on_the_way_back(mode, steps):
    seen, y0 = [], torch.full((1,), 5.0, dtype=F64, requires_grad=True)
    rule = "dopri5" if isinstance(steps, Adaptive) else "rk4"
    options = {"rule": rule, "steps": steps, "gradient": MODES[mode], "parameters": ()}
    solve(slow(seen), y0, (0.01, 0.004, 0.0), **options).ys.sum().backward()
    assert 0.0 <= min(seen) <= max(seen) <= 0.01


@pytest.mark.parametrize("rule", ["lie-trotter", "strang(midpoint)", "suzuki4(heun)"])
@pytest.mark.parametrize("stop", [0.01, -0.01])
def test_nor_are_the_terms_and_flows_of_a_splitting_beyond_rounding(rule, stop):
    seen, flown = [], []

    def flow(t, h, y):
        flown.extend([t, t + h])
        return y * 0.5**h

    solve(Sum(slow(seen), Exact(flow)), torch.ones(1, dtype=F64), (0.0, stop), rule=rule, steps=3)
    assert min(0.0, stop) <= min(seen) <= max(seen) <= max(0.0, stop)
    assert min(0.0, stop) - 1e-15 <= min(flown) <= max(flown) <= max(0.0, stop) + 1e-15


def freed(run):
    """Whether the initial state of a solve is gone as soon as nobody has it, with the collector off."""
    gc.disable()
    try:
        y0 = torch.ones(3, dtype=F64, requires_grad=True)
        alive = weakref.ref(y0)
        run(y0)
        del y0
        return alive() is None
    finally:
        gc.enable()


@pytest.mark.parametrize(
    "steps", [3, Grid(0.3, interpolation="cubic"), Adaptive(rtol=1e-2, atol=1e-2)], ids=["equal", "grid", "adaptive"]
)
@pytest.mark.parametrize("mode", [*MODES])
def test_memory_goes_with_the_last_reference(mode, steps):
    rate = torch.tensor(-1.0, dtype=F64, requires_grad=True)
    options = {"rule": "bosh3" if isinstance(steps, Adaptive) else "rk4", "steps": steps, "gradient": MODES[mode]}
    options["parameters"] = (rate,)

    def field(t, y):
        return (rate * y[0],)

    def event(t, y):
        return y[0].mean() - 0.53

    assert freed(lambda y: solve(field, (y,), (0.0, 0.5, 1.0), **options).ys[0].sum().backward())
    assert freed(lambda y: solve(field, (y,), (0.0, 1.0), events=Event(event), **options).events[0].ts.sum().backward())
    times = torch.tensor([0.0, 1.0], dtype=F64, requires_grad=True)
    assert freed(lambda y: solve(field, (y,), times, **options).ys[0].sum().backward())


def test_memory_of_dense_output_and_of_failures_goes_too():
    assert freed(lambda y: solve(lambda t, y: -y, y, (0.0, 1.0), steps=Adaptive(), dense=True)(0.3).sum().backward())
    assert freed(lambda y: solve(lambda t, y: -y, y, (0.0, 1.0), steps=Adaptive(), dense=True).derivative(0.3))
    assert freed(lambda y: solve(lambda t, y: -y, y, (0.0, 1.0), steps=Adaptive(per_sample=True)).ys.sum().backward())

    def fails(y):
        with pytest.raises(SolverError):
            solve(lambda t, y: 1e3 * y * y, y, (0.0, 1.0), steps=Adaptive(max_steps=9))

    assert freed(fails)
