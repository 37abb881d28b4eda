import pytest
import torch
from torch import nn
from torch.nn.parallel import DataParallel, DistributedDataParallel
from torch.optim.swa_utils import AveragedModel

from odelib.models.wrappers import plain_name, unwrap


@pytest.fixture
def one_process():
    torch.distributed.init_process_group("gloo", store=torch.distributed.HashStore(), rank=0, world_size=1)
    yield
    torch.distributed.destroy_process_group()


@pytest.mark.usefixtures("one_process")
def test_the_model_inside_is_found():
    class Holder(nn.Module):  # has a part of that name, and wraps nothing
        def __init__(self):
            super().__init__()
            self.module = nn.Linear(2, 2)

    for model in (nn.Linear(2, 2), Holder()):
        assert unwrap(torch.compile(model)) is model
        for wrap in (DataParallel, DistributedDataParallel):
            assert unwrap(wrap(model)) is model
            assert unwrap(torch.compile(wrap(model))) is model
            assert unwrap(wrap(torch.compile(model))) is model
        averaged = AveragedModel(model)
        assert unwrap(averaged) is averaged.module
        assert unwrap(model) is model


@pytest.mark.parametrize(
    ("name", "plain"),
    [
        ("depth.fields.0.mlp.norm.weight", "depth.fields.0.mlp.norm.weight"),
        ("_orig_mod.head.weight", "head.weight"),
        ("module._orig_mod.head.weight", "head.weight"),
        ("_orig_mod.module.head.weight", "head.weight"),
        ("depth._orig_mod.fields.0._orig_mod.bias", "depth.fields.0.bias"),
        ("depth.module.bias", "depth.module.bias"),
    ],
)
def test_names_are_those_without_the_wrappers(name, plain):
    assert plain_name(name) == plain
