"""Step control per sample: each sample of a batch takes its own steps, all in one loop.

Accepting and rejecting is a matter of ``torch.where``, and the loop reads once per step: whether any sample goes on
(Lienen and Günnemann 2022, torchode: a parallel ODE solver for PyTorch, arXiv 2210.12375).
"""

import math
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from odelib.solvers.adaptive import Adaptive, Controller
from odelib.solvers.callbacks import NO_CALLBACKS
from odelib.solvers.control import scaled
from odelib.solvers.errors import SolverError
from odelib.solvers.field import Field, Time, Tree, Wrapped, draw
from odelib.solvers.gradients import Backprop, Gradient
from odelib.solvers.loop import Problem
from odelib.solvers.solution import Solution, Stats
from odelib.solvers.state import State, Structure, combine, leaves_of, like, minus, per_row, stacked, time_dtype
from odelib.solvers.step_rule import StepRule, first_step
from odelib.solvers.watched import Counts, Watched

_TINY = 1e-30


def solve_per_sample(
    problem: Problem, structure: Structure, steps: Adaptive, mode: Gradient, times_vary: bool, dense: bool
) -> Solution:
    """Solve each sample with its own steps; see `odelib.solvers.solve`.

    Raises:
        ValueError: Something is asked for that does not go with it.
        SolverError: A step became too small, or there were too many.
    """
    refused = {
        "gradient modes other than 'backprop'": not isinstance(mode, Backprop),
        "events": bool(problem.events),
        "callbacks": problem.callbacks != NO_CALLBACKS,
        "gradients with respect to the times": times_vary,
        "step_t and jump_t": bool(len(steps.step_t) or len(steps.jump_t)),
        "randomness drawn per step": draw(problem.field, structure.y0) is not problem.field,
        "rules that go on from more than one state, as reversible rules do": not problem.rule.one_step,
        "dense output": dense,
    }
    for what, there in refused.items():
        if there:
            raise ValueError(f"step control per sample does not go with {what}: set per_sample=False")
    lanes = PerSample(problem.field, problem.rule, steps, problem.times)

    def reached(status: str) -> Solution:
        states = [structure.y0, *lanes.states()]
        ys = structure.tree(stacked(structure.y0, states))
        return Solution(problem.times[: len(states)], ys, lanes.stats(), status)

    try:
        lanes.run(structure.y0)
    except SolverError as error:
        error.solution = reached("failed")
        raise
    return reached("success")


class _OnColumns(Wrapped):
    """A field that gets the times of all samples, none beyond the last time by a rounding.

    On one tensor they have a shape that broadcasts over it, on a tree the shape (batch,).
    """

    def __init__(self, field: Field, low: float, high: float) -> None:
        super().__init__(field)
        self.low, self.high = low, high

    def __call__(self, t: Time, y: Tree) -> Any:
        t = t.clamp(self.low, self.high)  # type: ignore[union-attr]
        return self.field(per_row(t, y) if isinstance(y, Tensor) else t, y)


@dataclass
class Lanes:
    """The samples on their way, each entry of shape (batch,).

    Attributes:
        t: Times, float64 where the device has that.
        size: Sizes of the next steps.
        asked: Numbers of the next times at which the state is wanted.
        errors: Errors of the last two accepted steps, the newest first; not a number where there is none yet.
        accepted: Numbers of accepted steps.
        smallest: Sizes of the smallest of these.
        largest: Sizes of the largest.
    """

    t: Tensor
    size: Tensor
    asked: Tensor
    errors: list[Tensor]
    accepted: Tensor
    smallest: Tensor
    largest: Tensor


