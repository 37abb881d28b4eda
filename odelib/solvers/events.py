"""Events: times at which a function of the state crosses zero, with their derivatives."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from odelib.solvers.arithmetic import Leaves, Tree, leaves_of, like, stacked
from odelib.solvers.motion import first_order, moved, slopes_at
from odelib.solvers.runge_kutta import Step

_CORRECTIONS = 3


@dataclass(frozen=True)
class Event:
    """A function whose zeros along the solution are wanted.

    Attributes:
        function: ``function(t, y)``, a real 0-dimensional tensor; t comes as a 0-dimensional float64 tensor, y as the
            state. It is looked at once per step: two crossings within one step are not seen.
        terminal: Whether the solve ends at the first crossing; otherwise all crossings are recorded.
        direction: Which crossings count: 1 from negative to positive in the direction of the solve, -1 the other way
            round, 0 both.
    """

    function: Callable[[Any, Any], Tensor]
    terminal: bool = True
    direction: int = 0

    def __post_init__(self) -> None:
        if self.direction not in (-1, 0, 1):
            raise ValueError(f"direction is {self.direction}: choose 1 (upwards), -1 (downwards) or 0 (both)")

    def value(self, t: float, y: Leaves) -> Tensor:
        """Return the function at a time given as a float.

        Raises:
            TypeError: The result is not a real 0-dimensional tensor.
        """
        value = self.function(torch.full((), t, dtype=torch.float64, device=leaves_of(y)[0].device), y)
        if not isinstance(value, Tensor) or value.dim() != 0 or value.is_complex():
            shape = f"a tensor of shape {tuple(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
            raise TypeError(f"an event function returned {shape}: return one real number as a 0-dimensional tensor")
        return value


@dataclass(frozen=True)
class Crossings:
    """The crossings of one event.

    Attributes:
        ts: Their times, shape (n,), float64; differentiable.
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
    def probe(self, step: Step) -> list[Tensor]:
        """Return the values of all events at the end of a step; of the first step, then also those at its beginning."""
        values = [event.value(step.end, step.y1) for event in self.events]
        return values if self.before else [*values, *(event.value(step.t, step.y0) for event in self.events)]

    def in_step(self, step: Step, probed: Sequence[float]) -> list[tuple[float, int]]:
        """Return (time, number of the event) for the crossings in an accepted step, up to a first terminal one."""
        after, first = list(probed[: len(self.events)]), list(probed[len(self.events) :])
        before, self.before = self.before or first, after
        sign = 1.0 if step.h > 0 else -1.0
        found = [
            (self._locate(step, event, old, new), number)
            for number, (event, old, new) in enumerate(zip(self.events, before, after, strict=True))
            if _crosses(old, new, event.direction)
        ]
        found.sort(key=lambda crossing: sign * crossing[0])
        for i, (_, number) in enumerate(found):
            if self.events[number].terminal:
                return found[: i + 1]
        return found

    @torch.no_grad()
    def _locate(self, step: Step, event: Event, old: float, new: float) -> float:
        """Return the time of the crossing: on the dense output first, then on steps of the rule's full order."""
        from scipy.optimize import brentq

        if new == 0.0:
            return step.end
        low, high = sorted((step.t, step.end))

        def on_dense(time: float) -> float:
            if time in (step.t, step.end):
                return old if time == step.t else new
            return float(event.value(time, step.at(time)))

        time = float(brentq(on_dense, low, high, xtol=4e-16 * max(abs(low), abs(high), 1e-300), rtol=1e-15))
        width = 1e-4 * abs(step.h)
        a, b = max(low, time - width), min(high, time + width)
        rate = (on_dense(b) - on_dense(a)) / (b - a)
        if rate == 0.0:
            return time
        for _ in range(_CORRECTIONS):
            corrected = time - float(event.value(time, step.rule.partial(step, time))) / rate
            if not low < corrected < high:
                break
            time = corrected
        return time


def _crosses(old: float, new: float, direction: int) -> bool:
    upwards, downwards = old < 0.0 <= new, old > 0.0 >= new
    return (upwards and direction >= 0) or (downwards and direction <= 0)


def with_gradient(event: Event, field: Any, t: float, y: Leaves) -> tuple[Tensor, Leaves]:
    """Return time and state of a crossing with the derivatives that the implicit function theorem gives.

    With g the event, dt = -(dg) / (g_t + g_y f), and the state at the moved time moves by f dt (Chen, Amos, Nickel
    2021, Learning neural event functions for ordinary differential equations, arXiv 2011.03902).

    Args:
        event: The event.
        field: The field, on leaves.
        t: Time of the crossing.
        y: State there, with the graph of the solve at that time held fixed.
    """
    leaves = leaves_of(y)
    time = torch.full((), t, dtype=torch.float64, device=leaves[0].device)
    if not torch.is_grad_enabled():
        return time, y
    free_t = time.clone().requires_grad_()
    free_y = [leaf.detach().requires_grad_() for leaf in leaves]
    value = event.function(free_t, like(y, free_y))
    if not value.requires_grad:
        return time, y
    slopes = slopes_at(field, t, y)
    by_t, *by_y = torch.autograd.grad(value, [free_t, *free_y], allow_unused=True)
    rate = torch.zeros_like(time) if by_t is None else by_t.double()
    for part, slope in zip(by_y, slopes, strict=True):
        if part is not None:
            rate = rate + (part.conj() * slope).real.sum().double()
    moving = event.function(time, y)
    shift = first_order(-(moving - moving.detach()).double() / rate)
    return time + shift, moved(y, slopes, shift)


def sorted_crossings(
    tree: Tree, found: Sequence[tuple[int, Tensor, Leaves]], events: Sequence[Event]
) -> tuple[Crossings, ...]:
    """Return the crossings, given as (number of the event, time, state), event by event."""
    result = []
    for number in range(len(events)):
        mine = [(t, y) for event, t, y in found if event == number]
        device = leaves_of(tree.y0)[0].device
        ts = torch.stack([t for t, _ in mine]) if mine else torch.empty(0, dtype=torch.float64, device=device)
        none = like(tree.y0, [leaf[None][:0] for leaf in leaves_of(tree.y0)])
        ys = stacked(tree.y0, [y for _, y in mine]) if mine else none
        result.append(Crossings(ts, tree.tree(ys)))
    return tuple(result)
