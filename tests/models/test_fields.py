"""Registered fields: a stranger's field in every model, saved and loaded by its name."""

import json
from dataclasses import replace

import pytest
import torch
from torch import nn

from odelib.layers import Context, ContextField, FusedTransformerField, KeyValueCache, TransformerField
from odelib.models import (
    CausalLM,
    CausalLMConfig,
    EncoderDecoder,
    EncoderDecoderConfig,
    TextClassifier,
    TextClassifierConfig,
    ViT,
    ViTConfig,
    load_pretrained,
    register_field,
    save_pretrained,
)
from odelib.models.fields import FIELDS
from odelib.solvers import RandomField, SplitField

TINY = {"dim": 8, "num_heads": 2, "mlp_ratio": 2.0, "intervals": 2}
TEXT = {**TINY, "vocab_size": 11, "max_tokens": 12}
IMAGES = torch.rand(3, 1, 28, 28, generator=torch.Generator().manual_seed(0))
TOKENS = torch.randint(11, (3, 7), generator=torch.Generator().manual_seed(0))
MASK = torch.arange(7) < torch.tensor([[7], [4], [2]])


class PerToken(nn.Module):
    """x -> tanh(W x), each token alone; its weights start where its author wants them."""

    def __init__(self, dim):
        super().__init__()
        self.linear = nn.Linear(dim, dim)
        nn.init.constant_(self.linear.weight, 0.25)
        nn.init.constant_(self.linear.bias, 0.5)

    def forward(self, t, x):
        return self.linear(x).tanh() * (1.0 + 0.1 * t)


class Averaging(PerToken, SplitField, RandomField, ContextField):
    """A sum of terms with all that there is: reads the mean of the past, of unmasked tokens, and of a memory."""

    def __init__(self, dim, causal=False, cross=False, dropout=0.0):
        super().__init__(dim)
        self.causal, self.dropout = causal, dropout
        self.reads = ("mask", *(("memory", "memory_mask") if cross else ()))
        self.context, self.keep = Context(), 1.0

    def twin(self, **changes):
        twin = object.__new__(type(self))
        twin.__dict__.update({**self.__dict__, **changes})
        return twin

    def bind(self, context):
        return self.twin(context=context)

    def draw(self, y):
        drops = self.training and self.dropout > 0.0
        return self.twin(keep=torch.bernoulli(torch.full_like(y, 1.0 - self.dropout))) if drops else self

    @property
    def terms(self):
        return self.reading, super().forward

    def reading(self, t, x):
        mask = x.new_ones(x.shape[:2]) if self.context.mask is None else self.context.mask.to(x.dtype)
        weights = mask[:, None, :].expand(-1, x.shape[1], -1)
        weights = weights.tril() if self.causal else weights
        mean = weights @ x / weights.sum(dim=2, keepdim=True)
        if self.context.memory is not None:
            read = self.context.memory_mask
            read = x.new_ones(self.context.memory.shape[:2]) if read is None else read.to(x.dtype)
            mean = mean + (read[:, None] @ self.context.memory) / read.sum(dim=1)[:, None, None]
        return self.keep * mean

    def forward(self, t, x):
        reading, moving = self.terms
        return reading(t, x) + moving(t, x)


@pytest.fixture(autouse=True)
def registered(monkeypatch):
    monkeypatch.setattr("odelib.models.fields.FIELDS", FIELDS)
    before = dict(FIELDS)
    register_field("per-token", lambda config: PerToken(config.dim))
    register_field("averaging", lambda config, **needs: Averaging(config.dim, **needs))
    yield
    FIELDS.clear()
    FIELDS.update(before)


