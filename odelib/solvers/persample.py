"""Step control per sample: each sample of a batch takes its own steps, all in one loop.

Accepting and rejecting is a matter of ``torch.where``, and the loop reads once per step: whether any sample goes on
(Lienen and Günnemann 2022, torchode: a parallel ODE solver for PyTorch, arXiv 2210.12375).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from odelib.solvers.arithmetic import HALF, Leaves, leaves_of, like, weighted
from odelib.solvers.control import Adaptive, Controller
from odelib.solvers.errors import SolverError
from odelib.solvers.runge_kutta import ExplicitRungeKutta
from odelib.solvers.solution import Stats

_TINY = 1e-30


@dataclass
class Lanes:
    """The samples on their way, each entry of shape (batch,).

    Attributes:
        t: Times, float64.
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
        rule: An explicit Runge-Kutta rule with an error estimate.
        control: Tolerances and controller.
        times: The times, at least two.

    Raises:
        ValueError: The leaves of the state have no common first dimension.
    """

    def __init__(
        self, field: Callable[[Any, Any], Any], rule: ExplicitRungeKutta, control: Adaptive, times: Any
    ) -> None:
        self.field, self.tableau, self.order, self.control = field, rule.tableau, rule.error_order, control
        self.times, self.sign = times, math.copysign(1.0, times[-1] - times[0])
        self.nfe = self.steps = 0

    def stats(self) -> Stats:
        """Return what it cost so far: the largest number of accepted steps of a sample, sizes over all samples."""
        lanes = self.lanes
        sizes = [lanes.smallest.min(), lanes.largest.max(), lanes.accepted.max().double()]
        smallest, largest, accepted = torch.stack(sizes).tolist()
        smallest = smallest if accepted else 0.0
        return Stats(self.nfe, self.steps, int(accepted), self.steps - int(accepted), smallest, largest)

    def reached(self) -> int:
        """Return how many of the times after the first all samples have reached."""
        return int(self.lanes.asked.min())

    def states(self, number: int) -> list[Leaves]:
        """Return the states at that many of the times after the first."""
        return [like(self.form, [leaf[i] for leaf in self.found]) for i in range(number)]

    def run(self, y: Leaves) -> None:
        """Integrate through all times.

        Raises:
            SolverError: A step became too small, or there were too many.
        """
        self._check(y)
        device, batch = leaves_of(y)[0].device, len(leaves_of(y)[0])
        wanted = torch.tensor(self.times[1:], dtype=torch.float64, device=device)
        t = torch.full((batch,), self.times[0], dtype=torch.float64, device=device)
        nothing = torch.full_like(t, math.nan)
        first = self._call(t, y)
        none, most = torch.zeros_like(t, dtype=torch.long), torch.full_like(t, math.inf)
        size = self._first_size(t, y, first)
        lanes = Lanes(t, size, none, [nothing, nothing], none, most, torch.zeros_like(t))
        rows, found = torch.arange(batch, device=device), [self._empty(leaf) for leaf in leaves_of(y)]
        self.form, self.lanes, self.found = y, lanes, found
        while True:
            before = replace(lanes), y, first, list(found)
            y, first, landed, going, stuck, finite = self._step(lanes, wanted, y, first)
            place = lanes.asked.clamp(max=len(wanted) - 1)
            for n, leaf in enumerate(leaves_of(y)):
                kept = torch.where(_over(landed, leaf), leaf, found[n][place, rows])
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
                lanes, y, first, found = before
                lanes.size = torch.where(overflow, shorter, lanes.size)
                self.lanes, self.found = lanes, found
            elif not going_on:
                return

    def _step(
        self, lanes: Lanes, wanted: Tensor, y: Leaves, first: Leaves
    ) -> tuple[Leaves, Leaves, Tensor, Tensor, Tensor, Tensor]:
        """Try one step of every sample.

        Return states, fields there, who landed on a wanted time, goes on, is stuck, has a finite error.
        """
        control, t = self.control, lanes.t
        going = lanes.asked < len(wanted)
        stop = wanted[lanes.asked.clamp(max=len(wanted) - 1)]
        size = lanes.size.clamp(control.min_step, control.max_step)
        lands = size >= (stop - t).abs() * (1 - 1e-12)
        h = torch.where(lands, stop - t, self.sign * size)
        h = torch.where(going, h, torch.zeros_like(h))
        stages = self._stages(t, h, y, first)
        y1 = self._ahead(y, h, self.tableau.result_pairs, stages)
        last = self._call(t + h, y1)
        if self.tableau.fsal:
            stages.append(last)
        error = self._error(h, stages, y, y1)
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
        parts = zip(leaves_of(y1), leaves_of(y), leaves_of(last), leaves_of(first), strict=True)
        new = [(torch.where(_over(accept, a), a, b), torch.where(_over(accept, a), c, d)) for a, b, c, d in parts]
        return (
            like(y, [a for a, _ in new]),
            like(y, [b for _, b in new]),
            accept & lands,
            going,
            stuck,
            error.isfinite(),
        )

    def _call(self, t: Tensor, y: Leaves) -> Leaves:
        self.nfe += 1
        return self.field(_over(t, y) if isinstance(y, Tensor) else t, y)  # type: ignore[no-any-return]

    def _stages(self, t: Tensor, h: Tensor, y: Leaves, first: Leaves) -> list[Leaves]:
        stages = [first]
        for node, weights in self.tableau.stage_pairs[: self.tableau.evaluations - 1]:
            stages.append(self._call(t + node * h, self._ahead(y, h, weights, stages)))
        return stages

    def _ahead(self, y: Leaves, h: Tensor, weights: Any, stages: list[Leaves]) -> Leaves:
        """Return y + h sum_i weight_i stage_i with one step size per sample."""
        sums = leaves_of(weighted(1.0, weights, stages))
        return like(y, [(a + _over(h, a, b) * b).to(a.dtype) for a, b in zip(leaves_of(y), sums, strict=True)])

    @torch.no_grad()
    def _error(self, h: Tensor, stages: list[Leaves], y: Leaves, y1: Leaves) -> Tensor:
        """Return the error of each sample in units of the tolerance."""
        sums = weighted(1.0, self.tableau.error_pairs, stages)
        scaled = self.control.scaled(like(y, [_over(h, e) * e for e in leaves_of(sums)]), y, y1)
        return self._norm(scaled)

    def _norm(self, scaled: Leaves) -> Tensor:
        if self.control.norm is not None:
            return torch.vmap(self.control.norm)(scaled).double()
        sizes = [
            leaf.abs().double().flatten(1).square().mean(1).sqrt() for leaf in leaves_of(scaled) if leaf[0].numel()
        ]
        if not sizes:
            return torch.zeros(len(leaves_of(scaled)[0]), dtype=torch.float64, device=leaves_of(scaled)[0].device)
        return torch.stack(sizes).amax(0)

    @torch.no_grad()
    def _first_size(self, t: Tensor, y: Leaves, first: Leaves) -> Tensor:
        """Choose the first steps (Hairer, Nørsett, Wanner I, II.4), sample by sample and without a read."""
        control = self.control
        if control.first_step is not None:
            return torch.full_like(t, control.first_step)
        d0, d1 = (self._norm(control.scaled(part, y, y)) for part in (y, first))
        h0 = torch.where((d0 < 1e-5) | (d1 < 1e-5), 1e-6, 0.01 * d0 / d1).clamp(max=control.max_step)
        h0 = torch.where(h0.isfinite(), h0, 1e-6)
        ahead = self._ahead(y, self.sign * h0, ((0, 1.0),), [first])
        after = self._call(t + self.sign * h0, ahead)
        bent = like(y, [a - b for a, b in zip(leaves_of(after), leaves_of(first), strict=True)])
        largest = torch.maximum(d1, self._norm(control.scaled(bent, y, y)) / h0)
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

    def _empty(self, leaf: Tensor) -> Tensor:
        return torch.zeros((len(self.times) - 1, *leaf.shape), dtype=leaf.dtype, device=leaf.device)

    def _check(self, y: Leaves) -> None:
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


def _over(flags: Tensor, *leaves: Tensor) -> Tensor:
    """Return a tensor of shape (batch,) so that it broadcasts over the leaves; floats in the leaves' real dtype."""
    shaped = flags.reshape(-1, *([1] * (leaves[0].dim() - 1)))
    if not flags.is_floating_point():
        return shaped
    dtype = leaves[-1].real.dtype
    return shaped.to(torch.float32 if dtype in HALF else dtype)


def _factor(controller: Controller, errors: list[Tensor], order: int) -> Tensor:
    """Return `Controller.factor` for each sample."""
    error = errors[0]
    exponents = (
        -(controller.i + controller.p + controller.d) / order,
        (controller.p + 2 * controller.d) / order,
        -controller.d / order,
    )
    own = controller.safety * error.clamp(min=_TINY) ** exponents[0]
    factor = own
    for value, exponent in zip(errors[1:], exponents[1:], strict=True):
        factor = factor * torch.where(value.isnan(), 1.0, value.clamp(min=_TINY) ** exponent)
    accepted = error <= 1.0
    factor = torch.where(accepted, factor.clamp(1.0, controller.grow), own.clamp(controller.shrink, 1.0))
    return torch.where(error.isfinite(), factor, controller.shrink)
