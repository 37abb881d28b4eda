"""Events: times at which a function of the state crosses zero, with their derivatives."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from odelib.names import expect
from odelib.solvers.errors import warn
from odelib.solvers.field import Field
from odelib.solvers.loop import Taken
from odelib.solvers.state import State, Structure, is_transformed, leaves_of, like, stacked, time_dtype
from odelib.solvers.times import differentiable_once, without_derivative

_FLAT = (
    "an event cannot be differentiated whose function has no slope along the motion at its crossing, or no finite one, "
    "as a step function, a truth value, a plain number or a cube root: return a tensor that goes through zero with a "
    "slope, or detach the time and the state of the event"
)


@dataclass(frozen=True)
class Event:
    """A function whose zeros along the solution are wanted.

    Attributes:
        function: ``function(t, y)``, a real number or a truth value as a 0-dimensional tensor; t comes as a
            0-dimensional tensor (float64, where the device has that), y as the state. What counts is its sign, so it
            may jump, be flat beyond its zero, or be as steep as it likes. It is looked at once per step: two crossings
            within one step are not seen.
        terminal: Whether the solve ends at the first crossing; otherwise all crossings are recorded.
        direction: Which crossings count: 1 from negative to positive in the direction of the solve, -1 the other way
            round, 0 both; a value that is not a number counts as the other side.
        time_dtype: Precision of the times that it gets and of the crossings; None: as above.

    Raises:
        ValueError: The direction is none of these.
        TypeError: Another attribute is of another kind.
    """

    function: Callable[[Any, Any], Tensor]
    terminal: bool = True
    direction: int = 0
    time_dtype: torch.dtype | None = None

    def __post_init__(self) -> None:
        expect(self, "a function", "function", called_with="t, y")
        expect(self, "True or False", "terminal")
        if self.direction not in (-1, 0, 1):
            raise ValueError(f"direction is {self.direction}: choose 1 (upwards), -1 (downwards) or 0 (both)")
        dtype: object = self.time_dtype
        if not (dtype is None or (isinstance(dtype, torch.dtype) and dtype.is_floating_point)):
            raise TypeError(f"time_dtype of Event is {dtype!r}: give a floating dtype such as torch.float64, or None")

    def clock(self, t: float, y: State) -> Tensor:
        """Return a time as a 0-dimensional tensor beside a state."""
        device = leaves_of(y)[0].device
        return torch.full((), t, dtype=self.time_dtype or time_dtype(device), device=device)

    def value(self, t: float, y: State) -> Tensor:
        """Return the function at a time given as a float; 1 and -1 for a truth value.

        Raises:
            TypeError: The result is not a real 0-dimensional tensor.
        """
        value = self.function(self.clock(t, y), y)
        if not isinstance(value, Tensor) or value.dim() != 0 or value.is_complex():
            shape = f"a tensor of shape {tuple(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
            raise TypeError(f"an event function returned {shape}: return one real number as a 0-dimensional tensor")
        return value if value.dtype != torch.bool else torch.where(value, 1.0, -1.0)


@dataclass(frozen=True)
class Crossings:
    """The crossings of one event.

    Attributes:
        ts: Their times, shape (n,), float64 where the device has that; differentiable.
        ys: The states there, stacked in front.
    """

    ts: Tensor
    ys: Any


class EventSearch:
    """Looks for events step after step.

    Args:
        events: The events, on leaves.
    """

    def __init__(self, events: Sequence[Event]) -> None:
        self.events = events
        self.before: list[float] = []

    @torch.no_grad()
    def probe(self, taken: Taken) -> list[Tensor]:
        """Return the values of all events at the end of a step; of the first step, then also those at its beginning."""
        values = [event.value(taken.end, taken.y1) for event in self.events]
        return values if self.before else [*values, *(event.value(taken.t, taken.y0) for event in self.events)]

    def in_step(self, taken: Taken, probed: Sequence[float]) -> list[tuple[float, int]]:
        """Return (time, number of the event) for the crossings in an accepted step, up to a first terminal one."""
        after, first = list(probed[: len(self.events)]), list(probed[len(self.events) :])
        before, self.before = self.before or first, after
        found = [
            (_locate(taken, event, old, new), number)
            for number, (event, old, new) in enumerate(zip(self.events, before, after, strict=True))
            if _crosses(old, new, event.direction)
        ]
        found.sort(key=lambda crossing: math.copysign(1.0, taken.h) * crossing[0])
        for i, (_, number) in enumerate(found):
            if self.events[number].terminal:
                return found[: i + 1]
        return found


def _crosses(old: float, new: float, direction: int) -> bool:
    upwards, downwards = old < 0.0 and not new < 0.0, old > 0.0 and not new > 0.0
    return (upwards and direction >= 0) or (downwards and direction <= 0)


@torch.no_grad()
def _locate(taken: Taken, event: Event, old: float, new: float) -> float:
    """Return the time of the crossing: on the dense output first, then on steps of the rule's full order."""

    def along(state_at: Callable[[float], State]) -> Callable[[float], float]:
        return lambda time: new if time == taken.end else float(event.value(time, state_at(time)))

    low, high = sign_change(along(taken.at), (taken.t, old), (taken.end, new))
    if taken.interpolation == "step":
        return high
    # The crossing of the solution itself is about as far away as the dense output is wrong: look around, ever wider.
    width, span = max(1e-4 * abs(taken.h), 4 * math.ulp(high)), math.copysign(1.0, taken.h)
    on_steps = along(taken.partial)
    while True:
        start, stop = _inside(taken, low - span * width), _inside(taken, high + span * width)
        left = old if start == taken.t else on_steps(start)
        right = on_steps(stop)
        if left * old > 0.0 >= right * math.copysign(1.0, old):
            return sign_change(on_steps, (start, left), (stop, right))[1]
        if start == taken.t and stop == taken.end:
            return high
        width *= 10.0


