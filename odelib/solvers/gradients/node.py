"""The node of the graph that a solve is in all modes but backpropagation, and what its ways back share."""

from collections.abc import Iterable, Sequence
from contextlib import nullcontext
from itertools import chain
from operator import attrgetter, itemgetter
from typing import Any

import torch
from torch import Tensor, nn

from odelib.solvers.errors import tell
from odelib.solvers.field import Field, is_split, terms_of
from odelib.solvers.loop import Problem, Taken, follow
from odelib.solvers.outputs import Collector, Outputs
from odelib.solvers.randomness import Draws
from odelib.solvers.state import State, leaves_of, like
from odelib.solvers.times import without_derivative
from odelib.solvers.watched import Counts

_FIRST = itemgetter(0)
_GRAD_FN = attrgetter("grad_fn")
_SECOND = "second derivatives are known in gradient='backprop' only: choose it, or differentiate once"


class Sums:
    """Gradients of the parameters, summed up as they come; None where nothing came."""

    def __init__(self, parameters: Sequence[Tensor]) -> None:
        self.totals: list[Tensor | None] = [None] * len(parameters)

    def add(self, grads: Sequence[Tensor | None], scale: float = 1.0) -> None:
        """Add scale * grads."""
        for i, grad in enumerate(grads):
            if grad is None:
                continue
            total = self.totals[i]
            if total is None:
                self.totals[i] = grad * scale
            else:
                total.add_(grad, alpha=scale)


class Recorded:
    """A solve whose steps can be taken again.

    Attributes:
        draws_again: Whether what the field draws by itself, as ``nn.Dropout`` does, is drawn again alike.

    Args:
        problem: The problem; its field is under watch.
        form: The initial state, for its form.
        parameters: The tensors that the field depends on.
        counts: Where the cost of the way there is noted.
        outputs: Where the outputs go.
    """

    draws_again = False

    def __init__(
        self, problem: Problem, form: State, parameters: tuple[Tensor, ...], counts: Counts, outputs: Outputs
    ) -> None:
        self.problem, self.form, self.parameters, self.counts = problem, form, parameters, counts
        self.draws = Draws(problem.field, record=True)
        self.outputs = outputs
        self.path: list[tuple[float, float, float]] = []

    def forward(self, y0: State) -> list[State]:
        """Solve without a graph, keep what `keep` says, return the outputs."""
        seen = Collector(self.problem, self.outputs, self.keep)
        follow(self.problem, y0, self.draws, self.counts, seen.look, seen.probe)
        # The outputs will hold this object by the graph: it must not hold them.
        states, self.outputs.states = self.outputs.states, []
        return states

    def keep(self, number: int, taken: Taken) -> None:
        """Note a step."""
        self.path.append((taken.t, taken.h, taken.end))

    def backward(self, outputs: list[State], grads: list[list[Tensor | None]]) -> tuple[list[Tensor], Sums]:
        """Return the gradients with respect to the initial state and the parameters."""
        raise NotImplementedError(f"{type(self).__name__} does not say how it comes back: define backward")


