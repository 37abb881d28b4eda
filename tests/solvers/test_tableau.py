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
    with pytest.raises(ValueError, match="b_dense has 1 rows"):
        Tableau("broken", 2, **HEUN, b_dense=((1.0, -0.5),), dense_order=2)


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
