"""Surgery against the same thing written out: layers by hand, on networks with random weights."""

import pytest
import torch

from odelib.analysis import Surgery, count_layers, operate, shares_weights
from odelib.layers import DepthBlock, DepthSchedule
from odelib.models import CausalLM, CausalLMConfig, Encoder, EncoderConfig
from odelib.solvers import integrate

SIZES = {"dim": 16, "num_heads": 2, "mlp_ratio": 2.0, "vocab_size": 11, "max_tokens": 8}
TOKENS = torch.randint(11, (3, 7), generator=torch.Generator().manual_seed(0))
MASK = torch.arange(7) < torch.tensor([[7], [5], [2]])


def make(**changes):
    torch.manual_seed(0)
    model = Encoder(EncoderConfig(**SIZES, **changes)).double().eval()
    with torch.no_grad():  # norms start as the identity
        for parameter in model.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    return model


@pytest.fixture
def model():
    return make(intervals=4)


def layer(model, i):
    """The map of layer i, as the usual layer."""
    field = model.depth.fields[i]
    return lambda x: integrate(field, "lie-trotter", x, t=0.0, h=1.0, steps=1)


def through(model, maps):
    x = model.start(TOKENS)
    for each in maps:
        x = each(x)
    return x


def same(model, surgery, maps):
    with torch.no_grad():
        torch.testing.assert_close(operate(model, surgery)(TOKENS), through(model, maps), rtol=1e-12, atol=1e-12)


def test_nothing_done_is_the_network_and_the_network_stays_as_it_is(model):
    before = {name: value.clone() for name, value in model.state_dict().items()}
    operated = operate(model, Surgery(refine=2, rule="rk4", random=0))
    with torch.no_grad():
        torch.testing.assert_close(operate(model, Surgery())(TOKENS, MASK), model(TOKENS, MASK), rtol=1e-12, atol=1e-12)
        assert (operated(TOKENS) - model(TOKENS)).abs().max() > 0.1
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert (model.depth.rule.name, model.depth.schedule) == ("lie-trotter", DepthSchedule(4))


def test_order_and_number_of_layers(model):
    phi = [layer(model, i) for i in range(4)]
    same(model, Surgery(swap=(1, 3)), [phi[0], phi[3], phi[2], phi[1]])
    same(model, Surgery(skip=(0, 2)), [phi[1], phi[3]])
    same(model, Surgery(reverse=True), phi[::-1])
    same(model, Surgery(half=True), [phi[0], phi[2]])
    same(model, Surgery(skip=(3,), swap=(0, 1), reverse=True), [phi[2], phi[0], phi[1]])


def test_smaller_steps_and_other_rules(model):
    phi = [layer(model, i) for i in range(4)]
    halves = [lambda x, f=f: (x + f(x)) / 2 for f in phi for _ in range(2)]
    same(model, Surgery(refine=2), halves)

    def midpoint(f):
        return lambda x: x + f(y := (x + f(x)) / 2) - y

    same(model, Surgery(rule="midpoint"), [midpoint(f) for f in phi])
    with torch.no_grad():
        torch.testing.assert_close(operate(model, Surgery(rule="lie-trotter"))(TOKENS), model(TOKENS))


def test_layers_together(model):
    phi = [layer(model, i) for i in range(4)]
    same(model, Surgery(together=1), [phi[0], lambda x: phi[1](x) + phi[2](x) - x, phi[3]])
    same(model, Surgery(together=1, skip=(0,)), [lambda x: phi[1](x) + phi[2](x) - x, phi[3]])
    same(model, Surgery(together=1, reverse=True), [phi[3], lambda x: phi[1](x) + phi[2](x) - x, phi[0]])


def test_attention_and_mlp_in_parallel(model):
    phi = [layer(model, i) for i in range(4)]
    a, m = model.depth.fields[2].terms

    def by_sum(x):
        return a.norm(x + a.sublayer(x)) + m.norm(x + m.sublayer(x)) - x

    def at_input(x):
        return m.norm(a.norm(x + a.sublayer(x)) + m.sublayer(x))

    same(model, Surgery(parallel=(2,)), [phi[0], phi[1], by_sum, phi[3]])
    same(model, Surgery(parallel=(2,), form="input"), [phi[0], phi[1], at_input, phi[3]])
    every = operate(model, Surgery(parallel="all"))(TOKENS)
    assert torch.equal(every, operate(model, Surgery(parallel=(0, 1, 2, 3)))(TOKENS))


def test_shared_layers_are_counted_each():
    model = make(intervals=1, steps=3)
    phi = layer(model, 0)
    assert (count_layers(model), shares_weights(model)) == (3, True)
    same(model, Surgery(), [phi] * 3)
    same(model, Surgery(skip=(1,)), [phi] * 2)
    same(model, Surgery(together=0), [lambda x: x + 2 * (phi(x) - x), phi])
    drawn = operate(model, Surgery(random=0)).depth
    assert drawn.fields[0].field is drawn.fields[2].field  # still one weight set


