"""Depth as time: integrate a sequence of fields, each over its own interval."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from jaxtyping import Float
from torch import Tensor, nn

from odelib.solvers import StepRule, march, step_rule


@dataclass(frozen=True)
class DepthSchedule:
    """How depth becomes time: theta(t) is constant on each interval of length ``steps * step_size``.

    A usual network of L layers has intervals=L, steps=1, step_size=1. Weights shared by groups of D layers
    (Zhong et al. 2022) have intervals=L/D, steps=D, step_size=1.

    Attributes:
        intervals: Number of distinct weight sets.
        steps: Steps of the method in each interval.
        step_size: Step size h; a residual layer as usually written has h = 1.

    Raises:
        ValueError: A number is less than 1, or the step size is not positive.
    """

    intervals: int
    steps: int = 1
    step_size: float = 1.0

    def __post_init__(self) -> None:
        for name in ("intervals", "steps"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}: a depth schedule needs at least 1")
        if not self.step_size > 0.0:
            raise ValueError(f"step_size is {self.step_size}: choose a step size greater than 0")

    @property
    def depth(self) -> float:
        """Length of the whole time interval, T = intervals * steps * step_size."""
        return self.intervals * self.steps * self.step_size


class DepthBlock(nn.Module):
    """Integrate dx/dt = f_i(t, x) through the intervals of a schedule with one step rule.

    Input and output: (batch, tokens, dim).

    Args:
        fields: One field per interval.
        rule: Step rule or its name.
        schedule: The depth schedule; ``schedule.intervals`` is the number of fields.

    Raises:
        ValueError: The number of fields is not the number of intervals.
    """

    def __init__(self, fields: Sequence[nn.Module], rule: str | StepRule, schedule: DepthSchedule) -> None:
        super().__init__()
        if len(fields) != schedule.intervals:
            raise ValueError(
                f"{len(fields)} fields came for {schedule.intervals} intervals: give one field per interval"
            )
        self.fields = nn.ModuleList(fields)
        self.rule = step_rule(rule)
        self.schedule = schedule

    @property
    def nfe(self) -> float:
        """Field evaluations per forward pass; evaluating one of the two terms counts one half."""
        per_step = [self.rule.evaluations(len(getattr(field, "terms", (field,)))) for field in self.fields]
        return self.schedule.steps * sum(per_step)

    def swap(self, rule: str | StepRule | None = None, *, refine: int = 1) -> None:
        """Change how the same fields are integrated; the weights and the time interval stay.

        Args:
            rule: The new step rule; None keeps the present one.
            refine: Take this many times as many steps, each smaller by the same factor.

        Raises:
            ValueError: The rule is unknown, or ``refine`` is less than 1.
        """
        if refine < 1:
            raise ValueError(f"refine is {refine}: take at least 1 step in place of each present one")
        if rule is not None:
            self.rule = step_rule(rule)
        old = self.schedule
        self.schedule = replace(old, steps=old.steps * refine, step_size=old.step_size / refine)

    def forward(
        self, x: Float[Tensor, "batch tokens dim"], record: list[Tensor] | None = None
    ) -> Float[Tensor, "batch tokens dim"]:
        """Return the state at the end of depth; append the state after each step to ``record`` if it is given."""
        steps, h = self.schedule.steps, self.schedule.step_size
        for i, field in enumerate(self.fields):
            x = march(field, self.rule, x, t=i * steps * h, h=h, steps=steps, record=record)
        return x
