"""What is of the wrong kind is refused in one sentence: what came, what was expected, what to do."""

import subprocess
import sys

import pytest
import torch

from odelib.solvers import Adaptive, Exact, Grid, Step, StepRule, Sum, check_terms, integrate, solve, step_rule

# Without the run-time checks of the tests, which would speak first.
CASES = """
import torch
from torch import nn
from odelib.layers import DepthBlock, DepthSchedule
from odelib.models import register_field
from odelib.solvers import *

y, field, net = torch.ones(3), lambda t, y: -y, [nn.Linear(3, 3)]
turn = Event(lambda t, y: y[0] - 0.5)

def solved(times=(0.0, 1.0), f=field, **options):
    return lambda: solve(f, torch.ones(3, requires_grad=True), times, **options)

def block(**options):
    return lambda: DepthBlock(net, "euler", DepthSchedule(1), **options)

def fixed(**options):
    return lambda: odeint(field, y, [0.0, 1.0], method="rk4", options=options)

class Mute(nn.Module):
    def forward(self, t, y):
        return -y

class Exchanged(StepRule):
    order = 1
    def evaluations(self, terms):
        return 1.0
    def step(self, field, t, h, y, carry):
        return Step(y + h * field(y, t))

mute = Mute()
mute.callback_step = lambda t: None
only = Sum(field, Exact(lambda t, h, y: y))
cases = [
    (solved("01"), "times is '01' (a string is no sequence"),
    (solved(None), "times is None ('NoneType' object is not iterable): give a sequence of numbers"),
    (solved(["a"]), "times is ['a'] (could not"),
    (solved(events=turn.function), "give an Event(function), or some in a list"),
    (solved(events=[turn.function]), "give an Event(function), or some in a list"),
    (solved(callbacks=print), "give Callbacks(...), or None"),
    (lambda: Callbacks(tried=3), "tried of Callbacks is 3: give a function, or None"),
    (solved(gradient="checkpoint", parameters="w"), "parameters holds 'w': give the tensors"),
    (solved(gradient="checkpoint", parameters=net[0]), "give the tensors that the field depends on"),
    (solved(f=3), "the field is 3: give a function of (t, y)"),
    (solved(dense=True, f=only, rule="strang"), None),
    (lambda: solve(only, y, (0.0, 1.0), rule="strang", dense=True)(0.5), "give Exact(flow, field)"),
    (solved((0.0, 0.5, 1.0), f=only, rule="strang", steps=Grid(0.3, interpolation="cubic")), "a cubic Grid), or at an"),
    (solved(f=only, rule="strang", events=turn), "or at an event: give Exact(flow, field)"),
    (lambda: solve(field, y, (0.0, 1.0), dense=True)("a"), "the time is 'a': give a number, or a 0-dim"),
    (lambda: Adaptive(rtol="a"), "rtol is 'a': give a number or a tensor"),
    (lambda: Adaptive(atol=[None]), "atol is None: give a number or a tensor"),
    (lambda: Adaptive(norm=3), "norm of Adaptive is 3: give a function, or None"),
    (lambda: Adaptive(first_step="a"), "first_step of Adaptive is 'a': give a number, or None"),
    (lambda: Adaptive(max_steps=1.5), "max_steps of Adaptive is 1.5: give a whole number"),
    (lambda: Adaptive(jump_t=3), "jump_t is 3 ('int' object"),
    (lambda: Adaptive(controller=3), "the controller is 3: give a name, one of I, PI, PID"),
    (solved(steps=Adaptive(norm=lambda e: 1.0)), "norm returned 1.0: return one real number"),
    (solved(steps=Adaptive(rtol=torch.ones(7))), "does not go with a state of shapes [(3,)]"),
    (lambda: Grid("a"), "step_size of Grid is 'a': give a number, or None"),
    (lambda: Grid(points=[0.0, 1.0]), "points of Grid is [0.0, 1.0]: give a function, or None"),
    (solved(steps=Grid(points=lambda times: None)), "what points returned is None"),
    (lambda: Event(3), "function of Event is 3: give a function"),
    (lambda: Adjoint(steps=0), "steps is 0: take at least 1 step"),
    (lambda: Adjoint(steps="a"), "steps is 'a': give the number of steps"),
    (lambda: Adjoint(rule=3), "the step rule is 3: give a name"),
    (lambda: Checkpoint(1.5), "segments of Checkpoint is 1.5: give a whole number, or None"),
    (lambda: Reversible("rk4"), "the rule inside is 'rk4': give a StepRule"),
    (lambda: Splitting("strang", "euler"), "the rule inside is 'euler': give a StepRule"),
    (lambda: Exact(3), "flow of Exact is 3: give a function"),
    (lambda: Sum(3), "the terms of a sum are (3,): give functions"),
    (solved(callbacks=Callbacks(lambda t, y, *h: None)), None),
    (lambda: Callbacks(tried=lambda t, y: None), "give a function, or None; it is called with (t, y, h)"),
    (lambda: Callbacks(rejected=lambda t: None), "give a function, or None; it is called with (t, y, h)"),
    (lambda: Adjoint(callbacks=print), "give Callbacks(...), or None"),
    (lambda: Adjoint(seminorm="no"), "seminorm of Adjoint is 'no': give True or False"),
    (solved(f=lambda y: -y), "which does not take (t, y): let it take these two"),
    (solved(f=lambda t, y, z: -y, steps=Adaptive()), "which does not take (t, y): let it take these two"),
    (solved(f=nn.Linear(3, 3), steps=Adaptive(per_sample=True)), "which does not take (t, y): let it take these two"),
    (solved(f=Sum(field, lambda y: y), rule="strang"), "which does not take (t, y): let it take these two"),
    (solved(f=Sum(field, lambda t, y: torch.ones(1))), "a term of the sum returned (1,) where the first gave"),
    (solved(f=Sum(field, lambda t, y: None), rule="rk4"), "a term of the sum returned NoneType where the first gave"),
    (block(learn_step_size="yes"), "learn_step_size is 'yes': give True or False"),
    (solved(dense="no"), "dense is 'no': give True or False"),
    (lambda: integrate(field, 3, y, t=0.0, h=0.1, steps=2), "the step rule is 3: give a name"),
    (lambda: integrate(field, "rk5", y, t=0.0, h=0.1, steps=2), "unknown step rule 'rk5': the nearest valid name is"),
    (lambda: integrate(field, "rk4", y, t=0.0, h=0.1, steps=2.5), "steps=2.5: give"),
    (lambda: integrate(field, "rk4", [1.0], t=0.0, h=0.1, steps=2), "a state list, h=0.1 and steps=2: give a function"),
    (lambda: integrate(field, "rk4", y, t=0.0, h="a", steps=2), "h='a' and steps=2: give a function"),
    (lambda: integrate(3, "rk4", y, t=0.0, h=0.1, steps=2), "integrate came with a field int"),
    (lambda: ExplicitRungeKutta("rk4"), "the tableau is 'rk4': give a Tableau, such as TABLEAUS['rk4']"),
    (lambda: step_rule("rk4(euler)"), "names 'euler' inside of 'rk4': a splitting (lie-trotter, strang,"),
    (lambda: step_rule("strang(strang)"), "names 'strang' inside of 'strang': a splitting (lie-trotter,"),
    (lambda: step_rule("reversible"), "the nearest valid name is 'reversible(rk4)'"),
    (lambda: Event(lambda y: y), "give a function; it is called with (t, y)"),
    (lambda: Event(turn.function, terminal="no"), "terminal of Event is 'no': give True or False"),
    (lambda: Event(turn.function, time_dtype="float32"), "time_dtype of Event is 'float32': give a floating dtype"),
    (lambda: Event(turn.function, time_dtype=torch.int32), "time_dtype of Event is torch.int32: give a floating"),
    (lambda: Grid(0.1, two_sided="no"), "two_sided of Grid is 'no': give True or False"),
    (lambda: Grid(points=lambda: [0.0, 1.0]), "give a function, or None; it is called with (times)"),
    (solved(steps=Grid(1e-300)), "less than what tells two numbers apart at the times 0.0 and 1.0"),
    (lambda: Adaptive(norm=lambda: 1.0), "give a function, or None; it is called with (error)"),
    (solved(steps=Adaptive(norm=lambda e: 1j * e.sum(), first_step=0.1)), "return one real number as a 0-dimensional"),
    (solved(rule=Exchanged()), "was called with a float as the state: call it as field(t, y)"),
    (solved(steps=Adaptive(rtol=torch.ones(7), first_step=0.1)), "rtol of shape (7,) does not go with a state of"),
    (solved(steps=Adaptive(atol=(torch.ones(3, 1),))), "atol of shape (3, 1) does not go with a state of"),
    (lambda: Adaptive(jump_t=[float("nan")]), "jump_t holds NaN, (nan,): replace it by a time"),
    (lambda: Adaptive(per_sample="no"), "per_sample of Adaptive is 'no': give True or False"),
    (lambda: Controller(i=float("nan")), "and 0 < safety <= 1, and finite i, p and d"),
    # Lists and tensors become tuples of floats, or the rule could be neither compared nor kept.
    (lambda: {Tableau("mine", 2, [[], [0.5]], torch.tensor([0.0, 1.0]), [0, 0.5]).real_stability}, None),
    (lambda: Tableau("mine", 1, None, (1.0,), (0.0,)), "a of a tableau is None ('NoneType' object is not iterable)"),
    (lambda: Tableau("mine", 1, ((),), ("a",), (0.0,)), "b of a tableau is ('a',) (could not"),
    (lambda: Tableau("mine", 1, ((),), 1.0, (0.0,)), "b of a tableau is 1.0 ('float' object is not iterable)"),
    (lambda: Tableau("mine", "one", ((),), (1.0,), (0.0,)), "order of Tableau is 'one': give a whole number"),
    (lambda: odeint(3, y, torch.tensor([0.0, 1.0])), "a field is 3, which does not take (t, y): let it take"),
    (lambda: odeint(lambda y: y, y, [0.0, 1.0]), "which does not take (t, y): let it take these two"),
    (lambda: odeint(field, y, [0.0, 1.0], options=["norm"]), "options is ['norm']: give a dict"),
    (lambda: odeint(field, y, [0.0, 1.0], options={"first_step": "a"}), "option 'first_step' is 'a': give a number"),
    (lambda: odeint(field, y, [0.0, 1.0], options={"dtype": "a"}), "the option 'dtype' is 'a': give a dtype"),
    (lambda: odeint(field, y, [0.0, 1.0], rtol=None), "rtol is None: give a number or a tensor"),
    (lambda: odeint(field, y, [0.0, 1.0], event_fn=lambda y: y), "event_fn is <function"),
    (lambda: odeint(field, y, [0.0, 1.0], event_fn=lambda t, y: None), "event_fn returned a NoneType: return a tensor"),
    (lambda: odeint(mute, y, [0.0, 1.0], method="euler"), "callback_step of Mute is <function"),
    (lambda: odeint_adjoint(field, y, [0.0, 1.0], adjoint_params=3), "parameters holds 3: give the tensors"),
    (fixed(step_size="a"), "the option 'step_size' is 'a': give a number"),
    (fixed(grid_constructor="a"), "grid_constructor is 'a': give a function of (func, y0, t)"),
    (lambda: DepthBlock(net[0], "euler", DepthSchedule(1)), "give modules with forward(t, x), one per weight set"),
    (block(steps=3), "steps is 3: give Adaptive(...), or None; a number of steps is the schedule's"),
    (block(gradient=3), "gradient is 3: give one of backprop"),
    (lambda: DepthBlock([field], "euler", DepthSchedule(1)), "give modules with forward(t, x)"),
    (lambda: DepthBlock(net, "euler", 1), "the schedule is 1: give a DepthSchedule"),
    (lambda: block()().swap(refine=1.5), "refine is 1.5: give a whole number"),
    (lambda: block()().swap(steps="a"), "steps of DepthSchedule is 'a': give a whole number"),
    (lambda: DepthSchedule(2.5), "intervals of DepthSchedule is 2.5: give a whole number"),
    (lambda: register_field("mine", 3), "'mine' came with 3: give a name, and a function"),
    (lambda: register_field("mine", net[0]), "give a name, and a function make(config, **needs)"),
]
for number, (call, sentence) in enumerate(cases):
    try:
        call()
        said = None
    except (TypeError, ValueError) as error:
        said = str(error)
    fine = said is None if sentence is None else said is not None and sentence in said and "\\n" not in said[:60]
    print(number, "fine" if fine else f"{sentence!r} wanted, {said!r} said")
print(len(cases), "cases")
"""


