"""Events as programs for torchdiffeq write them: a function of any shape, solved for whatever time it takes."""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from odelib.names import takes
from odelib.solvers.adaptive import Adaptive, as_floats
from odelib.solvers.errors import SolverError, warn
from odelib.solvers.events import Event
from odelib.solvers.field import Field, Tree
from odelib.solvers.grid import Grid
from odelib.solvers.solve import solve
from odelib.solvers.torchdiffeq_methods import Method

_EVENT_STEPS = 20_000


def until_event(
    field: Field,
    y0: Tree,
    t: Tensor | Sequence[float],
    method: Method,
    event_fn: Callable[..., Tensor],
    arguments: dict[str, Any],
) -> tuple[Tensor, Tree]:
    """Solve until the event, whatever time it takes."""
    if len(t) != 2:
        raise ValueError(
            f"t has {len(t)} times: with event_fn give two, the initial one and one in the direction to go"
        )
    rule, steps, options, wide, clock = method
    times = t if isinstance(t, Tensor) else clock.new_tensor(t)
    start, toward = as_floats(times, "t")
    if isinstance(steps, Adaptive):
        far = min(1e100, torch.finfo(times.dtype).max / 4)
    elif not isinstance(steps, Grid) or options.get("step_size") is None:
        raise ValueError("an event on a fixed grid needs a step size: give options={'step_size': ...}")
    else:
        size = float(options["step_size"])
        steps = replace(steps, step_size=size, points=None)
        far, clock = _EVENT_STEPS * size, wide

    if not takes(event_fn, 2):
        raise TypeError(f"event_fn is {event_fn!r}: give a function of (t, y)")

    def values(time: Tensor, y: Tree) -> Tensor:
        given: Any = event_fn(time, y)
        if not isinstance(given, Tensor | float | int | tuple | list):
            raise TypeError(f"event_fn returned a {type(given).__name__}: return a tensor")
        value = torch.as_tensor(given)
        return torch.where(value, 1.0, -1.0) if value.dtype == torch.bool else value

    with torch.no_grad():
        signs = torch.sign(values(clock.new_full((), start), y0))
    if bool((signs == 0).any()):
        sentence = f"event_fn is 0 at the initial time t={start:.6g}, which is returned at once: start beside the event"
        warn(sentence)
        return times[0].clone(), pytree.tree_map(lambda leaf: torch.stack([leaf, leaf]), y0)
    # All values count from the positive side, so that the least of them is the first to cross.
    event = Event(lambda time, y: (values(time, y) * signs).min(), time_dtype=clock.dtype)
    ahead = times.new_tensor([start + math.copysign(far, toward - start)])
    ends = torch.cat([times[:1], ahead])
    solution = solve(field, y0, ends, rule=rule, steps=steps, events=event, **arguments)
    if solution.status != "event":
        raise SolverError(
            f"no event up to t={solution.ts[-1]:.6g}: look at event_fn and at the direction of t", solution
        )
    found = solution.events[0]
    return found.ts[0].to(times), pytree.tree_map(lambda some, last: torch.cat([some[:1], last]), solution.ys, found.ys)
