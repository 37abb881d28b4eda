"""A field whose weights depend on time, as a solver sees it: a function of (t, x)."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from odelib.layers.context import Context, ContextField
from odelib.layers.schedule import Basis
from odelib.solvers import Field, RandomField, SplitField, terms_of
from odelib.solvers.field import Time, Tree, Wrapped, draw

Place = tuple[dict[str, Any], str]
"""Where a module keeps a parameter: a dictionary and the key."""


def places_of(module: nn.Module) -> list[Place]:
    """Return where a module and its parts keep their parameters, also as a replica made by ``nn.DataParallel``."""
    places: list[Place] = []
    for part in module.modules():
        # A replica has no parameters: the tensors that stand for them are plain attributes.
        table: dict[str, Any] = vars(part) if getattr(part, "_is_replica", False) else part._parameters
        for name in table.get("_former_parameters", table):
            if table[name] is not None:
                places.append((table, name))
    return places


@dataclass(eq=False)
class Scheduled(RandomField):
    """f(t, x) = field(t, x; theta(t)) with theta(t) = sum_j basis(t)_j theta_j, for any modules of one architecture.

    What is evaluated is the first of the modules, with theta(t) in place of its own weights. Its context is bound at
    each evaluation, since what ``bind`` makes may depend on the weights; what its ``draw`` makes must not.

    Attributes:
        fields: The modules; module j holds the weight set theta_j.
        context: What the field reads besides t and x.
        basis: The coefficients of the weight sets at time t. None: there is one weight set, for all times.
        drawn: The first of the modules with its randomness drawn. None: it is not drawn.
        term: Which term of the field this is. None: the sum of all.
    """

    fields: Sequence[nn.Module]
    context: Context
    basis: Basis | None = None
    drawn: Field | None = None
    term: int | None = None

    def __post_init__(self) -> None:
        first = self.fields[0]
        part = first if self.term is None else terms_of(first)[self.term]
        used = {id(table[name]) for table, name in places_of(part)} if isinstance(part, nn.Module) else None
        weights = zip(*map(places_of, self.fields), strict=True)  # for each, where the modules have it
        self._weights = [places for places in weights if used is None or id(places[0][0][places[0][1]]) in used]

    def __call__(self, t: float, x: Tree) -> Tree:
        """Return the field at (t, x); the form of ``x``."""
        shares = [1.0] if self.basis is None else self.basis(t)
        (j, share), *others = [(j, share) for j, share in enumerate(shares) if share != 0.0]
        if (j, share) == (0, 1.0) and not others:
            return self._evaluate(t, x)
        # As `torch.func.functional_call` does; but that one calls the module, and here a form of it is called, bound
        # and drawn; and of a part that a module has twice, as with one norm for all terms, it loses the parameters.
        own: list[tuple[dict[str, Any], str, Tensor]] = []
        try:
            for places in self._weights:
                knots = [table[name] for table, name in places]
                weight = knots[j] if share == 1.0 else share * knots[j]
                for k, other in others:
                    weight = torch.add(weight, knots[k], alpha=other)
                table, name = places[0]
                own.append((table, name, knots[0]))
                table[name] = weight
            return self._evaluate(t, x)
        finally:
            for table, name, weight in own:
                table[name] = weight

    def _evaluate(self, t: float, x: Tree) -> Tree:
        field: Field = self.fields[0] if self.drawn is None else self.drawn
        field = field.bind(self.context) if isinstance(field, ContextField) else field
        part = field if self.term is None else terms_of(field)[self.term]
        return part(t, x)  # type: ignore[no-any-return]

    def draw(self, y: Tree) -> "Scheduled":
        """Return the field with its randomness drawn, to be held while one step of a method is taken.

        Raises:
            TypeError: What was drawn has lost its context.
        """
        first = self.fields[0]
        drawn = draw(first, y)
        if isinstance(first, ContextField) and not isinstance(drawn, ContextField):
            kinds = f"{type(first).__name__} returned a {type(drawn).__name__}, which has no bind"
            raise TypeError(f"draw of {kinds}: as weights depend on time, it is bound last, so return a ContextField")
        return self if drawn is first else replace(self, drawn=drawn)


class ScheduledSplit(Scheduled, SplitField):
    """The same of a field that is a sum."""

    @property
    def terms(self) -> tuple[Field, ...]:
        """The fields whose sum this is."""
        indices = range(len(terms_of(self.fields[0])))
        return tuple(Scheduled(self.fields, self.context, self.basis, self.drawn, i) for i in indices)


class Scaled(Wrapped):
    """scale * f: an integration of it with the step h is one of f with the step scale * h.

    Args:
        field: The field.
        scale: A positive number, 0-dimensional; learned.
    """

    def __init__(self, field: Field, scale: Tensor) -> None:
        self.scale = scale
        super().__init__(field)

    def flow(self, t: Time, h: Time, y: Tree) -> Tree:
        """Return the flow of a term over the scaled step."""
        return super().flow(t, self.scale * h, y)  # type: ignore[no-any-return]

    def __call__(self, t: Time, y: Tree) -> Tree:
        """Return scale * field(t, y)."""
        return self.scale * self.field(t, y)  # type: ignore[no-any-return]