CASES = {
    "vit": (ViT, ViTConfig(**TINY), (IMAGES,)),
    "vit, class": (ViT, ViTConfig(**TINY, pool="class"), (IMAGES,)),
    "language": (CausalLM, CausalLMConfig(**TEXT), (TOKENS,)),
    "classifier": (TextClassifier, TextClassifierConfig(**TEXT), (TOKENS, MASK)),
    "translation": (EncoderDecoder, EncoderDecoderConfig(**TEXT), (TOKENS, TOKENS, MASK)),
}
WAYS = [
    {"step_rule": "rk4", "weights": "piecewise"},
    {"step_rule": "midpoint", "weights": "linear", "learn_step_size": True},
    {"step_rule": "heun", "weights": "fourier", "gradient": "checkpoint"},
    {"step_rule": "lie-trotter", "gradient": "checkpoint", "dropout": 0.2},
    {"step_rule": "midpoint", "steps": 2, "gradient": "adjoint"},
    {"step_rule": "midpoint", "weights": "linear", "gradient": "reversible", "dropout": 0.2},
    {"step_rule": "tsit5", "tolerance": 1e-3},
]


def make(case, **changes):
    kind, config, inputs = CASES[case]
    torch.manual_seed(0)
    return kind(replace(config, **changes)), inputs


@pytest.mark.parametrize("way", WAYS, ids=str)
@pytest.mark.parametrize("case", CASES)
def test_a_strangers_field_trains_is_saved_and_comes_back(case, way, tmp_path):
    model, inputs = make(case, field="averaging", **way)
    loss = model(*inputs).square().mean()
    loss.backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters() if p.requires_grad)
    moved = [p.grad.abs().max() > 0 for name, p in model.named_parameters() if ".linear." in name]
    assert any(moved)
    save_pretrained(model, tmp_path)
    assert json.loads((tmp_path / "config.json").read_text())["config"]["field"] == "averaging"
    again = load_pretrained(tmp_path)
    assert type(again) is type(model)
    assert again.config == model.config
    with torch.no_grad():
        assert torch.equal(again(*inputs), model.eval()(*inputs))


@pytest.mark.parametrize("case", ["vit", "vit, class"])
def test_the_plainest_field_serves_where_nothing_more_is_needed(case):
    model, inputs = make(case, field="per-token", step_rule="rk4")
    field = model.depth.fields[0]
    assert type(field) is PerToken
    assert (field.linear.weight == 0.25).all(), "it keeps the weights that its author gave it"
    assert (field.linear.bias == 0.5).all()
    model(*inputs).sum().backward()
    assert field.linear.weight.grad.abs().max() > 0
    # The other weights are those of a model of the same seed.
    torch.testing.assert_close(make(case, field="per-token")[0].head.weight, model.head.weight)


def test_no_logit_of_a_causal_stranger_depends_on_the_future():
    model, (tokens,) = make("language", field="averaging", step_rule="rk4")
    changed = tokens.clone()
    changed[:, 4:] = (tokens[:, 4:] + 1) % 11
    torch.testing.assert_close(model(tokens)[:, :4], model(changed)[:, :4])
    assert not torch.allclose(model(tokens)[:, 4:], model(changed)[:, 4:])


def test_padding_and_memory_reach_a_strangers_field():
    model, (tokens, mask) = make("classifier", field="averaging")
    torch.testing.assert_close(model(tokens, mask), model(tokens.where(mask, 5), mask))
    assert not torch.allclose(model(tokens), model(tokens, mask))
    model, (source, target, mask) = make("translation", field="averaging")
    torch.testing.assert_close(model(source, target, mask), model(source.where(mask, 5), target, mask))
    assert not torch.allclose(model(source, target), model(source.flip(0), target))


@pytest.mark.parametrize("beams", [1, 2])
def test_texts_are_written_without_a_cache_that_the_field_lacks(beams):
    model, (tokens,) = make("language", field="averaging")
    assert torch.equal(model.generate(tokens, 3), model.generate(tokens, 3, cached=False))
    with pytest.raises(ValueError, match="a cache came for a field that reads none, Averaging"):
        model(tokens, cache=KeyValueCache(9))
    model, (source, _, mask) = make("translation", field="averaging")
    texts, scores = model.translate(source, mask, start=0, end=1, beams=beams)
    again, same = model.translate(source, mask, start=0, end=1, beams=beams, cached=False)
    assert torch.equal(texts, again)
    assert torch.equal(scores, same)


