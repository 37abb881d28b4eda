from dataclasses import replace

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from odelib.models import (
    CausalLM,
    CausalLMConfig,
    EncoderDecoder,
    EncoderDecoderConfig,
    TextClassifier,
    TextClassifierConfig,
)

SMALL = CausalLMConfig(dim=16, num_heads=2, mlp_ratio=2.0, intervals=2, vocab_size=11, max_tokens=12)
CLASSIFIER = TextClassifierConfig(dim=16, num_heads=2, mlp_ratio=2.0, intervals=2, vocab_size=11, max_tokens=12)
TRANSLATION = EncoderDecoderConfig(dim=16, num_heads=2, mlp_ratio=2.0, intervals=2, vocab_size=11, max_tokens=12)

RULES = [
    {"step_rule": "lie-trotter"},
    {"step_rule": "euler"},
    {"step_rule": "euler", "norm_place": "shared", "positions": "rotary"},
    {"step_rule": "euler", "positions": "rotary", "rotary_dim": 4, "proj_bias": False, "head_bias": True},
    {"step_rule": "strang(midpoint)", "norm": "rms", "activation": "swiglu"},
    {"step_rule": "rk4", "intervals": 1, "steps": 3},
    {"step_rule": "heun", "weights": "linear", "learn_step_size": True, "positions": "rotary"},
    {"step_rule": "euler", "weights": "fourier", "tied": False},
    {"step_rule": "lie-trotter", "norm_place": "post", "qk_norm": True},
]


def make(config):
    torch.manual_seed(0)
    model = CausalLM(config).double()
    with torch.no_grad():  # nothing at its special starting value
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model


@pytest.mark.parametrize("changes", RULES, ids=str)
def test_no_logit_depends_on_the_future(changes):
    model = make(replace(SMALL, **changes))
    tokens = torch.randint(11, (2, 8))
    changed = tokens.clone()
    changed[:, 5:] = (tokens[:, 5:] + 1) % 11
    one, other = model(tokens), model(changed)
    torch.testing.assert_close(one[:, :5], other[:, :5], rtol=0, atol=1e-14)
    assert not torch.allclose(one[:, 5:], other[:, 5:])


@pytest.mark.parametrize("changes", RULES, ids=str)
def test_cached_generation_equals_uncached(changes):
    model = make(replace(SMALL, **changes))
    prompt = torch.randint(11, (3, 4))
    greedy = model.generate(prompt, 6)
    assert torch.equal(greedy, model.generate(prompt, 6, cached=False))
    by_hand = prompt
    for _ in range(6):
        by_hand = torch.cat([by_hand, model.eval()(by_hand)[:, -1].argmax(dim=1, keepdim=True)], dim=1)
    assert torch.equal(greedy, by_hand)


def test_sampling_draws_from_the_most_probable_tokens():
    model = make(SMALL).train()
    prompt = torch.zeros(2000, 1, dtype=torch.int64)
    draws = [
        model.generate(prompt, 1, temperature=1.0, top_k=3, generator=torch.Generator().manual_seed(seed))[:, 1]
        for seed in (0, 0, 1)
    ]
    assert model.training
    assert torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])
    logits = model.eval()(prompt[:1])[0, -1].detach()
    top = logits.topk(3)
    shares = torch.stack([(draws[0] == k).double().mean() for k in top.indices])
    assert shares.sum().item() == pytest.approx(1.0)
    torch.testing.assert_close(shares, top.values.softmax(0), rtol=0, atol=0.05)


def test_the_record_starts_with_the_embedding():
    model = make(SMALL)
    tokens, record = torch.randint(11, (1, 5)), []
    model(tokens, record)
    assert len(record) == 3
    torch.testing.assert_close(record[0], model.embed(tokens))


@pytest.mark.parametrize("changes", [*RULES, {"step_rule": "euler", "dropout": 0.1, "drop_path": 0.1}], ids=str)
def test_every_configuration_learns_a_rule(changes):
    torch.manual_seed(0)
    model = CausalLM(replace(SMALL, **changes))
    tokens = (torch.arange(12) + torch.arange(11)[:, None]) % 11  # each token is the one before it and one more
    optimiser = torch.optim.AdamW(model.parameters(), lr=3e-3)
    losses = []
    for _ in range(25):
        loss = torch.nn.functional.cross_entropy(model(tokens[:, :-1]).flatten(0, 1), tokens[:, 1:].flatten())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.8 * losses[0]


