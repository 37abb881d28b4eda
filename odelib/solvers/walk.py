"""The two loops: over a fixed grid, and over steps that an error estimate chooses. Times are Python floats in both.

On a fixed grid nothing is read back from the device; the adaptive loop reads once per step tried, and at most twice
to choose its first step.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from odelib.solvers.arithmetic import Leaves, combine, minus, read, rms
from odelib.solvers.control import Adaptive, over
from odelib.solvers.draws import Draws
from odelib.solvers.errors import SolverError
from odelib.solvers.fields import Counted
from odelib.solvers.grid import GridStep, Sides
from odelib.solvers.runge_kutta import Step
from odelib.solvers.stiffness import StiffnessWatch


class Counts:
    """What a walk has cost so far; see `odelib.solvers.Stats`."""

    def __init__(self) -> None:
        self.nfe = 0.0
        self.steps = self.accepted = 0
        self.sizes: list[float] = []
        self.watch = StiffnessWatch()

    def more(self, evaluations: float) -> None:
        """Count evaluations."""
        self.nfe += evaluations


@dataclass(frozen=True)
class Watchers:
    """What looks on while the steps are taken.

    Attributes:
        tried: Called with (t, y, h) before each step, and
        accepted, rejected: after it, as torchdiffeq's callbacks are.
        probe: Returns 0-dimensional tensors of a step tried; the loop reads them together with the error.
    """

    tried: Callable[[float, Any, float], Any] | None = None
    accepted: Callable[[float, Any, float], Any] | None = None
    rejected: Callable[[float, Any, float], Any] | None = None
    probe: Callable[[Step], list[Tensor]] | None = None

    def shifted(self, start: float, stop: float) -> "Watchers":
        """Return watchers of a walk in time from 0 to 1 that tell these of one from ``start`` to ``stop``."""
        span = stop - start

        def told(call: Callable[[float, Any, float], Any] | None) -> Callable[[float, Any, float], Any] | None:
            return None if call is None else lambda s, y, h: call(start + s * span, y, h * span)

        return Watchers(told(self.tried), told(self.accepted), told(self.rejected), self.probe)


def walk_grid(
    taker: GridStep,
    y: Leaves,
    steps: Iterable[tuple[float, float, float]],
    draws: Draws,
    counts: Counts,
    watchers: Watchers,
) -> Iterator[tuple[Step, list[float]]]:
    """Yield the steps over a fixed grid.

    Args:
        taker: Steps of a rule on a grid.
        y: State at the beginning of the first step.
        steps: Beginning, size and end of each step.
        draws: The field, drawn once per step.
        counts: Where the cost is noted.
        watchers: What looks on.
    """
    carry = None
    per_step = taker.rule.evaluations(draws.terms)
    for t, h, end in steps:
        held = draws.next(y)
        if watchers.tried is not None:
            watchers.tried(t, y, h)
        step = taker.take(held, t, h, y, carry, end)
        # What an output or an event evaluates within the step comes on top.
        step.field = Counted(held, counts.more)
        counts.nfe += per_step
        counts.steps += 1
        counts.accepted += 1
        counts.sizes.append(abs(h))
        yield step, [] if watchers.probe is None else read(watchers.probe(step))
        y, carry = step.y1, step.carry


@torch.no_grad()
def first_step_size(
    field: Callable[[float, Any], Any], t: float, y: Leaves, f0: Leaves, sign: float, order: int, control: Adaptive
) -> float:
    """Choose the first step (Hairer, Nørsett, Wanner I, II.4), in two reads and one evaluation of the field."""
    norm = rms if control.norm is None else control.norm
    tolerances = control.tolerances(y, y)
    d0, d1 = read([norm(over(part, tolerances)) for part in (y, f0)])
    if not math.isfinite(d0 + d1):
        where = "field" if math.isfinite(d0) else "state"
        raise SolverError(
            f"the {where} is NaN or infinite at the initial time t={t:.6g}: look at y0 and at field({t:.6g}, y0)"
        )
    h0 = 1e-6 if d0 < 1e-5 or d1 < 1e-5 or not math.isfinite(d0 / d1) else 0.01 * d0 / d1
    h0 = min(h0, control.max_step)
    f1 = field(t + sign * h0, combine(y, sign * h0, ((0, 1.0),), [f0]))
    (d2,) = read([norm(over(minus(f1, f0), tolerances))])
    d2 /= h0
    largest = max(d1, d2)
    if not math.isfinite(largest):
        return h0
    h1 = max(1e-6, h0 * 1e-3) if largest <= 1e-15 else (0.01 / largest) ** (1.0 / order)
    return min(100 * h0, h1)


class AdaptiveStep:
    """Steps of a rule with an error estimate; around a jump of the field, each side sees its own value.

    Args:
        rule: The rule.
        jumps: Times at which the field jumps.
        sides: Times beside another.
    """

    def __init__(self, rule: Any, jumps: Sequence[float], sides: Sides) -> None:
        self.rule, self.jumps, self.sides = rule, frozenset(float(t) for t in jumps), sides

    def begin(self, field: Any, t: float, y: Any, carry: Any, fresh: bool) -> Any:
        """Return what a step from (t, y) begins with; ``fresh`` says that the field is another one than before."""
        jumps = t in self.jumps
        return self.rule.ready(field, self.sides.after(t) if jumps else t, y, carry, fresh or jumps)

    def take(self, field: Any, t: float, h: float, y: Any, carry: Any, end: float) -> Step:
        """Take one step with what error estimate and dense output need."""
        side = self.sides.before(end) if end in self.jumps else end
        return self.rule.attempt(field, t, h, y, carry, end, side)  # type: ignore[no-any-return]


class AdaptiveWalk:
    """The accepted steps from stops[0] to stops[-1], as an iterator; a step ends on each stop.

    Args:
        taker: Steps of a rule with an error estimate.
        y: State at the first stop.
        stops: Where steps must end, in the direction of time.
        draws: The field, drawn once per accepted step.
        counts: Where the cost is noted.
        watchers: What looks on.
        control: Tolerances and controller.
    """

    def __init__(
        self,
        taker: AdaptiveStep,
        y: Leaves,
        stops: Sequence[float],
        draws: Draws,
        counts: Counts,
        watchers: Watchers,
        control: Adaptive,
    ) -> None:
        self.taker, self.rule, self.sign = taker, taker.rule, taker.sides.sign
        self.draws, self.counts, self.watchers, self.control = draws, counts, watchers, control
        self.y, self.t, self.stops = y, stops[0], stops[1:]
        self.errors: list[float] = []  # of up to two accepted steps, the newest first
        self.last_error = 0.0
        self.held: Any = None
        self.rejected = False

    def __iter__(self) -> Iterator[tuple[Step, list[float]]]:
        """Yield each accepted step with what the probe read of it.

        Raises:
            SolverError: The step became too small, or there were too many.
        """
        size, carry = self.control.first_step, None
        for stop in self.stops:
            while self.t != stop:
                field, fresh = self._field()
                carry = self.taker.begin(field, self.t, self.y, carry, fresh)
                if size is None:
                    slope = self.rule.slope(carry)
                    size = first_step_size(field, self.t, self.y, slope, self.sign, self.rule.error_order, self.control)
                step, size, probes = self._accepted(field, carry, size, stop)
                yield step, probes
                self.t, self.y, carry = step.end, step.y1, step.carry
                del step

    def _field(self) -> tuple[Callable[[float, Any], Any], bool]:
        """Return the field of the next step, and whether it is another one than that of the step before."""
        held, before = self.draws.next(self.y), self.held
        self.held = held

        def counted(t: float, y: Any) -> Any:
            self.counts.nfe += 1
            return held(t, y)

        return counted, held is not before

    def _accepted(self, field: Any, carry: Any, size: float, stop: float) -> tuple[Step, float, list[float]]:
        """Try steps until one is accepted; return it, the size proposed for the next, and the probe's numbers."""
        control, watchers, t, y = self.control, self.watchers, self.t, self.y
        after_rejection = False
        while True:
            size = min(max(size, control.min_step), control.max_step)
            lands = size >= abs(stop - t) * (1 - 1e-12)
            h = stop - t if lands else self.sign * size
            end = stop if lands else t + h
            least = min(size, abs(h)) <= control.min_step
            self._check(end, h, lands, least)
            if watchers.tried is not None:
                watchers.tried(t, y, h)
            step = self.taker.take(field, t, h, y, carry, end)
            error, probes = self._look(step)
            self.counts.steps += 1
            factor = control.factor([error, *self.errors], self.rule.error_order, after_rejection)
            self.last_error = error
            if error <= 1.0 or (least and math.isfinite(error)):
                break
            if watchers.rejected is not None:
                watchers.rejected(t, y, h)
            size, after_rejection = abs(h) * min(factor, 1.0), True
        if watchers.accepted is not None:
            watchers.accepted(t, y, h)
        self.counts.accepted += 1
        self.counts.sizes.append(abs(h))
        self.errors = [error, *self.errors[:1]]
        # A step cut short to land says little: the size proposed before it stays good.
        return step, max(abs(h) * factor, size) if lands else abs(h) * factor, probes

    @torch.no_grad()
    def _look(self, step: Step) -> tuple[float, list[float]]:
        """Return the error in units of the tolerance and the probe's numbers, all in one read."""
        watch = self.counts.watch
        ratio, scale = self.control.measure(self.rule.error(step), step.y0, step.y1)
        wanted = [] if self.watchers.probe is None else self.watchers.probe(step)
        stiffness = watch.probe(step, self.counts.accepted)
        numbers = read([ratio, *wanted, *stiffness])
        watch.note(step.h, numbers[1 + len(wanted) :])
        return numbers[0] * scale, numbers[1 : 1 + len(wanted)]

    def _check(self, end: float, h: float, lands: bool, least: bool) -> None:
        """Raise if the walk can't go on: a step that lands may be as small as it is, the least step must be finite."""
        t, counts, control = self.t, self.counts, self.control
        if counts.steps >= control.max_steps:
            raise SolverError(
                f"max_steps={control.max_steps} reached at t={t:.6g} with step {h:.3g}: allow more steps, loosen rtol "
                "or atol, or use an implicit method if the problem is stiff (the exception's `solution` is what there "
                "is)"
            )
        # A step at the least size whose error is not even finite can't be accepted and can't be made smaller.
        stuck = least and not math.isfinite(self.last_error)
        if not stuck and (lands or (abs(h) > 16 * math.ulp(t) and end != t)):
            return
        if not math.isfinite(self.last_error):
            raise SolverError(
                f"the solution became NaN or infinite just after t={t:.6g}, with steps down to {abs(h):.3g}: "
                "look at the field there, start nearer, or scale the problem"
            )
        raise SolverError(
            f"the step became too small at t={t:.6g}: step {abs(h):.3g}, last error {self.last_error:.3g} times the "
            "tolerance: loosen rtol or atol, use float64, or use an implicit method if the problem is stiff"
        )