def test_arguments_of_the_wrong_kind_are_refused_in_a_sentence():
    done = subprocess.run([sys.executable, "-c", CASES], capture_output=True, text=True, check=True)
    *told, count = done.stdout.splitlines()
    assert count == f"{len(told)} cases"
    assert [line for line in told if not line.endswith("fine")] == []


class Own(StepRule):
    """A rule that returns what it is told to."""

    order, error_order = 1, 2

    def __init__(self, made):
        self.made = made

    def evaluations(self, terms):
        return 1.0

    def step(self, field, t, h, y, carry):
        return self.made(y, h * field(t, y))


@pytest.mark.parametrize(
    "steps", [1, 2, Grid(0.3), Adaptive(), Adaptive(per_sample=True)], ids=lambda s: type(s).__name__
)
@pytest.mark.parametrize(
    ("made", "sentence"),
    [
        (lambda y, d: y + d, r"returned a Tensor as its step: return Step\(y1"),
        (lambda y, d: None, "returned a NoneType as its step"),
        (lambda y, d: (y + d, None), "returned a tuple as its step"),
        (lambda y, d: Step(y[:1]), r"'Own' returned shape \(1, 3\) for a state of shape \(2, 3\): return the state at"),
        (lambda y, d: Step(1.0), "returned a float for a tensor state: return the state at t"),
        (lambda y, d: Step((y, y)), "returned a tuple for a tensor state"),
        (lambda y, d: Step(y.double()), r"returned torch\.float64 for a state of torch\.float32: return the state at"),
        (
            lambda y, d: Step(y + d, lambda: d, None, d),
            "dense of a step of 'Own' is a Tensor: give a function, or None",
        ),
    ],
)
def test_a_rule_that_returns_no_step_is_refused(made, sentence, steps):
    with pytest.raises((TypeError, ValueError), match=sentence):
        solve(lambda t, y: -y, torch.ones(2, 3), (0.0, 1.0), rule=Own(made), steps=steps)


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (None, "has an error_order, but its step has no error: return Step"),
        (torch.ones(2, 3), "error of a step of 'Own' is a Tensor: give a function, or None"),
        (lambda: None, "the error of 'Own' returned a NoneType"),
        (lambda: torch.ones(7), r"the error of 'Own' returned shape \(7,\)"),
    ],
)
@pytest.mark.parametrize("per_sample", [False, True])
def test_a_step_without_its_error_is_refused(error, sentence, per_sample):
    rule = Own(lambda y, d: Step(y + d, error))
    with pytest.raises((TypeError, ValueError), match=sentence):
        solve(lambda t, y: -y, torch.ones(2, 3), (0.0, 1.0), rule=rule, steps=Adaptive(per_sample=per_sample))


