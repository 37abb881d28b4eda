"""Small networks with random weights in float64, and a way to run without values."""

import contextlib

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from odelib.layers import DepthBlock, DepthSchedule, TransformerField


def make_depth():
    torch.manual_seed(0)
    parts = [TransformerField(16, 2, 2.0) for _ in range(3)]
    return DepthBlock(parts, "lie-trotter", DepthSchedule(3, steps=2, step_size=0.5)).eval()


@pytest.fixture
def depth():
    """Three fields with two Lie-Trotter steps each, dim 16."""
    return make_depth().double()


@pytest.fixture
def field(depth):
    """One transformer field, dim 16."""
    return depth.fields[0]


@pytest.fixture
def x():
    """Two samples of five tokens."""
    return torch.randn(2, 5, 16, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def on_fake_cuda(attention_on_fake_cuda):
    """A context with such a depth and state, which say that they are on CUDA but have no values: to read one raises."""

    @contextlib.contextmanager
    def enter():
        with FakeTensorMode(), torch.device("cuda"):
            yield make_depth(), torch.ones(2, 5, 16)

    return enter


@pytest.fixture
def on_meta():
    """The same on torch's meta device, for forward derivatives, which FakeTensorMode does not know."""
    with torch.device("meta"):
        return make_depth(), torch.ones(2, 5, 16)
