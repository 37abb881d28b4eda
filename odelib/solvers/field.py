"""What a field is, what it may offer beyond its value, and the wrappers that the solvers put around one."""

from collections.abc import Callable, Sequence
from copy import copy
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from odelib.names import expect

Time = float | Tensor
"""A time: a Python float; a tensor where times require a gradient, or where each sample has a time of its own."""

Tree = Tensor | tuple[Any, ...] | list[Any] | dict[Any, Any]
"""A state as a caller has it: a tensor, or a tuple, list or dict (also nested) of tensors."""

Field = Callable[..., Any]
"""A vector field ``field(t, y) -> dy/dt``: the result has the structure, shapes, dtypes and device of ``y``."""

Flow = Callable[..., Any]
"""An exact flow ``flow(t, h, y) -> y(t + h)``."""


class SplitField:
    """To be inherited from by a field that is a sum: it has ``terms``, the fields whose sum it is.

    A splitting integrates each term alone, in their order. That a class has an attribute of this name is not enough:
    a module may have ``terms`` of another kind.
    """

    if TYPE_CHECKING:

        @property
        def terms(self) -> Sequence[Field]:
            """The fields whose sum this is."""


class RandomField:
    """To be inherited from by a field with randomness inside, such as dropout.

    Stages that saw different fields would lose the order of the method. So the randomness is drawn once per step and
    held for all stages of that step.
    """

    if TYPE_CHECKING:  # so that an override may say which states it takes
        draw: Callable[..., Field]
        """Return the field with its randomness drawn for a step from ``y``; the field itself if there is none."""

    else:

        def draw(self, y):
            """Return the field with its randomness drawn for a step from ``y``; the field itself if there is none."""
            return self


class Sum(SplitField):
    """A field given as a sum of terms, f = sum_i f_i, so that a splitting can integrate each alone.

    Args:
        *terms: The fields to be added, in the order in which a Lie-Trotter step applies them.

    Raises:
        ValueError: There is no term.
        TypeError: One is no function.
    """

    def __init__(self, *terms: Field) -> None:
        if not terms:
            raise ValueError("a sum of fields needs at least one term, but none came: pass the terms as arguments")
        if not all(map(callable, terms)):
            raise TypeError(f"the terms of a sum are {terms!r}: give functions of (t, y)")
        self._terms = terms

    @property
    def terms(self) -> tuple[Field, ...]:
        """The fields whose sum this is."""
        return self._terms

    def __call__(self, t: Time, y: Tree) -> Tree:
        """Return the sum of all terms at (t, y); same structure as ``y``.

        Raises:
            ValueError: A term returned another shape than the first, or no tensor.
        """
        first, *rest = self._terms
        total = first(t, y)
        for term in rest:
            value = term(t, y)
            if isinstance(total, Tensor):
                # Adding would broadcast what is no slope of this state, and say nothing.
                if not isinstance(value, Tensor) or value.shape != total.shape:
                    came = tuple(value.shape) if isinstance(value, Tensor) else type(value).__name__
                    raise ValueError(
                        f"a term of the sum returned {came} where the first gave shape {tuple(total.shape)}: "
                        "return dy/dt in the shape of y"
                    )
                total = total + value
            else:
                total = pytree.tree_map(torch.add, total, value)
        result: Tree = total
        return result


class Exact:
    """A term whose motion is known: a splitting goes along its exact flow instead of taking sub-steps.

    So a stiff linear term, a diffusion or a rotation costs no accuracy and sets no limit to the step (exponential
    splitting; McLachlan and Quispel 2002, doi 10.1017/S0962492902000053).

    Args:
        flow: ``flow(t, h, y)``, the state at ``t + h`` of the motion along this term alone from ``y`` at ``t``; for
            all ``h`` that the splitting takes, which may be negative.
        field: The term as a field, for the rules that are no splittings and for checks.
    """

    def __init__(self, flow: Flow, field: Field | None = None) -> None:
        self.flow = flow
        self.field = field
        expect(self, "a function", "flow")
        expect(self, "a function", "field", optional=True)

    def __call__(self, t: Time, y: Tree) -> Tree:
        """Return the term at (t, y).

        Raises:
            TypeError: Only its flow is known.
        """
        if self.field is None:
            raise TypeError(
                "a term came as Exact(flow), and its value at a state is asked for: by a rule that is no splitting, "
                "between steps (dense output, a cubic Grid), or at an event: give Exact(flow, field)"
            )
        value: Tree = self.field(t, y)
        return value


