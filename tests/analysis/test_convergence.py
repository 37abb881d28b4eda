import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from odelib.analysis import convergence_order, global_errors, refinement_errors


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
    ("rule", "order"),
    [("euler", 1), ("lie-trotter", 1), ("strang(midpoint)", 2), ("heun", 2), ("bosh3", 3), ("rk4", 4)],
)
def test_order_over_the_jumps_of_a_networks_weights(depth, x, rule, order):
    refine = (2, 4, 8)
    errors = refinement_errors(depth, x, rule=rule, refine=refine)
    sizes = [depth.schedule.step_size / times for times in refine]
    assert convergence_order(sizes, errors) == pytest.approx(order, abs=0.25)


def test_refinement_errors_are_distances_to_the_reference(depth, x):
    assert refinement_errors(depth, x, rule="dopri8", refine=(8,)) == [0.0]
    before = depth.rule, depth.schedule
    (error,) = refinement_errors(depth, x, rule="euler", refine=(1,), reference=("rk4", 3))
    assert (depth.rule, depth.schedule) == before
    with torch.no_grad():
        ends = []
        for rule, times in (("euler", 1), ("rk4", 3)):
            depth.swap(rule, refine=times)
            ends.append(depth(x))
    assert error == pytest.approx(float((ends[0] - ends[1]).abs().max()))


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"rule": "eulr"}, "nearest valid name is 'euler'"),
        ({"rule": "euler", "refine": (0,)}, "refine is 0"),
        ({"rule": "euler", "refine": ()}, "refine is empty"),
    ],
)
def test_bad_refinements_are_refused(depth, x, options, sentence):
    with pytest.raises(ValueError, match=sentence):
        refinement_errors(depth, x, **options)


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
