import torch

from odelib.solvers import Adaptive, Event, Grid, step_rule
from odelib.solvers.loop import Problem, follow
from odelib.solvers.outputs import Collector, Outputs
from odelib.solvers.randomness import Draws
from odelib.solvers.watched import Counts

F64 = torch.float64


def followed(steps, times, events=()):
    rule = step_rule("dopri5")
    problem, into = Problem(lambda t, y: -y, rule, times, steps, events=events), Outputs()
    seen = Collector(problem, into)
    follow(problem, torch.ones(1, dtype=F64), Draws(problem.field), Counts(), seen.look, seen.probe)
    return into


def test_every_time_has_its_mark_in_the_step_that_covers_it():
    into = followed(Grid(step_size=0.4), (0.0, 0.1, 0.4, 0.5, 0.6, 1.0))
    assert [(mark.step, mark.time) for mark in into.marks] == [(0, 0.1), (0, 0.4), (1, 0.5), (1, 0.6), (2, 1.0)]
    assert (into.marks[-1].time, into.stopped) == (1.0, False)


def test_many_times_in_one_adaptive_step_cost_no_more_steps():
    times = tuple(i / 50 for i in range(51))
    into = followed(Adaptive(rtol=1e-2, atol=1e-2), times)
    assert len(into.states) == 50
    assert into.marks[-1].step < 10


def test_a_terminal_event_ends_the_walk_where_it_is():
    into = followed(Adaptive(), (0.0, 0.2, 0.9), (Event(lambda t, y: t - 0.5),))
    assert [mark.event for mark in into.marks] == [None, 0]
    assert into.stopped
    assert abs(into.marks[-1].time - 0.5) < 1e-12


def test_the_stops_of_a_reversible_rule_are_all_times_asked_for():
    problem = Problem(torch.neg, step_rule("reversible(dopri5)"), (1.0, 0.5, 0.0), Adaptive(step_t=(0.7, 0.2, 2.0)))
    assert problem.stops() == [0.7, 0.5, 0.2, 0.0]


def test_between_two_times_nobody_looks_on():
    problem = Problem(torch.neg, step_rule("rk4"), (0.0, 1.0), 3, events=(Event(lambda t, y: t),))
    part = problem.between(0.5, 0.25)
    assert (part.times, part.events, part.sign) == ((0.5, 0.25), (), -1.0)
