"""What a Butcher tableau is: an explicit Runge-Kutta method as a datum that checks itself when it is made."""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cache

from odelib.names import expect
from odelib.solvers.adaptive import as_floats

_ROUNDING = 1e-12

Pairs = tuple[tuple[int, float], ...]
Rows = tuple[tuple[float, Pairs], ...]
Weights = tuple[tuple[float, ...], ...]


def pairs(weights: tuple[float, ...]) -> Pairs:
    """Return (index, weight) for the weights that are not zero."""
    return tuple((i, weight) for i, weight in enumerate(weights) if weight != 0.0)


def rows_of(nodes: tuple[float, ...], weights: Weights) -> Rows:
    """Return the time of each stage and the pairs of its row."""
    return tuple((node, pairs(row)) for node, row in zip(nodes, weights, strict=True))


def error_weights(b: tuple[float, ...], other: tuple[float, ...]) -> tuple[float, ...]:
    """Return the weights of an embedded error estimate, ``b`` error_weights those of the second method."""
    return tuple(x - y for x, y in zip(b, other, strict=True))


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
        b_dense: Dense output: y(t + theta h) = y + h sum_i b_i(theta) k_i, where row i holds the coefficients of theta,
            theta^2, ... in b_i(theta); b_i(1) = b_i. The rows of the stages come first, then those of ``a_dense``.
        a_dense: Further stages that dense output alone needs, to be evaluated in steps that contain an output; row i
            holds the weights of the stages and of the i further ones before it.
        c_dense: Their times in units of the step.
        dense_order: Order of the dense output, as of a method: the error within one step falls as h^(q + 1).

    Raises:
        ValueError: The numbers contradict each other.
        TypeError: They are no numbers.
    """

    name: str
    order: int
    a: Weights
    b: tuple[float, ...]
    c: tuple[float, ...]
    b_error: tuple[float, ...] | None = None
    embedded_order: int = 0
    b_dense: Weights | None = None
    a_dense: Weights = ()
    c_dense: tuple[float, ...] = ()
    dense_order: int = 0
    stage_pairs: Rows = field(init=False, repr=False, compare=False)
    """For each stage after the first: its time c_i and the (stage, weight) pairs of row i that are not zero."""
    inner_pairs: Rows = field(init=False, repr=False, compare=False)
    """The same for those stages alone that the result needs."""
    result_pairs: Pairs = field(init=False, repr=False, compare=False)
    """The (stage, weight) pairs of ``b`` that are not zero."""
    error_pairs: Pairs = field(init=False, repr=False, compare=False)
    """The same of ``b_error``; empty where there is none."""
    dense_pairs: Rows = field(init=False, repr=False, compare=False)
    """The time and the pairs of each row of ``a_dense``, as `stage_pairs` has them of ``a``."""
    _dense_from_end: Weights = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        expect(self, "a whole number", "order", "embedded_order", "dense_order")
        # Tuples of floats of whatever came, lists and arrays too: rules are compared and kept by their tableaus.
        for name in ("b", "c", "b_error", "c_dense"):
            if getattr(self, name) is not None:
                vars(self)[name] = as_floats(getattr(self, name), f"{name} of a tableau")
        for name in ("a", "b_dense", "a_dense"):
            rows, what = getattr(self, name), f"{name} of a tableau"
            if name == "a" or rows is not None:
                rows = rows if isinstance(rows, Iterable) else as_floats(rows, what)
                vars(self)[name] = tuple(as_floats(row, f"a row of {what}") for row in rows)
        sizes = (len(self.a), len(self.b), len(self.c))
        if len(set(sizes)) != 1 or (self.b_error is not None and len(self.b_error) != len(self.b)):
            raise ValueError(
                f"tableau {self.name!r}: a has {sizes[0]} rows, b {sizes[1]} and c {sizes[2]} numbers; "
                "give all of them, and b_error, one entry per stage"
            )
        self._must_be_explicit("a", self.a, self.c, 0)
        self._must_sum("b", self.b, 1.0)
        if self.b_error is not None:
            self._must_sum("b_error", self.b_error, 0.0)
        self._check_dense()
        # The loops run over these: zeros would cost an operation on the state each.
        after_first, further = rows_of(self.c, self.a)[1:], rows_of(self.c_dense, self.a_dense)
        vars(self).update(stage_pairs=after_first, inner_pairs=after_first[: self.evaluations - 1], dense_pairs=further)
        vars(self).update(result_pairs=pairs(self.b), error_pairs=pairs(self.b_error or ()))
        vars(self).update(_dense_from_end=tuple(map(_from_end, self.b_dense or ())))

    def _check_dense(self) -> None:
        rows, further = len(self.b_dense or ()), len(self.a_dense)
        if len(self.c_dense) != further or (further and self.b_dense is None):
            raise ValueError(
                f"tableau {self.name!r}: a_dense has {further} rows, c_dense {len(self.c_dense)} numbers and b_dense "
                f"{rows} rows: give one entry of each per further stage"
            )
        self._must_be_explicit("a_dense", self.a_dense, self.c_dense, self.stages)
        if self.b_dense is None:
            return
        if rows != self.stages + further:
            raise ValueError(
                f"tableau {self.name!r}: b_dense has {rows} rows for {self.stages + further} stages: "
                "give one row per stage"
            )
        for i, (row, weight) in enumerate(zip(self.b_dense, self._all_weights, strict=True)):
            self._must_sum(f"row {i} of b_dense", row, weight)

    def _must_be_explicit(self, what: str, rows: Weights, nodes: tuple[float, ...], before: int) -> None:
        for i, (row, node) in enumerate(zip(rows, nodes, strict=True)):
            if (wanted := before + i) != len(row):
                raise ValueError(
                    f"tableau {self.name!r}: row {i} of {what} has {len(row)} numbers, an explicit method has {wanted}"
                )
            self._must_sum(f"row {i} of {what}", row, node)

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
    def dense_fsal(self) -> bool:
        """Whether the first of the further stages is the field at the result: the next step can begin with it."""
        return self.c_dense[:1] == (1.0,) and self.a_dense[0] == self.b

    @property
    def evaluations(self) -> int:
        """Field evaluations per step on a fixed grid, where a last stage that only begins the next step is left out."""
        return self.stages - 1 if self.fsal else self.stages

    def dense_weights(self, theta: float) -> Pairs:
        """Return the (stage, weight) pairs of the dense output at t + theta h, theta in [0, 1].

        Stages beyond `stages` are the further ones of `dense_pairs`. At 0 no pair is left, at 1 those of ``b`` are.
        """
        if self.b_dense is None:
            raise ValueError(f"tableau {self.name!r} has no dense output: take a step of size theta h instead")
        if theta <= 0.5:
            return pairs(tuple(theta * _horner(row, theta) for row in self.b_dense))
        # About the nearer end, since the coefficients of a high order are large and cancel at the other.
        rows = zip(self._all_weights, self._dense_from_end, strict=True)
        return pairs(tuple(weight + (theta - 1.0) * _horner(row, theta - 1.0) for weight, row in rows))

    @property
    def _all_weights(self) -> tuple[float, ...]:
        """Weights in the result of the stages and the further ones, which have none."""
        return (*self.b, *(0.0 for _ in self.a_dense))

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


def _from_end(row: tuple[float, ...]) -> tuple[float, ...]:
    """Return the coefficients of theta - 1, (theta - 1)^2, ... of sum_k row_k theta^k, to the last digit."""
    powers = range(1, len(row) + 1)
    return tuple(float(sum(Fraction(x) * math.comb(k, j) for k, x in zip(powers, row, strict=True))) for j in powers)
