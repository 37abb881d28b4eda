"""The door for programs written for torchdiffeq: `odeint`, `odeint_adjoint`, `odeint_event`, signatures unchanged.

Explicit methods run on odelib's loop; those that odelib has not are handed to the installed torchdiffeq. What
torchdiffeq takes is taken, and a warning says what to mend; the reference has a table of the differences that remain.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypedDict, TypeVar, Unpack, overload

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from odelib.solvers import torchdiffeq_methods as methods
from odelib.solvers.adaptive import Adaptive
from odelib.solvers.errors import warn
from odelib.solvers.field import Field, Tree
from odelib.solvers.gradients import Adjoint, Gradient, parameters_of
from odelib.solvers.solve import solve
from odelib.solvers.torchdiffeq_events import until_event
from odelib.solvers.torchdiffeq_field import WithTensorTime, callbacks_of, wide_of
from odelib.solvers.torchdiffeq_methods import Method

Y = TypeVar("Y", Tensor, tuple[Any, ...], list[Any], dict[Any, Any])

Times = Tensor | Sequence[float]

Tolerance = float | Tensor | Sequence[Any]
"""A number, a tensor that broadcasts with the state, or one of these for each leaf of a state that is a tuple."""

Options = dict[str, Any]
"""Options of a method, as torchdiffeq has them."""


class _Keywords(TypedDict, total=False):
    """The keywords of `odeint` besides ``event_fn``."""

    rtol: Tolerance
    atol: Tolerance
    method: str | None
    options: Options | None


class _AdjointKeywords(_Keywords, total=False):
    """The keywords of `odeint_adjoint` besides ``event_fn``."""

    adjoint_rtol: Tolerance | None
    adjoint_atol: Tolerance | None
    adjoint_method: str | None
    adjoint_options: Options | None
    adjoint_params: Iterable[Tensor] | None


Interface = Callable[..., Any]
"""`odeint` or `odeint_adjoint`, or what is called as they are."""


@overload
def odeint(func: Field, y0: Y, t: Times, *, event_fn: None = None, **keywords: Unpack[_Keywords]) -> Y: ...
@overload
def odeint(
    func: Field, y0: Y, t: Times, *, event_fn: Callable[..., Tensor], **keywords: Unpack[_Keywords]
) -> tuple[Tensor, Y]: ...
def odeint(
    func: Field,
    y0: Tree,
    t: Times,
    *,
    rtol: Tolerance = 1e-7,
    atol: Tolerance = 1e-9,
    method: str | None = None,
    options: Options | None = None,
    event_fn: Callable[..., Tensor] | None = None,
) -> Tree:
    """Integrate dy/dt = func(t, y) from y(t[0]) = y0: the same call as ``torchdiffeq.odeint``.

    Args:
        func: The field; it gets ``t`` as a 0-dimensional tensor in the state's precision. Its attributes
            ``callback_step``, ``callback_accept_step`` and ``callback_reject_step`` are called with (t0, y0, dt); a
            fixed method calls the first only.
        y0: Initial state: a tensor, or a tuple (list, dict) of tensors.
        t: Times, shape (n,), strictly increasing or decreasing; a tensor may require a gradient.
        rtol: Relative tolerance: a number, a tensor that broadcasts with the state, or one for each leaf of a tuple.
        atol: Absolute tolerance, likewise.
        method: Default "dopri5". See the tables in `odelib.solvers.torchdiffeq_methods`; what is not there, but in the
            installed torchdiffeq, is handed to it.
        options: torchdiffeq's. Adaptive: first_step, min_step, max_step, max_num_steps, step_t, jump_t, safety,
            ifactor, dfactor, norm, dtype (of the times that callbacks and events get), and controller and per_sample of
            `Adaptive`. Fixed: step_size, grid_constructor, interp ("linear", "cubic"), perturb. Others are warned of.
        event_fn: Function of (t, y) whose first zero ends the solve; of ``t`` then only the first time and the
            direction count.

    Returns:
        The states, shape ``(n, *y0.shape)``, in the structure of y0; with ``event_fn`` the time of the event and the
        states at the beginning and there.

    Raises:
        ValueError: A method is unknown (the nearest is named), or a value out of its range.
        TypeError: The state is not of floating or complex tensors.
        SolverError: An adaptive integration could not go on, or no event came.
    """
    name = "dopri5" if method is None else method
    if methods.is_torchdiffeqs(name):
        own = {"rtol": rtol, "atol": atol, "method": name, "options": options}
        return methods.handed_through("odeint", func, y0, t, event_fn, **own)
    return _solved(func, y0, t, _method(name, rtol, atol, methods.known_options(name, options), func, y0, t), event_fn)


@overload
def odeint_adjoint(
    func: Field, y0: Y, t: Times, *, event_fn: None = None, **keywords: Unpack[_AdjointKeywords]
) -> Y: ...
@overload
def odeint_adjoint(
    func: Field, y0: Y, t: Times, *, event_fn: Callable[..., Tensor], **keywords: Unpack[_AdjointKeywords]
) -> tuple[Tensor, Y]: ...
def odeint_adjoint(
    func: Field,
    y0: Tree,
    t: Times,
    *,
    rtol: Tolerance = 1e-7,
    atol: Tolerance = 1e-9,
    method: str | None = None,
    options: Options | None = None,
    event_fn: Callable[..., Tensor] | None = None,
    adjoint_rtol: Tolerance | None = None,
    adjoint_atol: Tolerance | None = None,
    adjoint_method: str | None = None,
    adjoint_options: Options | None = None,
    adjoint_params: Iterable[Tensor] | None = None,
) -> Tree:
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
        adjoint_params: The tensors that ``func`` depends on, or the one; default its parameters. Those that it makes no
            use of get a gradient of 0; one that is missing is warned of, at the first value of ``func`` or, where it
            comes in later, on the way back.

    Returns:
        As `odeint`.

    Raises:
        ValueError: As `odeint`; also where ``adjoint_method`` differs and only ``options`` came.
        TypeError: As `odeint`; also where ``func`` is no module and no ``adjoint_params`` came.
        SolverError: As `odeint`.
    """
    name = "dopri5" if method is None else method
    back_name = name if adjoint_method is None else adjoint_method
    back_rtol = rtol if adjoint_rtol is None else adjoint_rtol
    back_atol = atol if adjoint_atol is None else adjoint_atol
    if back_name != name and options is not None and adjoint_options is None:
        raise ValueError(
            f"adjoint_method {back_name!r} differs from method {name!r}, so its options can't be those of the way "
            "there: give adjoint_options too, {} if there are none"
        )
    if adjoint_params is not None:
        several = isinstance(adjoint_params, Iterable) and not isinstance(adjoint_params, Tensor)
        adjoint_params = tuple(adjoint_params) if several else (adjoint_params,)  # type: ignore[assignment]
    if methods.is_torchdiffeqs(name) or methods.is_torchdiffeqs(back_name):
        for one in {name, back_name} - {*methods.installed_methods()}:
            raise ValueError(
                f"{one!r} is odelib's own, so the other way must be too: method={name!r}, adjoint_method={back_name!r}"
            )
        keywords: dict[str, Any] = {"rtol": rtol, "atol": atol, "method": name, "options": options}
        keywords |= {"adjoint_rtol": back_rtol, "adjoint_atol": back_atol, "adjoint_method": back_name}
        keywords |= {"adjoint_options": adjoint_options, "adjoint_params": adjoint_params}
        return methods.handed_through("odeint_adjoint", func, y0, t, event_fn, **keywords)
    given = methods.known_options(name, options)
    own = adjoint_options is not None
    back = methods.known_options(back_name, adjoint_options) if own else {**given}
    norm, parameters = back.pop("norm", None), parameters_of(func, adjoint_params)
    if own and callable(norm):
        back["norm"] = lambda state: norm((state[0].new_zeros(()), *state))
        if isinstance(adjoint_params, tuple) and not all(tensor.requires_grad for tensor in adjoint_params):
            warn(
                "adjoint_params holds a tensor without gradient, which the norm of adjoint_options will not see: leave "
                "it out of them, and do not count on it in the norm"
            )
    elif callable(given.get("norm")):
        back["norm"] = methods.norm_of_both(given["norm"], y0)
    there = _method(name, rtol, atol, given, func, y0, t)
    rule, steps, *_, clock = _method(back_name, back_rtol, back_atol, back, func, y0, t)
    callbacks = callbacks_of(func, "_adjoint", clock, isinstance(steps, Adaptive))
    gradient = Adjoint(rule, steps, seminorm=not (own and callable(norm)), callbacks=callbacks)
    return _solved(func, y0, t, there, event_fn, gradient, parameters)


