"""A field as the integration loop sees it: a function of (t, x) alone, all else being fixed."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from odelib.solvers import Field

Basis = Callable[[float], Sequence[float]]
"""The coefficients of theta(t) = sum_j basis(t)_j theta_j, one per weight set; plain numbers."""


class Integrand:
    """f(t, x) = scale * field(t, x; theta(t), given) with theta(t) = sum_j basis(t)_j theta_j.

    Args:
        fields: Modules of one architecture; field j holds the weight set theta_j.
        given: What the field reads besides t and x, as `TransformerField.given` returns it.
        basis: The coefficients of the weight sets at time t. None: there is one weight set, for all times.
        scale: A learned factor: an integration of the scaled field with the step h is one with the step scale * h.
    """

    def __init__(
        self, fields: Sequence[Any], given: Any, basis: Basis | None = None, scale: Tensor | None = None
    ) -> None:
        self.fields = fields
        self.given = given
        self.basis = basis
        self.scale = scale
        if fields[0].random:  # a field that always offered to draw would seem random to the adjoint method
            self.draw = self._draw

    def __call__(self, t: float, x: Tensor) -> Tensor:
        """Return the field at (t, x); same shape as ``x``."""
        return self._scaled(self._evaluate(self.fields, t, (t, x, self.given)))

    @property
    def terms(self) -> tuple[Field, ...]:
        """The fields whose sum this is."""
        return tuple(partial(self._term, i) for i in range(len(self.fields[0].terms)))

    def _draw(self, x: Tensor) -> "Integrand":
        """Return the field with its dropout drawn, to be held while one step of a method is taken."""
        return Integrand(self.fields, replace(self.given, keeps=self.fields[0].noise(x)), self.basis, self.scale)

    def parameters(self) -> Iterator[Tensor]:
        """All tensors that the field depends on besides x, for gradient modes that need them named."""
        for field in self.fields:
            yield from field.parameters()
        if self.scale is not None:
            yield self.scale
        yield from (c.memory for c in self.given.contexts if c is not None and c.memory is not None)

    def _term(self, i: int, t: float, x: Tensor) -> Tensor:
        terms = [field.terms[i] for field in self.fields]
        return self._scaled(self._evaluate(terms, t, (t, x, self.given.contexts[i], self.given.keeps[i])))

    def _scaled(self, derivative: Tensor) -> Tensor:
        return derivative if self.scale is None else self.scale * derivative

    def _evaluate(self, modules: Sequence[nn.Module], t: float, arguments: tuple[Any, ...]) -> Tensor:
        shares = [1.0] if self.basis is None else self.basis(t)
        parts = [(share, module) for share, module in zip(shares, modules, strict=True) if share != 0.0]
        if len(parts) == 1 and parts[0][0] == 1.0:
            return parts[0][1](*arguments)  # type: ignore[no-any-return]
        weights = {name: parts[0][0] * weight for name, weight in parts[0][1].named_parameters()}
        for share, module in parts[1:]:
            for name, weight in module.named_parameters():
                weights[name] = torch.add(weights[name], weight, alpha=share)
        return torch.func.functional_call(modules[0], weights, arguments)  # type: ignore[no-any-return]
