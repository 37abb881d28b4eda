"""How depth becomes time, and how the weights depend on it."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from odelib.names import choose, expect

Basis = Callable[[float], Sequence[float]]
"""The coefficients of theta(t) = sum_j basis(t)_j theta_j, one per weight set; plain numbers."""


@dataclass(frozen=True)
class DepthSchedule:
    """How depth becomes time: intervals of length ``steps * step_size``, and weights theta(t) = sum_j b_j(t) theta_j.

    A usual network of L layers has intervals=L, steps=1, step_size=1. Weights shared by groups of D layers
    (Zhong et al. 2022) have intervals=L/D, steps=D, step_size=1.

    Attributes:
        intervals: Number of intervals.
        steps: Steps of the method in each interval.
        step_size: Step size h; a residual layer as usually written has h = 1.
        weights: The functions b_j. "piecewise": constant, one weight set per interval. "linear": linear between knots
            at the ends of the intervals, one weight set more than intervals. "fourier": b_j(t) = cos(pi j t / T), as
            many weight sets as intervals; a linear map from a Fourier embedding of t, where Tong et al. 2025
            (arXiv 2503.01329) have a perceptron from one.

    Raises:
        ValueError: A number is less than 1, the step size is not positive, or the kind of weights is unknown.
    """

    intervals: int
    steps: int = 1
    step_size: float = 1.0
    weights: str = "piecewise"

    def __post_init__(self) -> None:
        expect(self, "a whole number", "intervals", "steps")
        expect(self, "a number", "step_size")
        for name in ("intervals", "steps"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}: a depth schedule needs at least 1")
        if not self.step_size > 0.0:
            raise ValueError(f"step_size is {self.step_size}: choose a step size greater than 0")
        choose(self.weights, ("piecewise", "linear", "fourier"), "kind of weights")

    @property
    def length(self) -> float:
        """Length of one interval."""
        return self.steps * self.step_size

    @property
    def depth(self) -> float:
        """Length of the whole time interval, T = intervals * steps * step_size."""
        return self.intervals * self.steps * self.step_size

    @property
    def weight_sets(self) -> int:
        """Number of distinct weight sets."""
        return self.intervals + 1 if self.weights == "linear" else self.intervals

    def over(self, interval: int) -> tuple[range, Basis | None]:
        """Return which weight sets theta(t) is made of on an interval, and their coefficients; None for one alone."""
        if self.weights == "piecewise":
            return range(interval, interval + 1), None
        if self.weights == "linear":
            return range(interval, interval + 2), partial(_hats, self.length, interval)
        return range(self.intervals), partial(_cosines, self.depth, self.intervals)


def _hats(length: float, interval: int, t: float) -> tuple[float, float]:
    share = t / length - interval
    return 1.0 - share, share


def _cosines(depth: float, count: int, t: float) -> list[float]:
    return [math.cos(math.pi * j * t / depth) for j in range(count)]
