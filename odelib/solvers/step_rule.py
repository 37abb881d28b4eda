"""What a step rule is: the whole of what the loop, the gradient modes and the events know of a numerical method."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from torch import Tensor

from odelib.solvers.field import Field, Time
from odelib.solvers.state import State, check_results, minus

Carry = Any
"""What passes from step to step: of whatever type a rule likes, tensors in it in tuples, lists or dicts."""

Gradients = list[Tensor | None]
"""Those with respect to the tensors of a state or a carry, one after the other; None is zero."""

Pull = Callable[
    [Callable[..., tuple[Any, ...]], tuple[Any, ...], Sequence[Gradients]], tuple[tuple[Any, ...], list[Gradients]]
]
"""``pull(function, inputs, gradients)``: the results of a function of states, and the gradients of its inputs."""


def added(some: Gradients, others: Gradients) -> Gradients:
    """Return the sums, tensor by tensor."""
    return [b if a is None else a if b is None else a + b for a, b in zip(some, others, strict=True)]


class Step(NamedTuple):
    """What a step returns.

    ``error`` and ``dense`` are functions: they are called where somebody asks, and cost nothing elsewhere. A fixed grid
    asks for no error, and only a step in which a wanted time lies is asked for its inside.

    Attributes:
        y1: The state at the end of the step.
        error: Returns the estimate of the local error, in the form of the state. None: there is none.
        carry: What the next step may begin with.
        dense: Returns the state at ``t + theta h`` for theta in [0, 1]. None: a cubic Hermite interpolant stands in.
        stiffness: Returns abs(f(Y) - f(Z)) and abs(Y - Z) for two stages at the end of the step, as 0-dimensional
            tensors, for the hint that a problem is stiff. None: the rule has no two such stages.
    """

    y1: Any
    error: Callable[[], State] | None = None
    carry: Carry = None
    dense: Callable[[float], State] | None = None
    stiffness: Callable[[], tuple[Tensor, Tensor]] | None = None


class StepRule:
    """One step of a numerical method. A rule is a value without state: what passes from step to step is the carry.

    A rule of one's own inherits from this class, sets ``name`` (default: its class's) and ``order``, and defines
    `evaluations` and `step`; the other attributes say what else it can do, and each has a default that promises
    nothing. States are single tensors, or tuples of tensors where the state is a tree.

    Attributes:
        name: The name that `step_rule` turns back into this rule, if it is one of the package's.
        order: Order of convergence on smooth fields.
        error_order: Order k of the error estimate, error = O(h^k). None: no estimate, so no adaptive steps.
        needs_terms: Whether the field must be a `SplitField`.
        invertible: Whether a step can be taken back exactly, by `unstep`: for gradient="reversible". `init` must then
            leave a carry that it is given as it is.
        one_step: Whether the carry only saves evaluations, so that a step may begin from (t, y) alone. Checkpoints
            need this. A method that remembers more, as a multistep method does, sets it to False.
        differentiates: Whether the rule takes derivatives of its field, as Rosenbrock rules do: such a rule is not for
            the adjoint equation, whose field is made of derivatives itself.
        weights: If y1 = y + h sum_i weights_i k_i with k_i the i-th evaluation in the step: these weights. The carry
            must then be a list, empty or with the field at the beginning of the step, which counts as k_0. The adjoint
            mode then sums up the parameters' gradient by them instead of making it part of the state.
        real_stability: Length of the interval of the negative real axis in which the method is stable, for the hint.
    """

    name: str
    order: int
    error_order: int | None = None
    needs_terms: bool = False
    invertible: bool = False
    one_step: bool = True
    differentiates: bool = False
    weights: tuple[float, ...] | None = None
    real_stability: float = 0.0

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        # A name is part of sentences and of configurations, so each rule has one.
        if not hasattr(cls, "name"):
            cls.name = cls.__name__

    def evaluations(self, terms: int) -> float:
        """Return the field evaluations of one step on a fixed grid; one of one of ``terms`` terms counts 1 / terms."""
        raise NotImplementedError(f"{type(self).__name__} does not say what a step costs: define evaluations(terms)")

    def init(self, field: Field, t: Time, y: State, carry: Carry = None) -> Carry:
        """Return what a step from (t, y) begins with.

        Called before the first step, and again wherever the field is another one than in the step before: where its
        randomness was drawn anew, and on the far side of a jump. Then ``carry`` is what that step left.
        """
        return None

    def step(self, field: Field, t: Time, h: Time, y: State, carry: Carry) -> Step:
        """Take a step from (t, y) to t + h; ``h`` is negative to go back in time.

        Where a step is rejected, the next attempt gets the same carry.
        """
        raise NotImplementedError(f"{type(self).__name__} takes no step: define step(field, t, h, y, carry)")

    def increment(
        self, field: Field, t: Time, h: Time, y: State, carry: Carry = None
    ) -> tuple[State, Callable[[], State] | None]:
        """Return y(t + h) - y(t) as the method has it, and its error estimate as in `Step`."""
        step = self.step(field, t, h, y, self.init(field, t, y) if carry is None else carry)
        try:
            return minus(step.y1, y), step.error
        except (AttributeError, TypeError, ValueError, RuntimeError):
            check_step(self, y, step)
            raise

    def unstep(self, field: Field, t: Time, h: Time, y1: State, carry: Carry) -> tuple[State, Carry]:
        """Return state and carry at ``t`` from those at ``t + h``: the step taken back, for an invertible rule."""
        raise NotImplementedError(f"{self.name!r} is not invertible: define unstep, or leave invertible False")

    def pull_back(
        self, field: Field, t: Time, h: Time, y1: State, carry: Carry, by_y1: Gradients, by_carry: Gradients, pull: Pull
    ) -> tuple[State, Carry, Gradients, Gradients]:
        """Take a step back together with the gradients of its results, for gradient="reversible".

        Args:
            field: The field, as it was in the step.
            t: Beginning of the step.
            h: Its size.
            y1: State at its end.
            carry: Carry at its end.
            by_y1: Gradients with respect to that state.
            by_carry: Gradients with respect to the tensors of that carry.
            pull: Evaluates a function and brings gradients back through it.

        Returns:
            State and carry at the beginning, and the gradients with respect to them.
        """
        y, before = self.unstep(field, t, h, y1, carry)

        def again(y: Any, before: Any) -> tuple[Any, Any]:
            step = self.step(field, t, h, y, before)
            return step.y1, step.carry

        _, (by_y, by_before) = pull(again, (y, before), [by_y1, by_carry])
        return y, before, by_y, by_before


def expect_rule(rule: object) -> None:
    """Refuse a part of a rule that is no rule itself.

    Raises:
        TypeError: It is something else.
    """
    if not isinstance(rule, StepRule):
        raise TypeError(f"the rule inside is {rule!r}: give a StepRule, as step_rule('rk4') is one")


def first_step(rule: StepRule, field: Field, t: Time, h: Time, y: State, carry: Carry, adaptive: bool = False) -> Step:
    """Take the first step of a solve, and look at what a rule of one's own returns.

    Raises:
        TypeError: It is no `Step`, or one of states of another form or dtype, or without the error estimate that
            adaptive steps need; or the rule knows single tensors only, and the state is a tuple.
        ValueError: The state at the end has another shape.
    """
    try:
        step = rule.step(field, t, h, y, carry)
    except TypeError as error:
        own: Any = error.__traceback__
        # Raised in the rule itself, not in a field that it called.
        if isinstance(y, Tensor) or own.tb_next is None or own.tb_next.tb_next is not None:
            raise
        raise TypeError(
            f"the rule {rule.name!r} could not step a state that is a tuple of tensors ({error}): let it go tensor by "
            "tensor, or solve for one tensor; on the way back of the adjoint, name a rule, as in Adjoint(rule='rk4')"
        ) from error
    check_step(rule, y, step)
    if adaptive and step.error is None:
        raise TypeError(
            f"the rule {rule.name!r} has an error_order, but its step has no error: return Step(y1, error), error a "
            "function that returns the estimate"
        )
    if adaptive:
        check_results(y, step.error(), f"the error of {rule.name!r}", "the estimate", True)  # type: ignore[misc]
    return step


def check_step(rule: StepRule, y: State, step: object) -> None:
    """Refuse what is no step from the state ``y``; see `first_step`."""
    if not isinstance(step, Step):
        raise TypeError(f"the rule {rule.name!r} returned a {type(step).__name__} as its step: return Step(y1, ...)")
    check_results(y, step.y1, f"the rule {type(rule).__name__!r}", "the state at t + h")
    for what in ("error", "dense"):
        given = getattr(step, what)
        if not (given is None or callable(given)):
            raise TypeError(f"{what} of a step of {rule.name!r} is a {type(given).__name__}: give a function, or None")


class RuleAround(StepRule):
    """A rule around another one, which does all that this class does not do otherwise.

    Args:
        base: The other rule.
    """

    def __init__(self, base: StepRule) -> None:
        self.base = base
        same = ("name", "order", "error_order", "needs_terms", "invertible", "one_step", "differentiates")
        for name in (*same, "weights", "real_stability"):
            setattr(self, name, getattr(base, name))

    def evaluations(self, terms: int) -> float:
        """Return what a step of the other rule costs."""
        return self.base.evaluations(terms)

    def init(self, field: Field, t: Time, y: State, carry: Carry = None) -> Carry:
        """Return what the other rule begins with."""
        return self.base.init(field, t, y, carry)

    def step(self, field: Field, t: Time, h: Time, y: State, carry: Carry) -> Step:
        """Take a step of the other rule."""
        return self.base.step(field, t, h, y, carry)

    def unstep(self, field: Field, t: Time, h: Time, y1: State, carry: Carry) -> tuple[State, Carry]:
        """Take a step of the other rule back."""
        return self.base.unstep(field, t, h, y1, carry)