def test_what_a_model_needs_and_a_field_lacks_is_said():
    sentence = (
        "the model needs a field with causal=True, but make of 'per-token' got an unexpected keyword argument 'causal'"
        ": let it take that, or choose another field, such as 'transformer'"
    )
    with pytest.raises(ValueError, match=sentence):
        make("language", field="per-token")
    model, inputs = make("classifier", field="per-token")
    model(inputs[0])
    with pytest.raises(ValueError, match="a mask came for a field that reads none, PerToken"):
        model(*inputs)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"drop_path": 0.1}, "the model needs a field with drop_path=0.1, but make of 'per-token' got an unexpected"),
        ({"dropout": 0.1}, "the model needs a field with dropout=0.1"),
        ({"step_rule": "lie-trotter"}, "needs a field with `terms`"),
        ({"field": "per-tokn"}, "unknown registered field 'per-tokn': the nearest valid name is 'per-token'"),
        ({"field": "fused", "norm_place": "post"}, "only a sum of attention and MLP, normalised before"),
    ],
    ids=str,
)
def test_what_does_not_go_together_is_refused(changes, sentence):
    def forward():
        model, inputs = make("vit", **{"field": "per-token", **changes})
        model(*inputs)

    with pytest.raises((ValueError, TypeError), match=sentence):
        forward()


def test_rotary_positions_and_memories_need_a_field_that_has_them():
    with pytest.raises(ValueError, match="needs a field with rotary=True"):
        make("classifier", field="per-token", positions="rotary")
    register_field("causal", lambda config, causal=False: PerToken(config.dim))
    make("language", field="causal")[0](TOKENS)
    with pytest.raises(
        ValueError, match=r"needs a field with causal=True, cross=True, but make of 'causal' .* argument 'cross'"
    ):
        make("translation", field="causal")


def test_a_name_may_be_registered_again_but_not_one_of_the_package():
    register_field("per-token", lambda config: Averaging(config.dim))
    assert isinstance(make("vit", field="per-token")[0].depth.fields[0], Averaging)
    for name in ("transformer", "fused"):
        with pytest.raises(ValueError, match=f"the field '{name}' is the package's own"):
            register_field(name, lambda config: PerToken(config.dim))
    register_field("number", lambda config: 1.0)
    with pytest.raises(TypeError, match=r"the field 'number' was made as a float: return an nn\.Module"):
        make("vit", field="number")


def test_a_saved_model_whose_field_is_not_registered_says_so(tmp_path):
    save_pretrained(make("vit", field="per-token")[0], tmp_path)
    del FIELDS["per-token"]
    with pytest.raises(ValueError, match="unknown registered field 'per-token'"):
        load_pretrained(tmp_path)


def test_configurations_of_earlier_versions_have_the_transformer():
    for _, config, _ in CASES.values():
        values = config.to_dict()
        assert values.pop("field") == "transformer"
        assert type(config).from_dict(values) == config


@pytest.mark.parametrize("case", CASES)
def test_the_fused_form_is_the_same_model(case, tmp_path):
    if case == "translation":
        with pytest.raises(ValueError, match="this field has a third term"):
            make(case, field="fused")
        return
    (plain, inputs), (fused, _) = (make(case, field=name, step_rule="rk4") for name in ("transformer", "fused"))
    assert {type(field) for field in fused.depth.fields} == {FusedTransformerField}
    assert {type(field) for field in plain.depth.fields} == {TransformerField}
    state = fused.state_dict()
    assert all(torch.equal(value, state[name]) for name, value in plain.state_dict().items()), "the same weights drawn"
    torch.testing.assert_close(fused(*inputs), plain(*inputs), rtol=1e-5, atol=1e-5)
    save_pretrained(fused, tmp_path)
    assert isinstance(load_pretrained(tmp_path).depth.fields[0], FusedTransformerField)
