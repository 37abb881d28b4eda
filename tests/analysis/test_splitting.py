import subprocess
import sys

import pytest
import torch

from odelib import Sum, solve
from odelib.analysis import (
    commutator,
    convergence_order,
    splitting_defect,
    splitting_gaps,
    splitting_profile,
    steps_of,
)
from odelib.layers import DepthBlock, DepthSchedule


def linear(*shape, seed):
    matrix = torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    return matrix, lambda t, y: y @ matrix.T


def test_the_commutator_of_linear_fields_is_that_of_their_matrices():
    (a, A), (b, B), (c, C) = (linear(4, 4, seed=seed) for seed in (1, 2, 3))
    x = torch.randn(3, 4, dtype=torch.float64)
    torch.testing.assert_close(commutator(Sum(A, B), x), x @ (a @ b - b @ a).T)
    pairs = (a @ b - b @ a) + (a @ c - c @ a) + (b @ c - c @ b)
    torch.testing.assert_close(commutator(Sum(A, B, C), x), x @ pairs.T)
    assert torch.equal(commutator(Sum(A), x), torch.zeros_like(x))


def test_the_commutator_of_a_transformer_field(field, x):
    by_formula = torch.zeros_like(x)
    for sign, outer, inner in ((1, field.attention, field.mlp), (-1, field.mlp, field.attention)):
        # A difference quotient needs no derivative of torch's at all.
        v, e = inner(0.0, x), 1e-5
        by_formula += sign * (outer(0.0, x + e * v) - outer(0.0, x - e * v)) / (2 * e)
    torch.testing.assert_close(commutator(field, x), by_formula.detach(), rtol=1e-6, atol=1e-8)
    swapped = commutator(Sum(field.mlp, field.attention), x)
    torch.testing.assert_close(swapped, -commutator(field, x))


@torch.no_grad()
def test_the_commutator_is_the_leading_error_of_exact_splitting(field, x):
    """Following A exactly, then M, misses the flow of the sum by -h^2/2 [A, M] + O(h^3)."""

    def flow(part, y, h):
        return solve(part, y, (0.0, h), rule="rk4", steps=4).ys[-1]

    sizes = (0.1, 0.05, 0.025)
    bracket = commutator(field, x)
    rests = []
    for h in sizes:
        missed = flow(field.mlp, flow(field.attention, x, h), h) - flow(field, x, h)
        rests.append(float((missed + 0.5 * h**2 * bracket).abs().max()))
    assert convergence_order(sizes, rests) == pytest.approx(3.0, abs=0.1)


def test_terms_that_commute_have_no_commutator_and_two_equal_terms_neither():
    a = torch.randn(4, 4, dtype=torch.float64)
    x = torch.randn(3, 4, dtype=torch.float64)
    same = Sum(lambda t, y: y @ a, lambda t, y: 0.5 * (y @ (a @ a)))
    assert commutator(same, x).abs().max() < 1e-12
    cubic = Sum(lambda t, y: y**3, lambda t, y: y**3)
    assert torch.equal(commutator(cubic, x), torch.zeros_like(x))


@pytest.mark.slow
def test_the_first_commutator_warns_of_nothing():
    code = "import torch; from odelib import Sum; from odelib.analysis import commutator as c; "
    code += "c(Sum(lambda t, y: y**3, lambda t, y: -y), torch.ones(2))"
    # A process of its own: torch warns once, where forward derivatives are first used.
    run = subprocess.run([sys.executable, "-W", "always", "-c", code], capture_output=True, text=True)
    assert (run.returncode, run.stderr) == (0, "")


def test_the_gap_between_the_two_layers_has_slope_two(field, x):
    sizes = (0.1, 0.05, 0.025, 0.0125)
    gaps = splitting_gaps(field, x, sizes)
    assert gaps.shape == (4, 2)
    for sample in range(2):
        assert convergence_order(sizes, gaps[:, sample].tolist()) == pytest.approx(2.0, abs=0.05)
    with torch.no_grad():
        torch.testing.assert_close(gaps[0], splitting_defect(field, x, 0.1).flatten(1).norm(dim=1))


def test_the_profile_follows_the_steps(depth, x):
    profile = splitting_profile(depth, x)
    assert profile.times.tolist() == [0.0, 0.5, 1.0, 1.5, 2.0, 2.5]
    assert {part.shape for part in profile[1:]} == {(6, 2)}
    h = 0.5
    with torch.no_grad():
        for i, (field, _, t, _, y, _) in enumerate(steps_of(depth, x)):
            torch.testing.assert_close(profile.update[i], (h * field(t, y)).flatten(1).norm(dim=1))
            torch.testing.assert_close(profile.defect[i], splitting_defect(field, y, h, t).flatten(1).norm(dim=1))
            torch.testing.assert_close(
                profile.commutator[i], (h**2 / 2 * commutator(field, y, t)).flatten(1).norm(dim=1)
            )


def test_the_profile_reads_no_values(on_meta):
    assert {part.device.type for part in splitting_profile(*on_meta)} == {"meta"}


def test_gaps_on_cuda_without_a_cuda_device(on_fake_cuda):
    with on_fake_cuda() as (depth, x):
        assert splitting_gaps(depth.fields[0], x, (0.1, 0.05)).device.type == "cuda"


class Whole(torch.nn.Module):
    def forward(self, t, y):
        return -y


def test_what_cannot_be_split_is_refused(x):
    with pytest.raises(TypeError, match="has none"):
        commutator(lambda t, y: y, x)
    with pytest.raises(TypeError, match="has none"):
        splitting_profile(DepthBlock([Whole()], "euler", DepthSchedule(1)), x)
    with pytest.raises(ValueError, match="step_sizes is empty"):
        splitting_gaps(Sum(lambda t, y: y), x, [])
