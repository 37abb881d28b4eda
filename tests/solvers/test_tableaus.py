import math
from functools import cache

import pytest

from odelib.analysis import convergence_order
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


@cache
def stage_weights(tableau, tree):
    """The weights of a tree at all stages, then at the further ones of dense output."""
    rows = (*tableau.a, *tableau.a_dense)
    values = [1.0] * len(rows)
    for branch in tree:
        inner = stage_weights(tableau, branch)
        sums = [math.fsum(a * x for a, x in zip(row, inner, strict=False)) for row in rows]
        values = [x * y for x, y in zip(values, sums, strict=True)]
    return values


def order_of(tableau, b, theta=1.0):
    """The highest order whose conditions hold at t + theta h (Hairer, Nørsett, Wanner I, theorem II.2.13)."""
    for nodes in range(1, 10):
        for tree in rooted_trees(nodes):
            weight = math.fsum(x * y for x, y in zip(b, stage_weights(tableau, tree), strict=False))
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
THETAS = [0.1, 0.311, 0.5, 0.77, 0.95]


def dense_weights(tableau, theta):
    weights = dict(tableau.dense_weights(theta))
    return [weights.get(i, 0.0) for i in range(len(tableau.b_dense))]


@pytest.mark.parametrize("theta", THETAS)
@pytest.mark.parametrize("tableau", DENSE, ids=lambda tableau: tableau.name)
def test_dense_output_has_its_stated_order_and_no_higher(tableau, theta):
    assert order_of(tableau, dense_weights(tableau, theta), theta) == tableau.dense_order


@pytest.mark.parametrize("tableau", DENSE, ids=lambda tableau: tableau.name)
def test_dense_output_is_the_two_states_at_the_ends(tableau):
    assert tableau.dense_weights(0.0) == ()
    assert tableau.dense_weights(1.0) == tableau.result_pairs


@pytest.mark.parametrize("tableau", DENSE, ids=lambda tableau: tableau.name)
def test_dense_output_of_a_constant_field_is_the_line_to_rounding(tableau):
    for theta in (i / 100 for i in range(101)):
        assert math.fsum(dense_weights(tableau, theta)) == pytest.approx(theta, abs=2e-14)


@pytest.mark.parametrize("tableau", DENSE, ids=lambda tableau: tableau.name)
def test_dense_output_is_one_polynomial_from_both_ends(tableau):
    before, after = dense_weights(tableau, 0.5), dense_weights(tableau, math.nextafter(0.5, 1.0))
    assert before == pytest.approx(after, abs=2e-14)


@pytest.mark.parametrize("tableau", DENSE, ids=lambda tableau: tableau.name)
def test_dense_output_leaves_a_step_with_the_field_at_its_start_and_meets_it_at_its_end(tableau):
    first = [row[0] for row in tableau.b_dense]
    last = [math.fsum(k * x for k, x in enumerate(row, 1)) for row in tableau.b_dense]
    # Heun has no stage at the result: its second one, at the same time, stands for it.
    assert tableau.fsal or tableau.dense_fsal or tableau.name == "heun"
    end = tableau.stages if tableau.dense_fsal else tableau.stages - 1
    assert first == [float(i == 0) for i in range(len(first))]
    assert last == pytest.approx([float(i == end) for i in range(len(last))], abs=1e-12)


@pytest.mark.parametrize("tableau", DENSE, ids=lambda tableau: tableau.name)
def test_dense_weights_stay_as_small_as_those_of_the_stages(tableau):
    largest = max(abs(x) for theta in range(101) for x in dense_weights(tableau, theta / 100))
    assert largest <= max(abs(x) for x in tableau.b) + 0.4


def test_every_method_with_an_error_estimate_has_dense_output():
    assert {tableau.name: (tableau.dense_order, len(tableau.a_dense)) for tableau in DENSE} == {
        "heun": (2, 0),
        "bosh3": (3, 0),
        "fehlberg45": (4, 1),
        "cash-karp": (4, 1),
        "tsit5": (4, 0),
        "dopri5": (4, 0),
        "dopri8": (7, 4),
    }
    assert [tableau.name for tableau in TABLEAUS.values() if tableau.b_error] == [tableau.name for tableau in DENSE]


# Two equations with known solutions, and where they begin: the logistic one, and one with the time in the field.
KNOWN = {
    "nonlinear": (lambda t, y: y * (1.0 - y), lambda t: 1.0 / (1.0 + math.exp(-t)), -1.0),
    "non-autonomous": (lambda t, y: math.cos(t) * y, lambda t: math.exp(math.sin(t)), 0.0),
}


def dense_state(tableau, field, t, h, y, theta):
    stages = [field(t, y)]
    for node, weights in (*tableau.stage_pairs, *tableau.dense_pairs):
        stages.append(field(t + node * h, y + h * math.fsum(a * stages[i] for i, a in weights)))
    return y + h * math.fsum(b * stages[i] for i, b in tableau.dense_weights(theta))


@pytest.mark.parametrize("problem", KNOWN)
@pytest.mark.parametrize("tableau", DENSE, ids=lambda tableau: tableau.name)
def test_the_error_of_dense_output_falls_with_the_step_as_stated(tableau, problem):
    field, exact, t = KNOWN[problem]
    sizes = (0.8, 0.4, 0.2) if tableau.order > 5 else (0.1, 0.05, 0.025)
    errors = [
        max(abs(dense_state(tableau, field, t, h, exact(t), x) - exact(t + x * h)) for x in (0.2, 0.4, 0.6, 0.8))
        for h in sizes
    ]
    assert convergence_order(sizes, errors) == pytest.approx(tableau.dense_order + 1, abs=0.4)


def test_the_methods_are_those_promised():
    assert set(TABLEAUS) == set(
        "euler midpoint heun ralston heun3 ssprk3 rk4 rk38 bosh3 fehlberg45 cash-karp tsit5 dopri5 dopri8".split()
    )
