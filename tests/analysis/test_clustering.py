import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from odelib import solve
from odelib.analysis import effective_rank, mean_cosine, token_spread, trajectory

F64 = torch.float64
shapes = {"tokens": st.integers(2, 6), "dim": st.integers(2, 6), "seed": st.integers(0, 1000)}


def draw(tokens, dim, seed, samples=2):
    return torch.randn(samples, tokens, dim, dtype=F64, generator=torch.Generator().manual_seed(seed))


@settings(max_examples=50)
@given(**shapes)
def test_the_mean_cosine_is_the_mean_over_all_pairs(tokens, dim, seed):
    x = draw(tokens, dim, seed)
    pairs = [
        torch.nn.functional.cosine_similarity(x[:, i], x[:, j], dim=1)
        for i in range(tokens)
        for j in range(tokens)
        if i != j
    ]
    torch.testing.assert_close(mean_cosine(x), torch.stack(pairs).mean(dim=0))
    lengths = torch.rand(2, tokens, 1, dtype=F64) + 0.1
    torch.testing.assert_close(mean_cosine(lengths * x), mean_cosine(x))


@settings(max_examples=50)
@given(**shapes)
def test_bounds_and_what_they_do_not_depend_on(tokens, dim, seed):
    x = draw(tokens, dim, seed)
    turn = torch.linalg.qr(draw(dim, dim, seed + 1)[0]).Q
    for measure, least, most in (
        (mean_cosine, -1 / (tokens - 1), 1),
        (token_spread, 0, 1),
        (effective_rank, 1, min(tokens, dim)),
    ):
        value = measure(x)
        assert ((value >= least - 1e-9) & (value <= most + 1e-9)).all()
        torch.testing.assert_close(measure(3.0 * x @ turn), value)
        torch.testing.assert_close(measure(x.flip(1)), value)


def test_one_cluster_and_an_orthogonal_frame():
    same = torch.ones(4, 6, dtype=F64)
    frame = torch.eye(6, dtype=F64)[:4]
    assert [float(measure(same)) for measure in (mean_cosine, token_spread, effective_rank)] == pytest.approx([1, 0, 1])
    assert [float(measure(frame)) for measure in (mean_cosine, effective_rank)] == pytest.approx([0, 4])
    assert float(token_spread(frame)) == pytest.approx((3 / 4) ** 0.5)
    opposite = torch.tensor([[1.0, 2.0], [-1.0, -2.0]])
    assert float(mean_cosine(opposite)) == pytest.approx(-1)
    assert float(token_spread(opposite)) == pytest.approx(1)


def test_a_token_of_length_zero_is_orthogonal_to_all():
    assert float(mean_cosine(torch.tensor([[1.0, 0], [1, 0], [0, 0]]))) == pytest.approx(1 / 3)


def test_a_whole_trajectory_at_once(depth, x):
    states = trajectory(depth, x).states
    for measure in (mean_cosine, token_spread, effective_rank):
        assert measure(states).shape == (7, 2)
        torch.testing.assert_close(measure(states)[3], measure(states[3]))


@pytest.mark.parametrize("beta", [0.5, 4.0])
def test_attention_on_the_sphere_clusters_as_predicted(beta):
    """Orthogonal tokens under dx_i/dt = P(sum_j softmax_j(beta x_i.x_j) x_j) keep one common cosine g, and

    dg/dt = 2 e^(beta g) (1 - g) ((n - 1) g + 1) / (e^beta + (n - 1) e^(beta g)):
    Geshkovski et al. 2025, arXiv 2312.10794, section 6, which tends to one cluster, g = 1.
    """
    n = 5

    def attention(t, x):
        mixed = (beta * x @ x.mT).softmax(dim=-1) @ x
        return mixed - (mixed * x).sum(dim=-1, keepdim=True) * x

    def common_cosine(t, g):
        weight = (beta * g).exp()
        return 2 * weight * (1 - g) * ((n - 1) * g + 1) / (torch.tensor(beta).exp() + (n - 1) * weight)

    times = [0.0, 0.5, 1.0, 2.0, 8.0]
    tokens = solve(attention, torch.eye(n, 8, dtype=F64), times, rule="rk4", steps=50).ys
    cosine = solve(common_cosine, torch.zeros(1, dtype=F64), times, rule="rk4", steps=50).ys[:, 0]
    torch.testing.assert_close(mean_cosine(tokens), cosine, rtol=0, atol=1e-6)
    assert (effective_rank(tokens).diff() < 0).all()
    assert (token_spread(tokens).diff() < 0).all()


def test_on_cuda_without_a_cuda_device(on_fake_cuda):
    with on_fake_cuda() as (_, x):
        assert {measure(x).device.type for measure in (mean_cosine, token_spread, effective_rank)} == {"cuda"}


@pytest.mark.parametrize("measure", [mean_cosine, token_spread, effective_rank])
def test_one_token_has_no_clusters(measure):
    with pytest.raises(ValueError, match=r"1 token came, of shape \(3, 1, 4\)"):
        measure(torch.ones(3, 1, 4))
