"""torchdiffeq's methods and options, as odelib's step rules and steps."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from odelib.names import check_keys, choose
from odelib.solvers.control import Adaptive, Controller
from odelib.solvers.grid import Grid
from odelib.solvers.splitting import SCHEMES

ADAPTIVE_METHODS = {
    "dopri5": "dopri5",
    "dopri8": "dopri8",
    "bosh3": "bosh3",
    "adaptive_heun": "heun",
    "tsit5": "tsit5",
    "fehlberg45": "fehlberg45",
    "cash-karp": "cash-karp",
}
"""Methods of `odeint` that choose their steps, and the step rules they are."""

FIXED_METHODS = {
    "euler": "euler",
    "midpoint": "midpoint",
    "heun2": "heun",
    "heun3": "heun3",
    "rk4": "rk38",
    "rk4_classic": "rk4",
    "ralston": "ralston",
    "ssprk3": "ssprk3",
    **{name: name for name in SCHEMES},
}
"""Methods of `odeint` on a fixed grid. As in torchdiffeq, "rk4" is Kutta's 3/8 rule."""

TORCHDIFFEQ_METHODS = ("explicit_adams", "implicit_adams", "fixed_adams", "fehlberg2", "scipy_solver")
"""Methods that are torchdiffeq's own."""

_ADAPTIVE_OPTIONS = (
    *("first_step", "min_step", "max_step", "max_num_steps", "step_t", "jump_t", "safety", "ifactor", "dfactor"),
    *("norm", "dtype", "controller", "per_sample"),
)
_FIXED_OPTIONS = ("step_size", "grid_constructor", "interp", "perturb", "norm")


def method_and_steps(
    name: str, rtol: Any, atol: Any, options: dict[str, Any], func: Any = None, y0: Any = None
) -> tuple[str, int | Grid | Adaptive]:
    """Return the step rule and the steps that a method and its options stand for.

    A ``grid_constructor`` is called with ``func``, ``y0`` and the times in float64, on the CPU.

    Raises:
        ValueError: The method or an option is unknown, or a value is out of its range.
    """
    choose(name, (*ADAPTIVE_METHODS, *FIXED_METHODS, *TORCHDIFFEQ_METHODS), "method")
    if name in ADAPTIVE_METHODS:
        check_keys(options, _ADAPTIVE_OPTIONS, f"option of {name}")
        return ADAPTIVE_METHODS[name], _adaptive(rtol, atol, options)
    check_keys(options, _FIXED_OPTIONS, f"option of {name}")
    size, points = options.get("step_size"), options.get("grid_constructor")
    interpolation = choose(options.get("interp", "linear"), ("linear", "cubic"), "interpolation")
    if size is not None and points is not None:
        raise ValueError("step_size and grid_constructor came together: give one of the two")
    if size is None and points is None and not options.get("perturb", False):
        return FIXED_METHODS[name], 1
    return FIXED_METHODS[name], Grid(
        None if size is None else float(size),
        None if size is not None else (lambda times: times) if points is None else _constructed(points, func, y0),
        interpolation,
        two_sided=bool(options.get("perturb", False)),
    )


def _constructed(
    points: Callable[[Any, Any, Tensor], Tensor], func: Any, y0: Any
) -> Callable[[Sequence[float]], Sequence[float]]:
    """Return torchdiffeq's ``grid_constructor(func, y0, t)`` as a function of the times."""
    return lambda times: points(func, y0, torch.tensor(times, dtype=torch.float64)).tolist()


def _adaptive(rtol: Any, atol: Any, options: dict[str, Any]) -> Adaptive:
    def number(key: str, default: Any) -> Any:
        value = options.get(key, default)
        return None if value is None else float(value)

    factors = {"safety": "safety", "dfactor": "shrink", "ifactor": "grow"}
    given: dict[str, Any] = {ours: float(options[theirs]) for theirs, ours in factors.items() if theirs in options}
    # torchdiffeq's controller, unless another is asked for.
    controller = options.get("controller", Controller(**given))
    return Adaptive(
        rtol=rtol,
        atol=atol,
        controller=controller,
        norm=options.get("norm"),
        first_step=number("first_step", None),
        min_step=number("min_step", 0.0),
        max_step=number("max_step", math.inf),
        max_steps=int(options.get("max_num_steps", 2**31 - 1)),
        step_t=_floats(options.get("step_t")),
        jump_t=_floats(options.get("jump_t")),
        per_sample=bool(options.get("per_sample", False)),
    )


def _floats(times: Any) -> tuple[float, ...]:
    if times is None:
        return ()
    return tuple(float(time) for time in (times.tolist() if isinstance(times, Tensor) else times))