def test_masks_are_read_after_every_surgery(model):
    other = torch.where(MASK, TOKENS, 3)
    for surgery in (Surgery(rule="rk4"), Surgery(together=1), Surgery(parallel="all", form="input"), Surgery(random=1)):
        network = operate(model, surgery)
        with torch.no_grad():
            torch.testing.assert_close(network(other, MASK)[MASK], network(TOKENS, MASK)[MASK])


def test_random_weights_have_the_size_of_the_trained_ones_and_follow_their_seed(model):
    first, again, other = (operate(model, Surgery(random=seed)).depth.fields[1].field for seed in (0, 0, 5))
    name = "mlp.sublayer.fc1.weight"
    trained, drawn = (part.get_parameter(name).detach() for part in (model.depth.fields[1], first))
    assert torch.equal(drawn, again.get_parameter(name))
    assert not torch.equal(drawn, other.get_parameter(name))
    assert abs(float(drawn.std() / trained.std()) - 1) < 0.15
    assert not torch.equal(drawn, trained)
    normal = [  # without mean and deviation, no draw of one seed comes again in another
        [
            (part - part.mean()) / part.std()
            for part in (layer.field.get_parameter(name) for layer in network.depth.fields)
        ]
        for network in (operate(model, Surgery(random=seed)) for seed in (0, 1))
    ]
    assert not any(torch.allclose(one, other, atol=1e-3) for one in normal[0] for other in normal[1])


def test_a_decoder_keeps_its_own_layers():
    torch.manual_seed(0)
    decoder = CausalLM(CausalLMConfig(**SIZES, intervals=3, step_rule="euler")).double().eval()
    with torch.no_grad():
        expected = decoder(TOKENS)
        for surgery in (Surgery(), Surgery(parallel="all"), Surgery(parallel="all", form="input")):
            torch.testing.assert_close(operate(decoder, surgery)(TOKENS), expected)  # its layers are parallel already
        assert (operate(decoder, Surgery(rule="lie-trotter"))(TOKENS) - expected).abs().max() > 1e-3
        changed = TOKENS.clone()
        changed[:, 4:] = 0
        network = operate(decoder, Surgery(rule="rk4", swap=(0, 2)))
        torch.testing.assert_close(network(changed)[:, :4], network(TOKENS)[:, :4])  # no token reads a later one


def test_a_surgery_is_a_value():
    assert Surgery(skip=(1,)) == Surgery(skip=(1,))
    assert len({Surgery(), Surgery(), Surgery(refine=2)}) == 2
    assert Surgery(rule="rk4", swap=(0, 1)).changes() == {"rule": "rk4", "swap": (0, 1)}


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"swap": (0, 4)}, "layer 4 is none of this network's: they are 0 to 3"),
        ({"skip": (-1,)}, "layer -1 is none of this network's"),
        ({"parallel": (7,)}, "layer 7 is none of this network's"),
        ({"together": 3}, "layer 4 is none of this network's"),
        ({"together": 1, "skip": (2,)}, "layers 1 and 2 are no neighbours then"),
        ({"together": 1, "swap": (2, 3)}, "layers 1 and 2 are no neighbours then"),
        ({"skip": (0, 1, 2, 3)}, "leaves no layer: keep at least one"),
    ],
    ids=str,
)
def test_what_does_not_fit_the_network_is_refused(model, values, sentence):
    with pytest.raises(ValueError, match=sentence):
        operate(model, Surgery(**values))


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"rule": "rk5"}, "unknown step rule 'rk5'"),
        ({"refine": 0}, "refine is 0"),
        ({"together": 0, "rule": "strang"}, "choose euler for layers together"),
    ],
    ids=str,
)
def test_what_is_no_surgery_is_refused(values, sentence):
    with pytest.raises(ValueError, match=sentence):
        Surgery(**values)


def test_a_depth_of_another_kind_is_refused(model):
    model.depth.swap(refine=2)
    with pytest.raises(ValueError, match="surgery is for layers as usually written"):
        operate(model, Surgery())
    fields = [model.depth.fields[i] for i in range(2)]
    block = DepthBlock(fields, "euler", DepthSchedule(1, weights="linear"))
    with pytest.raises(ValueError, match="this depth has linear weights"):
        operate(block, Surgery())


def test_a_block_by_itself_is_operated_on(model):
    x = model.start(TOKENS)
    torch.testing.assert_close(operate(model.depth, Surgery(skip=(0,)))(x), operate(model, Surgery(skip=(0,)))(TOKENS))
