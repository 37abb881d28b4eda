"""torchdiffeq's methods and options, as odelib's step rules and steps."""

from array import array
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from odelib.names import choose, takes
from odelib.solvers.adaptive import Adaptive, Controller, as_floats
from odelib.solvers.errors import warn
from odelib.solvers.field import Field, Tree
from odelib.solvers.grid import Grid
from odelib.solvers.splitting import SCHEMES
from odelib.solvers.state import time_dtype
from odelib.solvers.tableaus import TABLEAUS

ADAPTIVE_METHODS = {"adaptive_heun" if name == "heun" else name: name for name, it in TABLEAUS.items() if it.b_error}
"""Methods of `odeint` that choose their steps, and the step rules they are."""

FIXED_METHODS = {name: name for name in ("euler", "midpoint", "heun3", "ralston", "ssprk3", *SCHEMES)}
FIXED_METHODS |= {"heun2": "heun", "rk4": "rk38", "rk4_classic": "rk4"}
"""Methods of `odeint` on a fixed grid. As in torchdiffeq, "rk4" is Kutta's 3/8 rule."""

_NUMBERS = ("first_step", "min_step", "max_step")
_FACTORS = {"safety": "safety", "dfactor": "shrink", "ifactor": "grow"}
_ADAPTIVE_OPTIONS = (
    *(*_NUMBERS, *_FACTORS, "max_num_steps", "step_t", "jump_t", "norm", "dtype"),
    *("controller", "per_sample"),  # odelib's own
)
_FIXED_OPTIONS = ("step_size", "grid_constructor", "interp", "perturb", "norm")


class Method(NamedTuple):
    """A method with its options, as odelib has it, and tensors like the times of the field and those of callbacks."""

    rule: str
    steps: int | Grid | Adaptive
    options: dict[str, Any]
    wide: Tensor
    clock: Tensor


@cache
def installed_methods() -> tuple[str, ...]:
    """Return the methods that the installed torchdiffeq has: it is asked, since each version has others."""
    from torchdiffeq._impl.odeint import SOLVERS

    return tuple(SOLVERS)


def is_torchdiffeqs(method: str) -> bool:
    """Return whether a method is torchdiffeq's own: implicit, multistep, SciPy's, or whatever odelib has not.

    Raises:
        ValueError: Nobody has it; the sentence gives the nearest name.
    """
    own = (*ADAPTIVE_METHODS, *FIXED_METHODS)
    return method not in own and choose(method, dict.fromkeys((*own, *installed_methods())), "method") not in own


def handed_through(
    name: str,
    func: Field,
    y0: Tree,
    t: Tensor | Sequence[float],
    event_fn: Callable[..., Tensor] | None,
    **keywords: Any,
) -> Tree:
    """Hand a call to torchdiffeq, an event with the gradients that only its ``odeint_event`` gives."""
    import torchdiffeq

    interface = getattr(torchdiffeq, name)
    if event_fn is None:
        return interface(func, y0, t, **keywords)  # type: ignore[no-any-return]
    keywords |= {"event_fn": event_fn, "reverse_time": bool(t[1] < t[0]), "odeint_interface": interface}
    return torchdiffeq.odeint_event(func, y0, t[0], **keywords)  # type: ignore[no-any-return]


def known_options(method: str, options: dict[str, Any] | None) -> dict[str, Any]:
    """Return the options that a method makes use of, and warn of the others, as torchdiffeq does."""
    if not (options is None or isinstance(options, dict)):
        raise TypeError(f"options is {options!r}: give a dict such as {{'step_size': 0.1}}, or None")
    adaptive = method in ADAPTIVE_METHODS
    valid, others = (_ADAPTIVE_OPTIONS, _FIXED_OPTIONS) if adaptive else (_FIXED_OPTIONS, _ADAPTIVE_OPTIONS)
    known = {}
    for name, value in (options or {}).items():
        if name in valid:
            known[name] = value
        elif name in others:
            kind, other = ("chooses its steps", "rk4") if adaptive else ("does not choose its steps", "dopri5")
            sentence = f"the option {name!r} has no effect, as {method!r} {kind}: drop it, or take {other!r}"
            warn(sentence)
        else:
            try:
                choose(name, valid, f"option of {method}")
            except ValueError as unknown:
                warn(f"{unknown}; it has no effect")
    return known


