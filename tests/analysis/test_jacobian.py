import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.attention import SDPBackend, sdpa_kernel

from odelib.analysis import finite_time_exponents, singular_values, singular_values_by_step, steps_of

F64 = torch.float64


def dense(function, x):
    """The singular values of each sample, from the whole Jacobian."""
    with sdpa_kernel(SDPBackend.MATH), torch.no_grad():
        parts = [torch.func.jacrev(lambda y: function(y[None])[0])(sample) for sample in x]
    return torch.stack([torch.linalg.svdvals(part.reshape(part[..., 0, 0].numel(), -1)) for part in parts])


def test_those_of_a_transformer_layer_are_those_of_its_dense_jacobian(field, x):
    def layer(y):
        return y + field(0.0, y)

    expected = dense(layer, x)
    assert expected.shape == (2, 80)
    torch.testing.assert_close(singular_values(layer, x, 5), expected[:, :5], rtol=1e-9, atol=0)
    torch.testing.assert_close(singular_values(layer, x, 80), expected, rtol=1e-9, atol=1e-12)


@pytest.mark.slow
def test_those_of_a_whole_network_and_of_its_steps(depth, x):
    torch.testing.assert_close(singular_values(depth, x, 3), dense(depth, x)[:, :3], rtol=1e-8, atol=0)
    values = singular_values_by_step(depth, x, count=2)
    assert values.shape == (6, 2, 2)
    last = steps_of(depth, x)[-1]
    torch.testing.assert_close(values[-1], dense(last.map, last.before)[:, :2], rtol=1e-8, atol=0)
    # Sub-multiplicative: a network stretches no more than its steps one after the other.
    assert (singular_values(depth, x, 1)[:, 0] <= values[..., 0].prod(dim=0) * (1 + 1e-9)).all()


@settings(max_examples=30)
@given(rows=st.integers(1, 8), columns=st.integers(1, 8), rank=st.integers(0, 8), seed=st.integers(0, 10**6))
def test_a_matrix_of_any_shape_and_rank(rows, columns, rank, seed):
    generator = torch.Generator().manual_seed(seed)
    left, right = (torch.randn(size, rank, dtype=F64, generator=generator) for size in (rows, columns))
    matrix = left @ right.T
    most = min(rows, columns)
    found = singular_values(lambda y: y @ matrix.T, torch.zeros(1, columns, dtype=F64), most, iterations=most)
    expected = torch.linalg.svdvals(matrix)
    torch.testing.assert_close(found[0], expected, rtol=1e-9, atol=1e-9 * float(expected.max() + 1))


@settings(max_examples=20)
@given(values=st.lists(st.sampled_from([0.0, 0.5, 1.0, 3.0]), min_size=2, max_size=8), seed=st.integers(0, 10**6))
def test_repeated_values_are_all_found(values, seed):
    diagonal = torch.tensor(values, dtype=F64)
    found = singular_values(lambda y: y * diagonal, torch.ones(1, len(values), dtype=F64), len(values), seed=seed)
    torch.testing.assert_close(found[0], diagonal.sort(descending=True).values, rtol=0, atol=1e-9)


@pytest.mark.parametrize("iterations", [5, 10, 20])
def test_few_iterations_never_say_too_much(field, x, iterations):
    found = singular_values(lambda y: field(0.0, y), x, 5, iterations=iterations)
    assert (found <= dense(lambda y: field(0.0, y), x)[:, :5] * (1 + 1e-9)).all()


def test_the_seed_fixes_the_start(field, x):
    few = [singular_values(lambda y: field(0.0, y), x, 2, iterations=4, seed=seed) for seed in (0, 0, 1)]
    assert torch.equal(few[0], few[1])
    assert not torch.equal(few[0], few[2])


def test_finite_time_exponents_of_a_linear_flow():
    rates = torch.tensor([0.3, -0.1, -2.0], dtype=F64)
    found = finite_time_exponents(lambda y: y * (4.0 * rates).exp(), torch.ones(2, 3, dtype=F64), 4.0, 3)
    torch.testing.assert_close(found, rates.expand(2, 3))


def test_no_value_is_read(on_meta):
    values = singular_values_by_step(*on_meta, count=2, iterations=3)
    assert (values.device.type, values.shape) == ("meta", (6, 2, 2))


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"count": 0}, "count is 0: a Jacobian of 4 x 4 has 1 to 4"),
        ({"count": 5}, "count is 5"),
        ({"count": 3, "iterations": 2}, "iterations is 2: choose it from count, 3, to 4"),
        ({"count": 3, "iterations": 5}, "iterations is 5"),
    ],
)
def test_counts_out_of_range_are_refused(options, sentence):
    with pytest.raises(ValueError, match=sentence):
        singular_values(lambda y: y, torch.ones(1, 4), **options)


def test_a_duration_that_is_none_is_refused():
    with pytest.raises(ValueError, match=r"duration is 0\.0"):
        finite_time_exponents(lambda y: y, torch.ones(1, 4), 0.0)
