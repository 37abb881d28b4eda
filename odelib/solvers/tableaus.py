"""The explicit Runge-Kutta methods, as data; those of order above five stand in `odelib.solvers.tableaus_high`.

The coefficients are the authors'. Textbook: Hairer, Nørsett, Wanner, *Solving Ordinary Differential Equations I*
(1993), chapter II.
"""

from odelib.solvers.tableau import Tableau, error_weights
from odelib.solvers.tableaus_high import DOPRI8

_EULER = Tableau("euler", 1, a=((),), b=(1.0,), c=(0.0,))
_MIDPOINT = Tableau("midpoint", 2, a=((), (1 / 2,)), b=(0.0, 1.0), c=(0.0, 1 / 2))
_HEUN = Tableau(
    "heun",
    2,
    a=((), (1.0,)),
    b=(1 / 2, 1 / 2),
    c=(0.0, 1.0),
    b_error=(-1 / 2, 1 / 2),
    embedded_order=1,
    # The one quadratic that order 2 allows.
    b_dense=((1.0, -1 / 2), (0.0, 1 / 2)),
    dense_order=2,
)
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
    b_error=error_weights((2 / 9, 1 / 3, 4 / 9, 0.0), (7 / 24, 1 / 4, 1 / 3, 1 / 8)),
    embedded_order=2,
    # Cubic Hermite interpolation between the two ends: its order is the method's own.
    b_dense=((1.0, -4 / 3, 5 / 9), (0.0, 1.0, -2 / 3), (0.0, 4 / 3, -8 / 9), (0.0, -1.0, 1.0)),
    dense_order=3,
)
# Dense output of order 4 of the two methods of fifth order that follow: their stages allow order 3, and with the field
# at the result, with which the next step begins anyhow, order 4 (see Enright, Jackson, Nørsett, Thomsen, *Interpolants
# for Runge-Kutta formulas*, ACM TOMS 12, 1986). Of the quartics with a continuous derivative, the one whose error of
# order 5 is least in the mean over theta.
_FEHLBERG45_B = (16 / 135, 0.0, 6656 / 12825, 28561 / 56430, -9 / 50, 2 / 55)
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
    b=_FEHLBERG45_B,
    c=(0.0, 1 / 4, 3 / 8, 12 / 13, 1.0, 1 / 2),
    b_error=error_weights(_FEHLBERG45_B, (25 / 216, 0.0, 1408 / 2565, 2197 / 4104, -1 / 5, 0.0)),
    embedded_order=4,
    b_dense=(
        (1.0, -253031 / 101160, 375809 / 151740, -9631 / 11240),
        (0.0, 0.0, 0.0, 0.0),
        (0.0, 5951488 / 1201275, -28227584 / 3603825, 1360384 / 400425),
        (0.0, -73795033 / 21142440, 285590227 / 31713660, -35299199 / 7047480),
        (0.0, 16729 / 14050, -21787 / 7025, 12158 / 7025),
        (0.0, -25552 / 15455, 53352 / 15455, -27238 / 15455),
        (0.0, 3 / 2, -4.0, 5 / 2),
    ),
    a_dense=(_FEHLBERG45_B,),
    c_dense=(1.0,),
    dense_order=4,
)
_CASH_KARP_B = (37 / 378, 0.0, 250 / 621, 125 / 594, 0.0, 512 / 1771)
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
    b=_CASH_KARP_B,
    c=(0.0, 1 / 5, 3 / 10, 3 / 5, 1.0, 7 / 8),
    b_error=error_weights(_CASH_KARP_B, (2825 / 27648, 0.0, 18575 / 48384, 13525 / 55296, 277 / 14336, 1 / 4)),
    embedded_order=4,
    b_dense=(
        (1.0, -10405 / 3843, 32357 / 11529, -855 / 854),
        (0.0, 0.0, 0.0, 0.0),
        (0.0, 308500 / 88389, -1424000 / 265167, 67250 / 29463),
        (0.0, 5875 / 24156, 12875 / 36234, -3125 / 8052),
        (0.0, 235 / 1708, -235 / 854, 235 / 1708),
        (0.0, -287744 / 108031, 700416 / 108031, -381440 / 108031),
        (0.0, 3 / 2, -4.0, 5 / 2),
    ),
    a_dense=(_CASH_KARP_B,),
    c_dense=(1.0,),
    dense_order=4,
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
    b_error=error_weights(
        (*_DOPRI5_B, 0.0),
        (5179 / 57600, 0.0, 7571 / 16695, 393 / 640, -92097 / 339200, 187 / 2100, 1 / 40),
    ),
    embedded_order=4,
    # Hairer, Nørsett, Wanner, formula (II.6.12), multiplied out.
    b_dense=(
        (1.0, -4034104133 / 1410260304, 105330401 / 33982176, -13107642775 / 11282082432, 6542295 / 470086768),
        (0.0, 0.0, 0.0, 0.0, 0.0),
        (
            0.0,
            132343189600 / 32700410799,
            -833316000 / 131326951,
            91412856700 / 32700410799,
            -523383600 / 10900136933,
        ),
        (0.0, -115792950 / 29380423, 185270875 / 16991088, -12653452475 / 1880347072, 98134425 / 235043384),
        (
            0.0,
            70805911779 / 24914598704,
            -4531260609 / 600351776,
            988140236175 / 199316789632,
            -14307999165 / 24914598704,
        ),
        (0.0, -331320693 / 205662961, 31361737 / 7433601, -2426908385 / 822651844, 97305120 / 205662961),
        (0.0, 44764047 / 29380423, -1532549 / 353981, 90730570 / 29380423, -8293050 / 29380423),
    ),
    dense_order=4,
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
    # The interpolant of the same paper, multiplied out.
    b_dense=(
        (1.0, -2.763706197274826, 2.9132554618219126, -1.0530884977290216),
        (0.0, 0.13169999999999998, -0.2234, 0.1017),
        (0.0, 3.9302962368947516, -5.941033872131505, 2.490627285651253),
        (-0.0, -12.411077166933676, 30.33818863028232, -16.548102889244902),
        (0.0, 37.50931341651104, -88.1789048947664, 47.37952196281928),
        (-0.0, -27.896526289197286, 65.09189467479366, -34.87065786149661),
        (0.0, 1.5, -4.0, 2.5),
    ),
    dense_order=4,
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
        DOPRI8,
    )
}
"""The explicit Runge-Kutta methods by name."""
