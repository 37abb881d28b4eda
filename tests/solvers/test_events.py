import math

import pytest
import torch

from odelib.solvers import TABLEAUS, Adaptive, Adjoint, Event, Grid, Sum, solve

F64 = torch.float64
TIGHT = Adaptive(rtol=1e-10, atol=1e-10)


def oscillator(t, y):
    return torch.stack([y[1], -y[0]])


def fall(t, y):
    return torch.stack([y[1], torch.full_like(y[1], -9.81)])


@pytest.mark.parametrize("rule", ["tsit5", "dopri8", "cash-karp"])
def test_the_zeros_of_a_cosine_are_recorded(rule):
    event = Event(lambda t, y: y[0], terminal=False)
    steps = Adaptive(rtol=1e-9, atol=1e-9)
    solution = solve(oscillator, torch.tensor([1.0, 0.0], dtype=F64), (0.0, 8.0), rule=rule, steps=steps, events=event)
    assert solution.status == "success"
    assert solution.ts == (0.0, 8.0)
    (zeros,) = solution.events
    torch.testing.assert_close(zeros.ts, math.pi * torch.tensor([0.5, 1.5, 2.5], dtype=F64), rtol=0, atol=3e-7)
    assert zeros.ys.shape == (3, 2)
    assert zeros.ys[:, 0].abs().max() < 1e-12, "the event is zero at the state, not at an interpolant of it"


def test_a_ball_hits_the_ground():
    event = Event(lambda t, y: y[0])
    solution = solve(fall, torch.tensor([10.0, 0.0], dtype=F64), (0.0, 1.0, 5.0), steps=TIGHT, events=event)
    impact = math.sqrt(20 / 9.81)
    assert solution.status == "event"
    assert solution.ts == (0.0, 1.0), "times after the event are not reached"
    assert float(solution.events[0].ts) == pytest.approx(impact, abs=1e-12)
    assert float(solution.events[0].ys[0, 1]) == pytest.approx(-9.81 * impact, abs=1e-10)


def test_a_ball_bounces():
    height, speed, t, times = 10.0, 0.0, 0.0, []
    for _ in range(3):
        y0 = torch.tensor([height, speed], dtype=F64)
        event = Event(lambda t, y: y[0], direction=-1)
        impact = solve(fall, y0, (t, t + 10.0), steps=TIGHT, events=event).events[0]
        t, height, speed = float(impact.ts), 0.0, -0.5 * float(impact.ys[0, 1])
        times.append(t)
    first = math.sqrt(20 / 9.81)
    assert times == pytest.approx([first, 2 * first, 2.5 * first], abs=1e-9)


@pytest.mark.parametrize(("direction", "count"), [(1, 1), (-1, 2), (0, 3)])
def test_only_the_wanted_direction_counts(direction, count):
    event = Event(lambda t, y: y[0], terminal=False, direction=direction)
    y0 = torch.tensor([1.0, 0.0], dtype=F64)
    assert len(solve(oscillator, y0, (0.0, 8.0), steps=TIGHT, events=event).events[0].ts) == count


def test_backwards_the_direction_is_that_of_the_solve():
    event = Event(lambda t, y: y[0], direction=-1)
    y0 = torch.tensor([1.0, 0.0], dtype=F64)
    solution = solve(oscillator, y0, (0.0, -8.0), steps=TIGHT, events=event)
    assert float(solution.events[0].ts) == pytest.approx(-math.pi / 2, abs=1e-10)


def test_several_events_are_kept_apart_and_the_first_terminal_one_ends_the_solve():
    events = (
        Event(lambda t, y: y[0], terminal=False),
        Event(lambda t, y: t - 6.0),
        Event(lambda t, y: y[1] + 0.5, terminal=False, direction=1),
        Event(lambda t, y: t - 7.0),
    )
    solution = solve(oscillator, torch.tensor([1.0, 0.0], dtype=F64), (0.0, 8.0), steps=TIGHT, events=events)
    assert solution.status == "event"
    assert [len(crossings.ts) for crossings in solution.events] == [2, 1, 1, 0]
    # sin t = 0.5 on the way down
    assert float(solution.events[2].ts) == pytest.approx(math.pi * 5 / 6, abs=1e-9)
    assert float(solution.events[1].ts) == pytest.approx(6.0, abs=1e-12)
    assert solution.events[3].ys.shape == (0, 2)


