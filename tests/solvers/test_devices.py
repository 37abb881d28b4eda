"""That a solve stays on its device: on tensors that only pretend to be on one, and on a GPU where there is one."""

import itertools
import math
import subprocess
import sys

import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from odelib import odeint
from odelib.solvers import STEP_RULES, Adaptive, Grid, Sum, solve

RULES = [*STEP_RULES, "strang(midpoint)", "yoshida4(rk4)", "reversible(rk4)"]
STEPS = {
    "steps": 4,
    "step": Grid(step_size=0.3),
    "linear": Grid(step_size=0.3, interpolation="linear"),
    "cubic": Grid(step_size=0.3, interpolation="cubic"),
}


class StaysThere(TorchDispatchMode):
    """Refuses every copy between devices and every read of a value."""

    forbidden = ("_local_scalar_dense", "is_nonzero", "nonzero", "equal", "_to_cpu", "item")

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.overloadpacket.__name__
        devices = {leaf.device.type for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, torch.Tensor)}
        result = func(*args, **(kwargs or {}))
        after = {leaf.device.type for leaf in tree_leaves(result) if isinstance(leaf, torch.Tensor)}
        assert name not in self.forbidden, f"{name} reads a value"
        # What is filled with a number is made on the device; what comes from another device is a copy.
        assert not devices or after <= devices, f"{name} goes from {devices} to {after}"
        assert len(devices) < 2, f"{name} mixes {devices}"
        return result


def wave(t, y):
    return torch.tanh(y) * math.cos(t)


@pytest.mark.parametrize(
    ("rule", "steps"),
    [*((rule, "steps") for rule in RULES), *itertools.product(["rk4", "strang", "reversible(rk4)"], list(STEPS)[1:])],
)
def test_a_fixed_grid_on_cuda_reads_and_copies_nothing(rule, steps):
    with FakeTensorMode():
        weight = torch.ones(3, 3, device="cuda")
        field = Sum(lambda t, y: torch.tanh(y @ weight) * math.cos(t), lambda t, y: -y)
        y0 = torch.ones(4, 3, device="cuda")
        with StaysThere():
            ys = solve(field, y0, (0.0, 0.5, 1.0), rule=rule, steps=STEPS[steps]).ys
    assert ys.device.type == "cuda"
    assert ys.shape == (3, 4, 3)


@pytest.mark.parametrize("options", [None, {"step_size": 0.3}, {"step_size": 0.3, "perturb": True}], ids=str)
@pytest.mark.parametrize("method", ["euler", "midpoint", "heun3", "rk4"])
def test_odeint_on_cuda_reads_and_copies_nothing(method, options):
    times = torch.linspace(0, 1, 4)
    with FakeTensorMode(allow_non_fake_inputs=True):
        y0 = torch.ones(4, 3, device="cuda")
        with StaysThere():
            ys = odeint(lambda t, y: torch.cos(t) * y, y0, times.tolist(), method=method, options=options)
    assert ys.device.type == "cuda"