def _inside(taken: Taken, time: float) -> float:
    return min(max(time, min(taken.t, taken.end)), max(taken.t, taken.end))


def sign_change(
    function: Callable[[float], float], before: tuple[float, float], after: tuple[float, float]
) -> tuple[float, float]:
    """Return two neighbouring numbers between which a function leaves its sign, zero counting as having left it.

    The ITP method (Oliveira and Takahashi 2020, An enhancement of the bisection method average performance preserving
    minmax optimality, doi 10.1145/3423597): as fast as the secant on smooth functions, and on any function, also where
    it jumps or is zero from the crossing on, at most one step more than bisection.

    Args:
        function: The function.
        before: A number, and the function there, not zero.
        after: Another number, greater or less, and the function there: of the other sign, or zero.

    Returns:
        The last number on this side, and the first one on the other.
    """
    (a, at_a), (b, at_b) = before, after
    sign = math.copysign(1.0, at_a)
    tolerance = 2.0 * math.ulp(max(abs(a), abs(b)))
    if at_b == 0.0 and function(b - math.copysign(tolerance, b - a)) * sign > 0.0:
        return b - math.copysign(tolerance, b - a), b
    most = math.ceil(math.log2(max(abs(b - a) / tolerance, 1.0))) + 1
    for i in range(2 * most):
        if abs(b - a) <= tolerance:
            break
        middle, radius = 0.5 * (a + b), tolerance * 2.0 ** max(most - i, 0) - 0.5 * abs(b - a)
        # Interpolate; a value of zero or without limit says nothing of where the crossing lies.
        guess = (at_b * a - at_a * b) / (at_b - at_a) if at_b != 0.0 and math.isfinite(at_b - at_a) else middle
        # Truncate: a little towards the middle, so that both ends come near.
        nudge = 0.2 / abs(after[0] - before[0]) * (b - a) ** 2
        guess = middle if nudge > abs(middle - guess) else guess + math.copysign(nudge, middle - guess)
        # Project onto the numbers that leave bisection enough steps.
        x = guess if abs(guess - middle) <= radius else middle - math.copysign(radius, middle - guess)
        if not min(a, b) < x < max(a, b):
            x = middle
        if not min(a, b) < x < max(a, b):
            break
        value = function(x)
        if value * sign > 0.0:
            a, at_a = x, value
        else:
            b, at_b = x, value
    return a, b


