import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from odelib.analysis import convergence_order, global_errors, splitting_defect
from odelib.layers import Context, DepthBlock, DepthSchedule, KeyValueCache, TransformerField
from odelib.solvers import STEP_RULES, Adaptive, Adjoint, Checkpoint, Reversible, SolverError, solve, step_rule

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


@pytest.fixture(scope="module")
def smooth():
    """A transformer field, a state, and the state one unit of time later."""
    (field,) = fields(1)
    x = torch.randn(1, 5, 16, dtype=F64)
    with torch.no_grad():
        return field, x, solve(field, x, (0.0, 1.0), rule="dopri8", steps=20).ys[-1]


# Coarse enough for rounding to stay out of sight, fine enough for the leading term of the error to rule.
GRIDS = {1: (32, 64, 128), 2: (16, 32, 64), 3: (8, 16, 32), 4: (8, 16, 32), 5: (4, 8, 16)}


@pytest.mark.parametrize("name", [*STEP_RULES, "strang(midpoint)", "lie-trotter(rk4)"])
def test_order_on_a_transformer_field(name, smooth):
    field, x, exact = smooth
    order, times = step_rule(name).order, (0.0, 1.0)
    steps = GRIDS.get(order, (3, 4, 6))
    if order > 5:  # so accurate that one unit of time is too short to measure
        times = (0.0, 3.0)
        with torch.no_grad():
            exact = solve(field, x, times, rule=name, steps=30).ys[-1]
    errors = global_errors(field, x, rule=name, steps=steps, exact=exact, times=times)
    assert order - 0.25 < convergence_order([1 / n for n in steps], errors) < order + (0.6 if order <= 4 else 2.0)


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


def test_interpolated_weights_pass_through_their_knots():
    knots = fields(3)
    x = torch.randn(2, 5, 16, dtype=F64)
    block = DepthBlock(knots, "euler", DepthSchedule(2, weights="linear"))
    middle = x + knots[0](0.0, x)
    torch.testing.assert_close(block(x), middle + knots[1](1.0, middle))
    halves = DepthBlock(knots, "euler", DepthSchedule(2, 2, 0.5, weights="linear"))
    half = TransformerField(16, 2, 2.0).to(F64)
    half.load_state_dict({n: (v + knots[1].state_dict()[n]) / 2 for n, v in knots[0].state_dict().items()})
    record = []
    halves(x, record)
    first = x + knots[0](0.0, x) / 2
    torch.testing.assert_close(record[1], first + half(0.5, first) / 2)


def test_equal_knots_are_constant_weights():
    (field,) = fields(1)
    x = torch.randn(2, 5, 16, dtype=F64)
    expected = DepthBlock([field, field], "strang", DepthSchedule(2))(x)
    block = DepthBlock([field, field, field], "strang", DepthSchedule(2, weights="linear"))
    torch.testing.assert_close(block(x), expected)


def test_a_fourier_series_starts_constant_and_depends_on_time_once_trained():
    parts = fields(3)
    x = torch.randn(2, 5, 16, dtype=F64)
    block = DepthBlock(parts, "rk4", DepthSchedule(3, weights="fourier"))
    block.make_constant()
    shared = DepthBlock([parts[0]], "rk4", DepthSchedule(1, steps=3))
    torch.testing.assert_close(block(x), shared(x))
    block(x).sum().backward()
    assert all(part.mlp.sublayer.fc2.weight.grad.abs().max() > 0 for part in parts)
    with torch.no_grad():  # cos(pi t / 3) = 1, 1/2, -1/2, -1 at t = 0, 1, 2, 3
        for parameter in parts[1].parameters():
            parameter.add_(1.0)
    moved = TransformerField(16, 2, 2.0).to(F64)
    moved.load_state_dict({n: v - 0.5 for n, v in parts[0].state_dict().items()})
    torch.testing.assert_close(block.field_over(0)(2.0, x), moved(0.0, x))


@pytest.mark.parametrize("weights", ["linear", "fourier"])
def test_order_holds_where_weights_depend_on_time(weights):
    parts, schedule = fields(3), DepthSchedule(3 - (weights == "linear"), step_size=0.25, weights=weights)
    x = torch.randn(1, 4, 16, dtype=F64)

    def end(refine):
        block = DepthBlock(parts, "rk4", schedule)
        block.swap(refine=refine)
        return block(x)

    with torch.no_grad():
        exact = end(64)
        errors = [float((end(steps) - exact).abs().max()) for steps in (8, 16)]
    assert convergence_order([1 / 8, 1 / 16], errors) == pytest.approx(4, abs=0.3)


@pytest.mark.parametrize("rule", ["euler", "lie-trotter", "rk4"])
def test_a_learned_step_size_is_a_step_size(rule):
    parts = fields(2)
    x = torch.randn(2, 5, 16, dtype=F64)
    block = DepthBlock(parts, rule, DepthSchedule(2), learn_step_size=True).to(F64)
    torch.testing.assert_close(block(x), DepthBlock(parts, rule, DepthSchedule(2))(x))
    with torch.no_grad():
        block.log_scale.copy_(torch.tensor([0.5, 0.25]).log())
    by_hand = solve(parts[0], x, (0.0, 0.5), rule=rule).ys[-1]
    by_hand = solve(parts[1], by_hand, (0.0, 0.25), rule=rule).ys[-1]
    torch.testing.assert_close(block(x), by_hand)
    block(x).sum().backward()
    assert (block.log_scale.grad != 0).all()


