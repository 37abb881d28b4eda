"""Step rules: one step of a numerical method, (field, t, h, y, carry) -> (y_next, error, carry).

Two kinds cover the whole book: explicit Runge-Kutta methods, driven by a tableau, and splittings,
driven by a list of (term, fraction of the step) and a Runge-Kutta method for each sub-step.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from odelib.names import choose
from odelib.solvers.fields import Field, terms_of
from odelib.solvers.tableaus import TABLEAUS, Tableau


@runtime_checkable
class StepRule(Protocol):
    """One step of a method. A rule is a value without state: what passes from step to step is the carry."""

    @property
    def name(self) -> str:
        """The name that `step_rule` turns back into this rule."""
        ...

    @property
    def order(self) -> int:
        """Order of convergence on smooth fields."""
        ...

    def evaluations(self, terms: int) -> float:
        """Field evaluations per step; evaluating one of ``terms`` terms counts as 1 / terms."""
        ...

    def step(self, field: Field, t: float, h: float, y: Tensor, carry: Any) -> tuple[Tensor, Tensor | None, Any]:
        """Advance ``y`` from time ``t`` to ``t + h``; return the next state, an error estimate or None, the carry."""
        ...


def _combine(y: Tensor, h: float, weights: Sequence[float], stages: Sequence[Tensor]) -> Tensor:
    """Return y + h * sum_i weights_i stages_i, without touching stages of weight zero."""
    for weight, stage in zip(weights, stages, strict=True):
        if weight != 0.0:
            y = torch.add(y, stage, alpha=h * weight)
    return y


@dataclass(frozen=True)
class ExplicitRungeKutta:
    """An explicit Runge-Kutta step, driven by its tableau."""

    tableau: Tableau

    @property
    def name(self) -> str:
        """Name of the tableau."""
        return self.tableau.name

    @property
    def order(self) -> int:
        """Order of the tableau."""
        return self.tableau.order

    def evaluations(self, terms: int = 1) -> float:
        """One evaluation of the whole field per stage that the result needs."""
        return float(self.tableau.evaluations)

    def step(self, field: Field, t: float, h: float, y: Tensor, carry: Any = None) -> tuple[Tensor, Tensor | None, Any]:
        """Take one step; the error is None, since a fixed grid asks for none."""
        stages: list[Tensor] = []
        needed = self.tableau.evaluations
        for row, node in zip(self.tableau.a[:needed], self.tableau.c[:needed], strict=True):
            stages.append(field(t + node * h, _combine(y, h, row, stages)))
        return _combine(y, h, self.tableau.b[:needed], stages), None, carry


@dataclass(frozen=True)
class Splitting:
    """A splitting step: integrate the terms of a field one after the other, each by a Runge-Kutta sub-step.

    ``lie-trotter`` applies the terms in their order, each for the whole step: with Euler sub-steps on
    (attention, MLP) this is the usual pre-norm transformer layer. ``strang`` is symmetric: half a step of the
    last terms, a whole step of the first, the halves again in reverse: with Euler sub-steps on (attention, MLP)
    it is the Macaron layer with one MLP for both halves (Lu et al. 2019, arXiv 1906.02762).

    Attributes:
        scheme: "lie-trotter" (order 1) or "strang" (order 2).
        substep: The rule for each term alone. The order of the whole is the smaller of the two orders.
    """

    scheme: str
    substep: ExplicitRungeKutta

    def __post_init__(self) -> None:
        choose(self.scheme, _SCHEMES, "splitting")

    @property
    def name(self) -> str:
        """``scheme``, or ``scheme(substep)`` where the sub-step is not Euler's."""
        return self.scheme if self.substep.name == "euler" else f"{self.scheme}({self.substep.name})"

    @property
    def order(self) -> int:
        """The smaller of the order of the scheme and of the sub-step."""
        return min(_SCHEMES[self.scheme], self.substep.order)

    def sequence(self, terms: int) -> list[tuple[int, float]]:
        """Return the sub-steps for a field of ``terms`` terms: pairs of term index and fraction of the step."""
        if self.scheme == "lie-trotter":
            return [(i, 1.0) for i in range(terms)]
        halves = [(i, 0.5) for i in range(1, terms)]
        return [*reversed(halves), (0, 1.0), *halves]

    def evaluations(self, terms: int) -> float:
        """Each sub-step evaluates one of the ``terms`` terms, once per stage of the sub-step's method."""
        return len(self.sequence(terms)) * self.substep.tableau.evaluations / terms

    def step(self, field: Field, t: float, h: float, y: Tensor, carry: Any = None) -> tuple[Tensor, Tensor | None, Any]:
        """Take one step.

        Raises:
            TypeError: The field has no ``terms``.
        """
        terms = terms_of(field)
        # Each term keeps a clock of its own, so that the order holds for fields that depend on time.
        clocks = [t] * len(terms)
        for index, fraction in self.sequence(len(terms)):
            y, _, _ = self.substep.step(terms[index], clocks[index], fraction * h, y)
            clocks[index] += fraction * h
        return y, None, carry


_SCHEMES = {"lie-trotter": 1, "strang": 2}

STEP_RULES: tuple[str, ...] = (*TABLEAUS, *_SCHEMES)
"""Names that `step_rule` takes; a splitting may name its sub-step in brackets, as in ``strang(midpoint)``."""


def step_rule(rule: str | StepRule) -> StepRule:
    """Return the step rule of a name; a step rule is returned as it is.

    Args:
        rule: One of `STEP_RULES`, a splitting with its sub-step such as ``"strang(midpoint)"``, or a rule.

    Raises:
        ValueError: The name is unknown; the sentence gives the nearest valid one.
    """
    if not isinstance(rule, str):
        return rule
    match = re.fullmatch(r"([^()]+)\(([^()]+)\)", rule)
    name, substep = match.groups() if match else (rule, "euler")
    if match is None:
        choose(name, STEP_RULES, "step rule")
    else:
        choose(name, _SCHEMES, "splitting")
    if name in TABLEAUS:
        return ExplicitRungeKutta(TABLEAUS[name])
    return Splitting(name, ExplicitRungeKutta(TABLEAUS[choose(substep, TABLEAUS, "sub-step of a splitting")]))
