"""Surgery on a trained network: layers taken in smaller steps, exchanged, left out, side by side; weights unchanged."""

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, TypeVar

import torch
from torch import Tensor, nn

from odelib.analysis.depth import depth_of
from odelib.layers import Context, ContextField, DepthBlock, DepthSchedule, TransformerField, WholeLayer
from odelib.layers.context import EMPTY, with_parts
from odelib.names import choose
from odelib.solvers import StepRule, step_rule
from odelib.solvers.field import Time

Model = TypeVar("Model", bound=nn.Module)
FORMS = ("sum", "input")


@dataclass(frozen=True)
class Surgery:
    """What is done to a network's layers, as a value; layers are counted from 0. The default changes nothing.

    A layer is the map Phi that the network was trained with, its field F(x) = Phi(x) - x (see
    `odelib.layers.WholeLayer`), and the network an Euler step of size 1 along the field of each. `rule` and `refine`
    say how these are integrated instead. The rest says which fields there are.

    Raises:
        ValueError: A value is out of its range.
    """

    rule: str = "euler"
    """The step rule along the layers' fields; one that needs terms, such as lie-trotter, takes attention and MLP."""
    refine: int = 1
    """How many steps are taken in place of each one, each smaller by that factor."""
    parallel: tuple[int, ...] | Literal["all"] = ()
    """Layers whose attention and MLP both read the layer's input."""
    form: Literal["sum", "input"] = "sum"
    """What a parallel layer is. "sum": x + A(x) + M(x), A and M being the terms of the field, of a post-norm layer each
    with its norm. "input": of a post-norm layer the norms stay where they are, N2(N1(x + a(x)) + m(x))."""
    swap: tuple[int, int] | None = None
    """Two layers that are exchanged."""
    skip: tuple[int, ...] = ()
    """Layers that are left out."""
    together: int | None = None
    """A layer that is run in parallel with the next one: x + F_i(x) + F_{i+1}(x)."""
    reverse: bool = False
    """Whether the layers come in the opposite order."""
    half: bool = False
    """Whether every second layer is left out."""
    random: int | None = None
    """Draw the weights of the layers anew, with this seed: normal, with the mean and deviation that each tensor had."""

    def __post_init__(self) -> None:
        step_rule(self.rule)
        choose(self.form, FORMS, "form of a parallel layer")
        if self.refine < 1:
            raise ValueError(f"refine is {self.refine}: take at least 1 step in place of each present one")
        for name, layers in (("swap", self.swap or ()), ("skip", self.skip), ("parallel", self.parallel)):
            if layers != "all" and len(set(layers)) < len(layers):
                raise ValueError(f"{name} names a layer twice, {layers}: name each once")
        if self.together is not None and step_rule(self.rule).needs_terms:
            raise ValueError(
                f"the rule {self.rule!r} takes attention and MLP in turn: choose euler for layers together"
            )
        if self.parallel and step_rule(self.rule).needs_terms:
            raise ValueError(
                f"the rule {self.rule!r} takes attention and MLP in turn, which parallel layers do not: choose euler"
            )

    def changes(self) -> dict[str, Any]:
        """Return what differs from the default, as plain values ready for JSON."""
        default, own = Surgery(), asdict(self)
        return {
            field.name: own[field.name] for field in fields(self) if own[field.name] != getattr(default, field.name)
        }