def test_two_events_in_one_step_come_in_their_order():
    events = (Event(lambda t, y: t - 0.4, terminal=False), Event(lambda t, y: t - 0.3))
    steps = Adaptive(first_step=1.0, rtol=1.0, atol=1.0)
    solution = solve(lambda t, y: 0 * y, torch.ones(1, dtype=F64), (0.0, 1.0), steps=steps, events=events)
    assert [crossings.ts.tolist() for crossings in solution.events] == [[], [pytest.approx(0.3)]]


def test_an_event_at_a_time_asked_for_comes_with_the_state_there():
    event = Event(lambda t, y: t - 0.5)
    solution = solve(lambda t, y: -y, torch.ones(1, dtype=F64), (0.0, 0.5, 1.0), steps=2, events=event)
    assert solution.ts == (0.0, 0.5)
    assert torch.equal(solution.events[0].ys[0], solution.ys[1])


@pytest.mark.parametrize("steps", [50, Grid(step_size=0.021), Grid(step_size=0.021, interpolation="cubic")])
def test_events_on_fixed_grids_have_the_order_of_the_rule(steps):
    event = Event(lambda t, y: y[0] - 0.5)
    solution = solve(oscillator, torch.tensor([1.0, 0.0], dtype=F64), (0.0, 2.0), rule="rk4", steps=steps, events=event)
    assert float(solution.events[0].ts) == pytest.approx(math.pi / 3, abs=1e-7)


def test_events_of_a_splitting():
    field = Sum(lambda t, y: torch.stack([y[1], 0 * y[1]]), lambda t, y: torch.stack([0 * y[0], -y[0]]))
    event = Event(lambda t, y: y[0] - 0.5)
    y0 = torch.tensor([1.0, 0.0], dtype=F64)
    solution = solve(field, y0, (0.0, 2.0), rule="strang", steps=400, events=event)
    assert float(solution.events[0].ts) == pytest.approx(math.pi / 3, abs=1e-4)


@pytest.mark.parametrize(
    ("mode", "steps"),
    [
        *((mode, Adaptive(rtol=1e-6, atol=1e-6)) for mode in ("backprop", "checkpoint", "adjoint", "reversible")),
        *((mode, 20) for mode in ("backprop", "checkpoint", "reversible", Adjoint(seminorm=False))),
    ],
)
def test_time_and_state_of_an_event_pass_gradcheck(mode, steps):
    y0 = torch.tensor([1.0, 0.3], dtype=F64, requires_grad=True)
    rate = torch.tensor(1.2, dtype=F64, requires_grad=True)
    level = torch.tensor(0.4, dtype=F64, requires_grad=True)

    def crossing(y0, rate, level):
        def field(t, y):
            return torch.stack([y[1], -rate * torch.sin(y[0]) + 0.1 * math.cos(t)])

        event = Event(lambda t, y: y[0] - level * (1 + 0.1 * t))
        rule = "dopri5" if isinstance(steps, Adaptive) else "rk4"
        options = {"rule": rule, "steps": steps, "gradient": mode, "parameters": (rate,)}
        found = solve(field, y0, (0.0, 2.0), events=event, **options).events[0]
        return found.ts, found.ys

    assert torch.autograd.gradcheck(crossing, (y0, rate, level), eps=1e-4, atol=1e-3, fast_mode=True)


def test_the_initial_time_moves_the_event():
    times = torch.tensor([0.25, 9.0], dtype=F64, requires_grad=True)
    y0 = torch.tensor([1.0, 0.0], dtype=F64)
    found = solve(oscillator, y0, times, steps=TIGHT, events=Event(lambda t, y: y[0])).events[0]
    assert found.ts.tolist() == pytest.approx([0.25 + math.pi / 2])
    (by_time,) = torch.autograd.grad(found.ts.sum(), times)
    torch.testing.assert_close(by_time, torch.tensor([1.0, 0.0], dtype=F64), rtol=0, atol=1e-8)


