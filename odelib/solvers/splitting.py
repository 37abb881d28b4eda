"""One step of a splitting: the terms of a field are integrated one after the other."""

from dataclasses import dataclass

from odelib.names import choose
from odelib.solvers.field import Field, Time, flow_of, terms_of
from odelib.solvers.state import State
from odelib.solvers.step_rule import Carry, Step, StepRule, expect_rule

# Order, and the fractions of the step that the Strang steps of the scheme take.
_Y = 1.0 / (2.0 - 2.0 ** (1 / 3))
_S = 1.0 / (4.0 - 4.0 ** (1 / 3))
SCHEMES: dict[str, tuple[int, tuple[float, ...]]] = {
    "lie-trotter": (1, (1.0,)),
    "strang": (2, (1.0,)),
    "yoshida4": (4, (_Y, 1.0 - 2.0 * _Y, _Y)),
    "suzuki4": (4, (_S, _S, 1.0 - 4.0 * _S, _S, _S)),
}


@dataclass(frozen=True)
class Splitting(StepRule):
    """A splitting step: integrate the terms of a field one after the other, each by a sub-step of another rule.

    ``lie-trotter`` applies the terms in their order, each for the whole step: with Euler sub-steps on
    (attention, MLP) this is the usual pre-norm transformer layer. ``strang`` is symmetric: half a step of the
    last terms, a whole step of the first, the halves again in reverse: with Euler sub-steps on (attention, MLP)
    it is the Macaron layer with one MLP for both halves (Lu et al. 2019, arXiv 1906.02762). ``yoshida4`` and
    ``suzuki4`` compose three and five Strang steps, one of them backwards in time (Yoshida 1990,
    doi 10.1016/0375-9601(90)90092-3; Suzuki 1990, doi 10.1016/0375-9601(90)90962-N). Those of ``yoshida4`` reach
    beyond the two ends of the step.

    A term that is `Exact` is not stepped but goes along its flow.

    Attributes:
        scheme: "lie-trotter" (order 1), "strang" (order 2), "yoshida4" or "suzuki4" (order 4).
        substep: The rule for each term alone. The order of the whole is the smaller of the two orders.
    """

    scheme: str
    substep: StepRule
    needs_terms = True

    def __post_init__(self) -> None:
        choose(self.scheme, SCHEMES, "splitting")
        expect_rule(self.substep)
        inner = self.substep
        name = self.scheme if inner.name == "euler" else f"{self.scheme}({inner.name})"
        vars(self).update(name=name, order=min(SCHEMES[self.scheme][0], inner.order))

    def sequence(self, terms: int) -> list[tuple[int, float]]:
        """Return the sub-steps for a field of ``terms`` terms: pairs of term index and fraction of the step."""
        if self.scheme == "lie-trotter":
            return [(i, 1.0) for i in range(terms)]
        halves = [(i, 0.5) for i in range(1, terms)]
        strang = [*reversed(halves), (0, 1.0), *halves]
        merged: list[tuple[int, float]] = []
        for fraction in SCHEMES[self.scheme][1]:
            for index, part in strang:
                # The last sub-step of one Strang step and the first of the next are one flow.
                before = merged.pop()[1] if merged and merged[-1][0] == index else 0.0
                merged.append((index, before + fraction * part))
        return merged

    def evaluations(self, terms: int) -> float:
        """Each sub-step evaluates one of the ``terms`` terms, once per stage of the sub-step's method."""
        return len(self.sequence(terms)) * self.substep.evaluations(1) / terms

    def step(self, field: Field, t: Time, h: Time, y: State, carry: Carry = None) -> Step:
        """Take one step.

        Raises:
            TypeError: The field is no `SplitField`.
        """
        terms = terms_of(field)
        # Each term keeps a clock of its own, so that the order holds for fields that depend on time.
        clocks = [t] * len(terms)
        for index, fraction in self.sequence(len(terms)):
            term, part = terms[index], fraction * h
            flow = flow_of(term)
            if flow is None:
                begun = self.substep.init(term, clocks[index], y)
                y = self.substep.step(term, clocks[index], part, y, begun).y1
            else:
                y = flow(clocks[index], part, y)
            clocks[index] += part
        return Step(y)
