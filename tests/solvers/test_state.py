import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils import _pytree as pytree

from odelib.solvers import TABLEAUS, Adaptive, Grid, solve
from odelib.solvers.state import Structure, combine, read, rms, weighted

DTYPES = [torch.float32, torch.float64, torch.complex64, torch.complex128]
LEAVES = st.builds(
    lambda shape, dtype: torch.full(shape, 0.5, dtype=dtype),
    st.lists(st.integers(0, 3), max_size=3),
    st.sampled_from(DTYPES),
)
TREES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.lists(inner, max_size=3).map(tuple),
        st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    ),
    max_leaves=5,
)
STEPS = st.one_of(
    st.integers(1, 4),
    st.floats(0.05, 0.7).map(lambda size: Grid(step_size=size)),
    st.just(Adaptive(rtol=1e-4, atol=1e-4)),
    st.just(Adaptive(rtol=1e-4, atol=1e-4, first_step=0.3)),
)
TIMES = st.builds(
    lambda start, gaps, sign: [start + sign * sum(gaps[:i]) for i in range(len(gaps) + 1)],
    st.floats(-2, 2),
    st.lists(st.floats(0.1, 0.6), max_size=3),
    st.sampled_from([-1.0, 1.0]),
)


@settings(max_examples=50)
@given(y0=TREES, steps=STEPS, times=TIMES)
def test_any_tree_over_any_times_decays_as_it_should(y0, steps, times):
    rule = "dopri5" if isinstance(steps, Adaptive) else "rk4"
    solution = solve(lambda t, y: pytree.tree_map(torch.neg, y), y0, times, rule=rule, steps=steps)
    ends, spec = pytree.tree_flatten(solution.ys)
    starts, same = pytree.tree_flatten(y0)
    assert spec == same
    assert solution.ts == tuple(times)
    for end, start in zip(ends, starts, strict=True):
        assert end.dtype == start.dtype
        assert end.shape == (len(times), *start.shape)
        for t, value in zip(times, end, strict=True):
            torch.testing.assert_close(value, start * math.exp(times[0] - t), rtol=5e-3, atol=1e-3)


@settings(max_examples=15)
@given(
    y0=TREES.filter(lambda tree: bool(pytree.tree_leaves(tree))),
    mode=st.sampled_from(["checkpoint", "adjoint", "reversible"]),
)
def test_any_tree_has_a_gradient(y0, mode):
    y0 = pytree.tree_map(lambda leaf: leaf.requires_grad_(), y0)
    ys = solve(lambda t, y: pytree.tree_map(torch.neg, y), y0, (0.0, 1.0), steps=4, gradient=mode, parameters=()).ys
    sum(leaf[-1].real.sum().double() for leaf in pytree.tree_leaves(ys)).backward()
    for leaf in pytree.tree_leaves(y0):
        torch.testing.assert_close(leaf.grad, torch.full_like(leaf, math.exp(-1)), rtol=1e-2, atol=1e-3)


def test_bf16_steps_are_summed_in_float32():
    # Sixteen stages' worth of small increments: each alone would vanish in the eight bits of bf16.
    y0 = torch.full((64,), 1.0, dtype=torch.bfloat16)
    stages = [torch.full_like(y0, 0.01 * (1 + i)) for i in range(8)]
    weights = tuple((i, 0.1) for i in range(8))
    exact = y0.double() + 0.5 * sum(0.1 * stage.double() for stage in stages)
    ours, naive = combine(y0, 0.5, weights, stages), y0
    for i, weight in weights:
        naive = naive + 0.5 * weight * stages[i]
    assert ours.dtype == torch.bfloat16
    assert (ours.double() - exact).abs().max() < (naive.double() - exact).abs().max() / 3
    assert weighted(0.5, weights, stages).dtype == torch.float32


