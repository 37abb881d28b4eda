"""Fixed grids: where their steps lie, and the two sides of a time at which a field jumps."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch

from odelib.names import choose, expect
from odelib.solvers.adaptive import as_floats


@dataclass(frozen=True)
class Grid:
    """A fixed grid that need not contain the times at which the state is wanted.

    Attributes:
        step_size: Size of the steps from the first time on; the last step ends on the last time.
        points: In place of a step size: a function that returns the grid for the given times, from the first of them
            to the last.
        interpolation: How states between two points are found: "step", a smaller step of the rule (its own order);
            "linear", as torchdiffeq does by default (order 2 in the step size); or "cubic", Hermite (order 4).
        two_sided: Whether the field may jump at the points: each step then sees a time just after its beginning and
            just before its end.

    Raises:
        ValueError: Not exactly one of step_size and points is given, or a value is out of its range.
    """

    step_size: float | None = None
    points: Callable[[Sequence[float]], Sequence[float]] | None = None
    interpolation: str = "step"
    two_sided: bool = False

    def __post_init__(self) -> None:
        choose(self.interpolation, ("step", "linear", "cubic"), "interpolation")
        if (self.step_size is None) == (self.points is None):
            raise ValueError("a grid needs a step_size or a function for its points: give exactly one of the two")
        expect(self, "a number", "step_size", optional=True)
        expect(self, "a function", "points", optional=True, called_with="times")
        expect(self, "True or False", "two_sided")
        if self.step_size is not None and not 0.0 < self.step_size < math.inf:
            raise ValueError(f"step_size is {self.step_size}: choose a size above 0, whatever the direction of time")

    def steps(self, times: Sequence[float]) -> Iterator[tuple[float, float, float]]:
        """Yield beginning, size and end of each step from times[0] to times[-1].

        Raises:
            ValueError: The function for the points does not lead from the first time to the last, one way.
        """
        start, stop = times[0], times[-1]
        if self.step_size is not None:
            if self.step_size < math.ulp(max(abs(start), abs(stop))):
                raise ValueError(
                    f"step_size is {self.step_size}, less than what tells two numbers apart at the times {start} and "
                    f"{stop}: choose a larger one"
                )
            count = max(1, math.ceil(abs(stop - start) / self.step_size - 1e-9))
            signed = math.copysign(self.step_size, stop - start)
            grid = [*(start + i * signed for i in range(count)), stop]
        else:
            assert self.points is not None
            grid = [*as_floats(self.points(times), "what points returned")]
            if not grid or grid[0] != start or grid[-1] != stop:
                raise ValueError(
                    f"the grid leads from {grid[:1]} to {grid[-1:]}, the times from {start} to {stop}: "
                    "return points that begin and end with the given times"
                )
            if not all((b - a) * (stop - start) > 0.0 for a, b in pairwise(grid)):
                raise ValueError("the points of the grid must go one way, from the first time to the last: sort them")
        yield from ((a, b - a, b) for a, b in pairwise(grid))


@dataclass(frozen=True)
class Sides:
    """Times just beside another, where a field jumps.

    Attributes:
        dtype: Precision in which the field sees its time: the side is told by the next number in it.
        sign: Direction of time.
    """

    dtype: torch.dtype
    sign: float

    def after(self, t: float) -> float:
        """Return the next time."""
        return self._next(t, self.sign)

    def before(self, t: float) -> float:
        """Return the time before."""
        return self._next(t, -self.sign)

    def _next(self, t: float, sign: float) -> float:
        # On the host, so that it compiles. First the number of the dtype nearest to t, whose own spacing then counts:
        # it may lie beyond a power of two, where the numbers are twice as far apart.
        near = round(t / self._spacing(t)) * self._spacing(t)
        return near + sign * self._spacing(near)

    def _spacing(self, t: float) -> float:
        limits = torch.finfo(self.dtype)
        return math.ldexp(limits.eps, math.frexp(t)[1] - 1) if abs(t) > limits.tiny else limits.tiny


def equal_steps(times: Sequence[float], steps: int) -> Iterator[tuple[float, float, float]]:
    """Yield beginning, size and end of ``steps`` equal steps between each two neighbouring times."""
    for start, stop in pairwise(times):
        h = (stop - start) / steps
        for i in range(steps):
            yield start + i * h, h, start + (i + 1) * h if i + 1 < steps else stop
