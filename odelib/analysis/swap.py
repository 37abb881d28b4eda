"""What a trained model answers when its equation is solved otherwise."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from odelib.analysis.depth import swapped
from odelib.solvers import StepRule


class SwapStudy(NamedTuple):
    """Answers of a classifier under other step rules and finer steps, its weights unchanged.

    Attributes:
        accuracy: Share of right answers, (rules, refinements).
        agreement: Share of answers that are those of the model as it is, (rules, refinements).
        as_it_is: Share of right answers of the model as it is.
    """

    accuracy: Float[Tensor, "rules refinements"]
    agreement: Float[Tensor, "rules refinements"]
    as_it_is: float


def swap_study(
    model: nn.Module,
    inputs: Tensor,
    labels: Int64[Tensor, " samples"],
    *,
    rules: Sequence[str | StepRule],
    refine: Sequence[int] = (1,),
    batch_size: int = 500,
) -> SwapStudy:
    """Measure a trained classifier with each of ``rules`` at each refinement of its steps.

    A model that has learnt its equation agrees with itself under every accurate rule; one that has learnt its own
    step does not (Queiruga et al. 2020, arXiv 2008.02389).

    Args:
        model: Maps inputs (samples, ...) to logits (samples, classes); its depth is one or more `DepthBlock`. It is
            measured in evaluation mode, and comes back as it was.
        inputs: What the model takes, on its device.
        labels: The right classes, on the same device.
        rules: Step rules or their names.
        refine: How many steps to take in place of each present one.
        batch_size: Samples per batch.

    Raises:
        ValueError: The model has no depth, a rule is unknown, there is none, or a refinement is less than 1.
    """
    for name, values in (("rules", rules), ("refine", refine)):
        if not values:
            raise ValueError(f"{name} is empty: give at least one to compare the model with")
    own = _answers(model, inputs, batch_size, None, 1)
    accuracy, agreement = [], []
    for rule in rules:
        for times in refine:
            answers = _answers(model, inputs, batch_size, rule, times)
            accuracy.append((answers == labels).double().mean())
            agreement.append((answers == own).double().mean())
    shape = (len(rules), len(refine))
    return SwapStudy(
        torch.stack(accuracy).view(shape), torch.stack(agreement).view(shape), float((own == labels).double().mean())
    )


@torch.no_grad()
def _answers(
    model: nn.Module, inputs: Tensor, batch_size: int, rule: str | StepRule | None, refine: int
) -> Int64[Tensor, " samples"]:
    with swapped(model, rule, refine=refine):
        return torch.cat([model(batch).argmax(dim=1) for batch in torch.split(inputs, batch_size)])