@pytest.mark.parametrize("weights", ["piecewise", "linear"])
def test_noise_is_held_over_the_stages_of_a_step(weights):
    (field,) = fields(1)
    for term in field.terms:
        term.dropout, term.drop_path = 0.3, 0.2
    count = 1 if weights == "piecewise" else 2
    block = DepthBlock([field] * count, "rk4", DepthSchedule(1, weights=weights), learn_step_size=True)
    x = torch.randn(2, 5, 16, dtype=F64)
    held = block.field_over(0).draw(x)
    torch.testing.assert_close(held(0.0, x), held(0.5, x), rtol=1e-12, atol=1e-12)
    block.eval()
    torch.testing.assert_close(block(x), block(x), rtol=0, atol=0)


@pytest.mark.slow
def test_strang_has_order_two_with_midpoint_and_one_with_euler_substeps_where_terms_are_three():
    torch.manual_seed(0)
    field = TransformerField(16, 2, 2.0, cross=True).to(F64)
    x, memory = torch.randn(1, 4, 16, dtype=F64), Context(memory=torch.randn(1, 3, 16, dtype=F64))
    frozen = field.bind(memory)
    with torch.no_grad():
        exact = solve(frozen, x, (0.0, 1.0), rule="dopri8", steps=10).ys[-1]
    for rule, order in (("strang(midpoint)", 2), ("strang", 1), ("lie-trotter", 1)):
        errors = global_errors(frozen, x, rule=rule, steps=(8, 16, 32), exact=exact)
        assert convergence_order([1 / 8, 1 / 16, 1 / 32], errors) == pytest.approx(order, abs=0.2)


def modes(gradient, **options):
    """A block with all that a gradient could miss: a context, a learned step size, weights that depend on time."""
    torch.manual_seed(0)
    parts = [TransformerField(16, 2, 2.0, causal=True, cross=True, **options).to(F64) for _ in range(3)]
    block = DepthBlock(
        parts, "midpoint", DepthSchedule(2, 3, 0.5, weights="linear"), learn_step_size=True, gradient=gradient
    ).to(F64)
    return block, torch.randn(2, 4, 16, dtype=F64), torch.randn(2, 3, 16, dtype=F64)


def gradients(block, x, memory):
    x, memory = x.clone().requires_grad_(), memory.clone().requires_grad_()
    torch.manual_seed(1)
    end = block(x, context=Context(memory=memory))
    return end.detach(), torch.autograd.grad(end.sin().sum(), [x, memory, *block.parameters()])


@pytest.mark.parametrize("dropout", [0.0, 0.2])
def test_checkpointing_gives_the_gradient_of_backpropagation(dropout):
    expected = gradients(*modes("backprop", dropout=dropout, drop_path=dropout))
    found = gradients(*modes("checkpoint", dropout=dropout, drop_path=dropout))
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-12)


def test_reversible_gradients_are_those_of_the_reversible_rule():
    block, *states = modes("backprop", dropout=0.2)
    block.rule = Reversible(step_rule("midpoint"))
    torch.testing.assert_close(
        gradients(*modes("reversible", dropout=0.2)), gradients(block, *states), rtol=1e-8, atol=1e-9
    )
    assert modes("reversible")[0].nfe == block.nfe == 2 * modes("backprop")[0].nfe


@pytest.mark.slow
def test_adjoint_gradients_converge_to_those_of_backpropagation():
    distances = []
    for steps in (4, 16):
        found = []
        for gradient in ("adjoint", "backprop"):
            block, *states = modes(gradient)
            block.swap("rk4", steps=steps)
            found.append(torch.cat([g.flatten() for g in gradients(block, *states)[1]]))
        distances.append(float((found[0] - found[1]).norm() / found[1].norm()))
    assert distances[1] < distances[0] / 30
    assert distances[1] < 1e-4


@pytest.mark.parametrize("rule", ["bosh3", "dopri5", "tsit5"])
def test_steps_chosen_by_the_error_meet_the_tolerance(rule):
    parts, x = fields(2), torch.randn(2, 5, 16, dtype=F64)
    exact = DepthBlock(parts, "rk4", DepthSchedule(2))
    exact.swap(steps=100)
    spent = []
    with torch.no_grad():
        for tolerance in (1e-3, 1e-6):
            block = DepthBlock(parts, rule, DepthSchedule(2), steps=Adaptive(rtol=tolerance, atol=tolerance))
            torch.testing.assert_close(block(x), exact(x), rtol=0, atol=100 * tolerance)
            spent.append(block.nfe)
    assert 0 < spent[0] < spent[1]


