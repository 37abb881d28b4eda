"""Butcher tableaus: an explicit Runge-Kutta method is a datum, checked when it is made.

Source of the methods: Hairer, Nørsett, Wanner, *Solving Ordinary Differential Equations I* (1993), II.1.
"""

import math
from dataclasses import dataclass

_ROUNDING = 1e-12


@dataclass(frozen=True)
class Tableau:
    """An explicit Runge-Kutta method: k_i = f(t + c_i h, y + h sum_j a_ij k_j), y' = y + h sum_i b_i k_i.

    Attributes:
        name: The name by which the method is asked for.
        order: Order of convergence p: the global error falls as h^p.
        a: Strictly lower triangular stage weights; row i holds i numbers.
        b: Weights of the stages in the result; they sum to 1.
        c: Stage times in units of the step; c_i is the sum of row i of ``a``.

    Raises:
        ValueError: The numbers contradict each other.
    """

    name: str
    order: int
    a: tuple[tuple[float, ...], ...]
    b: tuple[float, ...]
    c: tuple[float, ...]

    def __post_init__(self) -> None:
        sizes = (len(self.a), len(self.b), len(self.c))
        if len(set(sizes)) != 1:
            raise ValueError(
                f"tableau {self.name!r}: a has {sizes[0]} rows, b {sizes[1]} and c {sizes[2]} numbers; "
                "give all three one entry per stage"
            )
        for i, (row, node) in enumerate(zip(self.a, self.c, strict=True)):
            if len(row) != i:
                raise ValueError(
                    f"tableau {self.name!r}: row {i} of a has {len(row)} numbers, an explicit method has {i}"
                )
            if not math.isclose(math.fsum(row), node, abs_tol=_ROUNDING):
                raise ValueError(
                    f"tableau {self.name!r}: row {i} of a sums to {math.fsum(row)!r} but c is {node!r}; make them equal"
                )
        if not math.isclose(math.fsum(self.b), 1.0, abs_tol=_ROUNDING):
            raise ValueError(f"tableau {self.name!r}: b sums to {math.fsum(self.b)!r}, it must sum to 1")

    @property
    def stages(self) -> int:
        """Number of field evaluations per step."""
        return len(self.b)


TABLEAUS: dict[str, Tableau] = {
    tableau.name: tableau
    for tableau in (
        Tableau("euler", 1, a=((),), b=(1.0,), c=(0.0,)),
        Tableau("midpoint", 2, a=((), (1 / 2,)), b=(0.0, 1.0), c=(0.0, 1 / 2)),
        Tableau("heun", 2, a=((), (1.0,)), b=(1 / 2, 1 / 2), c=(0.0, 1.0)),
        Tableau(
            "rk4",
            4,
            a=((), (1 / 2,), (0.0, 1 / 2), (0.0, 0.0, 1.0)),
            b=(1 / 6, 1 / 3, 1 / 3, 1 / 6),
            c=(0.0, 1 / 2, 1 / 2, 1.0),
        ),
    )
}
"""The explicit Runge-Kutta methods by name: Euler, explicit midpoint, Heun's second-order method, classic RK4."""
