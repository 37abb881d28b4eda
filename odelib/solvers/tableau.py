"""What a Butcher tableau is: an explicit Runge-Kutta method as a datum that checks itself when it is made."""

import math
from dataclasses import dataclass, field
from functools import cache

_ROUNDING = 1e-12

Pairs = tuple[tuple[int, float], ...]


def pairs(weights: tuple[float, ...]) -> Pairs:
    """Return (index, weight) for the weights that are not zero."""
    return tuple((i, weight) for i, weight in enumerate(weights) if weight != 0.0)


@dataclass(frozen=True)
class Tableau:
    """An explicit Runge-Kutta method: k_i = f(t + c_i h, y + h sum_j a_ij k_j), y' = y + h sum_i b_i k_i.

    Attributes:
        name: The name by which the method is asked for.
        order: Order of convergence p: the global error falls as h^p.
        a: Strictly lower triangular stage weights; row i holds i numbers.
        b: Weights of the stages in the result; they sum to 1.
        c: Stage times in units of the step; c_i is the sum of row i of ``a``.
        b_error: Weights of an embedded error estimate, b minus those of a second method; they sum to 0.
        embedded_order: Order of that second method.
        b_dense: Dense output without further evaluations: y(t + theta h) = y + h sum_i b_i(theta) k_i, where row i
            holds the coefficients of theta, theta^2, ... in b_i(theta); b_i(1) = b_i.
        dense_order: Order of that dense output.

    Raises:
        ValueError: The numbers contradict each other.
    """

    name: str
    order: int
    a: tuple[tuple[float, ...], ...]
    b: tuple[float, ...]
    c: tuple[float, ...]
    b_error: tuple[float, ...] | None = None
    embedded_order: int = 0
    b_dense: tuple[tuple[float, ...], ...] | None = None
    dense_order: int = 0
    stage_pairs: tuple[tuple[float, "Pairs"], ...] = field(init=False, repr=False, compare=False)
    """For each stage after the first: its time c_i and the (stage, weight) pairs of row i that are not zero."""
    inner_pairs: tuple[tuple[float, "Pairs"], ...] = field(init=False, repr=False, compare=False)
    """The same for those stages alone that the result needs."""
    result_pairs: "Pairs" = field(init=False, repr=False, compare=False)
    """The (stage, weight) pairs of ``b`` that are not zero."""
    error_pairs: "Pairs" = field(init=False, repr=False, compare=False)
    """The same of ``b_error``; empty where there is none."""

    def __post_init__(self) -> None:
        sizes = (len(self.a), len(self.b), len(self.c))
        if len(set(sizes)) != 1 or (self.b_error is not None and len(self.b_error) != len(self.b)):
            raise ValueError(
                f"tableau {self.name!r}: a has {sizes[0]} rows, b {sizes[1]} and c {sizes[2]} numbers; "
                "give all of them, and b_error, one entry per stage"
            )
        for i, (row, node) in enumerate(zip(self.a, self.c, strict=True)):
            if len(row) != i:
                raise ValueError(
                    f"tableau {self.name!r}: row {i} of a has {len(row)} numbers, an explicit method has {i}"
                )
            self._must_sum(f"row {i} of a", row, node)
        self._must_sum("b", self.b, 1.0)
        if self.b_error is not None:
            self._must_sum("b_error", self.b_error, 0.0)
        if self.b_dense is not None:
            if len(self.b_dense) != len(self.b):
                raise ValueError(
                    f"tableau {self.name!r}: b_dense has {len(self.b_dense)} rows for {len(self.b)} stages: "
                    "give one row per stage"
                )
            for i, (row, weight) in enumerate(zip(self.b_dense, self.b, strict=True)):
                self._must_sum(f"row {i} of b_dense", row, weight)
        # The loops run over these: zeros would cost an operation on the state each.
        object.__setattr__(self, "stage_pairs", tuple((c, pairs(a)) for c, a in zip(self.c, self.a, strict=True))[1:])
        object.__setattr__(self, "inner_pairs", self.stage_pairs[: self.evaluations - 1])
        object.__setattr__(self, "result_pairs", pairs(self.b))
        object.__setattr__(self, "error_pairs", pairs(self.b_error or ()))

    def _must_sum(self, what: str, numbers: tuple[float, ...], goal: float) -> None:
        if not math.isclose(math.fsum(numbers), goal, abs_tol=_ROUNDING):
            raise ValueError(
                f"tableau {self.name!r}: {what} sums to {math.fsum(numbers)!r}, it must sum to {goal!r}: check it"
            )

    @property
    def stages(self) -> int:
        """Number of stages."""
        return len(self.b)

    @property
    def fsal(self) -> bool:
        """Whether the last stage is the field at the result: it is then the first stage of the next step."""
        return self.c[-1] == 1.0 and self.b[-1] == 0.0 and self.a[-1] == self.b[:-1]

    @property
    def evaluations(self) -> int:
        """Field evaluations per step on a fixed grid, where a last stage that only begins the next step is left out."""
        return self.stages - 1 if self.fsal else self.stages

    def dense_weights(self, theta: float) -> Pairs:
        """Return the (stage, weight) pairs of the dense output at t + theta h, theta in [0, 1]."""
        if self.b_dense is None:
            raise ValueError(f"tableau {self.name!r} has no dense output: take a step of size theta h instead")
        return pairs(tuple(theta * _horner(row, theta) for row in self.b_dense))

    def stability(self, z: complex) -> complex:
        """Return R(z), the factor by which one step multiplies the solution of y' = (z / h) y."""
        stages: list[complex] = []
        for row in self.a:
            stages.append(1 + z * sum(weight * stage for weight, stage in zip(row, stages, strict=True)))
        return 1 + z * sum(weight * stage for weight, stage in zip(self.b, stages, strict=True))

    @property
    def real_stability(self) -> float:
        """Length of the interval of the negative real axis in which abs(R(z)) <= 1, to three decimals."""
        return _real_stability(self)


@cache
def _real_stability(tableau: Tableau) -> float:
    length = 0.0
    for step in (1e-1, 1e-2, 1e-3, 1e-4, 1e-5):
        while abs(tableau.stability(-(length + step))) <= 1.0 + _ROUNDING:
            length += step
    return round(length, 3)


def _horner(coefficients: tuple[float, ...], x: float) -> float:
    value = 0.0
    for coefficient in reversed(coefficients):
        value = value * x + coefficient
    return value