def odeint_event(
    func: Field,
    y0: Y,
    t0: Tensor,
    *,
    event_fn: Callable[..., Tensor],
    reverse_time: bool = False,
    odeint_interface: Interface = odeint,
    **kwargs: object,
) -> tuple[Tensor, Y]:
    """Integrate until ``event_fn(t, y)`` is zero: ``torchdiffeq.odeint_event``.

    Args:
        func: As in `odeint`.
        y0: As in `odeint`.
        t0: Initial time, 0-dimensional.
        event_fn: Function of (t, y); it ends the solve where one of its values becomes zero, or one of its truth values
            changes.
        reverse_time: Go back in time.
        odeint_interface: `odeint` or `odeint_adjoint`.
        **kwargs: Passed on.

    Returns:
        Time of the event, and the states at the beginning and there; both differentiable.
    """
    start = torch.as_tensor(t0).reshape(-1)
    ahead = 1.0 + start.detach().abs()  # enough to be another number
    times = torch.cat([start, start.detach() + (-ahead if reverse_time else ahead)])
    result: tuple[Tensor, Y] = odeint_interface(func, y0, times, event_fn=event_fn, **kwargs)
    return result


def _method(name: str, rtol: Tolerance, atol: Tolerance, options: Options, func: Field, y0: Tree, t: Times) -> Method:
    """Return a method with its tolerances and options, as odelib has it."""
    wide = wide_of(y0)
    clock = methods.clock_of(name, options, wide, t)
    if name in methods.ADAPTIVE_METHODS:
        steps = Adaptive(_tolerance(rtol, y0), _tolerance(atol, y0), **methods.adaptive_arguments(options))
        return Method(methods.ADAPTIVE_METHODS[name], steps, options, wide, clock)
    return Method(methods.FIXED_METHODS[name], methods.fixed_steps(options, func, y0, clock), options, wide, clock)