def test_events_of_a_tree_see_the_tree():
    y0 = {"place": torch.tensor([1.0], dtype=F64), "speed": torch.zeros(1, dtype=F64)}

    def field(t, y):
        return {"place": y["speed"], "speed": -y["place"]}

    solution = solve(field, y0, (0.0, 4.0), steps=TIGHT, events=Event(lambda t, y: y["place"].sum()))
    assert set(solution.events[0].ys) == {"place", "speed"}
    assert float(solution.events[0].ts) == pytest.approx(math.pi / 2, abs=1e-9)
    assert float(solution.events[0].ys["speed"]) == pytest.approx(-1.0, abs=1e-9)


def test_a_complex_state_has_events_with_gradients():
    y0 = torch.tensor([1.0 + 0j], dtype=torch.complex128, requires_grad=True)

    def time(y0):
        return (
            solve(lambda t, y: 1j * y, y0, (0.0, 3.0), steps=TIGHT, events=Event(lambda t, y: y.real.sum()))
            .events[0]
            .ts
        )

    assert float(time(y0)) == pytest.approx(math.pi / 2, abs=1e-9)
    assert torch.autograd.gradcheck(time, (y0,), eps=1e-5, atol=1e-5)


@pytest.mark.parametrize("guard", [torch.no_grad, torch.inference_mode])
def test_events_without_gradients(guard):
    with guard():
        y0 = torch.tensor([1.0, 0.0], dtype=F64)
        found = solve(oscillator, y0, (0.0, 2.0), steps=TIGHT, events=Event(lambda t, y: y[0])).events[0]
    assert float(found.ts) == pytest.approx(math.pi / 2, abs=1e-9)


LEVEL = 0.337
KINDS = {
    "smooth": lambda t, y: y[0] - LEVEL,
    "plateau": lambda t, y: torch.relu(LEVEL - y[0]),
    "truth value": lambda t, y: y[0] < LEVEL,
    "truth value, first false": lambda t, y: y[0] > LEVEL,
    "floor": lambda t, y: torch.floor(7 * (LEVEL - y[0])) + 1,
    "whole numbers": lambda t, y: torch.sign(LEVEL - y[0]).long(),
    "jump": lambda t, y: torch.where(y[0] < LEVEL, -1.0, 1.0),
    "sign": lambda t, y: torch.sign(y[0] - LEVEL),
    "cube": lambda t, y: (y[0] - LEVEL) ** 3,
    "cube root": lambda t, y: torch.sign(y[0] - LEVEL) * (y[0] - LEVEL).abs() ** (1 / 3),
    "steep": lambda t, y: torch.tanh(1e6 * (y[0] - LEVEL)),
    "no number beyond": lambda t, y: torch.sqrt(LEVEL - y[0]),
    "no limit": lambda t, y: 1 / (LEVEL - y[0]),
    "time": lambda t, y: t.abs() - LEVEL,
}


def found(kinds, rule, steps, dtype, sign):
    """Whether events find the level that a motion goes through, each by its kind and to the last digits."""

    def field(t, y):
        return torch.full_like(y, sign)

    events = [Event(KINDS[kind], terminal=False) for kind in kinds]
    split = Sum(field) if rule == "strang" else field
    crossings = solve(split, torch.zeros(1, dtype=dtype), (0.0, sign), rule=rule, steps=steps, events=events).events
    slack = 1e-12 if dtype == F64 else 2e-7
    return {
        kind: found.ts.tolist() == [pytest.approx(sign * LEVEL, abs=slack)]
        and found.ys.tolist() == [[pytest.approx(LEVEL, abs=slack)]]
        for kind, found in zip(kinds, crossings, strict=True)
    }


