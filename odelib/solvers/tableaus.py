"""The explicit Runge-Kutta methods, as data.

The coefficients are the authors'. Textbook: Hairer, Nørsett, Wanner, *Solving Ordinary Differential Equations I*
(1993), chapter II.
"""

import math
import re

from odelib.solvers.tableau import Tableau, error_weights


def _row(numbers: str) -> tuple[float, ...]:
    """Return numbers such as -8, 0.161 or 3/40, with blanks between them."""
    parts = (number.partition("/") for number in numbers.split())
    return tuple(float(above) / float(below or 1) for above, _, below in parts)


def _tableau(text: str) -> Tableau:
    """Return the method of a text that is laid out as Butcher tableaus are.

    Args:
        text: The name, the order and, where there are such, those of the embedded method and of the dense output. Then
            rows ``label | numbers``: a stage by its time; b, the result's weights; b*, the embedded method's, or e, the
            error's; after these, by their times, the stages that dense output alone needs; of its polynomials in theta,
            one per stage, all coefficients (d1, d2, ...), or those that `_beyond_hermite` takes (h1, h2, ...). A line
            break is a blank as any other.
    """
    head, *parts = re.split(r"(\S+) *\|", text)
    name, *orders = head.split()
    order, embedded_order, dense_order = map(int, (*orders, 0, 0)[:3])
    rows = [(label, _row(numbers)) for label, numbers in zip(parts[::2], parts[1::2], strict=True)]
    only = dict(rows)
    b = only["b"]
    b_error = error_weights(b, only["b*"]) if "b*" in only else only.get("e")
    bumps = tuple(row for label, row in rows if label[0] == "h")
    b_dense = _beyond_hermite(b, bumps) if bumps else tuple(row for label, row in rows if label[0] == "d") or None
    a = tuple(row for label, row in rows if label[0].isdigit())
    c = tuple(_row(label)[0] for label, _ in rows if label[0].isdigit())
    n = len(b)
    return Tableau(name, order, a[:n], b, c[:n], b_error, embedded_order, b_dense, a[n:], c[n:], dense_order)


def _beyond_hermite(b: tuple[float, ...], bumps: tuple[tuple[float, ...], ...]) -> tuple[tuple[float, ...], ...]:
    """Return b_dense of cubic Hermite interpolation plus theta^2 (1 - theta)^2 times a polynomial per stage.

    Args:
        b: Weights of the stages in the result. The next stage is the field at the result.
        bumps: For each stage, also the further ones, the coefficients of 1, theta, theta^2, ... in its polynomial.
    """
    rows = []
    for i, bump in enumerate(bumps):
        first, last, weight = float(i == 0), float(i == len(b)), b[i] if i < len(b) else 0.0
        row = [first, 0.0, first - 2.0 * weight + last, *(0.0 for _ in bump)]
        # On a grid on which the sums are exact: what they would round counts far more than the digits left out here.
        for k, d in enumerate((round(x * 2.0**43) * 2.0**-43 for x in bump), 1):
            row[k] += d
            row[k + 1] -= 2.0 * d
            row[k + 2] += d
        # What is left to the weight, also after rounding.
        row[1] = 0.0
        row[1] = weight - math.fsum(row)
        rows.append(tuple(row))
    return tuple(rows)


_ROOT = math.sqrt(7.0)
_DOPRI8_B = """14005451/335480064 0 0 0 0 -59238493/1068277825 181606767/758867731 561292985/797845732
    -1041891430/1371343529 760417239/1151165299 118820643/751138087 -528747749/2220607170 1/4"""
