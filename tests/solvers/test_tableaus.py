import math
from functools import cache

import pytest

from odelib.solvers import TABLEAUS, Tableau


@pytest.mark.parametrize(
    ("numbers", "sentence"),
    [
        ({"a": ((), (0.5,)), "b": (0.0, 1.0), "c": (0.0,)}, "one entry per stage"),
        ({"a": ((), (0.5,)), "b": (0.0, 1.0), "c": (0.0, 0.5), "b_error": (0.0,)}, "one entry per stage"),
        ({"a": ((), (0.5, 0.5)), "b": (0.0, 1.0), "c": (0.0, 1.0)}, "row 1 of a has 2 numbers"),
        ({"a": ((), (0.5,)), "b": (0.0, 1.0), "c": (0.0, 1.0)}, "row 1 of a sums to 0.5"),
        ({"a": ((), (0.5,)), "b": (0.0, 0.9), "c": (0.0, 0.5)}, "b sums to 0.9, it must sum to 1.0"),
        ({"a": ((), (0.5,)), "b": (0.0, 1.0), "c": (0.0, 0.5), "b_error": (0.5, 0.0)}, "b_error sums to 0.5"),
    ],
)
def test_a_tableau_that_contradicts_itself_is_refused(numbers, sentence):
    with pytest.raises(ValueError, match=sentence):
        Tableau("broken", 2, **numbers)


@cache
def rooted_trees(nodes):
    """All rooted trees of so many nodes, each the sorted tuple of its root's subtrees."""
    if nodes == 1:
        return frozenset({()})
    return frozenset(forests(nodes - 1, nodes - 1))


def forests(nodes, largest):
    if nodes == 0:
        yield ()
    for size in range(min(nodes, largest), 0, -1):
        for tree in rooted_trees(size):
            for rest in forests(nodes - size, size):
                yield tuple(sorted((tree, *rest)))


def size(tree):
    return 1 + sum(size(branch) for branch in tree)


def density(tree):
    return size(tree) * math.prod(density(branch) for branch in tree)


def stage_weights(tableau, tree):
    values = [1.0] * tableau.stages
    for branch in tree:
        inner = stage_weights(tableau, branch)
        sums = [math.fsum(a * x for a, x in zip(row, inner, strict=False)) for row in tableau.a]
        values = [x * y for x, y in zip(values, sums, strict=True)]
    return values


def order_of(tableau, b, theta=1.0):
    """The highest order whose conditions hold at t + theta h (Hairer, Nørsett, Wanner I, theorem II.2.13)."""
    for nodes in range(1, 10):
        for tree in rooted_trees(nodes):
            weight = math.fsum(x * y for x, y in zip(b, stage_weights(tableau, tree), strict=True))
            if abs(weight - theta**nodes / density(tree)) > 1e-10:
                return nodes - 1
    raise AssertionError("no method here is of order 9")


def test_there_are_as_many_rooted_trees_as_known():
    assert [len(rooted_trees(n)) for n in range(1, 9)] == [1, 1, 2, 4, 9, 20, 48, 115]


@pytest.mark.parametrize("tableau", TABLEAUS.values(), ids=lambda tableau: tableau.name)
def test_order_conditions_hold_up_to_the_stated_order_and_no_further(tableau):
    assert order_of(tableau, tableau.b) == tableau.order


@pytest.mark.parametrize("tableau", [t for t in TABLEAUS.values() if t.b_error], ids=lambda tableau: tableau.name)
def test_the_embedded_method_has_its_stated_order(tableau):
    embedded = [b - e for b, e in zip(tableau.b, tableau.b_error, strict=True)]
    assert order_of(tableau, embedded) == tableau.embedded_order < tableau.order


def test_first_same_as_last_is_found():
    assert {name for name, tableau in TABLEAUS.items() if tableau.fsal} == {"bosh3", "dopri5", "tsit5"}


DENSE = [tableau for tableau in TABLEAUS.values() if tableau.b_dense]


@pytest.mark.parametrize("theta", [0.1, 0.5, 0.77])
@pytest.mark.parametrize("tableau", DENSE, ids=lambda tableau: tableau.name)
def test_dense_output_has_its_stated_order_and_no_higher(tableau, theta):
    weights = dict(tableau.dense_weights(theta))
    assert order_of(tableau, [weights.get(i, 0.0) for i in range(tableau.stages)], theta) == tableau.dense_order


@pytest.mark.parametrize("tableau", DENSE, ids=lambda tableau: tableau.name)
def test_dense_output_meets_both_ends(tableau):
    assert dict(tableau.dense_weights(0.0)) == {}
    at_end = dict(tableau.dense_weights(1.0))
    assert [at_end.get(i, 0.0) for i in range(tableau.stages)] == pytest.approx(tableau.b, abs=1e-13)


def test_the_methods_are_those_promised():
    assert set(TABLEAUS) == set(
        "euler midpoint heun ralston heun3 ssprk3 rk4 rk38 bosh3 fehlberg45 cash-karp tsit5 dopri5 dopri8".split()
    )
    assert {tableau.name for tableau in DENSE} == {"bosh3", "dopri5", "tsit5"}