def clock_of(method: str, options: dict[str, Any], wide: Tensor, t: Tensor | Sequence[float]) -> Tensor:
    """Return an empty tensor of the dtype and device in which a method's callbacks get their times."""
    dtype = options.get("dtype", time_dtype(wide.device))
    if not isinstance(dtype, torch.dtype):
        raise TypeError(f"the option 'dtype' is {dtype!r}: give a dtype such as torch.float64")
    if method in ADAPTIVE_METHODS:
        return wide.to(torch.promote_types(dtype, wide.dtype))
    return wide.to(t.dtype if isinstance(t, Tensor) and t.is_floating_point() else dtype)


def adaptive_arguments(options: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments of `Adaptive` that an adaptive method's options stand for; the tolerances are not options.

    Raises:
        ValueError: A value is out of its range.
    """
    factors = {ours: _number(options, theirs) for theirs, ours in _FACTORS.items() if theirs in options}
    arguments = {name: _number(options, name) for name in _NUMBERS if options.get(name) is not None}
    return arguments | {
        # torchdiffeq's controller, unless another is asked for.
        "controller": options.get("controller", Controller(**factors)),
        "norm": options.get("norm"),
        "max_steps": int(_number({"max_num_steps": 2**31 - 1, **options}, "max_num_steps")),
        **{name: as_floats(options[name], name) for name in ("step_t", "jump_t") if options.get(name) is not None},
        "per_sample": bool(options.get("per_sample", False)),
    }


def _number(options: dict[str, Any], name: str) -> float:
    try:
        return float(options[name])
    except (TypeError, ValueError) as error:
        raise TypeError(f"the option {name!r} is {options[name]!r}: give a number") from error


def fixed_steps(options: dict[str, Any], func: Field, y0: Tree, like: Tensor) -> int | Grid:
    """Return the steps that a fixed method's options stand for.

    Args:
        options: The options.
        func: The field, for a ``grid_constructor``.
        y0: The initial state, for a ``grid_constructor``.
        like: A tensor of the dtype of the times and the device of the state.

    Raises:
        ValueError: A value is out of its range.
    """
    size, constructor = options.get("step_size"), options.get("grid_constructor")
    interpolation = choose(options.get("interp", "linear"), ("linear", "cubic"), "interpolation")
    two_sided = bool(options.get("perturb", False))
    if size is not None and constructor is not None:
        raise ValueError("step_size and grid_constructor came together: give one of the two")
    points: Callable[[Sequence[float]], Sequence[float]]
    if size is not None:
        size = _number(options, "step_size")
        if like.dtype != torch.float32:
            return Grid(size, interpolation=interpolation, two_sided=two_sided)
        points = _in_single_precision(size)
    elif constructor is not None:
        if not takes(constructor, 3):
            raise TypeError(f"grid_constructor is {constructor!r}: give a function of (func, y0, t)")
        points = lambda times: constructor(func, y0, like.new_tensor(times))  # noqa: E731
    elif two_sided:
        points = tuple
    else:
        return 1
    return Grid(None, points, interpolation, two_sided)


def _in_single_precision(size: float) -> Callable[[Sequence[float]], Sequence[float]]:
    """Return the points of equal steps for times in float32: rounded to it, as torchdiffeq has them.

    So the steps differ in their last digit, and the rounding of a long sum does not always go the same way.
    """

    def points(times: Sequence[float]) -> Sequence[float]:
        start, stop = times[0], times[-1]
        inner = dict.fromkeys(array("f", [t for t, *_ in Grid(size).steps(times)]))
        return [start, *(t for t in inner if min(start, stop) < t < max(start, stop)), stop]

    return points


def norm_of_both(norm: Callable[[Any], Tensor], y0: Tree) -> Callable[[tuple[Tensor, ...]], Tensor]:
    """Return the larger of the norms of state and adjoint, as torchdiffeq takes it on the way back."""
    spec = pytree.tree_structure(y0)
    count = spec.num_leaves

    def both(leaves: tuple[Tensor, ...]) -> Tensor:
        parts = (pytree.tree_unflatten(list(part), spec) for part in (leaves[:count], leaves[count : 2 * count]))
        return torch.maximum(*map(norm, parts))

    return both