class PerSample:
    """Solve each sample with its own steps.

    Args:
        field: The field, on leaves; it gets its time in shape (batch, 1, ..., 1), or (batch,) if the state is a tree.
        rule: A rule with an error estimate.
        control: Tolerances and controller.
        times: The times, at least two.

    Raises:
        ValueError: The leaves of the state have no common first dimension.
    """

    def __init__(self, field: Field, rule: StepRule, control: Adaptive, times: tuple[float, ...]) -> None:
        assert rule.error_order is not None
        self.counts, self.inner = Counts(), field
        self.rule, self.order, self.control = rule, rule.error_order, control
        self.times, self.sign = times, math.copysign(1.0, times[-1] - times[0])
        self.steps = 0

    def stats(self) -> Stats:
        """Return what it cost so far: the largest number of accepted steps of a sample, sizes over all samples."""
        lanes = self.lanes
        sizes = [lanes.smallest.min(), lanes.largest.max(), lanes.accepted.max().to(lanes.t.dtype)]
        smallest, largest, accepted = torch.stack(sizes).tolist()
        smallest = smallest if accepted else 0.0
        return Stats(self.counts.nfe, self.steps, int(accepted), self.steps - int(accepted), smallest, largest)

    def states(self) -> list[State]:
        """Return the states at those of the times after the first that all samples have reached."""
        return [like(self.form, [leaf[i] for leaf in self.found]) for i in range(int(self.lanes.asked.min()))]

    def run(self, y: State) -> None:
        """Integrate through all times.

        Raises:
            SolverError: A step became too small, or there were too many.
        """
        self._check(y)
        watched = Watched(self.inner, self.counts)
        low, high = sorted((self.times[0], self.times[-1]))
        self.field: Any = _OnColumns(watched, low, high)
        device, batch = leaves_of(y)[0].device, len(leaves_of(y)[0])
        self.dtype = time_dtype(device)
        wanted = torch.tensor(self.times[1:], dtype=self.dtype, device=device)
        t = torch.full((batch,), self.times[0], dtype=self.dtype, device=device)
        nothing = torch.full_like(t, math.nan)
        slope = self.field(t, y)
        carry: Any = self.rule.init(self.field, t, y) if self.rule.weights is None else [slope]
        none, most = torch.zeros_like(t, dtype=torch.long), torch.full_like(t, math.inf)
        size = self._first_size(t, y, slope)
        lanes = Lanes(t, size, none, [nothing, nothing], none, most, torch.zeros_like(t))
        found = [leaf.new_zeros((len(wanted), *leaf.shape)) for leaf in leaves_of(y)]
        rows = torch.arange(batch, device=device)
        self.form, self.lanes, self.found = y, lanes, found
        while True:
            before = replace(lanes), y, carry, list(found)
            y, carry, landed, going, stuck, finite = self._step(lanes, wanted, y, carry)
            place = lanes.asked.clamp(max=len(wanted) - 1)
            for n, leaf in enumerate(leaves_of(y)):
                kept = torch.where(per_row(landed, leaf), leaf, found[n][place, rows])
                # Out of place: the graph of earlier outputs stays as it is.
                found[n] = found[n].index_put((place, rows), kept)
            lanes.asked = lanes.asked + landed
            unfinished, overflow = going & (lanes.asked < len(wanted)), going & ~finite
            going_on, lost, over = torch.stack([unfinished.any(), stuck.any(), overflow.any()]).tolist()
            if lost:
                self._fail(lanes, stuck)
            if over and torch.is_grad_enabled():
                # The gradient of what was thrown away would be 0 times infinity: no sample takes this step.
                shorter = lanes.size
                lanes, y, carry, found = before
                lanes.size = torch.where(overflow, shorter, lanes.size)
                self.lanes, self.found = lanes, found
            elif not going_on:
                return

    def _step(
        self, lanes: Lanes, wanted: Tensor, y: State, carry: Any
    ) -> tuple[State, Any, Tensor, Tensor, Tensor, Tensor]:
        """Try one step of every sample.

        Return states, what the next steps begin with, who landed on a wanted time, goes on, is stuck, has a finite
        error.
        """
        control, rule, t = self.control, self.rule, lanes.t
        going = lanes.asked < len(wanted)
        stop = wanted[lanes.asked.clamp(max=len(wanted) - 1)]
        size = lanes.size.clamp(control.min_step, control.max_step)
        lands = size >= (stop - t).abs() * (1 - 1e-12)
        h = torch.where(lands, stop - t, self.sign * size)
        h = torch.where(going, h, torch.zeros_like(h))
        # On one tensor, in shapes that broadcast over it, so that a rule need not know of the samples.
        sizes = per_row(h, y) if isinstance(y, Tensor) else h
        take: Any = rule.step if self.steps else partial(first_step, rule, adaptive=True)
        step = take(self.field, t.reshape(sizes.shape), sizes, y, carry)
        assert step.error is not None
        estimate = step.error()
        with torch.no_grad():
            error = self._norm(scaled(control, estimate, y, step.y1))
        least = torch.minimum(size, h.abs()) <= control.min_step
        fine = (error <= 1.0) | (least & error.isfinite())
        accept = fine & going
        factor = _factor(control._controller, [error, *lanes.errors], self.order)
        self._note(lanes, accept, h)
        proposed = h.abs() * factor
        lanes.size = torch.where(accept & lands, torch.maximum(proposed, size), torch.where(going, proposed, size))
        lanes.t = torch.where(accept, torch.where(lands, stop, t + h), t)
        lanes.errors = [torch.where(accept, a, b) for a, b in zip([error, lanes.errors[0]], lanes.errors, strict=True)]
        stuck = going & ~accept & ((t + h * factor == t) | least)
        y1 = _chosen(accept, step.y1, y)
        if rule.weights is None:
            begun = rule.init(self.field, lanes.t, y1)
        else:
            # The field at the end, where it is known, begins the next step of those that were accepted.
            begun = [_chosen(accept, step.carry[0], carry[0])] if step.carry else []
        return y1, begun, accept & lands, going, stuck, error.isfinite()

    def _norm(self, scaled: State) -> Tensor:
        if self.control.norm is not None:
            return torch.vmap(self.control.norm)(scaled).to(self.dtype)
        leaves = leaves_of(scaled)
        sizes = [x.abs().to(self.dtype).reshape(len(x), -1).square().mean(1).sqrt() for x in leaves if x.numel()]
        none = torch.zeros(len(leaves[0]), dtype=self.dtype, device=leaves[0].device)
        return torch.stack([none, *sizes]).amax(0)

    @torch.no_grad()
    def _first_size(self, t: Tensor, y: State, first: Any) -> Tensor:
        """Choose the first steps (Hairer, Nørsett, Wanner I, II.4), sample by sample and without a read."""
        control = self.control
        if control.first_step is not None:
            return torch.full_like(t, control.first_step)
        d0, d1 = (self._norm(scaled(control, part, y, y)) for part in (y, first))
        h0 = torch.where((d0 < 1e-5) | (d1 < 1e-5), 1e-6, 0.01 * d0 / d1).clamp(max=control.max_step)
        # Not beyond the last time: the field need not exist there.
        h0 = torch.where(h0.isfinite(), h0, 1e-6).clamp(max=abs(self.times[-1] - self.times[0]))
        ahead = combine(y, self.sign * h0, ((0, 1.0),), [first])
        bent = minus(self.field(t + self.sign * h0, ahead), first)
        largest = torch.maximum(d1, self._norm(scaled(control, bent, y, y)) / h0)
        h1 = torch.where(largest <= 1e-15, (h0 * 1e-3).clamp(min=1e-6), (0.01 / largest) ** (1.0 / self.order))
        return torch.minimum(100 * h0, torch.where(h1.isfinite(), h1, h0))

    def _note(self, lanes: Lanes, accept: Tensor, h: Tensor) -> None:
        self.steps += 1
        lanes.accepted = lanes.accepted + accept
        lanes.smallest = torch.where(accept, torch.minimum(lanes.smallest, h.abs()), lanes.smallest)
        lanes.largest = torch.where(accept, torch.maximum(lanes.largest, h.abs()), lanes.largest)
        if self.steps > self.control.max_steps:
            raise SolverError(
                f"max_steps={self.control.max_steps} reached with step control per sample: "
                "allow more steps, loosen rtol or atol, or use an implicit method if the problem is stiff "
                "(the exception's `solution` is what all samples have reached)"
            )

    def _check(self, y: State) -> None:
        shapes = [tuple(leaf.shape) for leaf in leaves_of(y)]
        if not shapes or any(len(shape) == 0 for shape in shapes) or len({shape[0] for shape in shapes}) != 1:
            raise ValueError(
                f"step control per sample needs a common first dimension, the batch, but the state has {shapes}: "
                "reshape it, or set per_sample=False"
            )
        if shapes[0][0] == 0:
            raise ValueError("step control per sample came with a batch of 0 samples: give at least one")

    def _fail(self, lanes: Lanes, stuck: Tensor) -> None:
        sample = int(stuck.nonzero()[0])
        raise SolverError(
            f"the step of sample {sample} became too small at t={float(lanes.t[sample]):.6g}: "
            "loosen rtol or atol, use float64, or look whether the field is finite there"
        )


def _chosen(accept: Tensor, new: Any, old: Any) -> State:
    """Return the new rows where a sample was accepted, else the old ones."""
    parts = zip(leaves_of(new), leaves_of(old), strict=True)
    return like(new, [torch.where(per_row(accept, a), a, b) for a, b in parts])


def _factor(controller: Controller, errors: list[Tensor], order: int) -> Tensor:
    """Return `Controller.factor` for each sample."""
    error = errors[0]
    exponents = controller.exponents(order)
    own = controller.safety * error.clamp(min=_TINY) ** exponents[0]
    factor = own
    for value, exponent in zip(errors[1:], exponents[1:], strict=True):
        factor = factor * torch.where(value.isnan(), 1.0, value.clamp(min=_TINY) ** exponent)
    accepted = error <= 1.0
    factor = torch.where(accepted, factor.clamp(1.0, controller.grow), own.clamp(controller.shrink, 1.0))
    return torch.where(error.isfinite(), factor, controller.shrink)