class Euler(StepRule):
    order = 1

    def evaluations(self, terms):
        return 1.0

    def step(self, field, t, h, y, carry):
        return Step(y + h * field(t, y))


def test_a_rule_on_single_tensors_says_so_on_a_tree_and_on_the_way_back():
    with pytest.raises(TypeError, match="the rule 'Euler' could not step a state that is a tuple of tensors"):
        solve(lambda t, y: (-y[0], y[1]), (torch.ones(2), torch.ones(3)), (0.0, 1.0), rule=Euler())
    y0 = torch.ones(3, requires_grad=True)
    ys = solve(lambda t, y: -y, y0, (0.0, 1.0), rule=Euler(), gradient="adjoint", parameters=()).ys
    with pytest.raises(TypeError, match=r"on the way back of the adjoint, name a rule, as in Adjoint\(rule='rk4'\)"):
        ys.sum().backward()


def test_what_a_field_raises_on_a_tree_is_not_said_of_the_rule():
    def broken(t, y):
        raise TypeError("mine")

    with pytest.raises(TypeError, match=r"^mine$"):
        solve(broken, (torch.ones(2), torch.ones(3)), (0.0, 1.0))


@pytest.mark.parametrize("rule", ["lie-trotter", "strang(midpoint)"])
@pytest.mark.parametrize(
    ("flow", "sentence"),
    [
        (lambda t, h, y: torch.ones(7), r"the flow of a term returned shape \(7,\) for a state of shape \(3,\)"),
        (lambda t, h, y: 1.0, "the flow of a term returned a float"),
        (lambda t, h, y: y.double(), r"the flow of a term returned torch\.float64"),
    ],
)
def test_a_flow_that_returns_no_state_is_refused(rule, flow, sentence):
    with pytest.raises((TypeError, ValueError), match=sentence):
        solve(Sum(lambda t, y: -y, Exact(flow)), torch.ones(3), (0.0, 1.0), rule=rule)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("rate", [1e-3, 1.0, 1e4])