class Solve(torch.autograd.Function):
    """Runs a way back's forward part as one node of the graph."""

    @staticmethod
    def forward(ctx: Any, strategy: Recorded, *tensors: Tensor) -> tuple[Tensor, ...]:
        """Return the leaves of all outputs, one output after the other."""
        ctx.autocast = _autocast(tensors[0].device.type)
        count, single = len(leaves_of(strategy.form)), isinstance(strategy.form, Tensor)
        outputs = strategy.forward(tensors[0] if single else tensors[:count])
        flat: tuple[Any, ...] = tuple(outputs) if single else tuple(chain.from_iterable(outputs))
        ctx.strategy, ctx.count, ctx.inputs = strategy, count, len(tensors)
        ctx.save_for_backward(*tensors, *flat)
        ctx.set_materialize_grads(False)
        return flat

    @staticmethod
    def backward(ctx: Any, *flat: Tensor | None) -> tuple[Any, ...]:
        """Return the gradients of the initial leaves and of the parameters; of these, no derivative is known."""
        with torch.no_grad():
            found = Solve._backward(ctx, flat)
        if torch.is_grad_enabled():
            behind = [tensor for tensor in (*flat, *ctx.saved_tensors[: ctx.inputs]) if tensor is not None]
            found = tuple(None if grad is None else without_derivative(grad, behind, _SECOND) for grad in found)
        return None, *found

    @staticmethod
    def _backward(ctx: Any, flat: tuple[Tensor | None, ...]) -> tuple[Tensor | None, ...]:
        strategy, count = ctx.strategy, ctx.count
        # Reading them all also makes torch complain if one was changed in place since.
        saved = ctx.saved_tensors[ctx.inputs :]
        outputs = [like(strategy.form, saved[i : i + count]) for i in range(0, len(saved), count)]
        grads = [list(flat[i : i + count]) for i in range(0, len(flat), count)]
        with nullcontext() if ctx.autocast is None else torch.autocast(**ctx.autocast):
            state, sums = strategy.backward(outputs, grads)
        return *state, *sums.totals


def _autocast(device: str) -> dict[str, Any] | None:
    """Return the arguments of ``torch.autocast`` that stand for its present state; None where a device has none."""
    if not torch.amp.is_autocast_available(device):
        return None
    enabled = torch.is_autocast_enabled(device)
    dtype = torch.get_autocast_dtype(device) if enabled else None
    return {"device_type": device, "enabled": enabled, "dtype": dtype}


def vjp(
    outputs: Sequence[Tensor], inputs: Sequence[Tensor], grads: Sequence[Tensor | None], counts: Counts
) -> tuple[Tensor | None, ...]:
    """Return sum_i grads_i^T d outputs_i / d inputs; None for an input that no output depends on.

    ``counts.captures`` says that the graph may reach beyond this step, to what was computed once from a parameter
    before the solve: that part is needed for the other steps too. The step's own part goes with its outputs, but not
    before.

    Raises:
        ValueError: The outputs depend on a tensor that nobody named; ``counts.strict`` says whether that is looked for.
        RuntimeError: They depend on what was computed before the solve, and ``counts.captures`` did not say so.
    """
    live = [(o, g) for o, g in zip(outputs, grads, strict=True) if g is not None and o.requires_grad]
    if not live:
        return (None,) * len(inputs)
    heads, tails = zip(*live, strict=True)
    if counts.strict is not None and (sentence := missing_among(inputs, heads, None)[0]) is not None:
        strict, counts.strict = counts.strict, None  # a warning comes once
        tell(sentence, strict)
    try:
        return torch.autograd.grad(heads, inputs, tails, retain_graph=counts.captures, allow_unused=True)
    except RuntimeError as error:
        # Torch frees the graph behind a step; of a module, only the first value told how far that graph reaches.
        if "a second time" not in str(error):
            raise
        raise RuntimeError(
            "the field makes use, after its first value, of what was computed from its parameters before the solve: "
            "compute it in the field, or name them, as in parameters=tuple(field.parameters())"
        ) from error


def zeros_if_none(grads: Sequence[Tensor | None], leaves: Sequence[Tensor]) -> list[Tensor]:
    """Return the gradients with zeros for None."""
    return [torch.zeros_like(leaf) if g is None else g for g, leaf in zip(grads, leaves, strict=True)]


