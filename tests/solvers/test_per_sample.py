import math

import pytest
import torch

from odelib.solvers import Adaptive, Callbacks, Event, SolverError, Sum, solve

F64 = torch.float64
EACH = Adaptive(rtol=1e-8, atol=1e-8, per_sample=True)
TIMES = (0.0, 0.3, 1.0)
RATES = torch.tensor([[0.1], [1.0], [10.0], [60.0]], dtype=F64)


def relax(t, y):
    """Each sample with a stiffness of its own."""
    return -RATES[: len(y)] * (y - torch.cos(torch.as_tensor(t, dtype=F64)))


@pytest.mark.parametrize("rule", ["bosh3", "tsit5", "dopri8"])
def test_each_sample_is_as_if_solved_alone(rule):
    y0 = torch.tensor([[1.0, 2.0], [0.0, -1.0], [3.0, 0.5], [1.0, 1.5]], dtype=F64)
    tolerance = 1e-3 if rule in ("heun", "bosh3") else 1e-7
    steps = Adaptive(rtol=tolerance, atol=tolerance, per_sample=True)
    together = solve(relax, y0, TIMES, rule=rule, steps=steps)
    tight = Adaptive(rtol=1e-9, atol=1e-9)
    for n, rate in enumerate(RATES):
        alone = solve(lambda t, y, rate=rate: -rate * (y - math.cos(t)), y0[n], TIMES, rule="tsit5", steps=tight)
        torch.testing.assert_close(together.ys[:, n], alone.ys, rtol=0, atol=30 * tolerance)
    assert together.ys.shape == (3, 4, 2)


def test_a_slow_sample_is_not_slowed_by_a_stiff_one():
    seen = []

    def field(t, y):
        seen.append(t[:, 0].clone())
        return -RATES[[0, 3]] * y

    solution = solve(field, torch.ones(2, 1, dtype=F64), (0.0, 1.0), steps=EACH)
    times = torch.stack(seen)
    assert len(times[:, 0].unique()) < len(times[:, 1].unique()) / 4
    assert solution.stats.smallest < 0.05 < solution.stats.largest


def test_evaluations_are_counted_exactly():
    calls = []
    stats = solve(lambda t, y: calls.append(1) or relax(t, y), torch.ones(4, 1, dtype=F64), TIMES, steps=EACH).stats
    assert stats.nfe == len(calls)
    assert stats.steps == stats.accepted + stats.rejected


def test_one_host_read_per_step_and_two_more(host_reads):
    with host_reads:
        stats = solve(relax, torch.ones(4, 1, dtype=F64), (0.0, 0.2), steps=EACH).stats
    assert host_reads.count <= stats.steps + 2


def test_backwards_and_forwards_are_one_way_and_back():
    y0 = torch.tensor([[1.0], [0.5]], dtype=F64)
    there = solve(relax, y0, (0.0, 1.0), steps=EACH).ys[-1]
    back = solve(relax, there, (1.0, 0.5, 0.0), steps=EACH).ys[-1]
    torch.testing.assert_close(back, y0, rtol=0, atol=1e-6)


def test_gradients_pass_gradcheck():
    y0 = torch.tensor([[1.0, 2.0], [0.5, -1.0]], dtype=F64, requires_grad=True)
    rates = torch.tensor([[0.5], [3.0]], dtype=F64, requires_grad=True)

    def ys(y0, rates):
        return solve(lambda t, y: -rates * y + torch.sin(t) * y**2, y0, (0.0, 0.4, 1.0), steps=EACH).ys

    assert torch.autograd.gradcheck(ys, (y0, rates), eps=1e-4, atol=1e-4, fast_mode=True)


def test_a_rejected_overflow_leaves_the_gradient_finite():
    # The first step is far too long for the second sample, whose stages overflow until it is short enough.
    rate = torch.tensor([[0.1], [30.0]], dtype=F64, requires_grad=True)
    y0 = torch.ones(2, 1, dtype=F64, requires_grad=True)
    steps = Adaptive(rtol=1e-6, atol=1e-6, per_sample=True, first_step=0.5)
    ys = solve(lambda t, y: -torch.sinh(rate * y), y0, (0.0, 0.5), steps=steps).ys
    assert ys.isfinite().all()
    by_y0, by_rate = torch.autograd.grad(ys[-1].sum(), (y0, rate))
    assert by_y0.isfinite().all()
    assert by_rate.isfinite().all()


def test_trees_and_a_norm_and_tolerances_in_tensors():
    y0 = {"a": torch.ones(3, 2, dtype=F64), "b": torch.ones(3)}

    def field(t, y):
        assert t.shape == (3,)
        return {"a": -y["a"], "b": -2 * y["b"]}

    steps = Adaptive(rtol=1e-6, atol=torch.tensor(1e-6), norm=lambda y: y["a"].abs().max(), per_sample=True)
    ys = solve(field, y0, (0.0, 1.0), steps=steps).ys
    torch.testing.assert_close(ys["a"][-1], torch.full((3, 2), math.exp(-1), dtype=F64), rtol=1e-5, atol=0)
    assert ys["b"].dtype == torch.float32