@pytest.mark.parametrize(
    ("rule", "steps", "dtype", "sign"),
    [("bosh3", Adaptive(), torch.float32, 1.0), ("midpoint", 3, F64, -1.0)],
    ids=["adaptive", "equal, back"],
)
def test_every_kind_of_event_is_found_to_the_last_digits(rule, steps, dtype, sign):
    assert found(KINDS, rule, steps, dtype, sign) == dict.fromkeys(KINDS, True)


@pytest.mark.parametrize(
    ("rule", "steps"),
    [
        *((name, Adaptive()) for name, tableau in TABLEAUS.items() if tableau.b_error),
        *(("rk4", steps) for steps in (3, Grid(0.4, interpolation="cubic"), Grid(0.4, two_sided=True))),
        ("strang", 3),
        ("reversible(rk4)", 3),
    ],
    ids=lambda part: part if isinstance(part, str) else type(part).__name__,
)
def test_every_method_finds_events_in_both_precisions_and_directions(rule, steps):
    assert found(["smooth", "plateau"], rule, steps, torch.float32, 1.0) == {"smooth": True, "plateau": True}
    assert found(["smooth"], rule, steps, F64, -1.0) == {"smooth": True}


def test_a_derivative_by_an_event_without_a_finite_slope_is_refused():
    for kind in ("truth value", "floor", "sign", "whole numbers"):
        y0 = torch.zeros(1, dtype=F64, requires_grad=True)
        found = solve(lambda t, y: torch.ones_like(y), y0, (0.0, 1.0), steps=3, events=Event(KINDS[kind])).events[0]
        with pytest.raises(RuntimeError, match="has no slope along the motion at its crossing, or no finite one"):
            found.ts.sum().backward()


def test_an_event_has_derivatives_under_torch_func_or_says_that_it_has_none():
    def time(rate, function=lambda t, y: y[0] - 0.5):
        y0 = torch.ones(1, dtype=F64)
        return solve(lambda t, y: -rate * y, y0, (0.0, 1.0), steps=TIGHT, events=Event(function)).events[0].ts.sum()

    def flat(rate):
        return time(rate, lambda t, y: y[0] < 0.5)

    rate = torch.tensor(2.0, dtype=F64)
    wanted = pytest.approx(-math.log(2) / 4, abs=1e-8)
    assert float(torch.func.grad(time)(rate)) == wanted
    assert float(torch.func.jvp(time, (rate,), (torch.ones_like(rate),))[1]) == wanted
    with pytest.raises(RuntimeError, match="no slope along the motion"):
        torch.func.grad(flat)(rate)
    with pytest.raises(RuntimeError, match="jvp"):
        torch.func.jvp(flat, (rate,), (torch.ones_like(rate),))


def test_an_event_by_a_plain_number_is_found():
    event = Event(lambda t, y: torch.tensor(float(t) - 0.3, dtype=F64))
    found = solve(lambda t, y: -y, torch.ones(1, dtype=F64), (0.0, 1.0), steps=TIGHT, events=event).events[0]
    assert float(found.ts) == pytest.approx(0.3, abs=1e-12)


def test_an_event_that_starts_at_zero_counts_when_it_comes_back():
    y0 = torch.tensor([0.0, 1.0], dtype=F64)
    found = solve(oscillator, y0, (0.0, 8.0), steps=TIGHT, events=Event(lambda t, y: y[0])).events[0]
    assert float(found.ts) == pytest.approx(math.pi, abs=1e-9)


@pytest.mark.parametrize(
    "value", [lambda t, y: y, lambda t, y: 1.0, lambda t, y: y[0] * 1j], ids=["shape", "float", "complex"]
)
def test_an_event_that_is_no_real_number_is_refused(value):
    with pytest.raises(TypeError, match=r"an event function returned .*: return one real number as a 0-dimensional"):
        solve(lambda t, y: -y, torch.ones(2), (0.0, 1.0), steps=2, events=Event(value))


def test_an_unknown_direction_is_refused():
    with pytest.raises(ValueError, match=r"direction is 2: choose 1 \(upwards\), -1 \(downwards\) or 0 \(both\)"):
        Event(lambda t, y: y[0], direction=2)