def operate(model: Model, surgery: Surgery) -> Model:
    """Return the network with other layers, or other steps along them: a callable like the network itself.

    The network stays as it is; the two share their weights, but for those that are drawn anew.

    Args:
        model: A model of odelib.models with one depth, of piecewise constant weights and steps of size 1.
        surgery: What is done.

    Raises:
        ValueError: The model has no depth, several, or one of another kind; a layer is none of it, or none is left.
        TypeError: A layer is to be taken apart that has no terms.
    """
    block = depth_of(model)
    layers = _kept(_layers(block), surgery)
    rule = step_rule(surgery.rule)
    weight_sets: Sequence[nn.Module] = list(block.fields)
    if surgery.random is not None:
        generator = torch.Generator().manual_seed(surgery.random)
        weight_sets = [_redrawn(field, generator) for field in weight_sets]
    cut: list[nn.Module] = []
    for i in layers:
        field = weight_sets[i // block.schedule.steps]
        parallel = surgery.parallel == "all" or i in surgery.parallel
        cut.append(_layer(field, block.rule, rule, surgery.form if parallel else None))
    if surgery.together is not None:
        first = min(map(layers.index, (surgery.together, surgery.together + 1)))
        cut[first : first + 2] = [_Together(*cut[first : first + 2])]
    schedule = DepthSchedule(len(cut), steps=surgery.refine, step_size=1.0 / surgery.refine)
    return with_depth(model, DepthBlock(cut, rule, schedule))


def permuted(model: Model, order: Sequence[int]) -> Model:
    """Return the network with its weight sets in another order; all else of its depth stays.

    Args:
        model: A model of odelib.models with one depth, or such a depth.
        order: Which weight set comes at each place; each once.

    Raises:
        ValueError: The model has no depth, or several, or ``order`` is no order of its weight sets.
    """
    block = depth_of(model)
    if sorted(order) != list(range(len(block.fields))):
        raise ValueError(f"order is {list(order)}, expected the numbers 0 to {len(block.fields) - 1}, each once")
    return with_depth(model, with_parts(block, fields=nn.ModuleList(block.fields[i] for i in order)))


def with_depth(model: Model, depth: DepthBlock) -> Model:
    """Return the network with another depth; the network itself stays as it is.

    Raises:
        ValueError: The model has no depth, or several.
    """
    block = depth_of(model)
    depth.training = block.training
    if model is block:
        return depth  # type: ignore[return-value]
    name = next((name for name, part in model.named_children() if part is block), None)
    if name is None:
        raise ValueError(f"the depth of a {type(model).__name__} lies inside another part: give that part")
    return with_parts(model, **{name: depth})


def count_layers(model: nn.Module) -> int:
    """Return how many layers a network has, those that share their weights each counted.

    Raises:
        ValueError: The model has no depth, several, or one of another kind.
    """
    return len(_layers(depth_of(model)))


def shares_weights(model: nn.Module) -> bool:
    """Return whether all layers of a network have one weight set."""
    return depth_of(model).schedule.intervals == 1


def _layers(block: DepthBlock) -> list[int]:
    schedule = block.schedule
    plain = schedule.weights == "piecewise" and block.log_scale is None and block.steps is None
    if type(block).forward is not DepthBlock.forward:
        raise ValueError(f"a {type(block).__name__} takes its steps in a way of its own: operate on the network before")
    if not plain or schedule.step_size != 1.0:
        raise ValueError(
            f"this depth has {schedule.weights} weights and steps of size {schedule.step_size}: surgery is for layers "
            "as usually written, with piecewise constant weights and fixed steps of size 1"
        )
    return list(range(schedule.intervals * schedule.steps))


def _kept(layers: list[int], surgery: Surgery) -> list[int]:
    """Which layers there are, in their new order."""
    named = [*surgery.skip, *(surgery.swap or ()), *(() if surgery.parallel == "all" else surgery.parallel)]
    named += [] if surgery.together is None else [surgery.together, surgery.together + 1]
    for i in named:
        if i not in layers:
            raise ValueError(f"layer {i} is none of this network's: they are 0 to {len(layers) - 1}")
    if surgery.swap is not None:
        i, j = surgery.swap
        layers[i], layers[j] = layers[j], layers[i]
    left = [i for place, i in enumerate(layers) if i not in surgery.skip and not (surgery.half and place % 2)]
    if not left:
        raise ValueError(f"skip is {surgery.skip}, which leaves no layer: keep at least one")
    if surgery.together is not None:
        place = left.index(surgery.together) if surgery.together in left else len(left)
        if left[place + 1 : place + 2] != [surgery.together + 1]:
            raise ValueError(
                f"layers {surgery.together} and {surgery.together + 1} are no neighbours then: leave one out"
            )
    return left[::-1] if surgery.reverse else left


def _layer(field: nn.Module, trained: StepRule, rule: StepRule, form: str | None) -> nn.Module:
    if form == "input" and isinstance(field, TransformerField) and field.attention.post:
        return _AtInput(field)
    return field if form is not None or rule.needs_terms else WholeLayer(field, trained)


def _redrawn(field: nn.Module, generator: torch.Generator) -> nn.Module:
    other = deepcopy(field)
    with torch.no_grad():
        for weight in other.parameters():
            drawn = torch.randn(weight.shape, generator=generator, dtype=torch.float64)
            spread = weight.double().std(correction=0).cpu()
            weight.copy_(weight.double().mean().cpu() + spread * drawn)
    return other


class _Together(nn.Module, ContextField):
    """The sum of two fields."""

    def __init__(self, first: nn.Module, second: nn.Module) -> None:
        super().__init__()
        self.first, self.second = first, second
        self.reads = first.reads if isinstance(first, ContextField) else ()

    def forward(self, t: Time, x: Tensor) -> Tensor:
        return self.first(t, x) + self.second(t, x)  # type: ignore[no-any-return]

    def bind(self, context: Context) -> "_Together":
        if context is EMPTY:
            return self
        return with_parts(self, first=self.first.bind(context), second=self.second.bind(context))  # type: ignore[operator]


class _AtInput(nn.Module, ContextField):
    """What a post-norm layer changes if its MLP reads what its attention reads: N2(N1(x + a(x)) + m(x)) - x."""

    def __init__(self, field: TransformerField) -> None:
        super().__init__()
        self.field = field
        self.reads = field.reads

    def forward(self, t: Time, x: Tensor) -> Tensor:
        attended = x + self.field.attention(t, x)
        return self.field.mlp.norm(attended + self.field.mlp.sublayer(x)) - x  # type: ignore[no-any-return]

    def bind(self, context: Context) -> "_AtInput":
        return self if context is EMPTY else with_parts(self, field=self.field.bind(context))
