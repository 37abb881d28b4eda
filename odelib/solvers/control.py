"""Where the steps of a solve lie: on a fixed grid, or where an estimate of the error puts them. Times are floats.

On a fixed grid nothing is read back from the device; adaptive steps are read once per step tried, and at most twice to
choose the first of them.
"""

import math
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor

from odelib.solvers.adaptive import Adaptive
from odelib.solvers.errors import SolverError
from odelib.solvers.field import Field
from odelib.solvers.state import HALF, State, combine, leaves_of, like, minus, read, rms
from odelib.solvers.step_rule import StepRule
from odelib.solvers.watched import Counts


class GridPlan:
    """Steps that are known beforehand.

    Args:
        steps: Beginning, size and end of each step.
        last: The last time.
    """

    def __init__(self, steps: Iterable[tuple[float, float, float]], last: float) -> None:
        self.steps, self.last = iter(steps), last

    def begin(self, rule: StepRule, field: Field, t: float, y: State, carry: Any) -> Any:
        """Return what a step from (t, y) begins with."""
        return rule.init(field, t, y, carry)

    def propose(self, t: float) -> tuple[float, float]:
        """Return size and end of the step from ``t``."""
        _, h, end = next(self.steps)
        return h, end

    def judge(self, taken: Any, wanted: Sequence[Tensor]) -> tuple[bool, list[float]]:
        """Accept the step, and return the numbers that were wanted of it."""
        return True, read(wanted) if wanted else []


class AdaptivePlan:
    """Steps that an estimate of their error chooses; one ends on each stop.

    Args:
        steps: Tolerances and controller.
        order: Order of the error estimate.
        stops: Where steps must end, the last time at the end, in the direction of time.
        start: The first time.
        counts: What the solve has cost so far.
    """

    def __init__(self, steps: Adaptive, order: int, stops: Sequence[float], start: float, counts: Counts) -> None:
        self.steps, self.order, self.stops, self.last = steps, order, list(stops), stops[-1]
        self.sign = math.copysign(1.0, self.last - start)
        self.counts = counts
        self.size = steps.first_step
        self.errors: list[float] = []  # of up to two accepted steps, the newest first
        self.last_error = 0.0
        self.after_rejection = self.lands = self.least = False

    def begin(self, rule: StepRule, field: Field, t: float, y: State, carry: Any) -> Any:
        """Return what a step from (t, y) begins with; the first size is chosen from the field there."""
        if self.size is not None:
            return rule.init(field, t, y, carry)
        slope = field(t, y)
        self.size = first_size(field, t, y, slope, self.sign, self.order, self.steps, abs(self.last - t))
        # A rule that begins with the field at (t, y) need not evaluate it once more.
        return rule.init(lambda s, x: slope if s == t and x is y else field(s, x), t, y, carry)

    def propose(self, t: float) -> tuple[float, float]:
        """Return size and end of the step from ``t``.

        Raises:
            SolverError: The step became too small, or there were too many.
        """
        steps, stop = self.steps, self.stops[0]
        assert self.size is not None
        self.size = size = min(max(self.size, steps.min_step), steps.max_step)
        self.lands = size >= abs(stop - t) * (1 - 1e-12)
        h = stop - t if self.lands else self.sign * size
        end = stop if self.lands else t + h
        self.least = min(size, abs(h)) <= steps.min_step
        self._check(t, h, end)
        return h, end

    def judge(self, taken: Any, wanted: Sequence[Tensor]) -> tuple[bool, list[float]]:
        """Return whether a step is accepted and the numbers that were wanted of it, all in one read.

        What the next step may be follows from this one's error.
        """
        steps, watch, h = self.steps, self.counts.watch, taken.h
        estimate = taken.step.error()
        with torch.no_grad():
            ratio, scale = measure(steps, estimate, taken.y0, taken.step.y1)
            stiffness = watch.probe(taken.step, self.counts.accepted + 1)
        numbers = read([ratio, *wanted, *stiffness])
        watch.note(taken.rule, h, numbers[1 + len(wanted) :])
        error = self.last_error = numbers[0] * scale
        factor = steps.factor([error, *self.errors], self.order, self.after_rejection)
        accepted = error <= 1.0 or (self.least and math.isfinite(error))
        if not accepted:
            self.size, self.after_rejection = abs(h) * min(factor, 1.0), True
            return False, []
        # A step cut short to land says little: the size proposed before it stays good.
        self.size = max(abs(h) * factor, self.size or 0.0) if self.lands else abs(h) * factor
        self.errors, self.after_rejection = [error, *self.errors[:1]], False
        if taken.end == self.stops[0]:
            self.stops.pop(0)
        return True, numbers[1 : 1 + len(wanted)]

    def _check(self, t: float, h: float, end: float) -> None:
        """Raise if the solve can't go on: a step that lands may be as small as it is, the least one must be finite."""
        if self.counts.steps >= self.steps.max_steps:
            raise SolverError(
                f"max_steps={self.steps.max_steps} reached at t={t:.6g} with step {h:.3g}: allow more steps, loosen "
                "rtol or atol, or use an implicit method if the problem is stiff (the exception's `solution` is what "
                "there is)"
            )
        # A step at the least size whose error is not even finite can't be accepted and can't be made smaller.
        stuck = self.least and not math.isfinite(self.last_error)
        if not stuck and (self.lands or (abs(h) > 16 * math.ulp(t) and end != t)):
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


