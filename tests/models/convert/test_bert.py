"""Hugging Face's encoders with random weights and ours with the same ones are the same functions."""

import json

import pytest
import torch
from safetensors.torch import save_file
from transformers import AlbertConfig, AlbertForMaskedLM, AlbertModel, BertConfig, BertForMaskedLM, BertModel

from odelib.models import Encoder, EncoderConfig, config_from_transformers, from_albert, from_bert, load_network

SIZES = {
    "vocab_size": 31,
    "max_position_embeddings": 16,
    "hidden_size": 24,
    "num_attention_heads": 3,
    "num_hidden_layers": 4,
    "intermediate_size": 40,
}
MASK = torch.arange(9) < torch.tensor([[9], [5]])
VARIANTS = [
    (BertForMaskedLM, BertConfig, {}),
    (BertForMaskedLM, BertConfig, {"hidden_act": "gelu_new", "layer_norm_eps": 1e-5}),
    (AlbertForMaskedLM, AlbertConfig, {"embedding_size": 12}),
    (AlbertForMaskedLM, AlbertConfig, {"embedding_size": 12, "num_hidden_groups": 2, "hidden_act": "gelu"}),
]


def make(model, config, changes):
    torch.manual_seed(0)
    theirs = model(config(**SIZES | changes)).double().eval()
    with torch.no_grad():  # they start biases and shifts at zero: random ones test them too
        for parameter in theirs.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return theirs


def ours_of(theirs):
    config = config_from_transformers(theirs.config.to_dict())
    convert = from_bert if theirs.config.model_type == "bert" else from_albert
    ours = Encoder(config).double().eval()
    ours.load_state_dict(convert(theirs.state_dict(), config))
    return ours


@pytest.mark.parametrize(("model", "config", "changes"), VARIANTS, ids=lambda v: getattr(v, "__name__", str(v)))
def test_states_guesses_and_gradients_are_theirs(model, config, changes):
    theirs = make(model, config, changes)
    ours = ours_of(theirs)
    tokens = torch.randint(31, (2, 9))
    inside = theirs.bert if config is BertConfig else theirs.albert
    expected = theirs(tokens, attention_mask=MASK.long(), output_hidden_states=True)
    record = []
    states = ours(tokens, MASK, record)
    assert len(record) == 5
    for mine, other in zip(record, expected.hidden_states, strict=True):
        torch.testing.assert_close(mine[MASK], other[MASK], rtol=1e-10, atol=1e-10)
    logits = ours.logits(states)
    torch.testing.assert_close(logits[MASK], expected.logits[MASK], rtol=1e-10, atol=1e-10)
    weights = torch.randn_like(logits[MASK])
    (logits[MASK] * weights).sum().backward()
    (expected.logits[MASK] * weights).sum().backward()
    torch.testing.assert_close(
        ours.embed.token.weight.grad, inside.embeddings.word_embeddings.weight.grad, rtol=1e-10, atol=1e-10
    )
    last = (
        inside.encoder.layer[-1].attention.output.dense
        if config is BertConfig
        else inside.encoder.albert_layer_groups[-1].albert_layers[0].attention.dense
    )
    mine = ours.depth.fields[-1].attention.sublayer.proj.weight.grad
    torch.testing.assert_close(mine, last.weight.grad, rtol=1e-10, atol=1e-10)


def test_shared_layers_are_one_weight_set_of_many_steps():
    albert = config_from_transformers(AlbertConfig(**SIZES, embedding_size=12).to_dict())
    bert = config_from_transformers(BertConfig(**SIZES).to_dict())
    assert (albert.intervals, albert.steps, bert.intervals, bert.steps) == (1, 4, 4, 1)
    assert (albert.step_rule, albert.norm_place) == (bert.step_rule, bert.norm_place) == ("lie-trotter", "post")


def write(folder, theirs, *, pickled=False, **changes):
    state = {name: tensor.float().clone().contiguous() for name, tensor in theirs.state_dict().items()}
    if pickled:
        torch.save(state, folder / "pytorch_model.bin")
    else:
        save_file(state, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(theirs.config.to_dict() | changes))
    return folder


