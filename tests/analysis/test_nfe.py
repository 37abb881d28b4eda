import pytest
import torch
from torch import nn

from odelib import ViT, ViTConfig, solve
from odelib.analysis import nfe_by_input
from odelib.layers import DepthBlock, DepthSchedule
from odelib.solvers import Adaptive

LOOSE, TIGHT = Adaptive(rtol=1e-3, atol=1e-4), Adaptive(rtol=1e-6, atol=1e-8)


class Spin(nn.Module):
    """Turns each sample as fast as its own length says: long states are hard to follow."""

    def forward(self, t, y):
        speed = y.flatten(1).norm(dim=1)[:, None, None]
        return speed * torch.stack([-y[..., 1], y[..., 0]], dim=-1)


def spins(*lengths):
    return torch.tensor(lengths, dtype=torch.float64)[:, None, None] * torch.tensor([[[1.0, 0.0]]], dtype=torch.float64)


def test_hard_inputs_and_tight_tolerances_cost_more():
    depth = DepthBlock([Spin()], "euler", DepthSchedule(1, steps=2, step_size=1.0))
    loose, tight = (nfe_by_input(depth, spins(0.5, 2.0, 8.0), steps=steps) for steps in (LOOSE, TIGHT))
    assert loose.nfe.shape == (1, 3)
    for study in (loose, tight):
        assert (study.nfe.diff(dim=1) > 0).all()
    assert (tight.nfe > loose.nfe).all()


def test_what_is_counted_is_what_each_solve_says(depth, x):
    study = nfe_by_input(depth, x, steps=LOOSE)
    assert study.times.tolist() == [0.0, 1.0, 2.0]
    for i in range(2):
        y = x[i : i + 1]
        for k, field in enumerate(depth.fields):
            with torch.no_grad():
                solution = solve(field, y, (float(k), k + 1.0), rule="dopri5", steps=LOOSE)
            y, stats = solution.ys[-1], solution.stats
            counted = study.nfe[k, i], study.accepted[k, i], study.rejected[k, i]
            assert tuple(map(float, counted)) == (stats.nfe, stats.accepted, stats.rejected)


def test_dopri5_spends_six_evaluations_a_step_and_one_to_begin():
    depth = DepthBlock([Spin(), Spin()], "euler", DepthSchedule(2))
    chosen = nfe_by_input(depth, spins(1.0, 10.0), steps=LOOSE)
    given = nfe_by_input(depth, spins(1.0, 10.0), steps=Adaptive(rtol=1e-3, atol=1e-4, first_step=1.0))
    assert (given.rejected > 0).any()
    for study, first in ((chosen, 2), (given, 1)):  # one more evaluation, where the first step is to be chosen
        assert torch.equal(study.nfe, (first + 6 * (study.accepted + study.rejected)).to(study.nfe))


def test_the_company_of_an_input_and_the_models_own_rule_are_no_matter():
    torch.manual_seed(0)
    vit = ViT(ViTConfig(dim=16, num_heads=2, intervals=2)).double().eval()
    images = torch.randn(3, 1, 28, 28, dtype=torch.float64)
    together = nfe_by_input(vit, images, steps=LOOSE)
    vit.depth.swap("lie-trotter", refine=3)
    alone = nfe_by_input(vit, images[1:2], steps=LOOSE)
    assert torch.equal(alone.nfe[:, 0], together.nfe[:, 1])
    assert torch.equal(alone.times, together.times)


def test_a_call_without_samples_is_refused(depth):
    with pytest.raises(ValueError, match="no samples came"):
        nfe_by_input(depth, steps=LOOSE)
    with pytest.raises(ValueError, match="no samples came"):
        nfe_by_input(depth, torch.zeros(0, 5, 16), steps=LOOSE)
