"""Another solver on trained weights: other rules, smaller steps, or steps that adapt to a tolerance."""

from jaxtyping import Float
from torch import Tensor, nn

from odelib.layers import DepthBlock
from odelib.layers.context import Context
from odelib.solvers import Adaptive, solve


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
    if tolerance is None:
        for depth in _blocks(model):
            depth.swap(step_rule, refine=refine)
        return model
    if refine != 1:
        raise ValueError(f"refine is {refine} and tolerance is {tolerance:g}: give one of the two")
    steps = Adaptive(rtol=tolerance, atol=tolerance)
    for name, block in list(model.named_children()):
        if isinstance(block, DepthBlock):
            setattr(model, name, AdaptiveDepth(block, step_rule or "tsit5", steps))
    return model


def rule_of(model: nn.Module) -> str:
    """Name of the step rule by which a model is integrated."""
    adaptive = [module.rule for module in model.modules() if isinstance(module, AdaptiveDepth)]
    return adaptive[0] if adaptive else _blocks(model)[0].rule.name


def _blocks(model: nn.Module) -> list[DepthBlock]:
    return [module for module in model.modules() if isinstance(module, DepthBlock)]


class AdaptiveDepth(nn.Module):
    """A depth block whose every interval is solved with adaptive steps, for measuring, not for training.

    Input and output: (batch, tokens, dim). A batch is one system: its samples share their steps.

    Args:
        block: Fields and schedule.
        rule: A step rule with an error estimate.
        steps: Tolerances and controller.
    """

    def __init__(self, block: DepthBlock, rule: str, steps: Adaptive) -> None:
        super().__init__()
        self.block, self.rule, self.steps = block, rule, steps
        self._evaluations, self._calls = 0.0, 0

    @property
    def nfe(self) -> float:
        """Field evaluations per forward pass, rejected steps counted: the mean over all passes so far."""
        return self._evaluations / max(self._calls, 1)

    def forward(
        self,
        x: Float[Tensor, "batch tokens dim"],
        record: list[Tensor] | None = None,
        *,
        context: Context | None = None,
        memory: Context | None = None,
    ) -> Float[Tensor, "batch tokens dim"]:
        """Return the state at the end of depth; the arguments are as for `DepthBlock`, and nothing is recorded."""
        length = self.block.schedule.length
        for i in range(self.block.schedule.intervals):
            field = self.block._field(i, context, memory)
            solution = solve(field, x, (i * length, (i + 1) * length), rule=self.rule, steps=self.steps)
            x = solution.ys[-1]
            self._evaluations += solution.stats.nfe
        self._calls += 1
        return x
