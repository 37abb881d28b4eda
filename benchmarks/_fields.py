"""The vector fields of the solver benchmarks, a counter of their evaluations, and float64 references."""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

import odelib
from odelib.solvers import SplitField

Field = Callable[[Any, Tensor], Tensor]
Run = Callable[[Any, Tensor], Any]
"""A solve: (field, y0) -> y(T)."""


class Autonomous(nn.Module):
    """A field dy/dt = net(y)."""

    def __init__(self, net: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.net = net

    def forward(self, t: Any, y: Tensor) -> Tensor:
        """Return dy/dt; ``t`` is not used."""
        return self.net(y)


def mlp(batch: int, device: str) -> tuple[nn.Module, Tensor]:
    """Return the 2-50-2 field and a state."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(2, 50), nn.Tanh(), nn.Linear(50, 2))
    return Autonomous(net).to(device), torch.randn(batch, 2).to(device)


def linear(device: str) -> tuple[nn.Module, Tensor]:
    """Return a linear field of dimension 10 and a state."""
    torch.manual_seed(0)
    return Autonomous(nn.Linear(10, 10)).to(device), torch.randn(1, 10).to(device)


def transformer(batch: int, device: str) -> tuple[nn.Module, Tensor]:
    """Return a field of DeiT-Ti's size (dim 192, 3 heads) and a state of 64 tokens."""
    torch.manual_seed(0)
    return odelib.TransformerField(192, 3).eval().to(device), torch.randn(batch, 64, 192).to(device)


def lorenz(_: Any, y: Tensor) -> Tensor:
    """Lorenz 1963; the last dimension of the state is 3."""
    a, b, c = y.unbind(-1)
    return torch.stack([10.0 * (b - a), a * (28.0 - c) - b, a * b - 8.0 / 3.0 * c], -1)


def lotka_volterra(_: Any, y: Tensor) -> Tensor:
    """Prey and predator; the last dimension of the state is 2."""
    prey, predator = y.unbind(-1)
    return torch.stack([1.5 * prey - prey * predator, prey * predator - 3.0 * predator], -1)


class Counted(nn.Module):
    """A field that notes each evaluation: of which term (-1: of the whole) and whether for a graph."""

    def __init__(self, field: Any) -> None:
        super().__init__()
        self.inner = field
        self.log: list[tuple[int, bool]] = []

    def _term(self, i: int, t: Any, y: Tensor) -> Tensor:
        self.log.append((i, torch.is_grad_enabled()))
        return self.inner.terms[i](t, y)  # type: ignore[no-any-return]

    def forward(self, t: Any, y: Tensor) -> Tensor:
        """Return field(t, y)."""
        self.log.append((-1, torch.is_grad_enabled()))
        return self.inner(t, y)  # type: ignore[no-any-return]


class CountedSplit(Counted, SplitField):
    """The same for a field with terms."""

    @property
    def terms(self) -> tuple[Any, ...]:
        """The terms, counted."""
        return tuple(partial(self._term, i) for i in range(len(self.inner.terms)))


def counted(field: Any) -> Counted:
    """Return the field, counted; the fields here are in evaluation and draw nothing."""
    return CountedSplit(field) if isinstance(field, SplitField) else Counted(field)


def forward(field: Any, y0: Tensor, run: Run) -> Any:
    """Solve without a graph."""
    with torch.no_grad():
        return run(field, y0)


def forward_backward(field: Any, y0: Tensor, run: Run) -> Tensor:
    """Solve and pull back a gradient of ones; the gradients lie on a leaf like y0 and on the parameters."""
    leaf = _leaf(field, y0)
    y1 = run(field, leaf)
    torch.autograd.backward(y1, torch.ones_like(y1))
    return leaf


def _leaf(field: Any, y0: Tensor) -> Tensor:
    if isinstance(field, nn.Module):
        for parameter in field.parameters():
            parameter.grad = None
    return y0.detach().clone().requires_grad_()


@dataclass(frozen=True)
class Work:
    """The field evaluations of one solve.

    Attributes:
        there: Those on the way there: (term or -1, for a graph).
        back: Those on the way back.
        backward: Whether there is a way back.
    """

    there: tuple[tuple[int, bool], ...]
    back: tuple[tuple[int, bool], ...]
    backward: bool

    @property
    def count(self) -> int:
        """Number of evaluations."""
        return len(self.there) + len(self.back)

    def bare(self, field: Any, y0: Tensor) -> None:
        """Do these evaluations and nothing else.

        Those whose graph lives through the solve are chained, y -> f(y), and pulled back at the end; those of modes
        that evaluate again on the way back are pulled back one by one.
        """
        parts = {-1: field, **dict(enumerate(getattr(field, "terms", ())))}
        if not self.backward:
            with torch.no_grad():
                for i, _ in self.there:
                    parts[i](0.0, y0)
            return
        leaf = _leaf(field, y0)
        chain = leaf
        for i, graph in self.there:
            if graph:
                chain = parts[i](0.0, chain)
            else:
                with torch.no_grad():
                    parts[i](0.0, y0)
        if chain is not leaf:
            torch.autograd.backward(chain, torch.ones_like(chain))
        for i, graph in self.back:
            if graph:
                slope = parts[i](0.0, leaf)
                torch.autograd.backward(slope, torch.ones_like(slope))
            else:
                with torch.no_grad():
                    parts[i](0.0, y0)


def work_of(field: Any, y0: Tensor, run: Run, backward: bool) -> Work:
    """Count the evaluations of a solve by doing it."""
    noted = counted(field)
    if not backward:
        forward(noted, y0, run)
        return Work(tuple(noted.log), (), False)
    y1 = run(noted, _leaf(field, y0))
    there = len(noted.log)
    torch.autograd.backward(y1, torch.ones_like(y1))
    return Work(tuple(noted.log[:there]), tuple(noted.log[there:]), True)


def result_of(field: Any, y0: Tensor, run: Run, backward: bool) -> Tensor:
    """Return y(T), or all gradients in one vector, in float64."""
    if not backward:
        return forward(field, y0, run).double().flatten()
    leaf = forward_backward(field, y0, run)
    tensors = [leaf, *field.parameters()]
    # A parameter such as the bias of the keys has the gradient zero, and some solvers leave it out.
    return torch.cat([(torch.zeros_like(t) if t.grad is None else t.grad).double().flatten() for t in tensors])


def reference(field: Any, y0: Tensor, end: float, backward: bool, rtol: float = 1e-11) -> Tensor:
    """Return the same in float64 from dopri8 at a tight tolerance."""
    wide = deepcopy(field).double() if isinstance(field, nn.Module) else field
    control = odelib.Adaptive(rtol, rtol * 1e-2)

    def run(f: Any, y: Tensor) -> Tensor:
        solution = odelib.solve(f, y, (0.0, end), rule="dopri8", steps=control, gradient="checkpoint")
        return solution.ys[-1]  # type: ignore[no-any-return]

    return result_of(wide, y0.double(), run, backward)


def relative_error(value: Tensor, exact: Tensor) -> float:
    """Return the Euclidean norm of the difference over that of the exact value."""
    return float((value - exact).norm() / exact.norm())
