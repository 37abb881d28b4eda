import math

import numpy as np
import pytest
import torch

from odelib.solvers import Adaptive, Callbacks, Event, SolverError, Step, StepRule, solve
from odelib.solvers.loop import Problem, steps_of
from odelib.solvers.randomness import Draws
from odelib.solvers.watched import Counts, Watched

F64 = torch.float64
GENERATOR = np.random.default_rng(0)
MASSES = torch.from_numpy(GENERATOR.uniform(0.5, 1.5, 100) / 100)


def lorenz(t, y):
    a, b, c = y
    return torch.stack([10 * (b - a), a * (28 - c) - b, a * b - 8 / 3 * c])


def arenstorf(t, y):
    """Hairer, Nørsett, Wanner I, II.0: a satellite around earth and moon."""
    moon = 0.012277471
    x, z, dx, dz = y
    near = ((x + moon) ** 2 + z**2) ** 1.5
    far = ((x - 1 + moon) ** 2 + z**2) ** 1.5
    return torch.stack(
        [
            dx,
            dz,
            x + 2 * dz - (1 - moon) * (x + moon) / near - moon * (x - 1 + moon) / far,
            z - 2 * dx - (1 - moon) * z / near - moon * z / far,
        ]
    )


def brusselator(t, y):
    return torch.stack([1 + y[0] ** 2 * y[1] - 4 * y[0], 3 * y[0] - y[0] ** 2 * y[1]])


def van_der_pol(t, y, mu=2.0):
    return torch.stack([y[1], mu * (1 - y[0] ** 2) * y[1] - y[0]])


def bodies(t, y):
    place, speed = y.reshape(2, 100, 3)
    apart = place[None] - place[:, None]
    pull = (MASSES[None, :, None] * apart / ((apart**2).sum(-1, keepdim=True) + 0.01) ** 1.5).sum(1)
    return torch.stack([speed, pull]).reshape(-1)


PERIOD = 17.0652165601579625588917206249
PROBLEMS = {
    "lorenz": (lorenz, [1.0, 1.0, 1.0], 1.0),
    "arenstorf": (arenstorf, [0.994, 0.0, 0.0, -2.00158510637908252240537862224], 2.0),
    "brusselator": (brusselator, [1.5, 3.0], 4.0),
    "van-der-pol": (van_der_pol, [2.0, 0.0], 5.0),
    "bodies": (bodies, GENERATOR.normal(size=600).tolist(), 0.5),
}


