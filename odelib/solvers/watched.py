"""The field as a solve calls it: evaluations counted, the first value checked, a buffer that is used again copied."""

from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import Any

import torch
from torch import Tensor
from torch._C._functorch import is_functorch_wrapped_tensor
from torch.compiler import is_compiling

from odelib.solvers.field import Field, Time, Tree, Wrapped, terms_of
from odelib.solvers.state import check_results, is_transformed
from odelib.solvers.stiffness import StiffnessWatch

Traced = Callable[[Sequence[Tensor], Sequence[Tensor], Any], object]

_LOOKS = 3
_REQUIRES_GRAD = attrgetter("requires_grad")


class Counts:
    """What a solve has cost so far; see `odelib.solvers.Stats`."""

    def __init__(self) -> None:
        self.nfe = 0.0
        self.steps = self.accepted = 0
        self.captures = False  # whether the field's graph reaches to nodes that were made before the solve
        # Whether a tensor that nobody named is refused if a step's graph reaches to it, or warned of, or (None) not
        # looked for.
        self.strict: bool | None = None
        self.sizes: list[float] = []
        self.watch = StiffnessWatch()


class Watched(Wrapped):
    """A field, or one of its terms, under watch.

    The first value is compared with the state. A field may fill one tensor anew at each call, with ``out=`` or by a
    CUDA graph, or two of them by turns; the stages of a step would then all be the last one. So the first two values
    are handed out as copies, and if one of the first three lies in the memory of another, all others are. Three buffers
    by turns are beyond that.

    Args:
        field: The field.
        counts: Where evaluations are counted.
        traced: Called with the leaves of the first value, computed with a graph; with those of its state, by which a
            field may differentiate within; and with a node of the graph made just before. None: it is computed as it
            comes.
        share: What an evaluation counts: of one of n terms, 1 / n.
    """

    def __init__(self, field: Field, counts: Counts, traced: Traced | None = None, share: float = 1.0) -> None:
        super().__init__(field)
        self.counts, self.traced, self.share = counts, traced, share
        self._seen: dict[int, Any] = {}  # the memory of its first values
        self._looks = 0
        self._flowed = False
        self._copies: bool | None = None  # not known yet
        self._terms: list[Watched] = []

    @property
    def copies(self) -> bool:
        """Whether the field, or one of its terms, uses memory again that it returned before."""
        return self._copies is True or any(term.copies for term in self._terms)

    def terms_around(self) -> Sequence[Field]:
        """Return the terms under watch."""
        if not self._terms:
            terms, traced = terms_of(self.field), self.traced
            self._terms = [Watched(term, self.counts, traced, self.share / len(terms)) for term in terms]
            if self._copies is False:
                for term in self._terms:
                    term._copies = False
        return self._terms

    def around(self, field: Field) -> Field:
        """Return what the field drew under watch; only the first such field has its value looked at."""
        drawn = Watched(field, self.counts, self.traced, self.share)
        if self._copies is False:
            drawn._copies, drawn.traced = False, None
        self._copies = False
        return drawn

    def flow(self, t: Time, h: Time, y: Tree) -> Any:
        """Return the inner term's flow; its first value is looked at too."""
        value = super().flow(t, h, y)
        if not self._flowed:
            check_results(y, value, "the flow of a term", "y(t + h)")
            self._flowed = True
        return value

    def __call__(self, t: Time, y: Tree) -> Any:
        """Return the field at (t, y)."""
        self.counts.nfe += self.share
        # A rule that differentiates its field has a graph of its own.
        plain = self.traced is None or torch.is_grad_enabled() or is_transformed()
        dy = self.field(t, y) if plain else self._with_graph(t, y)
        return dy if self._copies is False else self._looked_at(y, dy, not plain)

    def _with_graph(self, t: Time, y: Any) -> Any:
        traced: Any = self.traced
        self.traced = None
        single = isinstance(y, Tensor)
        free = list(map(Tensor.requires_grad_, map(Tensor.detach, (y,) if single else y)))
        with torch.enable_grad():
            since: Any = free[0].view_as(free[0]).grad_fn if free else None
            dy: Any = self.field(t, free[0] if single else tuple(free))
        check_results(y, dy)
        traced((dy,) if single else dy, free, since)
        return dy.detach() if single else tuple(map(Tensor.detach, dy))

    def _looked_at(self, y: Any, dy: Any, checked: bool) -> Any:
        if self._copies:
            return _copied(dy)
        if not (self._looks or checked):
            check_results(y, dy)
        self._looks += 1
        leaves = (dy,) if isinstance(dy, Tensor) else dy
        if is_compiling() or any(map(_REQUIRES_GRAD, leaves)) or any(map(is_functorch_wrapped_tensor, leaves)):
            # Autograd refuses out= itself; what a transform wraps has no memory.
            self._copies = False
            return dy
        new = []
        for leaf in leaves:
            if leaf.numel():  # of an empty one there is nothing to be overwritten
                new.append(leaf.untyped_storage())
                if new[-1]._cdata in self._seen:
                    self._copies, self._seen = True, {}
                    return _copied(dy)
        if self._looks == _LOOKS:
            self._copies, self._seen = False, {}
            return dy
        for storage in new:  # held, so that no other tensor gets their memory meanwhile
            self._seen[storage._cdata] = storage
        return _copied(dy)


def _copied(dy: Any) -> Any:
    return dy.clone() if isinstance(dy, Tensor) else tuple(map(Tensor.clone, dy))
