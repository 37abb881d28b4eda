from fractions import Fraction

import pytest

from odelib.solvers import TABLEAUS, Tableau

HEUN = {"a": ((), (1.0,)), "b": (0.5, 0.5), "c": (0.0, 1.0)}


@pytest.mark.parametrize(
    ("name", "length"),
    [("euler", 2.0), ("midpoint", 2.0), ("heun3", 2.513), ("rk4", 2.785), ("rk38", 2.785), ("dopri5", 3.307)],
)
def test_real_stability_is_that_of_the_textbooks(name, length):
    assert TABLEAUS[name].real_stability == pytest.approx(length, abs=5e-4)


def test_the_stability_function_of_rk4_is_its_taylor_polynomial():
    z = -0.3 + 0.7j
    assert TABLEAUS["rk4"].stability(z) == pytest.approx(1 + z + z**2 / 2 + z**3 / 6 + z**4 / 24, abs=1e-15)


def test_dense_weights_must_end_in_the_weights():
    with pytest.raises(ValueError, match=r"row 1 of b_dense sums to 0\.4, it must sum to 0.5"):
        Tableau("broken", 2, **HEUN, b_dense=((1.0, -0.5), (0.0, 0.4)), dense_order=2)


def test_every_stage_needs_its_dense_weights():
    with pytest.raises(ValueError, match="b_dense has 1 rows for 2 stages"):
        Tableau("broken", 2, **HEUN, b_dense=((1.0, -0.5),), dense_order=2)


HERMITE = {
    "b_dense": ((1.0, -1.5, 1.0), (0.0, 1.5, -1.0), (0.0, -1.0, 1.0)),
    "a_dense": ((0.5, 0.5),),
    "c_dense": (1.0,),
    "dense_order": 2,
}


def test_a_further_stage_of_dense_output_at_the_result_is_found():
    tableau = Tableau("heun with Hermite", 2, **HEUN, **HERMITE)
    assert tableau.dense_fsal
    assert (tableau.stages, tableau.evaluations) == (2, 2)
    assert tableau.dense_pairs == ((1.0, ((0, 0.5), (1, 0.5))),)
    assert not Tableau("elsewhere", 2, **HEUN, **{**HERMITE, "a_dense": ((0.5, 0.0),), "c_dense": (0.5,)}).dense_fsal
    assert not Tableau("heun", 2, **HEUN).dense_fsal


@pytest.mark.parametrize(
    ("numbers", "sentence"),
    [
        ({"c_dense": ()}, "a_dense has 1 rows, c_dense 0 numbers and b_dense 3 rows"),
        ({"b_dense": None}, "a_dense has 1 rows, c_dense 1 numbers and b_dense 0 rows"),
        ({"b_dense": HERMITE["b_dense"][:2]}, "b_dense has 2 rows for 3 stages"),
        ({"a_dense": ((1.0,),)}, "row 0 of a_dense has 1 numbers, an explicit method has 2"),
        ({"a_dense": ((0.5, 0.4),)}, r"row 0 of a_dense sums to 0\.9, it must sum to 1.0"),
        (
            {"b_dense": (*HERMITE["b_dense"][:2], (0.0, -1.0, 1.5))},
            r"row 2 of b_dense sums to 0\.5, it must sum to 0.0",
        ),
    ],
)
def test_further_stages_of_dense_output_that_contradict_it_are_refused(numbers, sentence):
    with pytest.raises(ValueError, match=sentence):
        Tableau("broken", 2, **HEUN, **(HERMITE | numbers))


@pytest.mark.parametrize("theta", [0.02, 0.37, 0.5, 0.63, 0.98, 0.9999])
@pytest.mark.parametrize("name", ["bosh3", "dopri5", "dopri8"])
def test_dense_weights_are_the_polynomials_to_rounding(name, theta):
    tableau, weights = TABLEAUS[name], dict(TABLEAUS[name].dense_weights(theta))
    for i, row in enumerate(tableau.b_dense):
        exact = float(sum(Fraction(x) * Fraction(theta) ** k for k, x in enumerate(row, 1)))
        assert weights.get(i, 0.0) == pytest.approx(exact, abs=1e-14)


def test_a_method_without_dense_output_says_what_to_do():
    with pytest.raises(ValueError, match="'rk4' has no dense output: take a step of size theta h"):
        TABLEAUS["rk4"].dense_weights(0.5)


def test_first_same_as_last_saves_an_evaluation():
    assert TABLEAUS["dopri5"].evaluations == TABLEAUS["dopri5"].stages - 1 == 6
    assert TABLEAUS["rk4"].evaluations == TABLEAUS["rk4"].stages == 4


def test_weights_that_are_zero_cost_nothing():
    assert TABLEAUS["midpoint"].result_pairs == ((1, 1.0),)
    assert all(weight != 0.0 for _, row in TABLEAUS["dopri8"].stage_pairs for _, weight in row)
    assert TABLEAUS["rk4"].error_pairs == ()
