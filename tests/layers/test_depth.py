import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from odelib.analysis import convergence_order, global_errors, splitting_defect
from odelib.layers import DepthBlock, DepthSchedule, TransformerField
from odelib.solvers import STEP_RULES, solve

F64 = torch.float64


def fields(count, dim=16):
    torch.manual_seed(0)
    return [TransformerField(dim, 2, 2.0).to(F64) for _ in range(count)]


def test_usual_network_is_a_chain_of_lie_trotter_steps():
    parts = fields(3)
    x = torch.randn(2, 5, 16, dtype=F64)
    by_hand = x
    for field in parts:
        by_hand = by_hand + field.attention(0.0, by_hand)
        by_hand = by_hand + field.mlp(0.0, by_hand)
    block = DepthBlock(parts, "lie-trotter", DepthSchedule(3))
    torch.testing.assert_close(block(x), by_hand)


def test_shared_weights_are_one_long_integration():
    (field,) = fields(1)
    x = torch.randn(2, 5, 16, dtype=F64)
    block = DepthBlock([field], "rk4", DepthSchedule(1, steps=6, step_size=0.5))
    torch.testing.assert_close(block(x), solve(field, x, (0.0, 3.0), rule="rk4", steps=6).ys[-1])
    assert block.schedule.depth == 3.0
    assert block.nfe == 24


def test_record_holds_the_state_after_each_step():
    block = DepthBlock(fields(2), "euler", DepthSchedule(2, steps=3))
    x = torch.randn(1, 4, 16, dtype=F64)
    record = []
    end = block(x, record)
    assert len(record) == 6
    assert torch.equal(record[-1], end)


def test_swap_refines_without_touching_weights_or_time():
    block = DepthBlock(fields(2), "euler", DepthSchedule(2))
    x = torch.randn(1, 4, 16, dtype=F64)
    before = {name: value.clone() for name, value in block.state_dict().items()}
    block.swap("rk4", refine=32)
    exact = block(x)
    assert block.schedule == DepthSchedule(2, 32, 1 / 32)
    distances = []
    for refine in (4, 8, 16):
        coarse = DepthBlock(list(block.fields), "euler", DepthSchedule(2))
        coarse.swap(refine=refine)
        distances.append(float((coarse(x) - exact).abs().max().detach()))
    assert distances[0] > distances[1] > distances[2]
    for name, value in block.state_dict().items():
        assert torch.equal(value, before[name])


@pytest.mark.parametrize(
    ("name", "order"),
    [
        ("euler", 1),
        ("lie-trotter", 1),
        ("strang", 1),
        ("strang(midpoint)", 2),
        ("midpoint", 2),
        ("heun", 2),
        ("rk4", 4),
    ],
)
def test_order_on_a_transformer_field(name, order):
    (field,) = fields(1)
    x = torch.randn(1, 5, 16, dtype=F64)
    with torch.no_grad():
        exact = solve(field, x, (0.0, 1.0), rule="rk4", steps=512).ys[-1]
    steps = (8, 16, 32, 64) if order == 4 else (32, 64, 128)
    errors = global_errors(field, x, rule=name, steps=steps, exact=exact)
    assert convergence_order([1 / n for n in steps], errors) == pytest.approx(order, abs=0.2)


def test_usual_and_parallel_layer_differ_by_the_second_order_in_h():
    (field,) = fields(1)
    x = torch.randn(2, 5, 16, dtype=F64)
    sizes = (0.1, 0.05, 0.025, 0.0125)
    with torch.no_grad():
        defects = [float(splitting_defect(field, x, h).abs().max()) for h in sizes]
        a = field.attention(0.0, x)
        _, derivative = torch.autograd.functional.jvp(lambda y: field.mlp(0.0, y), x, a)
        leading = splitting_defect(field, x, 1e-4) / 1e-8
    assert convergence_order(sizes, defects) == pytest.approx(2.0, abs=0.05)
    torch.testing.assert_close(leading, derivative, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("rule", [*STEP_RULES, "strang(midpoint)"])
def test_on_cuda_without_a_cuda_device(rule):
    # A read of a value on the host, or a mix of devices, raises under FakeTensorMode.
    with FakeTensorMode(), torch.device("cuda"), torch.no_grad():
        parts = [TransformerField(16, 2, dropout=0.1, drop_path=0.1) for _ in range(2)]
        end = DepthBlock(parts, rule, DepthSchedule(2, steps=2))(torch.ones(2, 5, 16))
    assert end.device.type == "cuda"


@pytest.mark.parametrize("rule", STEP_RULES)
def test_backward_reads_no_values(rule):
    # A tensor on "meta" has no values: whatever needed one would raise.
    parts = [TransformerField(16, 2, dropout=0.1, drop_path=0.1).to("meta") for _ in range(2)]
    block = DepthBlock(parts, rule, DepthSchedule(2, steps=2))
    block(torch.ones(2, 5, 16, device="meta")).sum().backward()
    assert all(p.grad is not None and p.grad.shape == p.shape for p in block.parameters())


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: DepthSchedule(0), "intervals is 0"),
        (lambda: DepthSchedule(1, steps=0), "steps is 0"),
        (lambda: DepthSchedule(1, step_size=0.0), r"step_size is 0\.0"),
        (lambda: DepthSchedule(1, step_size=float("nan")), "step_size is nan"),
        (lambda: DepthBlock(fields(2), "euler", DepthSchedule(3)), "2 fields came for 3 intervals"),
        (lambda: DepthBlock(fields(1), "eulr", DepthSchedule(1)), "nearest valid name is 'euler'"),
        (lambda: DepthBlock(fields(1), "euler", DepthSchedule(1)).swap(refine=0), "refine is 0"),
    ],
)
def test_bad_schedules_are_refused(make, sentence):
    with pytest.raises(ValueError, match=sentence):
        make()