def _solved(
    func: Field,
    y0: Tree,
    t: Times,
    method: Method,
    event_fn: Callable[..., Tensor] | None,
    gradient: str | Gradient = "backprop",
    parameters: Sequence[Tensor] = (),
) -> Tree:
    """Solve with a method through all times, or until an event."""
    rule, steps, _, wide, clock = method
    adaptive = isinstance(steps, Adaptive)
    if isinstance(t, Tensor) and t.device != wide.device:
        warn(f"t is on {t.device} and y0 on {wide.device}: give t on the device of y0")
        t = t.to(wide.device)
    field = func
    if not (isinstance(steps, Adaptive) and steps.per_sample):
        field = WithTensorTime(func, wide.dtype, wide.device, broadcasts=not adaptive)
    arguments: dict[str, Any] = {"gradient": gradient, "parameters": parameters, "strict": False}
    arguments["callbacks"] = callbacks_of(func, "", clock, adaptive)
    if event_fn is not None:
        return until_event(field, y0, t, method, event_fn, arguments)
    return solve(field, y0, t, rule=rule, steps=steps, **arguments).ys  # type: ignore[no-any-return]


def _tolerance(tolerance: Tolerance, y0: Tree) -> Any:
    """Return a tolerance as `Adaptive` takes it; for a state that is a tuple, torchdiffeq's are flat leaf by leaf."""
    if tolerance is None or isinstance(tolerance, int | float | str):  # what is no number, `Adaptive` refuses
        return tolerance
    if isinstance(y0, Tensor):
        return torch.as_tensor(tolerance, device=y0.device)
    if isinstance(tolerance, Tensor) and tolerance.dim() == 0:
        return tolerance
    leaves, entries = pytree.tree_leaves(y0), tuple(tolerance)
    if len(leaves) != len(entries):
        return entries
    return tuple(
        entry.reshape(leaf.shape) if isinstance(entry, Tensor) and entry.numel() == leaf.numel() else entry
        for entry, leaf in zip(entries, leaves, strict=True)
    )
