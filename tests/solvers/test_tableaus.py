import pytest

from odelib.solvers import TABLEAUS, Tableau


@pytest.mark.parametrize(
    ("a", "b", "c", "sentence"),
    [
        (((), (0.5,)), (0.0, 1.0), (0.0,), "one entry per stage"),
        (((), (0.5, 0.5)), (0.0, 1.0), (0.0, 1.0), "row 1 of a has 2 numbers"),
        (((), (0.5,)), (0.0, 1.0), (0.0, 1.0), "make them equal"),
        (((), (0.5,)), (0.0, 0.9), (0.0, 0.5), "it must sum to 1"),
    ],
)
def test_a_tableau_that_contradicts_itself_is_refused(a, b, c, sentence):
    with pytest.raises(ValueError, match=sentence):
        Tableau("broken", 2, a=a, b=b, c=c)


@pytest.mark.parametrize("tableau", TABLEAUS.values(), ids=lambda tableau: tableau.name)
def test_order_conditions_hold_up_to_the_stated_order(tableau):
    # Hairer, Nørsett, Wanner I, table II.2.1: the conditions for the trees of up to four nodes.
    b, c, a = tableau.b, tableau.c, tableau.a
    ac = [sum(w * c[j] for j, w in enumerate(row)) for row in a]
    ac2 = [sum(w * c[j] ** 2 for j, w in enumerate(row)) for row in a]
    aac = [sum(w * ac[j] for j, w in enumerate(row)) for row in a]
    conditions = [
        (1, [1.0] * len(b), 1),
        (2, c, 1 / 2),
        (3, [x**2 for x in c], 1 / 3),
        (3, ac, 1 / 6),
        (4, [x**3 for x in c], 1 / 4),
        (4, [x * y for x, y in zip(c, ac, strict=True)], 1 / 8),
        (4, ac2, 1 / 12),
        (4, aac, 1 / 24),
    ]
    residuals = {
        order: max(
            abs(sum(w * x for w, x in zip(b, values, strict=True)) - goal)
            for o, values, goal in conditions
            if o == order
        )
        for order in (1, 2, 3, 4)
    }
    for order, residual in residuals.items():
        if order <= tableau.order:
            assert residual < 1e-15
    if tableau.order < 4:
        assert residuals[tableau.order + 1] > 1e-3, "the method is of a higher order than it says"