@pytest.mark.parametrize(("model", "config"), [(BertModel, BertConfig), (AlbertModel, AlbertConfig)])
@pytest.mark.parametrize("pickled", [False, True])
def test_a_folder_without_a_head_is_loaded(model, config, pickled, tmp_path):
    theirs = make(model, config, {}).float()
    network = load_network(write(tmp_path, theirs, pickled=pickled))
    assert not network.training
    tokens = torch.randint(31, (2, 9))
    with torch.no_grad():
        torch.testing.assert_close(network(tokens), theirs(tokens).last_hidden_state, rtol=1e-5, atol=1e-5)
    with pytest.raises(ValueError, match="has no head that guesses hidden tokens"):
        network.logits(network(tokens))


def test_a_configuration_without_its_kind_is_given_one(tmp_path):
    write(tmp_path, make(BertForMaskedLM, BertConfig, {}))
    values = json.loads((tmp_path / "config.json").read_text())
    del values["model_type"]
    (tmp_path / "config.json").write_text(json.dumps(values))
    assert isinstance(load_network(tmp_path, "bert"), Encoder)
    with pytest.raises(ValueError, match="this configuration names no model_type"):
        load_network(tmp_path)


class Evil:
    def __reduce__(self):
        return print, ("code of the file has run",)


def test_what_cannot_be_loaded_is_refused_in_a_sentence(tmp_path, capfd):
    def said(error=ValueError):
        with pytest.raises(error) as caught:
            load_network(tmp_path)
        assert "\n" not in str(caught.value)
        return str(caught.value)

    assert "there is no" in said(FileNotFoundError)
    theirs = make(BertForMaskedLM, BertConfig, {})
    write(tmp_path, theirs, model_type="t5")
    assert "unknown model_type 't5'" in said()
    assert "valid: gpt2, gptj, gpt_neox, bert, albert" in said()
    write(tmp_path, theirs, num_hidden_layers=3)
    assert "intervals is 4 in the weights and 3 in the configuration" in said()
    write(tmp_path, theirs, model_type="albert", embedding_size=24)
    assert "do not fit: the parameter" in said()
    (tmp_path / "model.safetensors").write_bytes(b"no weights")
    (tmp_path / "config.json").write_text(json.dumps(theirs.config.to_dict()))
    assert "is corrupt, or no file of weights alone" in said()
    (tmp_path / "model.safetensors").unlink()
    assert "there is no" in said(FileNotFoundError)
    torch.save({"weights": Evil()}, tmp_path / "pytorch_model.bin")
    assert "is corrupt, or no file of weights alone" in said()
    assert "has run" not in capfd.readouterr().out


def test_a_head_of_its_own_and_missing_parts_are_refused():
    theirs = make(BertForMaskedLM, BertConfig, {})
    config = config_from_transformers(theirs.config.to_dict())
    state = theirs.state_dict()
    with pytest.raises(ValueError, match=r"decoder's weight in the head is not the embed\.token\.weight"):
        from_bert(state | {"cls.predictions.decoder.weight": torch.zeros(31, 24)}, config)
    del state["bert.encoder.layer.0.attention.self.key.weight"]
    with pytest.raises(ValueError, match=r"came without \['depth\.fields\.0\.attention\.sublayer\.k\.weight'\]"):
        from_bert(state, config)


def test_old_names_of_norms_are_read():
    theirs = make(BertForMaskedLM, BertConfig, {})
    config = config_from_transformers(theirs.config.to_dict())
    old = {
        name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"): tensor
        for name, tensor in theirs.state_dict().items()
    }
    assert from_bert(old, config).keys() == from_bert(theirs.state_dict(), config).keys()


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"position_embedding_type": "relative_key"}, "position_embedding_type is 'relative_key' in this bert"),
        ({"is_decoder": True}, "is_decoder is True in this bert"),
        ({"model_type": "albert", "num_hidden_groups": 3}, "4 layers are in 3 groups"),
        ({"model_type": "albert", "inner_group_num": 2}, "inner_group_num is 2 in this albert"),
    ],
    ids=str,
)
def test_encoders_that_are_not_covered_are_refused(changes, sentence):
    with pytest.raises(ValueError, match=sentence):
        config_from_transformers(BertConfig(**SIZES).to_dict() | changes)


def test_an_encoder_has_learned_positions():
    with pytest.raises(ValueError, match="an encoder has learned ones"):
        EncoderConfig(positions="rotary")
