"""The door: solve an initial-value problem, by whichever rule, steps and gradient mode."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor
from torch._C._functorch import peek_interpreter_stack

from odelib.solvers import checks
from odelib.solvers.adaptive import Adaptive
from odelib.solvers.callbacks import NO_CALLBACKS, Callbacks, check_callbacks
from odelib.solvers.errors import SolverError, tell
from odelib.solvers.events import Event, sorted_crossings, with_gradient
from odelib.solvers.field import Clamped, Field, InUnitTime, Tree, draw, is_random, is_split, terms_of
from odelib.solvers.gradients import Adjoint, Backprop, Checkpoint, Gradient, gradient_mode, parameters_of
from odelib.solvers.gradients.adjoint import SolveAdjoint
from odelib.solvers.gradients.checkpoint import Replay
from odelib.solvers.gradients.node import Solve, missing_among
from odelib.solvers.gradients.reversible import StepBack
from odelib.solvers.grid import Grid
from odelib.solvers.loop import Problem, Taken, follow, march
from odelib.solvers.outputs import Collector, Mark, Outputs
from odelib.solvers.per_sample import solve_per_sample
from odelib.solvers.randomness import Draws, random_state, same
from odelib.solvers.reversible import Reversible
from odelib.solvers.solution import Solution, Stats
from odelib.solvers.state import State, Structure, leaves_of, stacked
from odelib.solvers.step_rule import StepRule, first_step
from odelib.solvers.tableau import Tableau
from odelib.solvers.times import along, varies
from odelib.solvers.watched import Counts, Watched


def solve(
    field: Field,
    y0: Tree,
    times: Sequence[float] | Tensor,
    *,
    rule: str | StepRule | Tableau | None = None,
    steps: int | Grid | Adaptive = 1,
    gradient: str | Gradient = "backprop",
    parameters: Sequence[Tensor] | Tensor | None = None,
    events: Event | Sequence[Event] = (),
    callbacks: Callbacks | None = None,
    dense: bool = False,
    strict: bool = True,
) -> Solution:
    """Integrate dy/dt = field(t, y) from y(times[0]) = y0 through all of ``times``.

    Args:
        field: The vector field, ``field(t, y) -> dy/dt`` of the structure, shape, dtype and device of ``y``. It gets
            ``t`` as a Python float; as a 0-dimensional tensor where ``times`` require a gradient, and as a tensor of
            shape (batch, 1, ..., 1) under ``Adaptive(per_sample=True)``.
        y0: Initial state: a tensor of any shape, floating or complex, or a tuple, list or dict (also nested) of such,
            also of different dtypes. Half precision is summed in float32 within a step.
        times: Strictly increasing or strictly decreasing times; a single time returns the initial state. A tensor may
            require a gradient; one on a device is read once.
        rule: A step rule, its name (`odelib.solvers.STEP_RULES`), or a tableau. Default: "rk4" on a grid, "tsit5" for
            adaptive steps.
        steps: Equal steps between two neighbouring times, or a `Grid`, or `Adaptive` steps.
        gradient: "backprop", "checkpoint", "adjoint", "reversible", or `Checkpoint` or `Adjoint` with options. Values
            are the same in all modes but "reversible", which solves with an invertible rule: the given one, or
            `Reversible` around it.
        parameters: For modes other than "backprop": the tensors that the field depends on, where it is no
            ``nn.Module`` that could be asked. Another tensor with gradient is refused: at the field's first value, or
            where it comes in later, on the way back. Not seen is what no evaluation on the way back meets, as a tensor
            of a moment between two steps of the adjoint, and what a ``torch.autograd.Function`` keeps to itself.
        events: Functions whose zeros end the solve or are recorded.
        callbacks: Functions that are told of the steps.
        dense: Whether the solution can be asked for the state at any time between, which keeps all steps in memory.
        strict: Whether what would give a wrong gradient and a fixed grid that ends in NaN or infinity are refused. If
            False, the one is warned of and the other let pass, as by torchdiffeq and the door for its programs.

    Returns:
        A `Solution` with the states at ``times``.

    Raises:
        ValueError: Times are not strictly monotone, there is none, an option is unknown or out of its range, the
            field returns another shape, or depends on a tensor with gradient that is not among its parameters.
        TypeError: The state is not of floating or complex tensors, or the field returns another type, dtype or device.
        SolverError: The solution became NaN or infinite, the step too small, or the steps too many.
    """
    grid = checks.check_times(times)
    structure = Structure(y0)
    method, mode = checks.check_rule(rule, steps, field), gradient_mode(gradient)
    if not isinstance(mode, Backprop | Checkpoint | Adjoint) and not method.invertible:
        method = Reversible(method)
    if not isinstance(dense, bool):
        raise TypeError(f"dense is {dense!r}: give True or False")
    if dense and not isinstance(mode, Backprop):
        raise ValueError(
            f"dense output goes through the steps, which gradient={gradient!r} does not keep: take 'backprop'"
        )
    if isinstance(steps, Adaptive):
        steps = checks.adaptive_on_leaves(steps, structure)
    if not callable(field):
        raise TypeError(f"the field is {field!r}: give a function of (t, y), or a module with forward(t, y)")
    some = checks.events_on_leaves(events, structure)
    told = NO_CALLBACKS if callbacks is None else check_callbacks(callbacks)
    problem = Problem(structure.field(field), method, grid, steps, told, some)
    if len(grid) == 1:
        here = structure.tree(stacked(structure.y0, [structure.y0]))
        return Solution(grid, here, Stats(0, 0, 0), events=sorted_crossings(structure, [], some))
    clock: Any = times if isinstance(times, Tensor) and varies(times) else None
    try:
        if isinstance(steps, Adaptive) and steps.per_sample:
            return solve_per_sample(problem, structure, steps, mode, clock is not None, dense)
        return _Solver(problem, structure, mode, field, parameters, clock, dense, strict).solution()
    except TypeError as error:
        checks.check_takes_two(field, error)  # now, so that it costs nothing where all is well
        raise


@dataclass
class _Solver:
    """One call of `solve`, its arguments checked."""

    problem: Problem
    structure: Structure
    mode: Gradient
    asked: Field
    given: Sequence[Tensor] | Tensor | None
    clock: Tensor | None
    dense: bool
    strict: bool

    def solution(self) -> Solution:
        """Solve; a failure carries the solution up to where it happened."""
        problem, y0 = self.problem, self.structure.y0
        self.counts, self.outputs = Counts(), Outputs()
        self.taken: list[Taken] = []
        # Equal steps can be taken in the time of their interval, of which the times are then parameters. A carry in
        # which more than the state goes on would be lost between the intervals. The steps of an adjoint way back are
        # its own, so there, as on all other steps, the derivative by a time is that of the motion.
        plain = isinstance(problem.steps, int) and not problem.events and problem.rule.one_step and not self.dense
        in_unit_time = self.clock is not None and plain
        self.moves = self.clock is not None and not (plain and not isinstance(self.mode, Adjoint))
        if self.moves:
            y0 = along(problem.field, problem.times[0], self.clock[0], y0, -1.0)  # type: ignore[index]
        try:
            states = self._in_unit_time(y0) if in_unit_time else self._run(problem, y0, self._parameters())
        except SolverError as error:
            error.solution = self._gather(self.outputs.states, "failed")
            raise
        solution = self._gather(states, "event" if self.outputs.stopped else "success")
        if self.strict and not isinstance(problem.steps, Adaptive) and checks.readable(y0):
            checks.check_finite(problem, self.structure, solution)
        return solution

    def _parameters(self) -> tuple[Tensor, ...]:
        """Return the tensors that the field depends on, for the modes that must know them."""
        if isinstance(self.mode, Backprop) or not torch.is_grad_enabled():
            return ()
        return parameters_of(self.asked, self.given)

    def _run(
        self, problem: Problem, y0: State, parameters: tuple[Tensor, ...], back: Problem | None = None
    ) -> list[State]:
        """Return the states at the times after the first, and at the events, in the order of the marks.

        ``back`` is the problem of an adjoint way back, if it is another one.
        """
        leaves = leaves_of(y0)
        wants_graph = False
        if torch.is_grad_enabled():  # a loop, because the compiler can trace it
            for leaf in (*leaves, *parameters):
                wants_graph = wants_graph or leaf.requires_grad
        if isinstance(self.mode, Backprop) or not wants_graph:
            if isinstance(problem.steps, int) and not (
                self.dense or problem.events or problem.callbacks != NO_CALLBACKS
            ):
                return self._march(problem, y0, problem.steps)
            watched = replace(problem, field=Watched(problem.field, self.counts))
            keep = (lambda number, taken: self.taken.append(taken)) if self.dense else None
            seen = Collector(watched, self.outputs, keep)
            follow(watched, y0, Draws(watched.field), self.counts, seen.look, seen.probe)
            return self.outputs.states
        if peek_interpreter_stack() is not None:
            raise TypeError("torch.func can't transform this gradient mode: choose gradient='backprop', or odeint")
        watched = replace(problem, field=Watched(problem.field, self.counts, partial(self._missing, parameters)))
        recorded = (watched, y0, parameters, self.counts, self.outputs)
        strategy: Any
        if isinstance(self.mode, Checkpoint):
            strategy = Replay(self.mode, *recorded)
        elif isinstance(self.mode, Adjoint):
            strategy = SolveAdjoint(self.mode, back or problem, *recorded)
        else:
            strategy = StepBack(*recorded)
        # A field may use a tensor later that its first value did not depend on; only the graphs of all steps tell.
        self.counts.strict = self.strict
        before = random_state(leaves)
        flat = Solve.apply(strategy, *leaves, *parameters)
        if not (strategy.draws_again or is_random(problem.field) or same(before, random_state(leaves))):
            tell(
                f"the field, or a callback, drew random numbers, which gradient={self.mode!r} cannot draw again alike "
                "with these steps, so that the gradient would be of another field: call eval(), draw in a RandomField, "
                "or take 'checkpoint' with a number of steps",
                self.strict,
            )
        if isinstance(y0, Tensor):
            return list(flat)
        return [flat[i : i + len(leaves)] for i in range(0, len(flat), len(leaves))]

    def _missing(
        self, parameters: Sequence[Tensor], slopes: Sequence[Tensor], state: Sequence[Tensor], since: Any
    ) -> None:
        sentence, captures = missing_among((*parameters, *state), slopes, since)
        # Of a function, one value does not tell what the others reach to; a module holds what it depends on.
        self.counts.captures |= captures or self.given is not None
        if sentence is not None:
            self.counts.strict = None  # told once
            tell(sentence, self.strict)

    def _march(self, problem: Problem, y: State, steps: int) -> list[State]:
        """Go the fastest way over equal steps; it compiles without a break."""
        rule, carry, field = problem.rule, None, problem.field
        watched = Watched(field, Counts())
        for n, (start, stop) in enumerate(pairwise(problem.times)):
            h = (stop - start) / steps
            beyond = (start + (steps - 1) * h + h - stop) * h > 0.0
            slack = 4 * max(math.ulp(start), math.ulp(stop))
            around: Any = partial(Clamped, one=start, other=stop, slack=slack) if beyond else lambda field: field
            if n == 0:
                held = draw(around(watched), y)
                _, _, carry, *_ = step = first_step(rule, held, start, h, y, rule.init(held, start, y))
                y = step.y1
                # Only the first step is looked at, unless the field uses its memory again.
                field = watched if watched.copies else field
            y, carry = march(around(field), rule, y, carry, start, h, range(n == 0, steps))
            self.outputs.add(Mark(n, stop, None), y)
            self.counts.sizes.append(abs(h))
        taken = steps * (len(problem.times) - 1)
        self.counts.steps += taken
        self.counts.accepted += taken
        self.counts.nfe += taken * rule.evaluations(len(terms_of(problem.field)) if is_split(problem.field) else 1)
        return self.outputs.states

    def _in_unit_time(self, y: State) -> list[State]:
        """Solve each interval in its own time from 0 to 1, so that the times are parameters of the field."""
        assert self.clock is not None
        assert isinstance(self.problem.steps, int)
        clock = self.clock.detach() if self.moves else self.clock
        times, states = self.problem.times, []
        dtype = leaves_of(y)[0].real.dtype if leaves_of(y) else clock.dtype
        parameters = self._parameters() if self.moves else (*self._parameters(), clock)
        for n, (start, stop) in enumerate(pairwise(times)):
            field = InUnitTime(self.problem.field, clock[n], clock[n + 1] - clock[n], dtype)
            callbacks = self.problem.callbacks.shifted(start, stop)
            problem = replace(self.problem, field=field, times=(0.0, 1.0), callbacks=callbacks)
            # Each interval is a solve of its own, with marks of its own for the way back.
            self.outputs = Outputs()
            back = replace(self.problem, times=(start, stop)) if self.moves else None
            y = self._run(problem, y, parameters, back)[-1]
            states.append(y)
        self.outputs = Outputs([Mark(n, time, None) for n, time in enumerate(times[1:])])
        self.counts.sizes = [abs(stop - start) / self.problem.steps for start, stop in pairwise(times)]
        return states

    def _gather(self, states: list[State], status: str) -> Solution:
        """Stack the states at the times asked for; give those at events their gradients."""
        problem, ts, ys = self.problem, [self.problem.times[0]], [self.structure.y0]
        crossings: list[tuple[int, Tensor, State]] = []
        for mark, state in zip(self.outputs.marks, states, strict=False):
            if mark.event is not None:
                event = problem.events[mark.event]
                crossings.append((mark.event, *with_gradient(event, problem.field, mark.time, state, self.strict)))
                continue
            if self.moves:
                state = along(problem.field, mark.time, self.clock[len(ts)], state)  # type: ignore[index]
            ts.append(mark.time)
            ys.append(state)
        return Solution(
            tuple(ts),
            self.structure.tree(stacked(self.structure.y0, ys)),
            Stats.of(self.counts, problem.rule),
            status,
            sorted_crossings(self.structure, crossings, problem.events) if problem.events else (),
            self.taken,
            self.structure,
        )