def test_a_flow_is_compared_with_its_field(rate, dtype):
    turn = rate * torch.tensor([[0.0, 1.0], [-1.0, 0.0]], dtype=dtype)

    def field(scale):
        flow = lambda t, h, y: y @ torch.matrix_exp(scale * h * turn).T  # noqa: E731
        return Sum(lambda t, y: -y, Exact(flow, lambda t, y: y @ turn.T))

    check_terms(field(1.0), torch.ones(5, 2, dtype=dtype))
    for wrong in (-1.0, 1.1, 0.0):
        with pytest.raises(ValueError, match="the flow of term 1 begins along another field than the term's"):
            check_terms(field(wrong), torch.ones(5, 2, dtype=dtype))
    both = Sum(
        lambda t, y: (-y[0], y[1]), Exact(lambda t, h, y: (y[0], y[1] + h), lambda t, y: (0 * y[0], 0 * y[1] + 1))
    )
    check_terms(both, (torch.ones(2), torch.ones(3)))


def test_the_bare_loop_takes_a_name_and_a_tableau_too():
    y, given = torch.ones(3), {"t": 0.0, "h": 0.1, "steps": 3}
    right = integrate(lambda t, y: -y, step_rule("rk4"), y, **given)
    for rule in ("rk4", step_rule("rk4").tableau):
        assert torch.equal(integrate(lambda t, y: -y, rule, y, **given), right)