class Wrapped:
    """A field behind another one: what the inner field offers (terms, draws, a flow), this one offers too."""

    def __init__(self, field: Field) -> None:
        self.field = field

    def around(self, field: Field) -> Field:
        """Return this wrapper around another field."""
        other = copy(self)
        other.field = field
        return other

    def terms_around(self) -> Sequence[Field]:
        """Return the terms of the field, each behind this wrapper."""
        return [self.around(term) for term in terms_of(self.field)]

    def draw(self, y: Tree) -> Field:
        """Return the wrapper around what the field draws: itself, where the field drew itself."""
        drawn = draw(self.field, y)
        return self if drawn is self.field else self.around(drawn)

    def flow(self, t: Time, h: Time, y: Tree) -> Any:
        """Return the inner term's flow."""
        flow: Any = flow_of(self.field)
        return flow(t, h, y)

    def __call__(self, t: Time, y: Tree) -> Any:
        """Return the field at (t, y)."""
        return self.field(t, y)


def inmost(field: Field) -> Field:
    """Return the field behind all wrappers."""
    while isinstance(field, Wrapped):
        field = field.field
    return field


def is_split(field: Field) -> bool:
    """Return whether a field offers terms."""
    return isinstance(inmost(field), SplitField)


def terms_of(field: Field) -> Sequence[Field]:
    """Return the terms whose sum is ``field``.

    Raises:
        TypeError: The field is no `SplitField`; the sentence says what to do.
    """
    if isinstance(field, Wrapped) and is_split(field.field):
        return field.terms_around()
    if not isinstance(field, SplitField):
        raise TypeError(
            f"a splitting needs a field with `terms`, but {type(field).__name__} has none: "
            "wrap its parts in odelib.solvers.Sum, or choose a Runge-Kutta rule such as 'rk4'"
        )
    return field.terms


def is_random(field: Field) -> bool:
    """Return whether a field may have something to draw."""
    return isinstance(inmost(field), RandomField)


def draw(field: Field, y: Tree) -> Field:
    """Return the field with its randomness drawn for a step from ``y``; a field without any is returned as it is."""
    return field.draw(y) if isinstance(field, RandomField | Wrapped) else field


def flow_of(term: Field) -> Flow | None:
    """Return the exact flow of a term, or None if it has to be integrated."""
    return term.flow if isinstance(inmost(term), Exact) else None  # type: ignore[attr-defined]


class Clamped(Wrapped):
    """A field that is asked for no time just outside of a step.

    ``t + c h`` may miss the end of a step by its rounding; and where a field jumps at an end of the step, the times
    there are those just inside. Times well outside, as yoshida4 has them, stay as they are.

    Args:
        field: The field.
        one: The first time of the step that the field may see.
        other: The last one.
        slack: How far beyond a time may lie that counts as one of these.
    """

    def __init__(self, field: Field, one: float, other: float, slack: float) -> None:
        super().__init__(field)
        self.low, self.high, self.slack = min(one, other), max(one, other), slack

    def __call__(self, t: Any, y: Tree) -> Any:
        """Return the field at the time, or at the end that it just misses."""
        if t < self.low and self.low - t <= self.slack:
            return self.field(self.low, y)
        return self.field(self.high if t > self.high and t - self.high <= self.slack else t, y)


class InUnitTime(Wrapped):
    """The same motion in the time s in [0, 1] of one interval: dy/ds = span f(start + s span, y).

    A Runge-Kutta step in s is the same as one in t, so gradients with respect to ``start`` and ``span`` are those of
    the computed solution with respect to its times.

    Args:
        field: The field in t.
        start: Beginning of the interval, a 0-dimensional tensor.
        span: Its length, a 0-dimensional tensor; negative to go back in time.
        dtype: The precision in which the field sees its time.
    """

    def __init__(self, field: Field, start: Tensor, span: Tensor, dtype: torch.dtype) -> None:
        super().__init__(field)
        self.start, self.span, self.dtype = start, span, dtype

    def _time(self, s: float) -> Tensor:
        return (self.start + s * self.span).to(self.dtype)

    def flow(self, t: float, h: float, y: Tree) -> Any:  # type: ignore[override]
        """Return the flow over a step of unit time."""
        return super().flow(self._time(t), h * self.span, y)

    def __call__(self, t: Any, y: Tree) -> Any:
        """Return span f(start + t span, y)."""
        dy = self.field(self._time(t), y)
        if isinstance(dy, Tensor):
            return (self.span * dy).to(dy.dtype)
        return tuple((self.span * leaf).to(leaf.dtype) for leaf in dy)
