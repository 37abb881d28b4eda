"""What is measured layer by layer along a network's own states: commutators, growth, stability, observed order."""

import math
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from odelib.analysis import (
    Commuting,
    Surgery,
    commuting,
    convergence_order,
    critical_steps,
    operate,
    refinement_errors,
    singular_values,
    steps_of,
)
from odelib.analysis.depth import depth_of
from odelib.layers import WholeLayer
from odelib.studies.networks import Task

LAYERS = "layers.json"
RULES = ("euler", "midpoint", "rk4")


@dataclass(frozen=True)
class LayerSizes:
    """Measurements along the states of a few test items; in float64.

    Attributes:
        commuting: Sizes of commutators by layer and token.
        growth: The largest singular value of each layer's Jacobian, (layers, items): by how much a layer can stretch a
            small change of an item's state.
        critical: The critical step of each layer's field, (layers, items); the network's own is 1.
        orders: By rule, the observed order of convergence along the layers' fields over two numbers of steps.
    """

    commuting: Commuting
    growth: Float[Tensor, "layers items"]
    critical: Float[Tensor, "layers items"]
    orders: dict[str, float]

    def plain(self) -> dict[str, Any]:
        """Return the table, the orders and, by layer and token, the means over items, ready for JSON.

        What there is not is left out: the commutator of the last layer, the order of a rule without an error.
        """
        rows = [{name: value for name, value in row.items() if value == value} for row in self.table()]
        sizes = {name: part for name, part in self.commuting._asdict().items() if not part.isnan().any()}
        tokens = {name: part.mean(dim=1) for name, part in sizes.items()}
        by_token = {name: [[round(v, 5) for v in row] for row in part.tolist()] for name, part in tokens.items()}
        orders = {rule: order for rule, order in self.orders.items() if math.isfinite(order)}
        return {"layers": rows, "orders": orders, "by token": by_token, "items": self.growth.shape[1]}

    def table(self) -> list[dict[str, float]]:
        """Return a row of means over items and tokens for each layer; NaN where there is none."""
        sizes = self.commuting
        rows = []
        for i in range(len(self.growth)):
            inner = i < len(sizes.layers)
            rows.append(
                {
                    "layer": i,
                    "update": float(sizes.update[i].mean()),
                    "[A, M]": float(sizes.terms[i].mean()),
                    "[F, next F]": float(sizes.layers[i].mean()) if inner else torch.nan,
                    "exchange": float(sizes.exchange[i].mean()) if inner else torch.nan,
                    "growth": float(self.growth[i].mean()),
                    "step / critical": float((1.0 / self.critical[i]).mean()),
                }
            )
        return rows


def measure_layers(
    model: nn.Module,
    task: Task,
    items: int = 4,
    *,
    rules: Sequence[str] = RULES,
    refine: tuple[int, int] = (8, 16),
) -> LayerSizes:
    """Measure the layers of a network along its own states.

    Args:
        model: The network.
        task: Where the items come from (see `Task.sample`).
        items: How many, at most.
        rules: Of which the order is observed.
        refine: The two numbers of steps per layer between which orders are observed.

    Raises:
        ValueError: The network's steps are not of size 1.
    """
    exact = deepcopy(model).double()
    tokens = task.sample(items)
    with torch.no_grad():
        sizes = commuting(exact, tokens)
        growth, critical = [], []
        for step in steps_of(exact, tokens):
            growth.append(singular_values(step.map, step.before)[:, 0])
            critical.append(critical_steps(WholeLayer(step.field, step.rule), step.before))  # type: ignore[arg-type]
        return LayerSizes(sizes, torch.stack(growth), torch.stack(critical), _orders(exact, tokens, rules, refine))


def _orders(model: nn.Module, tokens: Tensor, rules: Sequence[str], refine: tuple[int, int]) -> dict[str, float]:
    start = steps_of(model, tokens[:1])[0].before
    depth: Any = operate(depth_of(model), Surgery())
    found = {}
    for rule in rules:
        errors = refinement_errors(depth, start, rule=rule, refine=refine, reference=("rk4", 4 * refine[1]))
        found[rule] = convergence_order([1 / times for times in refine], errors)
    return found