def parameters_of(field: Field, given: Iterable[Tensor] | Tensor | None) -> tuple[Tensor, ...]:
    """Return the tensors with gradient that a field depends on besides t and y.

    Args:
        field: The field as it came in.
        given: The tensors, or the one, if the caller named them.

    Raises:
        TypeError: What was named is no tensor; or nothing was named, and the field is no module that could be asked.
    """
    if isinstance(given, Tensor):
        given = (given,)
    if given is None:
        # A sum that is no module itself may be one of modules.
        parts: Sequence[Any] = [field] if isinstance(field, nn.Module) or not is_split(field) else terms_of(field)
        if not isinstance(field, nn.Module) and not all(isinstance(part, nn.Module) for part in parts):
            raise TypeError(
                f"this gradient mode must know the tensors that the field depends on, and {type(field).__name__} is no "
                "nn.Module that could be asked: pass parameters=(...), or adjoint_params=(...) in odeint_adjoint, () "
                "if there are none"
            )
        given = chain.from_iterable(map(tensors_of, parts))
    wanted: dict[int, Tensor] = {}
    for tensor in given if isinstance(given, Iterable) else (given,):
        if not isinstance(tensor, Tensor):
            raise TypeError(f"parameters holds {tensor!r}: give the tensors that the field depends on, as in (w, b)")
        if tensor.requires_grad:
            wanted[id(tensor)] = tensor
    return _independent([*wanted.values()])


def _independent(given: list[Tensor]) -> tuple[Tensor, ...]:
    """Return tensors, none computed from another: where one is, those at the beginning of their graphs instead.

    The gradient by what it is computed from would go through it too, and count twice.
    """
    computed = list(filter(_GRAD_FN, given))
    if not computed or len(given) == 1:
        return tuple(given)
    nodes, begun = _behind([tensor.grad_fn for tensor in computed])
    inner = {parent for node in nodes for parent, _ in node.next_functions}
    apart = inner.isdisjoint(tensor.grad_fn for tensor in computed)
    if apart and {id(tensor) for tensor in begun}.isdisjoint(map(id, given)):
        return tuple(given)
    leaves = [tensor for tensor in given if tensor.grad_fn is None]
    return tuple({id(tensor): tensor for tensor in (*leaves, *begun)}.values())


def _behind(roots: Iterable[Any], until: Iterable[Any] = ()) -> tuple[set[Any], list[Tensor]]:
    """Return the nodes of the graph behind some, but not behind those of ``until``, and the tensors it begins with."""
    # The nodes themselves: Python makes them anew whenever nobody has them, so their numbers say nothing.
    seen, nodes, begun = {None, *until}, list(roots), []
    while nodes:
        node = nodes.pop()
        if node in seen:
            continue
        seen.add(node)
        parents = node.next_functions
        if parents:
            nodes.extend(map(_FIRST, parents))
        elif hasattr(node, "variable"):
            begun.append(node.variable)
    return seen - {None}, begun


def tensors_of(module: nn.Module) -> list[Tensor]:
    """Return the parameters of a module; of a replica that nn.DataParallel made, the tensors that stand for them."""
    found: list[Tensor] = []
    for part in module.modules():
        if getattr(part, "_is_replica", False):
            former: dict[str, Tensor] = vars(part).get("_former_parameters", {})
            found += [*(value for value in vars(part).values() if isinstance(value, Tensor)), *former.values()]
        else:
            found += part.parameters(recurse=False)
    return found


def missing_among(parameters: Sequence[Tensor], slopes: Sequence[Tensor], since: Any) -> tuple[str | None, bool]:
    """Return a sentence if slopes depend on a tensor with gradient that is not among the parameters.

    It would silently get no gradient. Return too whether the graph reaches to nodes that were made before ``since``.
    """
    named = set(map(id, parameters))
    nodes, begun = _behind(map(_GRAD_FN, slopes), map(_GRAD_FN, parameters))
    # The nodes where the graph begins have no number of their own.
    captures = since is None
    for node in nodes:
        # The nodes with which the graph begins have no number of their own.
        captures = captures or (not hasattr(node, "variable") and node._sequence_nr() < since._sequence_nr())
    for leaf in begun:
        if id(leaf) not in named:
            return (
                f"the field depends on a tensor of shape {tuple(leaf.shape)} that requires a gradient and is not among "
                "its parameters, so it gets none: add it to parameters=(...), adjoint_params=(...) in odeint_adjoint, "
                "or detach it"
            ), captures
    return None, captures