@torch.no_grad()
def first_size(
    field: Field, t: float, y: State, slope: Any, sign: float, order: int, steps: Adaptive, span: float
) -> float:
    """Choose the first step (Hairer, Nørsett, Wanner I, II.4), in two reads and one evaluation of the field.

    ``span`` is what lies ahead: the field is not evaluated beyond.
    """
    scale = tolerances(steps, y, y)
    d0, d1 = read([_size(steps, _over(part, scale)) for part in (y, slope)])
    if not math.isfinite(d0 + d1):
        where = "field" if math.isfinite(d0) else "state"
        raise SolverError(
            f"the {where} is NaN or infinite at the initial time t={t:.6g}: look at y0 and at field({t:.6g}, y0)"
        )
    h0 = 1e-6 if d0 < 1e-5 or d1 < 1e-5 or not math.isfinite(d0 / d1) else 0.01 * d0 / d1
    h0 = min(h0, steps.max_step, span)
    ahead: Any = field(t + sign * h0, combine(y, sign * h0, ((0, 1.0),), [slope]))
    (d2,) = read([_size(steps, _over(minus(ahead, slope), scale))])
    d2 /= h0
    largest = max(d1, d2)
    if not math.isfinite(largest):
        return h0
    h1 = max(1e-6, h0 * 1e-3) if largest <= 1e-15 else (0.01 / largest) ** (1.0 / order)
    return min(100 * h0, h1)


def tolerances(steps: Adaptive, y0: State, y1: State) -> State:
    """Return atol + rtol max(abs(y0), abs(y1)), leaf by leaf."""
    result = []
    for n, (a, b) in enumerate(zip(leaves_of(y0), leaves_of(y1), strict=True)):
        size = a.abs() if a is b else torch.maximum(a.abs(), b.abs())
        size = size.float() if size.dtype in HALF else size
        result.append(size * _of_leaf(steps.rtol, n) + _of_leaf(steps.atol, n))
    return like(y0, result)


def scaled(steps: Adaptive, error: State, y0: State, y1: State) -> State:
    """Return error / (atol + rtol max(abs(y0), abs(y1))), leaf by leaf."""
    return _over(error, tolerances(steps, y0, y1))


def measure(steps: Adaptive, error: State, y0: State, y1: State) -> tuple[Tensor, float]:
    """Return the error of a step in units of the tolerance, as a scalar on the device times a host number.

    It may use up the memory of ``error``.
    """
    if steps.norm is None and isinstance(error, Tensor) and error.numel():
        rtol, atol = steps.rtol, steps.atol
        if isinstance(rtol, float) and isinstance(atol, float) and rtol > 0.0:
            # The same number with fewer operations: error / (rtol (size + atol / rtol)), constants on the host.
            size = torch.maximum(y0.abs(), y1.abs())  # type: ignore[union-attr]
            size = size.float() if size.dtype in HALF else size
            ratio = torch.linalg.vector_norm(error.div_(size.add_(atol / rtol)))
            return ratio, error.numel() ** -0.5 / rtol
    return _size(steps, scaled(steps, error, y0, y1)), 1.0


def _size(steps: Adaptive, ratios: Any) -> Tensor:
    """Return how large an error in units of the tolerance is."""
    size: Any = rms(ratios) if steps.norm is None else steps.norm(ratios)
    if not isinstance(size, Tensor) or size.numel() != 1 or size.is_complex():
        raise TypeError(f"norm returned {size!r}: return one real number as a 0-dimensional tensor")
    return size.reshape(())


def _over(y: State, scale: State) -> State:
    return like(y, [a / b for a, b in zip(leaves_of(y), leaves_of(scale), strict=True)])


def _of_leaf(tolerance: Any, n: int) -> Any:
    return tolerance[n] if isinstance(tolerance, tuple | list) else tolerance
