import pytest
import torch
from torch import nn

from odelib.models.decoding import reading


@pytest.mark.parametrize("fails", [False, True])
def test_reading_is_evaluation_without_gradients_and_each_part_has_its_mode_again(fails):
    model = nn.Sequential(nn.Dropout(), nn.Linear(2, 2)).train()
    model[0].eval()
    try:
        with reading(model):
            assert not any(part.training for part in model.modules())
            assert not model(torch.ones(2)).requires_grad
            if fails:
                raise KeyError
    except KeyError:
        assert fails
    assert [part.training for part in model.modules()] == [True, False, True]
    assert model(torch.ones(2)).requires_grad
