"""For the solvers: a counter of the reads that would wait for a device."""

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode


class HostReads(TorchDispatchMode):
    """Counts ``item``, ``tolist``, ``bool``, ``float``, ``int``, ``nonzero`` and ``equal`` on tensors."""

    reading = (
        torch.ops.aten._local_scalar_dense.default,
        torch.ops.aten.is_nonzero.default,
        torch.ops.aten.nonzero.default,
        torch.ops.aten.equal.default,
    )

    def __init__(self):
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.count += func in self.reading
        return func(*args, **(kwargs or {}))


@pytest.fixture
def host_reads(monkeypatch):
    counter, tolist = HostReads(), torch.Tensor.tolist

    def counted(tensor):
        # On the CPU it is one copy out of memory, which no dispatcher sees.
        counter.count += 1
        return tolist(tensor)

    monkeypatch.setattr(torch.Tensor, "tolist", counted)
    return counter