def test_a_bf16_solve_is_closer_to_float64_than_summing_in_bf16():
    def field(t, y):
        return -y

    start = torch.linspace(0.5, 1.5, 200)
    exact = start.double() * math.exp(-1)
    ours = solve(field, start.bfloat16(), (0.0, 1.0), rule="dopri5", steps=8).ys[-1]
    naive, tableau = start.bfloat16(), TABLEAUS["dopri5"]
    for _ in range(8):
        stages = []
        for row in tableau.a:
            stages.append(field(0, sum((0.125 * a * k for a, k in zip(row, stages, strict=True)), naive)))
        naive = sum((0.125 * b * k for b, k in zip(tableau.b, stages, strict=True)), naive)
    assert ours.dtype == torch.bfloat16
    assert (ours.double() - exact).abs().mean() < (naive.double() - exact).abs().mean()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("steps", [4, Adaptive(rtol=1e-2, atol=1e-2)], ids=["steps", "adaptive"])
def test_half_precision_keeps_its_dtype(dtype, steps):
    ys = solve(lambda t, y: -y, torch.ones(5, dtype=dtype), (0.0, 1.0), rule="dopri5", steps=steps).ys
    assert ys.dtype == dtype
    torch.testing.assert_close(ys[-1].float(), torch.full((5,), math.exp(-1)), rtol=0.02, atol=0)


def test_the_norm_is_the_largest_root_mean_square_of_the_leaves():
    assert float(rms(torch.tensor([3.0, 4.0]))) == pytest.approx(math.sqrt(12.5))
    assert float(rms((torch.tensor([3.0, 4.0]), torch.tensor([5j])))) == pytest.approx(5.0)
    assert float(rms((torch.empty(0), torch.tensor([2.0])))) == 2.0
    assert float(rms(())) == float(rms(torch.empty(0, 3))) == 0.0


def test_numbers_of_several_dtypes_are_read_at_once(host_reads):
    with host_reads:
        assert read([torch.tensor(1.0), torch.tensor(2.0, dtype=torch.float64)]) == [1.0, 2.0]
        assert read([torch.tensor(3.0)]) == [3.0]
    assert host_reads.count == 2


@pytest.mark.parametrize("y0", [torch.ones(2, dtype=torch.long), (torch.ones(2), torch.ones(2, dtype=torch.bool))])
def test_an_integer_state_is_refused(y0):
    with pytest.raises(
        TypeError, match=r"has dtype torch\.(int64|bool), which cannot hold a continuous motion: convert"
    ):
        Structure(y0)


@pytest.mark.parametrize("y0", [1.0, [torch.ones(2), 3.0], {"a": None, "b": "x"}], ids=str)
def test_a_state_that_is_no_tensor_is_refused(y0):
    with pytest.raises(TypeError, match=r"the initial state holds a .*: give a tensor, or a tuple, list or dict"):
        Structure(y0)


def test_a_field_that_returns_another_structure_is_refused():
    with pytest.raises(TypeError, match=r"(?s)the field returned .* for a state .*: return the same structure"):
        solve(lambda t, y: [y[0]], (torch.ones(2), torch.ones(2)), (0.0, 1.0))
    with pytest.raises(TypeError, match="the field returned a tuple for a tensor state: return"):
        solve(lambda t, y: (y,), torch.ones(2), (0.0, 1.0))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("h", [1.0, -0.5, 0.25, 2.0, 3.0, 255 / 256, 1 / 3, 0.1, 2.0**-20, 2.0**15, 0.0])
@pytest.mark.parametrize("wide", [False, True])
def test_one_term_in_half_precision_is_rounded_once(dtype: torch.dtype, h: float, wide: bool) -> None:
    torch.manual_seed(0)
    y, k = torch.randn(1001).to(dtype), torch.randn(1001).to(dtype)
    once = y.float().add(k.float(), alpha=h).to(dtype)
    torch.testing.assert_close(combine(y, h, ((0, 1.0),), [k.float() if wide else k]), once, rtol=0, atol=0)
