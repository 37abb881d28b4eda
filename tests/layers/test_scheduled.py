"""Fields that others write, of every kind, under every schedule, step rule and gradient mode."""

import itertools

import pytest
import torch
from torch import nn

from odelib.layers import Context, ContextField, DepthBlock, DepthSchedule, KeyValueCache, TransformerField
from odelib.solvers import Adaptive, Exact, RandomField, SplitField, solve, terms_of

F64 = torch.float64


class Plain(nn.Module):
    """x -> tanh(W x) cos(t): all that is asked of a field."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(4, 4, dtype=F64)

    def forward(self, t, x):
        return self.linear(x).tanh() * torch.cos(torch.as_tensor(t, dtype=F64))


class Split(nn.Module, SplitField):
    """A sum whose terms are functions, not modules, with a parameter that both use."""

    def __init__(self):
        super().__init__()
        self.one, self.other = nn.Linear(4, 4, dtype=F64), nn.Linear(4, 4, dtype=F64)
        self.both = nn.Parameter(torch.randn((), dtype=F64))

    @property
    def terms(self):
        return (lambda t, x: self.both * self.one(x).tanh()), (lambda t, x: self.both * self.other(x).sin())

    def forward(self, t, x):
        first, second = self.terms
        return first(t, x) + second(t, x)


class Random(Plain, RandomField):
    """Drops entries; what it draws is a function that holds the mask."""

    def draw(self, y):
        mask = torch.bernoulli(torch.full_like(y, 0.7)) / 0.7 if self.training else None
        return self if mask is None else lambda t, x: self(t, x) * mask


class Reading(nn.Module, ContextField):
    """Reads a memory, of which it makes something by its weights when it is bound."""

    reads = ("memory",)

    def __init__(self):
        super().__init__()
        self.linear, self.read = nn.Linear(4, 4, dtype=F64), nn.Linear(4, 4, dtype=F64)

    def forward(self, t, x):
        return self.linear(x).tanh()

    def bind(self, context):
        if context.memory is None:
            return self
        made = self.read(context.memory).mean(dim=1, keepdim=True)
        return lambda t, x: self(t, x) + made


class Everything(nn.Module, SplitField, RandomField, ContextField):
    """All at once: a copy of itself holds what is bound and drawn."""

    reads = ("memory",)

    def __init__(self):
        super().__init__()
        self.linear, self.read = nn.Linear(4, 4, dtype=F64), nn.Linear(4, 4, dtype=F64)
        self.memory, self.mask = None, 1.0

    def twin(self, **changes):
        twin = object.__new__(type(self))
        twin.__dict__.update({**self.__dict__, **changes})
        return twin

    def bind(self, context):
        return self.twin(memory=context.memory)

    def draw(self, y):
        return self.twin(mask=torch.bernoulli(torch.full_like(y, 0.7)) / 0.7) if self.training else self

    def reading(self, t, x):
        return 0.0 * x if self.memory is None else self.read(self.memory).mean(dim=1, keepdim=True).expand_as(x)

    def moving(self, t, x):
        return self.mask * self.linear(x).tanh()

    @property
    def terms(self):
        return self.reading, self.moving

    def forward(self, t, x):
        return self.reading(t, x) + self.moving(t, x)


KINDS = [Plain, Split, Random, Reading, Everything]
SCHEDULES = ["piecewise", "linear", "fourier"]


def make(kind, weights, *, rule="midpoint", gradient="backprop", steps=None, learn=True, training=True):
    torch.manual_seed(0)
    fields = [kind() for _ in range(3)]
    schedule = DepthSchedule(3 - (weights == "linear"), 2, 0.25, weights=weights)
    block = DepthBlock(fields, rule, schedule, learn_step_size=learn, steps=steps, gradient=gradient).to(F64)
    if learn:
        with torch.no_grad():
            block.log_scale.copy_(torch.linspace(-0.2, 0.3, schedule.intervals))
    return block.train(training)


def context_for(kind):
    torch.manual_seed(1)
    memory = torch.randn(2, 3, 4, dtype=F64, requires_grad=True)
    return Context(memory=memory) if issubclass(kind, ContextField) else None


def by_hand(block, context, noise_seed=None):
    """The same by one solve per step, with modules whose weights were summed up before: no field of a block."""
    torch.manual_seed(2)
    x = torch.randn(2, 5, 4, dtype=F64)
    if noise_seed is not None:
        torch.manual_seed(noise_seed)
    schedule, h = block.schedule, block.schedule.step_size
    for i, k in itertools.product(range(schedule.intervals), range(schedule.steps)):
        t0 = (i * schedule.steps + k) * h
        scale = 1.0 if block.log_scale is None else block.log_scale[i].exp()
        held = {}

        def field(t, y, i=i, t0=t0, scale=scale, held=held):
            sets, basis = schedule.over(i)
            shares = [1.0] if basis is None else basis(t)
            first = block.fields[sets[0]]
            names = [name for name, _ in first.named_parameters()]
            theta = {
                name: sum(s * block.fields[j].get_parameter(name) for s, j in zip(shares, sets, strict=True))
                for name in names
            }
            state = held.setdefault("state", torch.get_rng_state())  # the same drop in all stages of a step
            torch.set_rng_state(state)
            drawn = first.draw(y) if isinstance(first, RandomField) else first
            held["after"] = torch.get_rng_state()

            class Once(nn.Module):
                def __init__(self):
                    super().__init__()
                    self.first = first

                def forward(self, t, y):
                    bound = drawn.bind(context) if context is not None else drawn
                    return bound(t, y)

            weights = {f"first.{name}": value for name, value in theta.items()}
            return scale * torch.func.functional_call(Once(), weights, (t, y))

        x = solve(field, x, (t0, t0 + h), rule="midpoint").ys[-1]
        torch.set_rng_state(held["after"])
    return x


@pytest.mark.parametrize("weights", SCHEDULES)
@pytest.mark.parametrize("kind", KINDS)
def test_the_value_is_that_of_the_summed_weights(kind, weights):
    block, context = make(kind, weights), context_for(kind)
    torch.manual_seed(2)
    x = torch.randn(2, 5, 4, dtype=F64)
    torch.manual_seed(3)
    found = block(x, context=context)
    torch.testing.assert_close(found, by_hand(block, context, noise_seed=3), rtol=1e-12, atol=1e-12)


def gradients(block, context):
    torch.manual_seed(2)
    x = torch.randn(2, 5, 4, dtype=F64, requires_grad=True)
    torch.manual_seed(3)
    end = block(x, context=context)
    inputs = [x, *block.parameters(), *([] if context is None else [context.memory])]
    return end.detach(), torch.autograd.grad(end.sin().sum(), inputs)


@pytest.mark.parametrize("weights", SCHEDULES)
@pytest.mark.parametrize("kind", KINDS)
def test_checkpointing_gives_the_gradient_of_backpropagation(kind, weights):
    expected = gradients(make(kind, weights), context_for(kind))
    assert all((part != 0).any() for part in expected[1]), "each of them counts"
    found = gradients(make(kind, weights, gradient="checkpoint"), context_for(kind))
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("weights", SCHEDULES)
@pytest.mark.parametrize("kind", KINDS)
def test_reversible_gradients_are_those_of_the_reversible_rule(kind, weights):
    expected = gradients(make(kind, weights, rule="reversible(midpoint)"), context_for(kind))
    found = gradients(make(kind, weights, gradient="reversible"), context_for(kind))
    torch.testing.assert_close(found, expected, rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("weights", SCHEDULES)
@pytest.mark.parametrize("kind", KINDS)
def test_adjoint_gradients_converge_to_those_of_backpropagation(kind, weights):
    distances = []
    for steps in (8, 16):
        found = []
        for gradient in ("adjoint", "backprop"):
            block = make(kind, weights, rule="rk4", gradient=gradient, training=False)
            block.swap(steps=steps)
            found.append(torch.cat([g.flatten() for g in gradients(block, context_for(kind))[1]]))
        distances.append(float((found[0] - found[1]).norm() / found[1].norm()))
    assert distances[1] < max(distances[0] / 8, 1e-12)
    assert distances[1] < 1e-5


@pytest.mark.parametrize("weights", SCHEDULES)
@pytest.mark.parametrize("kind", KINDS)
def test_steps_chosen_by_the_error_meet_the_tolerance(kind, weights):
    block = make(kind, weights, rule="tsit5", steps=Adaptive(rtol=1e-6, atol=1e-6), training=False)
    exact = make(kind, weights, rule="rk4", training=False)
    exact.swap(refine=20)
    x, context = torch.randn(2, 5, 4, dtype=F64), context_for(kind)
    with torch.no_grad():
        torch.testing.assert_close(block(x, context=context), exact(x, context=context), rtol=0, atol=1e-5)
    assert block.nfe > 0


@pytest.mark.parametrize("weights", SCHEDULES)
@pytest.mark.parametrize("rule", ["lie-trotter", "strang(midpoint)"])
@pytest.mark.parametrize("kind", [Split, Everything])
def test_a_splitting_converges_to_the_same(kind, rule, weights):
    x, context = torch.randn(2, 5, 4, dtype=F64), context_for(kind)
    exact = make(kind, weights, rule="rk4", training=False)
    exact.swap(refine=8)
    errors = []
    with torch.no_grad():
        for refine in (4, 8):
            block = make(kind, weights, rule=rule, training=False)
            block.swap(refine=refine)
            errors.append(float((block(x, context=context) - exact(x, context=context)).abs().max()))
    assert errors[1] < errors[0] / (1.7 if rule == "lie-trotter" else 3.4)
    assert make(kind, weights, rule="lie-trotter").nfe == 2 * block.schedule.intervals


@pytest.mark.parametrize("weights", SCHEDULES)
def test_what_cannot_be_split_says_so(weights):
    block = make(Plain, weights, rule="lie-trotter")
    with pytest.raises((TypeError, ValueError), match="needs a field with `terms`"):
        block(torch.randn(2, 5, 4, dtype=F64))


def test_a_scaled_flow_is_the_flow_of_the_scaled_step():
    class Rotating(Split):
        @property
        def terms(self):
            decay = Exact(lambda t, h, y: y * torch.exp(-torch.as_tensor(h)), lambda t, y: -y)
            return decay, lambda t, x: 0.0 * x

        def forward(self, t, x):
            return -x

    block = DepthBlock([Rotating()], "lie-trotter", DepthSchedule(1), learn_step_size=True).to(F64)
    with torch.no_grad():
        block.log_scale.fill_(0.5).log_()
    x = torch.randn(2, 5, 4, dtype=F64)
    torch.testing.assert_close(block(x), x * torch.exp(torch.tensor(-0.5, dtype=F64)))


@pytest.mark.parametrize(
    ("context", "sentence"),
    [
        (Context(mask=torch.ones(2, 5, dtype=torch.bool)), "a mask came for a field that reads none, Plain"),
        (Context(memory=torch.ones(2, 3, 4)), "a memory came for a field that reads none, Plain"),
        (Context(cache=KeyValueCache(5)), "a cache came for a field that reads none, Plain"),
    ],
)
def test_a_context_that_would_have_no_effect_is_refused(context, sentence):
    with pytest.raises(ValueError, match=sentence):
        make(Plain, "piecewise")(torch.randn(2, 5, 4, dtype=F64), context=context)
    assert not make(Plain, "piecewise").keeps_cache
    with pytest.raises(ValueError, match=r"reads none, Reading: pass no cache, .* with 'cache' among its reads"):
        make(Reading, "piecewise")(torch.randn(2, 5, 4, dtype=F64), context=Context(cache=KeyValueCache(5)))


class Forgetful(Random, ContextField):
    """Draws, but what it binds draws no more."""

    def bind(self, context):
        return lambda t, x: self(t, x)


def test_randomness_or_context_that_would_be_lost_is_refused():
    x = torch.randn(2, 5, 4, dtype=F64)
    with pytest.raises(TypeError, match="bind of Forgetful, which draws at random, returned a function"):
        make(Forgetful, "piecewise")(x)
    make(Forgetful, "piecewise", training=False)(x)

    class Detached(Random, ContextField):
        def bind(self, context):
            return self

    make(Detached, "piecewise")(x)
    with pytest.raises(TypeError, match="draw of Detached returned a function, which has no bind"):
        make(Detached, "linear")(x)


def test_fields_of_different_parameters_cannot_be_summed():
    wide = nn.Sequential(nn.Linear(4, 8), nn.Linear(8, 4))
    for other in (wide, nn.Linear(4, 4), nn.Linear(4, 4, bias=False)):
        with pytest.raises(ValueError, match="weights that are 'linear' in time are sums over the fields"):
            DepthBlock([nn.Linear(4, 5), other], "euler", DepthSchedule(1, weights="linear"))


def test_a_wrong_shape_is_refused_and_not_broadcast():
    class Thin(Plain):
        def forward(self, t, x):
            return super().forward(t, x).mean(dim=1, keepdim=True)

    with pytest.raises(ValueError, match=r"shape \(2, 1, 4\)"):
        make(Thin, "piecewise")(torch.randn(2, 5, 4, dtype=F64))


def test_only_the_weights_of_a_term_are_summed_for_it():
    fields = [TransformerField(16, 2, 2.0, norm_place="shared") for _ in range(2)]
    block = DepthBlock(fields, "lie-trotter", DepthSchedule(1, weights="linear"))
    terms = terms_of(block.field_over(0))
    for term, part in zip(terms, fields[0].terms, strict=True):
        summed = {id(table[name]) for table, name in (places[0] for places in term._weights)}
        assert summed == {id(weight) for weight in part.parameters()}
    x = torch.randn(2, 5, 16)
    torch.testing.assert_close(sum(term(0.3, x) for term in terms), block.field_over(0)(0.3, x))


@pytest.mark.parametrize("weights", SCHEDULES)
@pytest.mark.parametrize("rule", ["rk4", "lie-trotter"])
def test_a_norm_that_terms_share_keeps_its_parameters(rule, weights):
    fields = [TransformerField(16, 2, 2.0, norm_place="shared") for _ in range(2)]
    block = DepthBlock(fields, rule, DepthSchedule(1 if weights == "linear" else 2, weights=weights))
    before = dict(block.named_parameters())
    block(torch.randn(2, 5, 16)).sin().sum().backward()
    after = dict(block.named_parameters())
    assert before.keys() == after.keys()
    assert all(after[name] is parameter for name, parameter in before.items())
    assert all(weight.grad is not None for weight in fields[0].parameters())


def test_weights_come_back_where_the_field_fails():
    class Failing(Plain):
        def forward(self, t, x):
            raise ArithmeticError

    block = make(Failing, "linear")
    before = list(block.parameters())
    with pytest.raises(ArithmeticError):
        block.field_over(0)(0.1, torch.randn(2, 5, 4, dtype=F64))
    assert all(now is then for now, then in zip(block.parameters(), before, strict=True))


def replica(module):
    """What nn.DataParallel makes: parameters that are no leaves, kept as plain attributes."""
    twins = {part: part._replicate_for_data_parallel() for part in module.modules()}
    for part, twin in twins.items():
        twin._former_parameters = {}
        for name, child in part._modules.items():
            twin._modules[name] = None if child is None else twins[child]
        for name, parameter in part._parameters.items():
            copy = None if parameter is None else parameter * 1.0
            setattr(twin, name, copy)
            twin._former_parameters[name] = copy
    return twins[module]


@pytest.mark.parametrize("weights", SCHEDULES)
@pytest.mark.parametrize("gradient", ["backprop", "checkpoint", "adjoint", "reversible"])
def test_a_replica_gives_the_same_gradients(gradient, weights):
    context = context_for(Everything)
    block = make(Everything, weights, gradient=gradient, training=False)
    expected = gradients(block, context)
    torch.manual_seed(2)
    x = torch.randn(2, 5, 4, dtype=F64, requires_grad=True)
    end = replica(block)(x, context=context)
    found = torch.autograd.grad(end.sin().sum(), [x, *block.parameters(), context.memory])
    torch.testing.assert_close((end.detach(), found), expected, rtol=1e-12, atol=1e-12)
