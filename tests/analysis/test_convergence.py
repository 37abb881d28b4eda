import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from odelib.analysis import convergence_order, global_errors


@given(order=st.floats(0.5, 8), scale=st.floats(1e-3, 1e3))
def test_the_slope_of_a_power_law_is_its_exponent(order, scale):
    sizes = [0.1, 0.05, 0.025]
    assert convergence_order(sizes, [scale * h**order for h in sizes]) == pytest.approx(order, rel=1e-9)


def test_errors_fall_with_the_steps():
    y0 = torch.tensor([1.0], dtype=torch.float64)
    errors = global_errors(
        lambda t, y: -y, y0, rule="euler", steps=(4, 8), exact=y0 * torch.tensor(-1.0).double().exp()
    )
    assert errors[0] > 1.9 * errors[1] > 0


@pytest.mark.parametrize(
    ("sizes", "errors", "sentence"),
    [
        ([0.1], [0.1], "two or more"),
        ([0.1, 0.05], [0.1], "equally many"),
        ([0.1, 0.05], [0.1, 0.0], "not positive and finite"),
        ([0.1, 0.05], [0.1, float("nan")], "not positive and finite"),
    ],
)
def test_points_without_a_slope_are_refused(sizes, errors, sentence):
    with pytest.raises(ValueError, match=sentence):
        convergence_order(sizes, errors)