@pytest.mark.parametrize("tied", [True, False])
def test_the_bias_of_the_head_is_added_to_the_logits(tied):
    model = make(replace(SMALL, tied=tied, head_bias=True))
    bias = model.head_bias if tied else model.head.bias
    tokens = torch.randint(11, (2, 5))
    before = model(tokens)
    with torch.no_grad():
        bias.add_(torch.arange(11))
    torch.testing.assert_close(model(tokens), before + torch.arange(11))


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"dim": 18, "num_heads": 2}, "a head is 9 wide: choose dim / num_heads even"),
        ({"rotary_dim": 3}, "rotary_dim is 3 where a head is 8 wide"),
        ({"rotary_dim": 10}, "rotary_dim is 10 where a head is 8 wide"),
        ({"rotary_dim": 4, "positions": "learned"}, "rotary_dim is 4, but positions are 'learned': write positions="),
        ({"rotary_base": 0.0}, "rotary_base is 0.0: choose it greater than 0"),
    ],
    ids=str,
)
def test_rotary_positions_that_cannot_be_are_refused(changes, sentence):
    with pytest.raises(ValueError, match=sentence):
        replace(SMALL, **{"positions": "rotary", **changes})
    if changes.get("positions") != "learned":
        with pytest.raises(ValueError, match=sentence):
            replace(CLASSIFIER, **{"positions": "rotary", **changes})


@pytest.mark.parametrize("kind", ["language", "classifier", "translation"])
@pytest.mark.parametrize("changes", [{"rotary_dim": 2}, {"rotary_base": 3.0}], ids=str)
def test_every_model_of_text_turns_as_its_configuration_says(kind, changes):
    make = {"language": CausalLM, "classifier": TextClassifier, "translation": EncoderDecoder}[kind]
    config = {"language": SMALL, "classifier": CLASSIFIER, "translation": TRANSLATION}[kind]
    inputs = (torch.arange(8)[None],) * (2 if kind == "translation" else 1)
    outs = []
    for options in ({}, changes):
        torch.manual_seed(0)
        outs.append(make(replace(config, positions="rotary", **options))(*inputs))
    assert not torch.allclose(*outs, rtol=1e-4)


def test_padding_changes_no_class():
    torch.manual_seed(0)
    model = TextClassifier(CLASSIFIER).double()
    tokens = torch.randint(11, (3, 7))
    padded = torch.cat([tokens, torch.randint(11, (3, 4))], dim=1)
    mask = torch.arange(11).expand(3, 11) < 7
    torch.testing.assert_close(model(padded, mask), model(tokens))
    torch.testing.assert_close(model(tokens, mask[:, :7]), model(tokens))


def test_a_classifier_learns():
    torch.manual_seed(0)
    model = TextClassifier(CLASSIFIER)
    tokens = torch.randint(1, 11, (64, 8))
    tokens[:32, 3] = 0
    labels = torch.arange(64) // 32
    optimiser = torch.optim.AdamW(model.parameters(), lr=3e-3)
    losses = []
    for _ in range(40):
        loss = torch.nn.functional.cross_entropy(model(tokens), labels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.5 * losses[0]
    assert model.nfe == 2


@pytest.mark.usefixtures("attention_on_fake_cuda")
def test_on_cuda_without_a_cuda_device(monkeypatch):
    monkeypatch.setattr(torch.nn.init, "trunc_normal_", lambda tensor, std: tensor)
    with FakeTensorMode(), torch.device("cuda"), torch.no_grad():
        tokens = torch.zeros(2, 5, dtype=torch.int64)
        assert CausalLM(replace(SMALL, positions="rotary")).generate(tokens, 3).device.type == "cuda"
        mask = torch.ones(2, 5, dtype=torch.bool)
        assert TextClassifier(CLASSIFIER)(tokens, mask).device.type == "cuda"


@pytest.mark.parametrize(
    ("call", "error", "sentence"),
    [
        (lambda m: m(torch.zeros(1, 13, dtype=torch.int64)), ValueError, "13 tokens came, the model has"),
        (lambda m: m(torch.zeros(1, 3)), TypeError, "tokens of dtype torch.float32 came"),
        (lambda m: m.generate(torch.zeros(1, 9, dtype=torch.int64), 4), ValueError, "9 tokens and 4 new ones are 13"),
        (lambda m: m.generate(torch.zeros(1, 0, dtype=torch.int64), 4), ValueError, "the prompt has no token"),
        (lambda m: m.generate(torch.zeros(1, 1, dtype=torch.int64), 0), ValueError, "new_tokens is 0"),
        (lambda m: m.generate(torch.zeros(1, 1, dtype=torch.int64), 1, temperature=-1.0), ValueError, "temperature is"),
        (lambda m: m.generate(torch.zeros(1, 1, dtype=torch.int64), 1, top_k=0), ValueError, "top_k is 0"),
    ],
)  # fmt: skip
def test_bad_input_is_refused(call, error, sentence):
    with pytest.raises(error, match=sentence):
        call(CausalLM(SMALL))


def test_a_classifier_refuses_a_mask_of_another_shape():
    tokens = torch.zeros(2, 5, dtype=torch.int64)
    with pytest.raises(ValueError, match=r"shape \(2, 4\) where \(2, 5\) was expected"):
        TextClassifier(CLASSIFIER)(tokens, torch.ones(2, 4, dtype=torch.bool))
    with pytest.raises(TypeError, match=r"dtype torch.int64, expected torch.bool"):
        TextClassifier(CLASSIFIER)(tokens, torch.ones(2, 5, dtype=torch.int64))