@pytest.mark.parametrize(
    ("problem", "rule"), [*((name, "dopri8") for name in PROBLEMS), ("brusselator", "tsit5"), ("bodies", "dopri5")]
)
def test_tight_tolerances_agree_with_scipy(problem, rule):
    from scipy.integrate import solve_ivp

    field, y0, end = PROBLEMS[problem]

    def plain(t, y):
        return field(t, torch.from_numpy(y)).numpy()

    times = [0.0, end / 3, end]
    theirs = solve_ivp(plain, (0.0, end), y0, "DOP853", t_eval=times, rtol=3e-13, atol=1e-13)
    ours = solve(field, torch.tensor(y0, dtype=F64), times, rule=rule, steps=Adaptive(rtol=1e-10, atol=1e-10))
    torch.testing.assert_close(ours.ys, torch.from_numpy(theirs.y.T.copy()), rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize(
    ("rule", "controller"),
    [
        *((rule, "PI") for rule in ("heun", "bosh3", "fehlberg45", "cash-karp", "tsit5", "dopri8")),
        *(("dopri5", controller) for controller in ("I", "PI", "PID")),
    ],
)
def test_the_error_is_proportional_to_the_tolerance(rule, controller):
    field, y0 = brusselator, torch.tensor([1.5, 3.0], dtype=F64)
    exact = solve(field, y0, (0.0, 1.5), rule="dopri8", steps=100).ys[-1]
    loose = 1e-2 if rule == "heun" else 1e-3 if rule == "bosh3" else 1e-6
    errors = []
    for tolerance in (loose, loose / 100):
        steps = Adaptive(rtol=tolerance, atol=tolerance, controller=controller)
        errors.append(float((solve(field, y0, (0.0, 1.5), rule=rule, steps=steps).ys[-1] - exact).abs().max()))
    assert errors[0] < 30 * loose
    assert 0.5 < math.log(errors[0] / errors[1]) / math.log(100) < 1.5


class Stub(StepRule):
    """A rule on y' = 1 whose error estimate is whatever a function of (t, h) says."""

    name, order, error_order = "stub", 1, 2

    def __init__(self, error):
        self.estimate = error

    def step(self, field, t, h, y, carry):
        return Step(y + h * field(t, y), lambda: torch.full((1,), self.estimate(t, h), dtype=F64))


def walk(error, stops=(0.0, 1.0), **options):
    """The accepted steps as (beginning, size), and the counts, where the estimate is in units of the tolerance."""
    counts, tried = Counts(), []
    inner = stops[1:-1]
    control = Adaptive(**({"rtol": 0.0, "atol": 1.0, "controller": "I", "first_step": 0.1, "step_t": inner} | options))
    callbacks = Callbacks(tried=lambda t, y, h: tried.append(h))
    field = Watched(lambda t, y: torch.ones_like(y), counts)
    problem = Problem(field, Stub(error), (stops[0], stops[-1]), control, callbacks)
    steps = steps_of(problem, torch.zeros(1, dtype=F64), Draws(field), counts)
    return [(taken.t, taken.h) for taken, _ in steps], counts, tried


def test_steps_without_error_grow_by_the_largest_factor():
    steps, counts, _ = walk(lambda t, h: 0.0, first_step=0.001)
    assert [h for _, h in steps] == pytest.approx([0.001, 0.01, 0.1, 0.889])
    assert (counts.steps, counts.accepted, counts.nfe) == (4, 4, 4)


def test_an_error_at_the_tolerance_is_accepted_and_the_step_kept():
    steps, counts, _ = walk(lambda t, h: 1.0)
    assert [h for _, h in steps] == pytest.approx([0.1] * 10)
    assert counts.steps == counts.accepted == 10


def test_an_error_above_the_tolerance_is_rejected_and_the_step_shrinks_as_the_order_says():
    # h^2 error: 4 at h = 0.2, so 0.9 * 4^(-1/2) * 0.2 = 0.09; from there 0.9 * (0.81)^(-1/2) = 1 keeps it.
    steps, counts, tried = walk(lambda t, h: (h / 0.1) ** 2, first_step=0.2)
    assert tried[:2] == pytest.approx([0.2, 0.09])
    assert [h for _, h in steps[:-1]] == pytest.approx([0.09] * 11)
    assert counts.steps - counts.accepted == 1


def test_an_infinite_error_shrinks_by_the_least_factor():
    _, _, tried = walk(lambda t, h: 0.5 if h < 0.01 else math.inf)
    assert tried[:3] == pytest.approx([0.1, 0.02, 0.004])


def test_a_step_after_a_rejection_does_not_grow():
    steps, _, tried = walk(lambda t, h: 2.0 if h > 0.05 and t < 0.04 else 1e-8)
    assert len(tried) > len(steps)
    assert steps[1][1] == pytest.approx(steps[0][1])
    assert steps[2][1] > steps[1][1]


def test_each_stop_is_landed_on_and_the_size_before_it_stays_good():
    steps, counts, _ = walk(lambda t, h: 1.0, stops=(0.0, 0.25, 1.0))
    assert [t for t, _ in steps] == pytest.approx([0, 0.1, 0.2, 0.25, 0.35, 0.45, 0.55, 0.65, 0.75, 0.85, 0.95])
    assert 0.25 in [t for t, _ in steps], "exactly"
    assert counts.steps == counts.accepted


def test_stops_nearer_than_rounding_are_landed_on():
    close = math.nextafter(0.5, 1.0)
    steps, _, _ = walk(lambda t, h: 0.5, stops=(0.0, 0.5, close, 1.0))
    assert {0.5, close} <= {t for t, _ in steps}


def test_backward_steps_are_negative():
    steps, _, _ = walk(lambda t, h: 1.0, stops=(1.0, 0.0))
    assert [h for _, h in steps] == pytest.approx([-0.1] * 10)


def test_the_least_step_is_accepted_whatever_its_error():
    steps, counts, _ = walk(lambda t, h: 5.0, min_step=0.1, first_step=0.4)
    assert min(h for _, h in steps[:-1]) >= 0.1
    assert counts.accepted == len(steps) >= 9


def test_no_step_is_larger_than_the_largest():
    steps, _, _ = walk(lambda t, h: 0.0, max_step=0.25)
    assert max(h for _, h in steps) == 0.25


def test_a_number_that_is_none_is_forgotten_once_a_step_is_accepted():
    # The first steps overflow; later ones are at the least size, where any finite error is accepted.
    steps, _, _ = walk(lambda t, h: math.nan if h > 0.5 else 3.0, first_step=1.0, min_step=0.1)
    assert len(steps) >= 5


def test_the_least_step_is_not_accepted_without_a_finite_error():
    with pytest.raises(SolverError, match=r"became NaN or infinite just after t=0"):
        walk(lambda t, h: math.nan, min_step=0.01)


def test_too_small_a_step_names_time_step_error_and_remedies():
    with pytest.raises(SolverError) as error:
        walk(lambda t, h: 1e9 if t > 0.35 else 0.9, first_step=0.2)
    sentence = str(error.value)
    for word in ("too small", "t=0.4", "step ", "last error 1e+09", "loosen rtol or atol", "float64", "implicit"):
        assert word in sentence


def test_the_first_step_follows_from_the_field():
    # d0 = d1 / rate = 1 / (atol + rtol), so h0 = 0.01 / rate, and h1 = (0.01 / max(d1, d2))^(1/5).
    tolerance, rate, first = 1e-6, 100.0, []
    callbacks = Callbacks(tried=lambda t, y, h: first.append(h))
    steps = Adaptive(rtol=tolerance / 2, atol=tolerance / 2)
    solve(lambda t, y: -rate * y, torch.ones(1, dtype=F64), (0.0, 1.0), steps=steps, callbacks=callbacks)
    assert first[0] == pytest.approx(min(1.0 / rate, (0.01 * tolerance / rate**2) ** 0.2))


@pytest.mark.parametrize("rule", ["bosh3", "tsit5", "dopri5", "dopri8", "cash-karp"])
def test_evaluations_are_counted_exactly(rule):
    calls = []

    def field(t, y):
        calls.append(t)
        return brusselator(t, y)

    y0 = torch.tensor([1.5, 3.0], dtype=F64)
    times = (0.0, 1.0, 2.5, 4.0)
    stats = solve(field, y0, times, rule=rule, steps=Adaptive(first_step=1.0, jump_t=(1.7,))).stats
    assert stats.nfe == len(calls)
    assert stats.rejected == stats.steps - stats.accepted > 0


def test_max_steps_leaves_what_there_is():
    times = [0.0, 0.5, 1.0, 5.0, 10.0]
    with pytest.raises(SolverError, match=r"max_steps=40 reached at t=.*allow more steps.*solution") as error:
        solve(lorenz, torch.ones(3, dtype=F64), times, steps=Adaptive(max_steps=40))
    solution = error.value.solution
    assert solution.status == "failed"
    assert solution.ts == tuple(times[: len(solution.ts)])
    assert 1 < len(solution.ts) < 5
    assert solution.ys.shape == (len(solution.ts), 3)
    assert solution.stats.steps == 40
    full = solve(lorenz, torch.ones(3, dtype=F64), times, steps=Adaptive())
    torch.testing.assert_close(solution.ys, full.ys[: len(solution.ts)], rtol=0, atol=0)


@pytest.mark.parametrize("sign", [1.0, -1.0])
@pytest.mark.parametrize("rule", ["tsit5", "dopri5", "dopri8", "bosh3", "cash-karp"])
def test_a_jump_is_landed_on_and_each_side_sees_its_own(rule, sign):
    seen, ends = [], []

    def field(t, y):
        seen.append(sign * t)
        return sign * (torch.ones_like(y) if sign * t < 0.3 else -y)

    callbacks = Callbacks(accepted=lambda t, y, h: ends.append(sign * t))
    steps = Adaptive(rtol=1e-9, atol=1e-9, jump_t=(sign * 0.3,))
    solution = solve(field, torch.ones(1, dtype=F64), (0.0, sign * 1.0), rule=rule, steps=steps, callbacks=callbacks)
    assert 0.3 in ends
    assert 0.3 not in seen, "neither side"
    assert math.nextafter(0.3, 0) in seen
    assert math.nextafter(0.3, 1) in seen
    # Linear up to the jump, so only the smooth decay after it has an error.
    assert float(solution.ys[-1]) == pytest.approx(1.3 * math.exp(-0.7), rel=1e-8)


def test_a_jump_named_costs_less_than_a_jump_found():
    def field(t, y):
        return torch.ones_like(y) * (1.0 if t < 0.3 else -2.0)

    named = solve(field, torch.ones(1, dtype=F64), (0.0, 1.0), steps=Adaptive(jump_t=(0.3,)))
    found = solve(field, torch.ones(1, dtype=F64), (0.0, 1.0), steps=Adaptive())
    assert float(named.ys[-1]) == pytest.approx(1.0 + 0.3 - 1.4, abs=1e-14)
    assert named.stats.rejected == 0 < found.stats.rejected


def test_step_times_are_landed_on_exactly():
    begins = []
    callbacks = Callbacks(accepted=lambda t, y, h: begins.append(t))
    steps = Adaptive(step_t=(0.7, 0.1, 3.0, -1.0))
    solve(lambda t, y: -y, torch.ones(1), (0.0, 1.0), steps=steps, callbacks=callbacks)
    assert {0.1, 0.7} <= set(begins)


def test_backward_time_undoes_forward_time():
    y0 = torch.tensor([1.5, 3.0], dtype=F64)
    steps = Adaptive(rtol=1e-10, atol=1e-10)
    there = solve(brusselator, y0, (0.0, 1.0), steps=steps).ys[-1]
    back = solve(brusselator, there, (1.0, 0.5, 0.0), steps=steps).ys[-1]
    torch.testing.assert_close(back, y0, rtol=0, atol=1e-8)


@pytest.mark.parametrize("rule", ["tsit5", "dopri8", "bosh3"])
@pytest.mark.parametrize("events", [(), (Event(lambda t, y: y[0] - 1e3),)], ids=["plain", "events"])
def test_one_host_read_per_step_and_two_more(host_reads, rule, events):
    steps = Adaptive(rtol=1e-5, atol=1e-5)
    with host_reads:
        stats = solve(lorenz, torch.ones(3, dtype=F64), (0.0, 0.1, 1.0), rule=rule, steps=steps, events=events).stats
    assert stats.steps > 5
    assert host_reads.count <= stats.steps + 2


def test_one_host_read_per_step_for_a_tree_with_tolerances_in_tensors(host_reads):
    y0 = (torch.ones(2), torch.ones(3, dtype=F64))
    steps = Adaptive(rtol=torch.tensor(1e-4), atol=(torch.full((2,), 1e-4), 1e-6))
    with host_reads:
        stats = solve(lambda t, y: (-y[0], y[1] * 0.5), y0, (0.0, 1.0), steps=steps).stats
    assert host_reads.count <= stats.steps + 2


def test_an_initial_state_that_is_not_finite_is_named():
    with pytest.raises(SolverError, match=r"the state is NaN or infinite at the initial time t=0: look at y0"):
        solve(lambda t, y: -y, torch.tensor([math.nan]), (0.0, 1.0), steps=Adaptive())
    with pytest.raises(SolverError, match=r"the field is NaN or infinite at the initial time"):
        solve(lambda t, y: y / 0.0, torch.ones(1), (0.0, 1.0), steps=Adaptive())


def test_a_solution_that_explodes_says_where():
    with pytest.raises(SolverError, match=r"t=1\b|t=0\.99") as error:
        solve(lambda t, y: y * y, torch.ones(1, dtype=F64), (0.0, 0.5, 2.0), steps=Adaptive())
    assert error.value.solution.ts == (0.0, 0.5)


def test_the_number_of_a_norm_may_have_a_dimension_of_one():
    y0 = torch.tensor([1.0, 2.0], dtype=torch.float64)
    norms = (lambda e: e.abs().max(), lambda e: e.abs().max().reshape(1))
    one, other = (solve(lambda t, y: -y, y0, (0.0, 1.0), steps=Adaptive(norm=norm)).ys for norm in norms)
    assert torch.equal(one, other)
