"""The door for programs written for torchdiffeq: `odeint`, `odeint_adjoint`, `odeint_event`, signatures unchanged.

Explicit methods run on odelib's loop; implicit, multistep and SciPy methods are torchdiffeq's own.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from odelib.solvers.control import Adaptive
from odelib.solvers.errors import SolverError
from odelib.solvers.events import Event
from odelib.solvers.fields import WithTensorTime
from odelib.solvers.gradients import Adjoint, Gradient, parameters_of
from odelib.solvers.grid import Grid
from odelib.solvers.loop import solve
from odelib.solvers.torchdiffeq_options import TORCHDIFFEQ_METHODS, method_and_steps
from odelib.solvers.walk import Watchers

_EVENT_STEPS = 20_000


def odeint(
    func: Callable[[Tensor, Any], Any],
    y0: Any,
    t: Tensor | Sequence[float],
    *,
    rtol: Any = 1e-7,
    atol: Any = 1e-9,
    method: str | None = None,
    options: dict[str, Any] | None = None,
    event_fn: Callable[[Tensor, Any], Tensor] | None = None,
) -> Any:
    """Integrate dy/dt = func(t, y) from y(t[0]) = y0: the same call as ``torchdiffeq.odeint``.

    Args:
        func: The field; it gets ``t`` as a 0-dimensional tensor in the state's precision. Its attributes
            ``callback_step``, ``callback_accept_step`` and ``callback_reject_step`` are called with (t0, y0, dt).
        y0: Initial state: a tensor, or a tuple (list, dict) of tensors.
        t: Times, shape (n,), strictly increasing or decreasing.
        rtol: Relative tolerance.
        atol: Absolute tolerance.
        method: Default "dopri5". See the tables in `odelib.solvers.torchdiffeq_options`.
        options: torchdiffeq's. Adaptive: first_step, min_step, max_step, max_num_steps, step_t, jump_t, safety,
            ifactor, dfactor, norm, dtype (without effect: times are float64), and controller and per_sample of
            `Adaptive`. Fixed: step_size, grid_constructor, interp ("linear", "cubic"), perturb, norm (without effect).
        event_fn: Function of (t, y) whose first zero ends the solve; of ``t`` then only the first time and the
            direction count.

    Returns:
        The states, shape ``(n, *y0.shape)``, in the structure of y0; with ``event_fn`` the time of the event and the
        states at the beginning and there.

    Raises:
        ValueError: A method or option is unknown (the nearest is named), or a value out of its range.
        TypeError: The state is not of floating or complex tensors.
        SolverError: The integration could not go on.
    """
    name = "dopri5" if method is None else method
    if name in TORCHDIFFEQ_METHODS:
        import torchdiffeq

        return torchdiffeq.odeint(func, y0, t, rtol=rtol, atol=atol, method=name, options=options, event_fn=event_fn)
    return _odeint(func, y0, t, rtol, atol, name, options, event_fn, "backprop", ())


def odeint_adjoint(
    func: Callable[[Tensor, Any], Any],
    y0: Any,
    t: Tensor | Sequence[float],
    *,
    rtol: Any = 1e-7,
    atol: Any = 1e-9,
    method: str | None = None,
    options: dict[str, Any] | None = None,
    event_fn: Callable[[Tensor, Any], Tensor] | None = None,
    adjoint_rtol: Any = None,
    adjoint_atol: Any = None,
    adjoint_method: str | None = None,
    adjoint_options: dict[str, Any] | None = None,
    adjoint_params: Sequence[Tensor] | None = None,
) -> Any:
    """Integrate as `odeint` does, with gradients from the adjoint equation: ``torchdiffeq.odeint_adjoint``.

    The parameters' gradient is a quadrature over the stages, so the error of the backward solve is controlled for
    state and adjoint alone: what torchdiffeq calls the seminorm is the default here. A callable ``norm`` in
    ``adjoint_options`` is called with ``(0, y, adjoint, *parameters)``, and the parameters then are part of the state.
    Callbacks of the way back are the attributes ``callback_step_adjoint`` and so on, called with (y, adjoint).

    Args:
        func: As in `odeint`; an ``nn.Module``, unless ``adjoint_params`` are given.
        y0: As in `odeint`.
        t: As in `odeint`.
        rtol: As in `odeint`.
        atol: As in `odeint`.
        method: As in `odeint`.
        options: As in `odeint`.
        event_fn: As in `odeint`.
        adjoint_rtol: Relative tolerance of the way back; default ``rtol``.
        adjoint_atol: Absolute tolerance of the way back; default ``atol``.
        adjoint_method: Method of the way back; default ``method``.
        adjoint_options: Options of the way back; default ``options`` without their norm.
        adjoint_params: The tensors that ``func`` depends on; default its parameters.

    Returns:
        As `odeint`.

    Raises:
        ValueError: As `odeint`; also where ``adjoint_method`` differs and only ``options`` came.
        TypeError: As `odeint`; also where ``func`` is no module and no ``adjoint_params`` came.
        SolverError: As `odeint`.
    """
    name = "dopri5" if method is None else method
    back_name = name if adjoint_method is None else adjoint_method
    if TORCHDIFFEQ_METHODS.count(name) or TORCHDIFFEQ_METHODS.count(back_name):
        import torchdiffeq

        return torchdiffeq.odeint_adjoint(
            func,
            y0,
            t,
            rtol=rtol,
            atol=atol,
            method=name,
            options=options,
            event_fn=event_fn,
            adjoint_rtol=adjoint_rtol,
            adjoint_atol=adjoint_atol,
            adjoint_method=adjoint_method,
            adjoint_options=adjoint_options,
            adjoint_params=adjoint_params,
        )
    if back_name != name and options is not None and adjoint_options is None:
        raise ValueError(
            f"adjoint_method {back_name!r} differs from method {name!r}, so its options can't be those of the way "
            "there: give adjoint_options too, {} if there are none"
        )
    back_options = dict((options or {}) if adjoint_options is None else adjoint_options)
    norm = back_options.pop("norm", None)
    # The norm of the way there is of the state alone; only one given for the way back knows state and adjoint.
    own_norm = norm if callable(norm) and adjoint_options is not None else None
    if own_norm is not None:
        back_options["norm"] = lambda state: own_norm((state[0].new_zeros(()), *state))
    tolerances = rtol if adjoint_rtol is None else adjoint_rtol, atol if adjoint_atol is None else adjoint_atol
    rule, steps = method_and_steps(back_name, *tolerances, back_options, func, y0)
    gradient = Adjoint(rule, steps, seminorm=own_norm is None, watchers=_watchers(func, "_adjoint", _wide(y0)))
    parameters = parameters_of(func, adjoint_params)
    return _odeint(func, y0, t, rtol, atol, name, options, event_fn, gradient, parameters)


def odeint_event(
    func: Callable[[Tensor, Any], Any],
    y0: Any,
    t0: Tensor,
    *,
    event_fn: Callable[[Tensor, Any], Tensor],
    reverse_time: bool = False,
    odeint_interface: Callable[..., Any] = odeint,
    **kwargs: Any,
) -> tuple[Tensor, Any]:
    """Integrate until ``event_fn(t, y)`` is zero: ``torchdiffeq.odeint_event``.

    Args:
        func: As in `odeint`.
        y0: As in `odeint`.
        t0: Initial time, 0-dimensional.
        event_fn: Function of (t, y); it ends the solve where one of its values becomes zero.
        reverse_time: Go back in time.
        odeint_interface: `odeint` or `odeint_adjoint`.
        **kwargs: Passed on.

    Returns:
        Time of the event, and the states at the beginning and there; both differentiable.
    """
    start = t0.reshape(-1)
    times = torch.cat([start, start.detach() + (-1.0 if reverse_time else 1.0)])
    result: tuple[Tensor, Any] = odeint_interface(func, y0, times, event_fn=event_fn, **kwargs)
    return result


def _odeint(
    func: Any,
    y0: Any,
    t: Any,
    rtol: Any,
    atol: Any,
    name: str,
    options: dict[str, Any] | None,
    event_fn: Any,
    gradient: str | Gradient,
    parameters: Sequence[Tensor],
) -> Any:
    rule, steps = method_and_steps(name, rtol, atol, options or {}, func, y0)
    wide = _wide(y0)
    field: Any = func
    if not (isinstance(steps, Adaptive) and steps.per_sample):
        field = WithTensorTime(func, wide.dtype, wide.device)
    common: dict[str, Any] = {"rule": rule, "steps": steps, "gradient": gradient, "parameters": parameters}
    common["watchers"] = _watchers(func, "", wide)
    if event_fn is None:
        return solve(field, y0, t, **common).ys
    return _until_event(field, y0, t, event_fn, steps, common)


def _until_event(field: Any, y0: Any, t: Any, event_fn: Any, steps: Any, common: dict[str, Any]) -> Any:
    """Solve until the event, whatever time it takes."""
    if len(t) != 2:
        raise ValueError(
            f"t has {len(t)} times: with event_fn give two, the initial one and one in the direction to go"
        )
    wide = _wide(y0)
    start, toward = (float(time) for time in (t.detach().tolist() if isinstance(t, Tensor) else t))
    if not isinstance(steps, Grid | Adaptive):
        raise ValueError("an event on a fixed grid needs a step size: give options={'step_size': ...}")
    far = 1e100 if isinstance(steps, Adaptive) else _EVENT_STEPS * (steps.step_size or 1.0)
    clock = t[:1] if isinstance(t, Tensor) else wide.new_tensor([start], dtype=torch.float64)
    with torch.no_grad():
        values = event_fn(torch.full((), start, dtype=torch.float64, device=wide.device), y0)
        signs = torch.sign(values)

    def nearest(time: Tensor, y: Any) -> Tensor:
        # All values count from the positive side, so that the least of them is the first to cross.
        least: Tensor = (event_fn(time, y) * signs).min()
        return least

    if bool((values == 0).any()):
        raise ValueError(f"event_fn is 0 at the initial time t={start:.6g}: start beside the event")
    times = torch.cat([clock, clock.detach() + math.copysign(far, toward - start)])
    solution = solve(field, y0, times, **common, events=Event(nearest))
    if solution.status != "event":
        raise SolverError(
            f"no event up to t={solution.ts[-1]:.6g}: look at event_fn and at the direction of t", solution
        )
    crossing = solution.events[0]
    time = crossing.ts[0].to(t.dtype) if isinstance(t, Tensor) else crossing.ts[0]
    ends = pytree.tree_map(lambda all_, last: torch.cat([all_[:1], last]), solution.ys, crossing.ys)
    return time, ends


def _wide(y0: Any) -> Tensor:
    """Return an empty tensor with the device of the state and the real dtype that holds all of its leaves."""
    leaves = [leaf for leaf in pytree.tree_leaves(y0) if isinstance(leaf, Tensor)]
    if not leaves:
        raise TypeError(f"the initial state is {y0!r}: give a tensor, or a tuple, list or dict of tensors")
    dtype = leaves[0].dtype
    for leaf in leaves[1:]:
        dtype = torch.promote_types(dtype, leaf.dtype)
    wide = torch.empty(0, dtype=dtype, device=leaves[0].device)
    return torch.view_as_real(wide) if dtype.is_complex else wide


def _watchers(func: Any, ending: str, wide: Tensor) -> Watchers:
    """Return the callbacks that are attributes of a field; they get time and step as 0-dimensional tensors."""

    def callback(name: str) -> Callable[[float, Any, float], Any] | None:
        own = getattr(func, name + ending, None)
        if own is None:
            return None

        def call(t: float, y: Any, h: float) -> None:
            time, size = (torch.full((), x, dtype=torch.float64, device=wide.device) for x in (t, abs(h)))
            own(time, y, size)

        return call

    return Watchers(callback("callback_step"), callback("callback_accept_step"), callback("callback_reject_step"))