@pytest.mark.parametrize("mode", ["backprop", "checkpoint", "adjoint", "reversible"])
@pytest.mark.parametrize("rule", ["midpoint", "dopri5"])
def test_the_way_back_on_meta_reads_and_copies_nothing(rule, mode):
    field = nn.Linear(3, 3, device="meta")

    class Field(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = field

        def forward(self, t, y):
            return torch.tanh(self.inner(y))

    y0 = torch.ones(4, 3, device="meta", requires_grad=True)
    with StaysThere():
        solve(Field(), y0, (0.0, 0.5, 1.0), rule=rule, steps=3, gradient=mode).ys.sum().backward()
    assert y0.grad.device.type == field.weight.grad.device.type == "meta"


@pytest.mark.parametrize("mode", ["backprop", "checkpoint", "adjoint", "reversible"])
def test_a_fixed_grid_reads_the_host_as_often_for_many_steps_as_for_few(host_reads, mode):
    counts = []
    for steps in (3, 30):
        before, y0 = host_reads.count, torch.ones(3, requires_grad=True)
        with host_reads:
            solve(wave, y0, (0.0, 1.0), rule="rk4", steps=steps, gradient=mode, parameters=()).ys.sum().backward()
        counts.append(host_reads.count - before)
    # On the CPU a look at the result for NaN, which costs nothing there.
    assert counts == [1, 1]


@pytest.mark.parametrize("per_sample", [False, True])
def test_adaptive_steps_make_no_tensor_on_another_device(per_sample):
    made = []

    class Made(TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            if "device" in (kwargs or {}):
                made.append(kwargs["device"])
            return func(*args, **(kwargs or {}))

    y0 = torch.ones(2, 3, device=torch.device("cpu", 0))
    with Made():
        ys = solve(lambda t, y: -y, y0, (0.0, 1.0), steps=Adaptive(per_sample=per_sample)).ys
    assert ys.device == y0.device
    assert {str(device) for device in made if device is not None} <= {"cpu:0", "cpu"}


COMPILED = """
import math, torch, odelib
from odelib.solvers import Sum

weight = torch.randn(3, 3, generator=torch.Generator().manual_seed(0))
y0 = torch.ones(2, 3)

def field(t, y):
    return torch.tanh(y @ weight) * (torch.cos(t) if isinstance(t, torch.Tensor) else math.cos(t))

split = Sum(field, lambda t, y: -y)

def by_solve(y0, rule):
    return odelib.solve(split, y0, (0.0, 0.5, 1.0), rule=rule, steps=2).ys

def by_odeint(y0, method):
    return odelib.odeint(field, y0, [0.0, 0.5, 1.0], method=method)

for function, names in ((by_solve, SOLVE), (by_odeint, ODEINT)):
    for name in names:
        compiled = torch.compile(function, fullgraph=True, backend="aot_eager")
        a = y0.clone().requires_grad_()
        b = y0.clone().requires_grad_()
        ours, plain = compiled(a, name), function(b, name)
        torch.testing.assert_close(ours, plain)
        ours.sum().backward()
        plain.sum().backward()
        torch.testing.assert_close(a.grad, b.grad)
        torch._dynamo.reset()
print("compiled all")
"""


@pytest.mark.slow
@pytest.mark.skipif(torch.__version__ < (2, 7), reason="torch 2.6 cannot trace re and dataclasses.replace")
def test_fixed_grids_compile_without_a_break():
    # In a process of its own: the run-time checks of shapes in the tests are not for dynamo.
    code = COMPILED.replace("SOLVE", repr(["strang(midpoint)"])).replace("ODEINT", repr(["rk4"]))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.split() == ["compiled", "all"]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
@pytest.mark.parametrize("rule", RULES)
def test_a_fixed_grid_is_captured_in_a_cuda_graph(rule):
    weight = torch.randn(3, 3, device="cuda")
    field = Sum(lambda t, y: torch.tanh(y @ weight) * math.cos(t), lambda t, y: -y)
    y0 = torch.randn(4, 3, device="cuda")
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        solve(field, y0, (0.0, 1.0), rule=rule, steps=4)
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        ys = solve(field, y0, (0.0, 1.0), rule=rule, steps=4).ys
    y0.mul_(0.5)
    graph.replay()
    torch.testing.assert_close(ys, solve(field, y0, (0.0, 1.0), rule=rule, steps=4).ys)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
@pytest.mark.parametrize("per_sample", [False, True])
def test_adaptive_steps_on_cuda_are_those_on_the_cpu(per_sample):
    y0 = torch.linspace(-1, 1, 6, dtype=torch.float64).reshape(2, 3)
    steps = Adaptive(rtol=1e-8, atol=1e-8, per_sample=per_sample)
    here = solve(lambda t, y: torch.sin(y), y0, (0.0, 1.0), steps=steps)
    there = solve(lambda t, y: torch.sin(y), y0.cuda(), (0.0, 1.0), steps=steps)
    assert there.stats.accepted == here.stats.accepted
    torch.testing.assert_close(there.ys.cpu(), here.ys)
