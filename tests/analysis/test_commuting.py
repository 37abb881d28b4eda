"""Commutators of layers against formulas, and critical steps against known eigenvalues."""

import pytest
import torch

from odelib.analysis import commuting, critical_steps
from odelib.layers import DepthBlock, DepthSchedule, TransformerField, WholeLayer
from odelib.solvers import integrate


class Linear(torch.nn.Module):
    """f(t, x) = x W^T."""

    def __init__(self, weight):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.as_tensor(weight, dtype=torch.float64))

    def forward(self, t, x):
        return x @ self.weight.T


def test_linear_layers_have_the_commutators_of_their_matrices(x):
    torch.manual_seed(0)
    a, b, c = (0.3 * torch.randn(16, 16, dtype=torch.float64) for _ in range(3))
    depth = DepthBlock([Linear(each) for each in (a, b, c)], "euler", DepthSchedule(3)).eval()
    found = commuting(depth, x)
    assert found.update.shape == (3, 2, 5)
    assert found.terms.isnan().all()  # they have no terms
    torch.testing.assert_close(found.update[0], (x @ a.T).norm(dim=-1))
    bracket = x @ (a @ b - b @ a).T
    torch.testing.assert_close(found.layers[0], bracket.norm(dim=-1))
    torch.testing.assert_close(found.exchange[0], bracket.norm(dim=-1))  # of linear layers there is no other order
    after = x + x @ a.T
    torch.testing.assert_close(found.layers[1], (after @ (b @ c - c @ b).T).norm(dim=-1))


@pytest.mark.parametrize("place", ["pre", "post"])
def test_the_exchange_of_small_layers_is_their_commutator(place, x):
    torch.manual_seed(0)
    fields = [TransformerField(16, 2, 2.0, norm_place=place).double() for _ in range(2)]
    depth = DepthBlock(fields, "lie-trotter", DepthSchedule(2)).eval()
    found = commuting(depth, x)
    phi = [lambda y, f=f: integrate(f, "lie-trotter", y, t=0.0, h=1.0, steps=1) for f in fields]
    with torch.no_grad():
        torch.testing.assert_close(found.exchange[0], (phi[1](phi[0](x)) - phi[0](phi[1](x))).norm(dim=-1))
        torch.testing.assert_close(found.update[1], (phi[1](phi[0](x)) - phi[0](x)).norm(dim=-1))
    assert (found.terms > 0).all()


def test_equal_layers_commute(x):
    torch.manual_seed(0)
    depth = DepthBlock([TransformerField(16, 2, 2.0).double()], "lie-trotter", DepthSchedule(1, steps=3)).eval()
    found = commuting(depth, x)
    assert found.layers.abs().max() < 1e-12
    assert found.exchange.abs().max() < 1e-12
    assert commuting(DepthBlock([depth.fields[0]], "euler", DepthSchedule(1)), x).layers.shape == (0, 2, 5)


def test_steps_of_another_size_are_refused(depth, x):
    with pytest.raises(ValueError, match=r"steps are of size 0\.5"):
        commuting(depth, x)


def matrix(values):
    """A matrix with these eigenvalues, in a basis of no special place; complex ones come in pairs."""
    blocks = [
        torch.tensor([[z.real, z.imag], [-z.imag, z.real]]) if z.imag else torch.tensor([[z.real]]) for z in values
    ]
    torch.manual_seed(0)
    diagonal = torch.block_diag(*blocks).double()
    basis = torch.linalg.qr(torch.randn(*diagonal.shape, dtype=torch.float64)).Q
    return basis @ diagonal @ basis.T


def test_the_critical_step_is_that_of_the_eigenvalues():
    # -2 Re z / |z|^2 of what decays fastest: 2/4 of -4, 2/5 of -1 + 2i, 2 of -1; what grows or oscillates sets none.
    cases = {
        0.5: [-4 + 0j, -1 + 0j, 2 + 0j, -0.001 + 1j],
        0.4: [-1 + 2j, -0.9 + 0j],
        2.0: [-1 + 0j, 3 + 0j],
        torch.inf: [1 + 0j, 1 + 1j],
    }
    for expected, values in cases.items():
        weight = matrix(values)
        (found,) = critical_steps(Linear(weight), torch.randn(1, len(weight), dtype=torch.float64)).tolist()
        assert found == pytest.approx(expected)
    torch.manual_seed(0)
    values = [
        -6 + 0j,
        -5 + 0j,
        *(complex(-1 - i / 100) for i in range(100)),
        *(complex(-1e-3, i / 9) for i in range(1, 10)),
    ]
    many = matrix(values)
    mixed = torch.eye(len(many), dtype=torch.float64) + 0.1 * torch.randn(
        len(many), len(many), dtype=torch.float64
    ).triu(1)
    far_from_normal = torch.linalg.solve(mixed, many @ mixed)
    for weight, off in ((many, 1e-3), (far_from_normal, 0.02)):
        found = critical_steps(Linear(weight), torch.randn(2, len(many), dtype=torch.float64), iterations=60)
        assert found.tolist() == pytest.approx([2 / 6] * 2, rel=off)


def test_beyond_the_critical_step_euler_leaves_a_fixed_point():
    weight = matrix([-3 + 0j, -1 + 0.5j])
    (limit,) = critical_steps(Linear(weight), torch.ones(1, 3, dtype=torch.float64)).tolist()
    y = torch.ones(1, 3, dtype=torch.float64)
    near, beyond = (integrate(Linear(weight), "euler", y, t=0.0, h=h * limit, steps=400).norm() for h in (0.97, 1.03))
    assert near < 1e-3 < 1e3 < beyond


def test_where_a_norm_forgets_the_limit_is_two():
    torch.manual_seed(0)
    field = TransformerField(4, 1, 2.0, norm_place="post").double()
    with torch.no_grad():
        for term in field.terms:
            for parameter in term.sublayer.parameters():
                parameter.zero_()
    x = torch.randn(1, 3, 4, dtype=torch.float64)
    normal = x + WholeLayer(field)(0.0, x)  # on the image of the norm, which is then its own fixed point
    assert critical_steps(WholeLayer(field), normal).tolist() == pytest.approx([2.0], rel=1e-3)


def test_no_product_is_no_answer(x):
    with pytest.raises(ValueError, match="iterations is 0"):
        critical_steps(Linear(torch.eye(16)), x, iterations=0)