_TEXTS = (
    "euler 1   0 |   b | 1",
    "midpoint 2   0 |   1/2 | 1/2   b | 0 1",
    # Its dense output is the one quadratic that order 2 allows.
    "heun 2 1 2   0 |   1 | 1   b | 1/2 1/2   e | -1/2 1/2   d1 | 1 -1/2   d2 | 0 1/2",
    # Ralston 1962: the two-stage method of second order with the least bound on the local error.
    "ralston 2   0 |   2/3 | 2/3   b | 1/4 3/4",
    "heun3 3   0 |   1/3 | 1/3   2/3 | 0 2/3   b | 1/4 0 3/4",
    # Shu and Osher 1988: strong-stability-preserving.
    "ssprk3 3   0 |   1 | 1   1/2 | 1/4 1/4   b | 1/6 1/6 2/3",
    "rk4 4   0 |   1/2 | 1/2   1/2 | 0 1/2   1 | 0 0 1   b | 1/6 1/3 1/3 1/6",
    # Kutta's 3/8 rule; torchdiffeq calls it rk4.
    "rk38 4   0 |   1/3 | 1/3   2/3 | -1/3 1   1 | 1 -1 1   b | 1/8 3/8 3/8 1/8",
    # Bogacki and Shampine 1989. Dense output: cubic Hermite interpolation between the two ends, whose order is the
    # method's own.
    """bosh3 3 2 3
    0   |
    1/2 |  1/2
    3/4 |    0  3/4
    1   |  2/9  1/3  4/9
    b   |  2/9  1/3  4/9   0
    b*  | 7/24  1/4  1/3 1/8
    d1  |    1 -4/3  5/9
    d2  |    0    1 -2/3
    d3  |    0  4/3 -8/9
    d4  |    0   -1    1""",
    # Dense output of order 4 of the two methods of fifth order that follow: their stages allow order 3, and with the
    # field at the result, with which the next step begins anyhow, order 4 (see Enright, Jackson, Nørsett, Thomsen,
    # *Interpolants for Runge-Kutta formulas*, ACM TOMS 12, 1986). Of the quartics with a continuous derivative, the one
    # whose error of order 5 is least in the mean over theta.
    # Fehlberg 1969, continued with the result of fifth order.
    """fehlberg45 5 4 4
    0     |
    1/4   |       1/4
    3/8   |      3/32               9/32
    12/13 | 1932/2197         -7200/2197          7296/2197
    1     |   439/216                 -8           3680/513         -845/4104
    1/2   |     -8/27                  2         -3544/2565         1859/4104 -11/40
    b     |    16/135                  0         6656/12825       28561/56430  -9/50 2/55
    b*    |    25/216                  0          1408/2565         2197/4104   -1/5    0
    1     |    16/135                  0         6656/12825       28561/56430  -9/50 2/55
    d1    |         1     -253031/101160      375809/151740       -9631/11240
    d2    |         0                  0                  0                 0
    d3    |         0    5951488/1201275  -28227584/3603825    1360384/400425
    d4    |         0 -73795033/21142440 285590227/31713660 -35299199/7047480
    d5    |         0        16729/14050        -21787/7025        12158/7025
    d6    |         0       -25552/15455        53352/15455      -27238/15455
    d7    |         0                3/2                 -4               5/2""",
    # Cash and Karp 1990.
    """cash-karp 5 4 4
    0    |
    1/5  |        1/5
    3/10 |       3/40           9/40
    3/5  |       3/10          -9/10             6/5
    1    |     -11/54            5/2          -70/27          35/27
    7/8  | 1631/55296        175/512       575/13824   44275/110592  253/4096
    b    |     37/378              0         250/621        125/594         0 512/1771
    b*   | 2825/27648              0     18575/48384    13525/55296 277/14336      1/4
    1    |     37/378              0         250/621        125/594         0 512/1771
    d1   |          1    -10405/3843     32357/11529       -855/854
    d2   |          0              0               0              0
    d3   |          0   308500/88389 -1424000/265167    67250/29463
    d4   |          0     5875/24156     12875/36234     -3125/8052
    d5   |          0       235/1708        -235/854       235/1708
    d6   |          0 -287744/108031   700416/108031 -381440/108031
    d7   |          0            3/2              -4            5/2""",
    # Tsitouras 2011; the dense output is the interpolant of the same paper, multiplied out.
    """tsit5 5 4 4
    0                  |
    0.161              | 0.161
    0.327              | -0.008480655492356989 0.335480655492357
    0.9                | 2.8971530571054935 -6.359448489975075 4.3622954328695815
    0.9800255409045097 | 5.325864828439257 -11.748883564062828 7.4955393428898365 -0.09249506636175525
    1                  | 5.86145544294642 -12.92096931784711 8.159367898576159 -0.071584973281401 -0.028269050394068383
    1                  | 0.09646076681806523 0.01 0.4798896504144996 1.379008574103742 -3.290069515436081
                         2.324710524099774
    b                  | 0.09646076681806523 0.01 0.4798896504144996 1.379008574103742 -3.290069515436081
                         2.324710524099774 0
    e                  | -0.00178001105222577714 -0.0008164344596567469 0.007880878010261995 -0.1447110071732629
                         0.5823571654525552 -0.45808210592918697 0.015151515151515152
    d1                 | 1 -2.763706197274826 2.9132554618219126 -1.0530884977290216
    d2                 | 0 0.13169999999999998 -0.2234 0.1017
    d3                 | 0 3.9302962368947516 -5.941033872131505 2.490627285651253
    d4                 | -0.0 -12.411077166933676 30.33818863028232 -16.548102889244902
    d5                 | 0 37.50931341651104 -88.1789048947664 47.37952196281928
    d6                 | -0.0 -27.896526289197286 65.09189467479366 -34.87065786149661
    d7                 | 0 1.5 -4 2.5""",
    # Dormand and Prince 1980. Dense output: Hairer, Nørsett, Wanner, formula (II.6.12), multiplied out.
    """dopri5 5 4 4
    0    |
    1/5  | 1/5
    3/10 | 3/40 9/40
    4/5  | 44/45 -56/15 32/9
    8/9  | 19372/6561 -25360/2187 64448/6561 -212/729
    1    | 9017/3168 -355/33 46732/5247 49/176 -5103/18656
    1    | 35/384 0 500/1113 125/192 -2187/6784 11/84
    b    | 35/384 0 500/1113 125/192 -2187/6784 11/84 0
    b*   | 5179/57600 0 7571/16695 393/640 -92097/339200 187/2100 1/40
    d1   | 1 -4034104133/1410260304 105330401/33982176 -13107642775/11282082432 6542295/470086768
    d2   | 0 0 0 0 0
    d3   | 0 132343189600/32700410799 -833316000/131326951 91412856700/32700410799 -523383600/10900136933
    d4   | 0 -115792950/29380423 185270875/16991088 -12653452475/1880347072 98134425/235043384
    d5   | 0 70805911779/24914598704 -4531260609/600351776 988140236175/199316789632 -14307999165/24914598704
    d6   | 0 -331320693/205662961 31361737/7433601 -2426908385/822651844 97305120/205662961
    d7   | 0 44764047/29380423 -1532549/353981 90730570/29380423 -8293050/29380423""",
    # Prince and Dormand 1981, RK8(7)13M; the published fractions are themselves rounded, to about 1e-16.
    # Dense output of order 7, computed for this library by bootstrapping (Enright, Jackson, Nørsett, Thomsen, as
    # above). The stages and the field at the result allow order 5 for every theta, and order 6 for
    # theta = 1/2 -+ sqrt(7)/14: a further stage at each of the two and then one at 1/2 give order 7. What the order
    # conditions leave free makes the error of the next order least, of each further stage and, of the dense output, in
    # the mean over theta.
    f"""dopri8 8 7 7
    0 |
    1/18 | 1/18
    1/12 | 1/48 1/16
    1/8 | 1/32 0 3/32
    5/16 | 5/16 0 -75/64 75/64
    3/8 | 3/80 0 0 3/16 3/20
    59/400 | 29443841/614563906 0 0 77736538/692538347 -28693883/1125000000 23124283/1800000000
    93/200 | 16016141/946692911 0 0 61564180/158732637 22789713/633445777 545815736/2771057229 -180193667/1043307555
    5490023248/9719169821 | 39632708/573591083 0 0 -433636366/683701615 -421739975/2616292301 100302831/723423059
            790204164/839813087 800635310/3783071287
    13/20 | 246121993/1340847787 0 0 -37695042795/15268766246 -309121744/1061227803 -12992083/490766935
            6005943493/2108947869 393006217/1396673457 123872331/1001029789
    1201146811/1299019798 | -1028468189/846180014 0 0 8478235783/508512852 1311729495/1432422823 -10304129995/1701304382
            -48777925059/3047939560 15336726248/1032824649 -45442868181/3398467696 3065993473/597172653
    1 | 185892177/718116043 0 0 -3185094517/667107341 -477755414/1098053517 -703635378/230739211 5731566787/1027545527
            5232866602/850066563 -4093664535/808688257 3962137247/1805957418 65686358/487910083
    1 | 403863854/491063109 0 0 -5068492393/434740067 -411421997/543043805 652783627/914296604 11173962825/925320556
            -13158990841/6184727034 3936647629/1978049680 -160528059/685178525 248638103/1413531060 0
    b | {_DOPRI8_B}
    b* | 13451932/455176623 0 0 0 0 -808719846/976000145 1757004468/5645159321 656045339/265891186
            -3867574721/1518517206 465885868/322736535 53011238/667516719 2/45 0
    1 | {_DOPRI8_B}
    {1 / 2 - _ROOT / 14} | 0.04523329409012489 0 0 0 0 0.06611988686525196 0.217489986809356 -0.008942441332885008
            -0.01885254435056528 0.0108514313632811 -0.0016869319583430007 0.024090495670414297 -0.010690378117386991
            -0.012595035543861563
    {1 / 2 + _ROOT / 14} | 0.04336120501988289 0 0 0 0 0.1537636206171391 0.2268453729457842 0.10858712769032512
            0.07546602953191847 0.07854677684436097 0.0047975482996273485 -0.04179438845923415 0.011507786021968678
            0.02790115799284098 0
    1/2 | 0.045823838271181666 0 0 0 0 0.11134566999746572 0.21135928208921498 0.04549468956106451 0.02322390090452384
            0.05680978853083027 0.010176575375778558 -0.02422783676102958 0.01652098564863915 0.003472252710501688
            0.06430688231317891 -0.06430602864134968
    h1 | -6.102998747353958 17.79282839260138 -23.28021984561972 11.31393555737563
    h2 | 0 0 0 0   h3 | 0 0 0 0   h4 | 0 0 0 0   h5 | 0 0 0 0
    h6 | 3.279860923344278 -5.164143924679245 -3.486423846441657 13.30856508079853
    h7 | 17.06349612405011 -70.72659226646547 108.0593906092164 -57.43507430639378
    h8 | 17.54454437706285 -108.3943924396475 218.1420671503786 -168.8425748333638
    h9 | -13.06733441079072 98.61961076084792 -217.1421209358222 182.3423216796598
    h10 | 12.5140925337554 -88.3597625192203 191.4075999081862 -158.5351337144695
    h11 | 1.233107685706138 -15.33758037903219 40.01482719134283 -37.96499516931321
    h12 | -1.563449939300987 21.96971073993028 -59.11479713798502 57.14628702970495
    h13 | 1.265348120193555 -21.95523391989048 60.95523246230013 -59.99999799066529
    h14 | 1/2 68/9 -176/9 64/3
    h15 | {-49 / 3 - 7 / 3 * _ROOT} {98 + 98 / 9 * _ROOT} {-196 - 98 / 9 * _ROOT} 392/3
    h16 | {-49 / 3 + 7 / 3 * _ROOT} {98 - 98 / 9 * _ROOT} {-196 + 98 / 9 * _ROOT} 392/3
    h17 | 0 -32 96 -64""",
)
TABLEAUS: dict[str, Tableau] = {tableau.name: tableau for tableau in map(_tableau, _TEXTS)}
"""The explicit Runge-Kutta methods by name."""
