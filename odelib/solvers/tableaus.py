"""Butcher tableaus: an explicit Runge-Kutta method is a datum, checked when it is made.

The coefficients are the authors'. Textbook: Hairer, Nørsett, Wanner, *Solving Ordinary Differential Equations I*
(1993), chapter II.
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
        b_error: Weights of an embedded error estimate, b minus those of a second method; they sum to 0.
        embedded_order: Order of that second method.

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


def _minus(b: tuple[float, ...], other: tuple[float, ...]) -> tuple[float, ...]:
    return tuple(x - y for x, y in zip(b, other, strict=True))


_EULER = Tableau("euler", 1, a=((),), b=(1.0,), c=(0.0,))
_MIDPOINT = Tableau("midpoint", 2, a=((), (1 / 2,)), b=(0.0, 1.0), c=(0.0, 1 / 2))
_HEUN = Tableau("heun", 2, a=((), (1.0,)), b=(1 / 2, 1 / 2), c=(0.0, 1.0), b_error=(-1 / 2, 1 / 2), embedded_order=1)
# Ralston 1962: the two-stage method of second order with the least bound on the local error.
_RALSTON = Tableau("ralston", 2, a=((), (2 / 3,)), b=(1 / 4, 3 / 4), c=(0.0, 2 / 3))
_HEUN3 = Tableau("heun3", 3, a=((), (1 / 3,), (0.0, 2 / 3)), b=(1 / 4, 0.0, 3 / 4), c=(0.0, 1 / 3, 2 / 3))
# Shu and Osher 1988: strong-stability-preserving.
_SSPRK3 = Tableau("ssprk3", 3, a=((), (1.0,), (1 / 4, 1 / 4)), b=(1 / 6, 1 / 6, 2 / 3), c=(0.0, 1.0, 1 / 2))
_RK4 = Tableau(
    "rk4",
    4,
    a=((), (1 / 2,), (0.0, 1 / 2), (0.0, 0.0, 1.0)),
    b=(1 / 6, 1 / 3, 1 / 3, 1 / 6),
    c=(0.0, 1 / 2, 1 / 2, 1.0),
)
# Kutta's 3/8 rule; torchdiffeq calls it rk4.
_RK38 = Tableau(
    "rk38",
    4,
    a=((), (1 / 3,), (-1 / 3, 1.0), (1.0, -1.0, 1.0)),
    b=(1 / 8, 3 / 8, 3 / 8, 1 / 8),
    c=(0.0, 1 / 3, 2 / 3, 1.0),
)
# Bogacki and Shampine 1989.
_BOSH3 = Tableau(
    "bosh3",
    3,
    a=((), (1 / 2,), (0.0, 3 / 4), (2 / 9, 1 / 3, 4 / 9)),
    b=(2 / 9, 1 / 3, 4 / 9, 0.0),
    c=(0.0, 1 / 2, 3 / 4, 1.0),
    b_error=_minus((2 / 9, 1 / 3, 4 / 9, 0.0), (7 / 24, 1 / 4, 1 / 3, 1 / 8)),
    embedded_order=2,
)
# Fehlberg 1969, continued with the result of fifth order.
_FEHLBERG45 = Tableau(
    "fehlberg45",
    5,
    a=(
        (),
        (1 / 4,),
        (3 / 32, 9 / 32),
        (1932 / 2197, -7200 / 2197, 7296 / 2197),
        (439 / 216, -8.0, 3680 / 513, -845 / 4104),
        (-8 / 27, 2.0, -3544 / 2565, 1859 / 4104, -11 / 40),
    ),
    b=(16 / 135, 0.0, 6656 / 12825, 28561 / 56430, -9 / 50, 2 / 55),
    c=(0.0, 1 / 4, 3 / 8, 12 / 13, 1.0, 1 / 2),
    b_error=_minus(
        (16 / 135, 0.0, 6656 / 12825, 28561 / 56430, -9 / 50, 2 / 55),
        (25 / 216, 0.0, 1408 / 2565, 2197 / 4104, -1 / 5, 0.0),
    ),
    embedded_order=4,
)
# Cash and Karp 1990.
_CASH_KARP = Tableau(
    "cash-karp",
    5,
    a=(
        (),
        (1 / 5,),
        (3 / 40, 9 / 40),
        (3 / 10, -9 / 10, 6 / 5),
        (-11 / 54, 5 / 2, -70 / 27, 35 / 27),
        (1631 / 55296, 175 / 512, 575 / 13824, 44275 / 110592, 253 / 4096),
    ),
    b=(37 / 378, 0.0, 250 / 621, 125 / 594, 0.0, 512 / 1771),
    c=(0.0, 1 / 5, 3 / 10, 3 / 5, 1.0, 7 / 8),
    b_error=_minus(
        (37 / 378, 0.0, 250 / 621, 125 / 594, 0.0, 512 / 1771),
        (2825 / 27648, 0.0, 18575 / 48384, 13525 / 55296, 277 / 14336, 1 / 4),
    ),
    embedded_order=4,
)
_DOPRI5_B = (35 / 384, 0.0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84)
# Dormand and Prince 1980.
_DOPRI5 = Tableau(
    "dopri5",
    5,
    a=(
        (),
        (1 / 5,),
        (3 / 40, 9 / 40),
        (44 / 45, -56 / 15, 32 / 9),
        (19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729),
        (9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656),
        _DOPRI5_B,
    ),
    b=(*_DOPRI5_B, 0.0),
    c=(0.0, 1 / 5, 3 / 10, 4 / 5, 8 / 9, 1.0, 1.0),
    b_error=_minus(
        (*_DOPRI5_B, 0.0),
        (5179 / 57600, 0.0, 7571 / 16695, 393 / 640, -92097 / 339200, 187 / 2100, 1 / 40),
    ),
    embedded_order=4,
)
_TSIT5_B = (
    0.09646076681806523,
    0.01,
    0.4798896504144996,
    1.379008574103742,
    -3.290069515436081,
    2.324710524099774,
)
# Tsitouras 2011.
_TSIT5 = Tableau(
    "tsit5",
    5,
    a=(
        (),
        (0.161,),
        (-0.008480655492356989, 0.335480655492357),
        (2.8971530571054935, -6.359448489975075, 4.3622954328695815),
        (5.325864828439257, -11.748883564062828, 7.4955393428898365, -0.09249506636175525),
        (5.86145544294642, -12.92096931784711, 8.159367898576159, -0.071584973281401, -0.028269050394068383),
        _TSIT5_B,
    ),
    b=(*_TSIT5_B, 0.0),
    c=(0.0, 0.161, 0.327, 0.9, 0.9800255409045097, 1.0, 1.0),
    b_error=(
        -0.00178001105222577714,
        -0.0008164344596567469,
        0.007880878010261995,
        -0.1447110071732629,
        0.5823571654525552,
        -0.45808210592918697,
        0.015151515151515152,
    ),
    embedded_order=4,
)
_DOPRI8_B = (
    14005451 / 335480064,
    0.0,
    0.0,
    0.0,
    0.0,
    -59238493 / 1068277825,
    181606767 / 758867731,
    561292985 / 797845732,
    -1041891430 / 1371343529,
    760417239 / 1151165299,
    118820643 / 751138087,
    -528747749 / 2220607170,
    1 / 4,
)
_DOPRI8_B7 = (
    13451932 / 455176623,
    0.0,
    0.0,
    0.0,
    0.0,
    -808719846 / 976000145,
    1757004468 / 5645159321,
    656045339 / 265891186,
    -3867574721 / 1518517206,
    465885868 / 322736535,
    53011238 / 667516719,
    2 / 45,
    0.0,
)
# Prince and Dormand 1981, RK8(7)13M; the published fractions are themselves rounded, to about 1e-16.
_DOPRI8 = Tableau(
    "dopri8",
    8,
    a=(
        (),
        (1 / 18,),
        (1 / 48, 1 / 16),
        (1 / 32, 0.0, 3 / 32),
        (5 / 16, 0.0, -75 / 64, 75 / 64),
        (3 / 80, 0.0, 0.0, 3 / 16, 3 / 20),
        (
            29443841 / 614563906,
            0.0,
            0.0,
            77736538 / 692538347,
            -28693883 / 1125000000,
            23124283 / 1800000000,
        ),
        (
            16016141 / 946692911,
            0.0,
            0.0,
            61564180 / 158732637,
            22789713 / 633445777,
            545815736 / 2771057229,
            -180193667 / 1043307555,
        ),
        (
            39632708 / 573591083,
            0.0,
            0.0,
            -433636366 / 683701615,
            -421739975 / 2616292301,
            100302831 / 723423059,
            790204164 / 839813087,
            800635310 / 3783071287,
        ),
        (
            246121993 / 1340847787,
            0.0,
            0.0,
            -37695042795 / 15268766246,
            -309121744 / 1061227803,
            -12992083 / 490766935,
            6005943493 / 2108947869,
            393006217 / 1396673457,
            123872331 / 1001029789,
        ),
        (
            -1028468189 / 846180014,
            0.0,
            0.0,
            8478235783 / 508512852,
            1311729495 / 1432422823,
            -10304129995 / 1701304382,
            -48777925059 / 3047939560,
            15336726248 / 1032824649,
            -45442868181 / 3398467696,
            3065993473 / 597172653,
        ),
        (
            185892177 / 718116043,
            0.0,
            0.0,
            -3185094517 / 667107341,
            -477755414 / 1098053517,
            -703635378 / 230739211,
            5731566787 / 1027545527,
            5232866602 / 850066563,
            -4093664535 / 808688257,
            3962137247 / 1805957418,
            65686358 / 487910083,
        ),
        (
            403863854 / 491063109,
            0.0,
            0.0,
            -5068492393 / 434740067,
            -411421997 / 543043805,
            652783627 / 914296604,
            11173962825 / 925320556,
            -13158990841 / 6184727034,
            3936647629 / 1978049680,
            -160528059 / 685178525,
            248638103 / 1413531060,
            0.0,
        ),
    ),
    b=_DOPRI8_B,
    c=(
        0.0,
        1 / 18,
        1 / 12,
        1 / 8,
        5 / 16,
        3 / 8,
        59 / 400,
        93 / 200,
        5490023248 / 9719169821,
        13 / 20,
        1201146811 / 1299019798,
        1.0,
        1.0,
    ),
    b_error=_minus(_DOPRI8_B, _DOPRI8_B7),
    embedded_order=7,
)

TABLEAUS: dict[str, Tableau] = {
    tableau.name: tableau
    for tableau in (
        _EULER,
        _MIDPOINT,
        _HEUN,
        _RALSTON,
        _HEUN3,
        _SSPRK3,
        _RK4,
        _RK38,
        _BOSH3,
        _FEHLBERG45,
        _CASH_KARP,
        _TSIT5,
        _DOPRI5,
        _DOPRI8,
    )
}
"""The explicit Runge-Kutta methods by name."""
