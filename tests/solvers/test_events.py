import math

import pytest
import torch

from odelib.solvers import Adaptive, Adjoint, Event, Grid, solve

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
    from odelib.solvers import Sum

    field = Sum(lambda t, y: torch.stack([y[1], 0 * y[1]]), lambda t, y: torch.stack([0 * y[0], -y[0]]))
    event = Event(lambda t, y: y[0] - 0.5)
    y0 = torch.tensor([1.0, 0.0], dtype=F64)
    solution = solve(field, y0, (0.0, 2.0), rule="strang", steps=400, events=event)
    assert float(solution.events[0].ts) == pytest.approx(math.pi / 3, abs=1e-4)


@pytest.mark.parametrize("steps", [Adaptive(rtol=1e-7, atol=1e-7), 40], ids=["adaptive", "steps"])
@pytest.mark.parametrize("mode", ["backprop", "checkpoint", "adjoint", Adjoint(seminorm=False), "reversible"], ids=str)
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
        found = solve(field, y0, (0.0, 3.0), events=event, **options).events[0]
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
