"""Another solver on trained weights: other rules, smaller steps, or steps that adapt to a tolerance."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from statistics import fmean

from torch import nn

from odelib.layers import DepthBlock
from odelib.solvers import Adaptive


def swap(
    model: nn.Module, step_rule: str | None = None, *, refine: int = 1, tolerance: float | None = None
) -> nn.Module:
    """Change how the depth of a model is integrated; weights and time stay.

    Args:
        model: A model of this package; it is changed.
        step_rule: The new step rule; None keeps the present one, or takes tsit5 where there is a tolerance.
        refine: Take this many times as many steps, each smaller by the same factor.
        tolerance: Adapt the steps within each interval, so that the error estimate of each step stays below this,
            absolute and relative to the state, instead of taking equal steps.

    Returns:
        The same model.

    Raises:
        ValueError: The rule is unknown, ``refine`` is less than 1, the tolerance is not positive, or the rule has no
            error estimate to adapt by.
    """
    if tolerance is not None and refine != 1:
        raise ValueError(f"refine is {refine} and tolerance is {tolerance:g}: give one of the two")
    for block in _blocks(model):
        if tolerance is None:
            block.swap(step_rule, refine=refine)
        else:
            steps = Adaptive(rtol=tolerance, atol=tolerance)
            block.swap(step_rule or "tsit5", steps=steps, gradient="backprop")
    return model


def rule_of(model: nn.Module) -> str:
    """Name of the step rule by which a model is integrated."""
    return _blocks(model)[0].rule.name


@contextmanager
def mean_nfe(model: nn.Module) -> Iterator[Callable[[], float]]:
    """Context that yields a function: the mean field evaluations of the forward passes in it, rejected steps counted.

    Steps that adapt differ from pass to pass.
    """
    blocks = _blocks(model)
    spent: list[list[float]] = [[] for _ in blocks]
    hooks = [
        block.register_forward_hook(lambda block, inputs, output, seen=seen: seen.append(block.nfe))
        for block, seen in zip(blocks, spent, strict=True)
    ]
    try:
        yield lambda: sum(fmean(seen) for seen in spent if seen)
    finally:
        for hook in hooks:
            hook.remove()


def _blocks(model: nn.Module) -> list[DepthBlock]:
    return [module for module in model.modules() if isinstance(module, DepthBlock)]