@pytest.mark.parametrize("dtype", [torch.float32, torch.complex64, torch.bfloat16])
def test_dtypes_are_kept(dtype):
    ys = solve(
        lambda t, y: -y,
        torch.ones(2, 3, dtype=dtype),
        (0.0, 1.0),
        steps=Adaptive(rtol=1e-2, atol=1e-2, per_sample=True),
    ).ys
    assert ys.dtype == dtype
    torch.testing.assert_close(ys[-1].abs().float(), torch.full((2, 3), math.exp(-1)), rtol=0.02, atol=0)


def test_the_least_step_is_taken_whatever_its_error():
    steps = Adaptive(rtol=1e-12, atol=1e-12, per_sample=True, first_step=0.4, min_step=0.1, max_steps=20)
    stats = solve(relax, torch.ones(2, 1, dtype=F64), (0.0, 1.0), steps=steps).stats
    assert stats.smallest == pytest.approx(0.1)


def test_empty_samples_are_fine():
    assert solve(lambda t, y: -y, torch.ones(2, 0), (0.0, 1.0), steps=Adaptive(per_sample=True)).ys.shape == (2, 2, 0)


@pytest.mark.parametrize(
    ("what", "options"),
    [
        ("gradient modes", {"gradient": "checkpoint", "parameters": ()}),
        ("events", {"events": Event(lambda t, y: y.sum())}),
        ("callbacks", {"callbacks": Callbacks(tried=print)}),
        ("gradients with respect to the times", {"times": torch.tensor([0.0, 1.0], requires_grad=True)}),
        ("step_t and jump_t", {"steps": Adaptive(per_sample=True, jump_t=(0.5,))}),
        ("reversible rules", {"rule": "reversible(tsit5)"}),
    ],
)
def test_what_does_not_go_together_is_refused(what, options):
    times = options.pop("times", (0.0, 1.0))
    with pytest.raises(ValueError, match=f"step control per sample does not go with .*{what}.*: set per_sample=False"):
        solve(lambda t, y: -y, torch.ones(2, 3), times, **{"steps": EACH, **options})


def test_a_state_without_a_batch_is_refused():
    with pytest.raises(ValueError, match=r"common first dimension, the batch, but the state has \[\(\)\]: reshape it"):
        solve(lambda t, y: -y, torch.tensor(1.0), (0.0, 1.0), steps=EACH)
    with pytest.raises(ValueError, match="common first dimension"):
        solve(lambda t, y: y, (torch.ones(2), torch.ones(3)), (0.0, 1.0), steps=EACH)
    with pytest.raises(ValueError, match="a batch of 0 samples"):
        solve(lambda t, y: -y, torch.ones(0, 3), (0.0, 1.0), steps=EACH)


@pytest.mark.slow
def test_too_many_steps_and_too_small_ones_are_refused():
    steps = Adaptive(rtol=1e-4, atol=1e-4, per_sample=True, max_steps=5)
    with pytest.raises(SolverError, match="max_steps=5 reached with step control per sample: allow more steps"):
        solve(relax, torch.ones(4, 1, dtype=F64), TIMES, steps=steps)
    squares = torch.tensor([[0.0], [1.0]], dtype=F64)
    with pytest.raises(SolverError, match=r"the step of sample 1 became too small at t=0\.5"):
        solve(lambda t, y: squares * y**2, 2 * torch.ones(2, 1, dtype=F64), TIMES, steps=EACH)


def test_a_failure_carries_what_all_samples_have_reached():
    rates = torch.tensor([[1.0], [40.0]], dtype=F64)
    times = (0.0, 0.1, 5.0)
    enough, few = (Adaptive(rtol=1e-6, atol=1e-9, per_sample=True, max_steps=n) for n in (100_000, 40))
    whole = solve(lambda t, y: -rates * y, torch.ones(2, 1, dtype=F64), times, steps=enough)
    with pytest.raises(SolverError) as error:
        solve(lambda t, y: -rates * y, torch.ones(2, 1, dtype=F64), times, steps=few)
    part = error.value.solution
    assert (part.ts, part.status) == ((0.0, 0.1), "failed")
    torch.testing.assert_close(part.ys, whole.ys[:2], rtol=0, atol=0)
    assert 0 < part.stats.accepted <= part.stats.steps < whole.stats.steps


def test_the_field_is_checked_here_too():
    with pytest.raises(ValueError, match="the field returned shape"):
        solve(lambda t, y: y.sum(), torch.ones(2, 3), (0.0, 1.0), steps=EACH)
    with pytest.raises(TypeError, match="needs a field with `terms`"):
        solve(lambda t, y: y, torch.ones(2, 3), (0.0, 1.0), rule="strang", steps=EACH)
    with pytest.raises(ValueError, match="has no error estimate"):
        solve(Sum(relax, relax), torch.ones(2, 3), (0.0, 1.0), rule="strang", steps=EACH)
