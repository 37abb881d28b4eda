"""Adaptive steps as a value: tolerances, the norm of the error, and the controller of the step size."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import repeat
from numbers import Real
from typing import Any

from torch import Tensor
from torch._C._functorch import peek_interpreter_stack

from odelib.names import choose, expect


def as_floats(times: Any, what: str) -> tuple[float, ...]:
    """Return times as floats.

    Raises:
        TypeError: They are something else.
    """
    try:
        if isinstance(times, str):
            raise TypeError("a string is no sequence of numbers")
        if isinstance(times, Tensor):
            one_by_one = times.ndim == 1 and peek_interpreter_stack() is not None  # torch 2.6: no list in torch.func
            times = [each.item() for each in times] if one_by_one else times.detach().tolist()
        return tuple(map(float, times))
    except (TypeError, ValueError) as error:
        raise TypeError(f"{what} is {times!r} ({error}): give a sequence of numbers, or a tensor of them") from error


@dataclass(frozen=True)
class Controller:
    """A PID controller of the step size (Söderlind 2003, Digital filters in adaptive time-stepping).

    With e_n the error of step n in units of the tolerance and k the order of the error estimate,
    h_{n+1} = safety h_n e_n^(-(i+p+d)/k) e_{n-1}^((p+2d)/k) e_{n-2}^(-d/k), the factor held in [shrink, grow].

    Attributes:
        i: Integral coefficient. I alone is the classic controller, exponent 1/k.
        p: Proportional coefficient.
        d: Derivative coefficient.
        safety: The step is chosen smaller than predicted by this factor.
        shrink: Least factor from one step to the next.
        grow: Largest factor.

    Raises:
        ValueError: A factor is out of its range.
    """

    i: float = 1.0
    p: float = 0.0
    d: float = 0.0
    safety: float = 0.9
    shrink: float = 0.2
    grow: float = 10.0

    def __post_init__(self) -> None:
        expect(self, "a number", "i", "p", "d", "safety", "shrink", "grow")
        in_range = 0.0 < self.shrink < 1.0 < self.grow and 0.0 < self.safety <= 1.0
        if not (in_range and math.isfinite(self.i + self.p + self.d)):
            raise ValueError(
                f"the controller is {self}: choose 0 < shrink < 1 < grow and 0 < safety <= 1, and finite i, p and d"
            )

    def exponents(self, order: int) -> tuple[float, float, float]:
        """Return those of the newest error and of the two before it in the factor, for an estimate of order k."""
        return -(self.i + self.p + self.d) / order, (self.p + 2 * self.d) / order, -self.d / order

    def factor(self, errors: Sequence[float], order: int, after_rejection: bool = False) -> float:
        """Return the factor from this step size to the next.

        Args:
            errors: Error of this step in units of the tolerance, and of up to two accepted steps before it.
            order: Order k of the error estimate.
            after_rejection: Whether this accepted step repeats a rejected one: the next is then not made larger.
        """
        error = errors[0]
        if not math.isfinite(error):
            return self.shrink
        accepted = error <= 1.0
        largest = 1.0 if after_rejection else self.grow
        # A step without error, on a field that a polynomial solves: as large as allowed.
        if error < 1e-30:
            return largest
        factor = self.safety
        # A rejected step is mended by its own error alone.
        for value, exponent in zip(errors if accepted else errors[:1], self.exponents(order), strict=False):
            factor *= max(value, 1e-30) ** exponent
        # An accepted step is never followed by a smaller one: the error was within the tolerance.
        return min(largest, max(factor, 1.0 if accepted else self.shrink))


I = Controller()  # noqa: E741 - the field's own name
PI = Controller(i=0.3, p=0.4)
PID = Controller(i=0.25, p=0.14, d=0.10)
CONTROLLERS = {"I": I, "PI": PI, "PID": PID}
"""Controllers by name. PI: Gustafsson 1991, as PI.3.4 in Söderlind 2003; PID: the exponents 0.49, 0.34 and 0.10 (over
k) of Kennedy, Carpenter and Lewis 2000 (doi 10.1016/S0168-9274(99)00141-5) for advection and diffusion."""


@dataclass(frozen=True)
class Adaptive:
    """Steps chosen so that the estimated local error stays within atol + rtol * abs(y).

    Attributes:
        rtol: Relative tolerance: a number, or a tensor that broadcasts with the state; or a tuple of these, one for
            each leaf of a state that is a tree.
        atol: Absolute tolerance, likewise.
        controller: How the error becomes the next step size: "I", "PI", "PID" or a `Controller`.
        norm: Turns the error in units of the tolerance, in the structure of the state, into one real 0-dimensional
            tensor; a step is accepted where it is at most 1. Default: root mean square, the largest over the leaves.
        first_step: Size of the first step; chosen from the field if None (Hairer, Nørsett, Wanner I, II.4).
        min_step: A step this small is accepted whatever its error.
        max_step: No step is larger.
        max_steps: Steps tried before the solve gives up.
        step_t: Times on which a step must end.
        jump_t: Times at which the field jumps: a step ends there, and the field is evaluated on either side.
        per_sample: Choose the step of each sample (first dimension of the state) on its own; the field is then called
            with a tensor of times, of shape (batch, 1, ..., 1).

    Raises:
        ValueError: A value is out of its range.
    """

    rtol: Any = 1e-5
    atol: Any = 1e-7
    controller: str | Controller = "I"
    norm: Callable[[Any], Tensor] | None = None
    first_step: float | None = None
    min_step: float = 0.0
    max_step: float = math.inf
    max_steps: int = 100_000
    step_t: Sequence[float] = ()
    jump_t: Sequence[float] = ()
    per_sample: bool = False
    _controller: Controller = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        expect(self, "a number", "min_step", "max_step")
        expect(self, "a number", "first_step", optional=True)
        expect(self, "a whole number", "max_steps")
        expect(self, "a function", "norm", optional=True, called_with="error")
        expect(self, "True or False", "per_sample")
        for name in ("rtol", "atol"):
            given = getattr(self, name)
            entries: Sequence[Any] = given if isinstance(given, tuple | list) else (given,)
            for value in entries:
                if isinstance(value, bool) or not isinstance(value, (Real, Tensor)):
                    raise TypeError(
                        f"{name} is {value!r}: give a number or a tensor, or one for each leaf of the state"
                    )
                # A tensor is not read here: it may live on a device.
                if not isinstance(value, Tensor) and not float(value) >= 0.0:
                    raise ValueError(f"{name} is {value}: choose a tolerance of at least 0")
        if _is_number(self.rtol) and _is_number(self.atol) and self.rtol + self.atol == 0.0:
            raise ValueError("rtol and atol are both 0: no step can have no error, so choose one of them above 0")
        if self.first_step is not None and not self.first_step > 0.0:
            raise ValueError(f"first_step is {self.first_step}: choose a size above 0, whatever the direction of time")
        if not 0.0 <= self.min_step <= self.max_step or self.max_step == 0.0:
            raise ValueError(
                f"min_step is {self.min_step} and max_step {self.max_step}: choose 0 <= min_step <= max_step, not 0"
            )
        if self.max_steps < 1:
            raise ValueError(f"max_steps is {self.max_steps}: allow at least 1 step")
        for name in ("step_t", "jump_t"):
            given = as_floats(getattr(self, name), name)
            if any(map(math.isnan, given)):
                raise ValueError(f"{name} holds NaN, {given}: replace it by a time")
            object.__setattr__(self, name, given)
        known = self.controller
        if not isinstance(known, Controller):
            known = CONTROLLERS[choose(known, CONTROLLERS, "controller")]
        object.__setattr__(self, "_controller", known)

    def factor(self, errors: Sequence[float], order: int, after_rejection: bool) -> float:
        """Return the controller's factor from this step size to the next."""
        return self._controller.factor(errors, order, after_rejection)

    def repeated(self, leaves: Sequence[Tensor], times: int) -> "Adaptive":
        """Return the same for a state whose leaves come ``times`` times, as state and adjoint do.

        Raises:
            ValueError: A tuple of tolerances has not one entry for each of the leaves, or one that is a tensor does not
                broadcast with its leaf.
        """
        tolerances: dict[str, Any] = {}
        for name in ("rtol", "atol"):
            given = getattr(self, name)
            if isinstance(given, tuple | list):
                if len(given) != len(leaves):
                    raise ValueError(
                        f"{name} has {len(given)} entries for {len(leaves)} leaves of the state: give one for each, or "
                        "one number"
                    )
                tolerances[name] = tuple(given) * times
            for leaf, entry in zip(leaves, given if name in tolerances else repeat(given)):  # noqa: B905 - endless
                if isinstance(entry, Tensor) and not _broadcasts(entry.shape, leaf.shape):
                    raise ValueError(
                        f"{name} of shape {tuple(entry.shape)} does not go with a state of shapes "
                        f"{[tuple(leaf.shape) for leaf in leaves]}: give a number, or a tensor that broadcasts with it"
                    )
        return replace(self, **tolerances) if tolerances else self


def _broadcasts(shape: Sequence[int], whole: Sequence[int]) -> bool:
    ends = zip(reversed(shape), reversed(whole), strict=False)
    return len(shape) <= len(whole) and all(n in (1, m) for n, m in ends)


def _is_number(tolerance: Any) -> bool:
    return not isinstance(tolerance, Tensor | tuple | list)
