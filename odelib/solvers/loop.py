"""The door: solve an initial-value problem, by whichever rule, steps and gradient mode."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from odelib.solvers.adjoint import SolveAdjoint
from odelib.solvers.arithmetic import Leaves, Tree, leaves_of, like, stacked
from odelib.solvers.checks import check_finite, check_rule, check_times, readable
from odelib.solvers.control import Adaptive
from odelib.solvers.draws import Draws
from odelib.solvers.errors import SolverError
from odelib.solvers.events import Event, sorted_crossings, with_gradient
from odelib.solvers.fields import Checked, CheckedOnce, Field, InUnitTime
from odelib.solvers.gradients import (
    Adjoint,
    Backprop,
    Checkpoint,
    Gradient,
    Reverse,
    Solve,
    gradient_mode,
    parameters_of,
)
from odelib.solvers.grid import Grid
from odelib.solvers.motion import first_order, moved, slopes_at
from odelib.solvers.persample import PerSample
from odelib.solvers.replay import Replay, StepBack
from odelib.solvers.reversible import Reversible
from odelib.solvers.rules import StepRule
from odelib.solvers.solution import Solution, Stats
from odelib.solvers.trajectory import Mark, Problem, Trajectory, follow
from odelib.solvers.walk import Counts, Watchers


def march(
    field: Field,
    rule: StepRule,
    y: Any,
    *,
    t: float,
    h: float,
    steps: int,
    record: list[Any] | None = None,
) -> Any:
    """Take ``steps`` steps of size ``h`` from time ``t`` and return the last state: the bare loop, nothing checked.

    A field with randomness inside offers ``draw(y) -> field``: it is called once per step, and what it returns is
    used for all stages of that step. Stages that saw different fields would lose the order of the method.

    Args:
        field: The vector field.
        rule: The step rule.
        y: State at time ``t``: a tensor of any shape, or a tuple of tensors.
        t: Initial time.
        h: Step size, not zero; negative to go back in time.
        steps: Number of steps.
        record: A list to which the state after each step is appended.
    """
    return _march(field, rule, y, None, t, h, range(steps), record)[0]


def _march(
    field: Any, rule: StepRule, y: Any, carry: Any, t: float, h: float, steps: range, record: list[Any] | None = None
) -> tuple[Any, Any]:
    draw = getattr(field, "draw", None)
    for i in steps:
        held = field if draw is None else draw(y)
        y, _, carry = rule.step(held, t + i * h, h, y, carry)
        if record is not None:
            record.append(y)
    return y, carry


def solve(
    field: Field,
    y0: Any,
    times: Sequence[float] | Tensor,
    *,
    rule: str | StepRule | None = None,
    steps: int | Grid | Adaptive = 1,
    gradient: str | Gradient = "backprop",
    parameters: Sequence[Tensor] | None = None,
    events: Event | Sequence[Event] = (),
    watchers: Watchers | None = None,
) -> Solution:
    """Integrate dy/dt = field(t, y) from y(times[0]) = y0 through all of ``times``.

    Args:
        field: The vector field, ``field(t, y) -> dy/dt`` of the structure, shape, dtype and device of ``y``. It gets
            ``t`` as a Python float; as a 0-dimensional tensor where ``times`` require a gradient on a fixed grid, and
            as a tensor of shape (batch, 1, ..., 1) under ``Adaptive(per_sample=True)``.
        y0: Initial state: a tensor of any shape, floating or complex, or a tuple, list or dict (also nested) of such,
            also of different dtypes. Half precision is summed in float32 within a step.
        times: Strictly increasing or strictly decreasing times; a single time returns the initial state. A tensor may
            require a gradient; one on a device is read once.
        rule: A step rule or its name (`odelib.solvers.STEP_RULES`). Default: "rk4" on a grid, "tsit5" for adaptive
            steps.
        steps: Equal steps between two neighbouring times, or a `Grid`, or `Adaptive` steps.
        gradient: "backprop", "checkpoint", "adjoint", "reversible", or one of `Checkpoint`, `Adjoint`, `Reverse` with
            options. Values are the same in all modes but "reversible", which solves with a reversible rule.
        parameters: For modes other than "backprop": the tensors that the field depends on, where it is no
            ``nn.Module`` that could be asked.
        events: Functions whose zeros end the solve or are recorded.
        watchers: Callbacks.

    Returns:
        A `Solution` with the states at ``times``.

    Raises:
        ValueError: Times are not strictly monotone, there is none, an option is unknown or out of its range, or the
            field returns another shape.
        TypeError: The state is not of floating or complex tensors, or the field returns another type, dtype or device.
        SolverError: The solution became NaN or infinite, the step too small, or the steps too many.
    """
    grid = check_times(times)
    tree = Tree(y0)
    method, mode = check_rule(rule, steps, field), gradient_mode(gradient)
    if isinstance(mode, Reverse) and not isinstance(method, Reversible):
        method = check_rule(Reversible(method, mode.coupling), steps, field)  # type: ignore[arg-type]
    if isinstance(steps, Adaptive) and steps.norm is not None and not tree.is_tensor:
        norm = steps.norm
        steps = replace(steps, norm=lambda leaves: norm(tree.tree(leaves)))
    if isinstance(steps, Adaptive):
        steps = steps.repeated(len(leaves_of(tree.y0)), 1)
    some = (events,) if isinstance(events, Event) else tuple(events)
    if not tree.is_tensor:
        some = tuple(_on_leaves(event, tree) for event in some)
    problem = Problem(tree.field(field), method, grid, steps, watchers or Watchers(), some)
    clock = times if isinstance(times, Tensor) and times.requires_grad and torch.is_grad_enabled() else None
    if len(grid) == 1:
        here, none = tree.tree(stacked(tree.y0, [tree.y0])), sorted_crossings(tree, [], some)
        return Solution(grid, here, Stats(0, 0, 0), events=none)
    return _Solver(problem, tree, mode, field, parameters, clock).solution()


@dataclass
class _Solver:
    """One call of `solve`, its arguments checked."""

    problem: Problem
    tree: Tree
    mode: Gradient
    asked: Any
    given: Sequence[Tensor] | None
    clock: Tensor | None

    def solution(self) -> Solution:
        """Solve; a failure carries the solution up to where it happened."""
        problem, y0 = self.problem, self.tree.y0
        self.counts, self.trajectory = Counts(), Trajectory()
        steps = problem.steps
        if isinstance(steps, Adaptive) and steps.per_sample:
            return self._per_sample(steps)
        # In a reversible solve the pair of states runs through all intervals, so the motion's derivative is taken.
        plain = isinstance(steps, int) and not problem.events and not isinstance(problem.rule, Reversible)
        exact_clock = self.clock is not None and plain
        if self.clock is not None and not exact_clock:
            # The derivative of the motion with respect to its beginning: dy = -f dt.
            y0 = _moved(problem.field, problem.times[0], y0, -self.clock[0])
        try:
            states = self._in_unit_time(y0) if exact_clock else self._run(problem, y0, self.asked_parameters())
        except SolverError as error:
            error.solution = self._gather(self.trajectory.states, "failed")
            raise
        solution = self._gather(states, "event" if self.trajectory.stopped else "success", exact_clock)
        if not isinstance(steps, Adaptive) and readable(y0):
            check_finite(problem, self.tree, solution)
        return solution

    def asked_parameters(self) -> tuple[Tensor, ...]:
        """Return the tensors that the field depends on, for the modes that must know them."""
        if isinstance(self.mode, Backprop) or not torch.is_grad_enabled():
            return ()
        return parameters_of(self.asked, self.given)

    def _run(self, problem: Problem, y0: Leaves, parameters: tuple[Tensor, ...]) -> list[Leaves]:
        """Return the states at the times after the first, and at the events, in the order of `trajectory.marks`."""
        leaves = leaves_of(y0)
        wants_graph = torch.is_grad_enabled() and any(t.requires_grad for t in (*leaves, *parameters))
        if isinstance(self.mode, Backprop) or not wants_graph:
            if isinstance(problem.steps, int) and not problem.events and problem.watchers == Watchers():
                return self._march(problem, y0, problem.steps)
            checked = CheckedOnce(problem.field)
            follow(replace(problem, field=checked), y0, Draws(checked), self.counts, self.trajectory)
            return self.trajectory.states
        recorded = (replace(problem, field=CheckedOnce(problem.field)), y0, parameters, self.counts, self.trajectory)
        strategy: Any
        match self.mode:
            case Checkpoint():
                if isinstance(problem.rule, Reversible):
                    raise ValueError(
                        f"gradient='checkpoint' keeps one state per step, and {problem.rule.name!r} goes on from two: "
                        "choose 'reversible', which keeps none, or 'backprop'"
                    )
                strategy = Replay(self.mode, *recorded)
            case Reverse():
                strategy = StepBack(*recorded)
            case Adjoint():
                strategy = SolveAdjoint(self.mode, *recorded)
        flat = Solve.apply(strategy, *leaves, *parameters)
        return [like(y0, flat[i : i + len(leaves)]) for i in range(0, len(flat), len(leaves))]

    def _march(self, problem: Problem, y: Leaves, steps: int) -> list[Leaves]:
        """The fastest way over equal steps; compiles without a break."""
        rule, field, carry = problem.rule, problem.field, None
        for n, (start, stop) in enumerate(pairwise(problem.times)):
            h = (stop - start) / steps
            if n == 0:
                y, carry = _march(Checked(field), rule, y, carry, start, h, range(1))
            y, carry = _march(field, rule, y, carry, start, h, range(n == 0, steps))
            self.trajectory.add(Mark(n, stop, None), y)
            self.counts.sizes.append(abs(h))
        taken = steps * (len(problem.times) - 1)
        self.counts.steps += taken
        self.counts.accepted += taken
        self.counts.nfe += taken * rule.evaluations(len(getattr(field, "terms", (field,))))
        return self.trajectory.states

    def _per_sample(self, control: Adaptive) -> Solution:
        """Solve each sample with its own steps."""
        problem, rule = self.problem, self.problem.rule
        refused = {
            "gradient modes other than 'backprop'": not isinstance(self.mode, Backprop),
            "events": bool(problem.events),
            "watchers": problem.watchers != Watchers(),
            "gradients with respect to the times": self.clock is not None,
            "step_t and jump_t": bool(len(control.step_t) or len(control.jump_t)),
            "randomness drawn per step": hasattr(problem.field, "draw"),
            "reversible rules": isinstance(rule, Reversible),
        }
        for what, there in refused.items():
            if there:
                raise ValueError(f"step control per sample does not go with {what}: set per_sample=False")
        lanes, tree = PerSample(CheckedOnce(problem.field), rule, control, problem.times), self.tree

        def reached(number: int, status: str) -> Solution:
            states = stacked(tree.y0, [tree.y0, *lanes.states(number)])
            return Solution(problem.times[: number + 1], tree.tree(states), lanes.stats(), status)

        try:
            lanes.run(tree.y0)
        except SolverError as error:
            error.solution = reached(lanes.reached(), "failed")
            raise
        return reached(len(problem.times) - 1, "success")

    def _in_unit_time(self, y: Leaves) -> list[Leaves]:
        """Solve each interval in its own time from 0 to 1, so that the times are parameters of the field."""
        assert self.clock is not None
        clock, states = self.clock, []
        parameters = (*self.asked_parameters(), clock)
        for n in range(len(clock) - 1):
            field = InUnitTime(self.problem.field, clock[n], clock[n + 1] - clock[n])
            watchers = self.problem.watchers.shifted(*self.problem.times[n : n + 2])
            problem = replace(self.problem, field=field, times=(0.0, 1.0), watchers=watchers)
            # Each interval is a walk of its own, with marks of its own for the way back.
            self.trajectory = Trajectory()
            y = self._run(problem, y, parameters)[-1]
            states.append(y)
        self.trajectory = Trajectory(marks=[Mark(n, time, None) for n, time in enumerate(self.problem.times[1:])])
        spans = [abs(b - a) for a, b in pairwise(self.problem.times)]
        assert isinstance(self.problem.steps, int)
        self.counts.sizes = [span / self.problem.steps for span in spans]
        return states

    def _gather(self, states: list[Leaves], status: str, exact_clock: bool = False) -> Solution:
        """Stack the states at the times asked for; give those at events their gradients."""
        problem, ts, ys = self.problem, [self.problem.times[0]], [self.tree.y0]
        crossings: list[tuple[int, Tensor, Leaves]] = []
        for mark, state in zip(self.trajectory.marks, states, strict=False):
            if mark.event is not None:
                event = problem.events[mark.event]
                crossings.append((mark.event, *with_gradient(event, problem.field, mark.time, state)))
                continue
            if self.clock is not None and not exact_clock:
                state = _moved(problem.field, mark.time, state, self.clock[len(ts)])
            ts.append(mark.time)
            ys.append(state)
        return Solution(
            tuple(ts),
            self.tree.tree(stacked(self.tree.y0, ys)),
            Stats.of(self.counts, problem.rule),
            status,
            sorted_crossings(self.tree, crossings, problem.events),
        )


def _moved(field: Any, t: float, y: Leaves, time: Tensor) -> Leaves:
    """Return y with the derivative by ``time``, whose value is ``t``, of a motion along the field."""
    shift = first_order(time)
    return moved(y, slopes_at(field, t, y), shift - shift.detach())


def _on_leaves(event: Event, tree: Tree) -> Event:
    return replace(event, function=lambda t, y: event.function(t, tree.tree(y)))