@pytest.mark.parametrize("changes", [{"gradient": "checkpoint"}, {"rule": "tsit5", "steps": Adaptive(1e-8, 1e-8)}])
def test_the_record_is_of_the_schedules_times_in_every_mode(changes):
    block, x = DepthBlock(fields(2), "rk4", DepthSchedule(2, 2, 0.5)), torch.randn(1, 4, 16, dtype=F64)
    block.swap(refine=10)
    fine = []
    block(x, fine)
    block.swap(steps=2)
    block.swap(**changes)
    record = []
    end = block(x, record)
    assert torch.equal(record[-1], end)
    torch.testing.assert_close(torch.stack(record), torch.stack(fine[9::10]), rtol=0, atol=1e-2)


def test_swap_goes_to_chosen_steps_and_back():
    block, x = DepthBlock(fields(2), "euler", DepthSchedule(2, 3, 0.5)), torch.randn(1, 4, 16, dtype=F64)
    before = block(x)
    with pytest.raises(ValueError, match=r"the step rule 'euler' estimates no error.*'dopri5', 'tsit5' or 'bosh3'"):
        block.swap(steps=Adaptive())
    block.swap("dopri5", steps=Adaptive())
    assert not torch.equal(block(x), before)
    with pytest.raises(ValueError, match="the step rule 'euler' estimates no error"):
        block.swap("euler")
    with pytest.raises(ValueError, match="keys and values cannot be kept"):
        block(x, context=Context(cache=KeyValueCache(9)))
    block.swap("euler", steps=3)
    assert torch.equal(block(x), before)


def test_each_sample_may_have_steps_of_its_own_where_nothing_is_drawn():
    steps = Adaptive(rtol=1e-6, atol=1e-6, per_sample=True)
    block, x = DepthBlock(fields(2), "tsit5", DepthSchedule(2), steps=steps), torch.randn(3, 5, 16, dtype=F64)
    exact = DepthBlock(list(block.fields), "rk4", DepthSchedule(2, 50, 0.02))
    torch.testing.assert_close(block(x), exact(x), rtol=0, atol=1e-4)
    for term in block.fields[0].terms:
        term.dropout = 0.1
    with pytest.raises(ValueError, match="step control per sample does not go with randomness drawn per step"):
        block(x)


def test_too_many_steps_are_said_so():
    block = DepthBlock(fields(1), "dopri5", DepthSchedule(1), steps=Adaptive(rtol=1e-12, atol=1e-12, max_steps=2))
    with pytest.raises(SolverError):
        block(torch.randn(1, 4, 16, dtype=F64))


def test_reversible_memory_does_not_grow_with_the_steps():
    """Counts what autograd keeps for the way back: 12 times the steps, and not one number more."""
    kept = []
    for steps in (4, 48):
        block = DepthBlock(fields(1), "euler", DepthSchedule(1, steps), gradient="reversible")
        x, sizes = torch.randn(2, 5, 16, dtype=F64, requires_grad=True), []
        with torch.autograd.graph.saved_tensors_hooks(lambda t, s=sizes: s.append(t.numel()) or t, lambda t: t):
            block(x)
        kept.append(sum(sizes))
    assert kept[0] == kept[1] > 0


@pytest.mark.usefixtures("attention_on_fake_cuda")
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
        (lambda: DepthSchedule(1, weights="spline"), "unknown kind of weights 'spline'"),
        (lambda: DepthBlock(fields(2), "euler", DepthSchedule(3)), "2 fields came for 3 intervals"),
        (lambda: DepthBlock(fields(2), "euler", DepthSchedule(2, weights="linear")), "one more, since they are knots"),
        (lambda: DepthBlock(fields(1), "eulr", DepthSchedule(1)), "nearest valid name is 'euler'"),
        (lambda: DepthBlock(fields(1), "euler", DepthSchedule(1)).swap(refine=0), "refine is 0"),
        (lambda: DepthBlock(fields(1), "euler", DepthSchedule(1)).swap(steps=0), "steps is 0"),
        (
            lambda: DepthBlock(fields(1), "euler", DepthSchedule(1), gradient="adjont"),
            "nearest valid name is 'adjoint'",
        ),
        (lambda: DepthBlock(fields(1), "euler", DepthSchedule(1), steps=Adaptive()), "estimates no error"),
        (
            lambda: DepthBlock(
                fields(2), "tsit5", DepthSchedule(2, weights="fourier"), steps=Adaptive(per_sample=True)
            ),
            "each sample has a time of its own",
        ),
    ],
)
def test_bad_schedules_are_refused(make, sentence):
    with pytest.raises(ValueError, match=sentence):
        make()


def test_gradient_modes_with_options_are_taken_and_have_their_names():
    x, found = torch.randn(2, 3, 16, dtype=F64), []
    for mode in ("backprop", Checkpoint("sqrt"), Adjoint(steps=40)):
        block = DepthBlock(fields(1), "rk4", DepthSchedule(1, steps=4, step_size=0.1), gradient=mode)
        block(x).square().sum().backward()
        found.append([parameter.grad for parameter in block.parameters()])
    torch.testing.assert_close(found[1], found[0], rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(found[2], found[0], rtol=1e-3, atol=1e-3)
    block.swap(gradient=Checkpoint())
    assert block.gradient == "checkpoint"