def with_gradient(event: Event, field: Field, t: float, y: State, strict: bool = True) -> tuple[Tensor, State]:
    """Return time and state of a crossing with the derivatives that the implicit function theorem gives.

    With g the event, dt = -(dg) / (g_t + g_y f), and the state at the moved time moves by f dt (Chen, Amos, Nickel
    2021, Learning neural event functions for ordinary differential equations, arXiv 2011.03902). Where the event
    function has no slope along the motion, as a step function has none, nothing is known of these, and a backward pass
    says so.

    Args:
        event: The event.
        field: The field, on leaves.
        t: Time of the crossing.
        y: State there, with the graph of the solve at that time held fixed.
        strict: If False, nothing being known is a warning, and the derivative of the state is that at a fixed time.
    """
    leaves, time = leaves_of(y), event.clock(t, y)
    if not torch.is_grad_enabled():
        return time, y
    with torch.no_grad():
        slopes = leaves_of(field(t, y))
    moving = event.function(time, y)
    rate = _rate(event, time, y, slopes)
    if not 0.0 < abs(float(rate)) < math.inf:
        behind = [tensor for tensor in (moving, *leaves) if tensor.requires_grad or is_transformed()]
        if not behind:
            return time, y
        if not strict:
            warn(f"{_FLAT}; here the time gets no gradient, the state that at a fixed time")
            return time, y
        return without_derivative(time, behind, _FLAT), like(y, [without_derivative(x, behind, _FLAT) for x in leaves])
    shift = differentiable_once(-(moving - moving.detach()).to(time.dtype) / rate, "the time of an event")
    parts = zip(leaves, slopes, strict=True)
    return time + shift, like(y, [leaf + (slope * shift).to(leaf.dtype) for leaf, slope in parts])


def _rate(event: Event, time: Tensor, y: State, slopes: Sequence[Tensor]) -> Tensor:
    """Return how fast an event function changes along the motion, g_t + g_y f."""

    def value(time: Tensor, *leaves: Tensor) -> Tensor:
        value = event.function(time, like(y, leaves))
        return value if value.is_floating_point() else torch.zeros_like(time)

    free = [time, *(leaf.detach() for leaf in leaves_of(y))]
    parts: Sequence[Tensor | None]
    if is_transformed():
        pulled: Any = torch.func.vjp(value, *free)
        parts = pulled[1](torch.ones_like(pulled[0]))
    else:
        free = [tensor.clone().requires_grad_() for tensor in free]
        head = value(*free)
        parts = torch.autograd.grad(head, free, allow_unused=True) if head.requires_grad else [None] * len(free)
    moves = zip(parts, (torch.ones_like(time), *slopes), strict=True)
    changes = [(part.conj() * slope).real.sum().to(time.dtype) for part, slope in moves if part is not None]
    return torch.stack(changes).sum().detach() if changes else torch.zeros_like(time)


def sorted_crossings(
    structure: Structure, found: Sequence[tuple[int, Tensor, State]], events: Sequence[Event]
) -> tuple[Crossings, ...]:
    """Return the crossings, given as (number of the event, time, state), event by event."""
    form, result = structure.y0, []
    for number in range(len(events)):
        mine = [(t, y) for event, t, y in found if event == number]
        ts = torch.stack([t for t, _ in mine]) if mine else events[number].clock(0.0, form)[None][:0]
        none = like(form, [leaf[None][:0] for leaf in leaves_of(form)])
        result.append(Crossings(ts, structure.tree(stacked(form, [y for _, y in mine]) if mine else none)))
    return tuple(result)
