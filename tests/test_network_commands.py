"""``odelib networks`` and ``odelib surgery`` from the command line, on a small network with random weights."""

import json
import subprocess
import sys
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from tokenizers.models import BPE
from transformers import BertConfig, BertForMaskedLM, GPT2Config, GPT2LMHeadModel

from odelib.analysis import Surgery
from odelib.cli import main
from odelib.data import NETWORKS
from odelib.studies.layer_sizes import measure_layers

TOKENS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"abcdef"]


@pytest.fixture
def network(tmp_path, monkeypatch):
    monkeypatch.setenv("ODELIB_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "mine"
    folder.mkdir()
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=11,
        max_position_embeddings=12,
        hidden_size=16,
        num_attention_heads=2,
        num_hidden_layers=3,
        intermediate_size=16,
    )
    state = BertForMaskedLM(config).state_dict()
    save_file({name: tensor.clone().contiguous() for name, tensor in state.items()}, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(config.to_dict()))
    (folder / "vocab.txt").write_text("\n".join(TOKENS))
    (tmp_path / "texts.txt").write_text("abc\nfedcba\nccd\naaff\nbead\nface\n")
    return ["surgery", "mine", "--data", "texts.txt"]


def refused(argv, capsys):
    assert main(argv) == 2
    error = capsys.readouterr().err
    assert error.startswith("odelib: error: ")
    assert error.count("\n") == 1
    return error


def test_a_row_for_each_surgery_that_is_named(network, capsys):
    options = "--refine 2 --rule rk4 --swap 0 1 --parallel all --form input --skip 2 --together 1 --reverse --half"
    assert main([*network, *options.split(), "--random", "7"]) == 0
    first, *rows = capsys.readouterr().out.splitlines()
    assert first == "6 items; in brackets: the 95 % interval of the change, over items"
    assert [row.split("  ")[0] for row in rows] == [
        "as trained",
        "2 steps of rk4 per layer",
        "attention and MLP in parallel in all layers, norms in place",
        "layers 0 and 1 exchanged",
        "without layer 2",
        "layers 1 and 2 in parallel",
        "layers reversed",
        "every second layer left out",
        "random weights, seed 7",
    ]


def test_all_at_once_and_as_json(network, capsys):
    assert main([*network, "--skip", "2", "--reverse", "--at-once", "--json"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["surgery"] for row in rows] == [{}, {"skip": [2], "reverse": True}]
    low, high = rows[1]["changes"]["loss"][1:]
    assert low <= rows[1]["changes"]["loss"][0] <= high


def test_the_whole_table_is_kept_and_goes_on(network, capsys, tmp_path, monkeypatch):
    few = [Surgery(half=True), Surgery(together=0), Surgery(rule="midpoint"), Surgery(swap=(1, 2))]
    monkeypatch.setattr("odelib.commands.networks.all_surgeries", lambda layers, shared: few)
    argv = [*network, "--all", "--out", "kept", "--items", "5"]
    assert main(argv) == 0
    rows = (tmp_path / "kept" / "rows.jsonl").read_text().splitlines()
    (tmp_path / "kept" / "rows.jsonl").write_text("\n".join(rows[:4]) + "\n")
    capsys.readouterr()
    assert main(argv) == 0
    again = (tmp_path / "kept" / "rows.jsonl").read_text().splitlines()
    assert [json.loads(row)["title"] for row in again[1:]] == [json.loads(row)["title"] for row in rows[1:]]
    assert [json.loads(row)["values"] for row in again[1:]] == [json.loads(row)["values"] for row in rows[1:]]
    assert capsys.readouterr().out.count("same answers") == len(rows) - 4
    assert main([*argv, "--json"]) == 0
    assert capsys.readouterr().out == ""  # nothing is left to do, and a program reads rows alone
    damaged = rows[1].replace('"accuracy": ', '"accuracy": 1', 1)
    (tmp_path / "kept" / "rows.jsonl").write_text("\n".join([rows[0], damaged]) + "\n")
    assert "of another network or other items (accuracy as trained is 1" in refused(argv, capsys)
    assert "items is 5 there and 6 here" in refused([*network, "--all", "--out", "kept"], capsys)


def test_layers_are_measured_and_kept(network, capsys, tmp_path, monkeypatch):
    cheap = partial(measure_layers, rules=["euler"], refine=(2, 4))
    monkeypatch.setattr("odelib.commands.networks.measure_layers", cheap)
    assert main([*network, "--layers", "2", "--out", "kept"]) == 0
    out = capsys.readouterr().out.splitlines()
    assert [line.split("  ")[0] for line in out[:3]] == ["layer 0", "layer 1", "layer 2"]
    assert out[3].startswith("observed order: euler ")
    assert len(json.loads((tmp_path / "kept" / "layers.json").read_text())["by token"]["exchange"]) == 2


def test_bad_input_is_one_sentence(network, capsys, tmp_path):
    for options, sentence in (
        (["--swap", "0", "3"], "layer 3 is none of this network's: they are 0 to 2"),
        (["--swap", "1", "1"], "swap names a layer twice, (1, 1): name each once"),
        (["--skip", "0", "2", "0"], "skip names a layer twice, (0, 2, 0)"),
        (["--train", "5"], "train=5 came, but nothing is fitted on texts.txt: leave it out"),
        (["--rule", "rk5"], "unknown step rule 'rk5'"),
        (["--form", "product"], "unknown form of a parallel layer 'product'"),
        (["--parallel", "first"], "--parallel is first: give all, or the numbers of layers"),
        (["--items", "4"], "from fewer than 5 there is no interval"),
        (["--refine", "0"], "expected at least 1"),
        (["--data", "clinc"], "the data 'clinc' are neither of clinc150, reactions"),
    ):
        assert sentence in refused([*network, *options], capsys)
    (tmp_path / "texts.txt").write_text("abc\nfedcba\n")
    assert "the data has 2 items: from fewer than 5 there is no interval" in refused(network, capsys)
    (tmp_path / "texts.txt").write_text("How do I transfer money?\n" * 9)
    assert "is not in the vocabulary of the network" in refused(network, capsys)
    assert "is to be measured on is not known: name data" in refused(network[:2], capsys)
    config = tmp_path / "mine" / "config.json"
    values = json.loads(config.read_text())
    config.write_text(json.dumps(values | {"model_type": "t5"}))
    assert "(valid: gpt2, gptj, gpt_neox, bert, albert)" in (refused(network, capsys))
    config.write_text(json.dumps({name: value for name, value in values.items() if name != "model_type"}))
    assert "this configuration names no model_type: give one of gpt2, gptj, gpt_neox" in refused(network, capsys)
    config.write_text(json.dumps(values | {"hidden_size": "big"}))
    assert "this bert configuration has values of no use (" in refused(network, capsys)
    config.write_text(json.dumps(values | {"hidden_size": 32}))
    assert "the weights in mine are not of this configuration" in refused(network, capsys)
    assert "'minilm' is not installed in" in refused(["surgery", "minilm", "--reverse"], capsys)
    assert "unknown network 'minlm'" in refused(["surgery", "minlm", "--reverse"], capsys)


def test_a_damaged_vocabulary_or_network_is_a_sentence(network, capsys, tmp_path):
    vocabulary, weights = tmp_path / "mine/vocab.txt", tmp_path / "mine/model.safetensors"
    vocabulary.write_text("\n".join([*TOKENS, "g", "h"]))
    assert "vocabulary in mine has 13 tokens, and the network has 11: take the" in refused(network, capsys)
    vocabulary.write_text("")
    assert "the vocabulary has no [PAD], [UNK], [CLS], [SEP]" in refused(network, capsys)
    vocabulary.write_bytes(b"[PAD]\n\xff")
    assert "vocab.txt cannot be read (" in refused(network, capsys)
    vocabulary.write_text("\n".join([*TOKENS[:-1], "ab"]))
    (tmp_path / "mine/tokenizer_config.json").write_text("[")
    assert "tokenizer_config.json is corrupt" in refused(network, capsys)
    state = load_file(weights)
    name = next(name for name in state if name.endswith("0.output.dense.weight"))
    save_file(state | {name: state[name] * float("nan")}, weights)
    assert "the weights in mine are not all finite, as depth." in refused(network, capsys)


@pytest.fixture
def decoder(network, tmp_path):
    folder, characters = tmp_path / "writer", [*"abcdefg ", "\n"]
    config = GPT2Config(vocab_size=9, n_positions=16, n_embd=16, n_layer=2, n_head=2)
    GPT2LMHeadModel(config).save_pretrained(folder)
    Tokenizer(BPE(vocab={c: i for i, c in enumerate(characters)}, merges=[])).save(str(folder / "tokenizer.json"))
    (tmp_path / "texts.txt").write_text("a bad cab\nfed a bee\n" * 20)
    return ["surgery", "writer", "--data", "texts.txt"]


def test_a_decoder_reads_by_its_own_tokenizer(decoder, capsys, tmp_path):
    assert main([*decoder, "--refine", "2", "--swap", "0", "1", "--json"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["surgery"] for row in rows] == [{}, {"refine": 2}, {"swap": [0, 1]}]
    model = GPT2LMHeadModel.from_pretrained(tmp_path / "writer").eval()
    text = torch.tensor(["abcdefg \n".index(c) for c in "a bad cab\nfed a bee\n" * 20][:-1])
    count = (len(text) - 1) // 16
    with torch.no_grad():
        loss = model(text[: 16 * count].reshape(count, 16)).logits.transpose(1, 2)
    right = text[1 : 16 * count + 1].reshape(count, 16)
    assert rows[0]["values"]["loss"] == pytest.approx(float(torch.nn.functional.cross_entropy(loss, right)), abs=1e-5)

    capsys.readouterr()  # transformers' bars
    (tmp_path / "writer" / "tokenizer.json").write_text("{")
    assert "tokenizer.json cannot be read" in refused(decoder, capsys)
    Tokenizer(BPE(vocab={c: i + 2 for i, c in enumerate("abcdef gh\n")}, merges=[])).save("writer/tokenizer.json")
    assert "makes tokens up to 11, and the network has 9" in refused(decoder, capsys)
    (tmp_path / "writer" / "tokenizer.json").unlink()
    assert "writer has no tokenizer.json that says which" in refused(decoder, capsys)


def test_a_network_that_neither_a_folder_nor_the_hub_has_is_a_sentence(network, capsys, monkeypatch):
    def offline(name, **options):
        raise OSError("no connection")

    monkeypatch.setattr("huggingface_hub.snapshot_download", offline)
    assert "the hub does not give a network of that name (OSError)" in refused(["surgery", "no/such"], capsys)
    asked = []
    hub = Path("mine").absolute()
    monkeypatch.setattr(
        "huggingface_hub.snapshot_download", lambda name, allow_patterns: asked.append(allow_patterns) or str(hub)
    )
    assert main(["surgery", "owner/mine", *network[2:], "--reverse"]) == 0
    assert "tokenizer_config.json" in asked[0]  # which says whether capitals count
    assert len(asked) == 1
    torch.save(load_file(hub / "model.safetensors"), hub / "pytorch_model.bin")
    (hub / "model.safetensors").unlink()
    assert main(["surgery", "owner/mine", *network[2:], "--reverse"]) == 0
    assert [("pytorch_model.bin" in patterns) for patterns in asked[1:]] == [False, True]
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    assert "pip install huggingface_hub" in refused(["surgery", "no/such"], capsys)


def test_networks_are_told_of_and_an_offline_machine_is_a_sentence(network, capsys, monkeypatch):
    assert main(["networks", "list"]) == 0
    out = capsys.readouterr().out
    for name, about in NETWORKS.items():
        assert f"{name}\n" in out
        assert about.licence in out
    assert "not installed; odelib networks install rxnmapper" in out
    said = SimpleNamespace(returncode=1, stderr="ERROR: No matching distribution found\n")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: said)
    assert "pip could not bring rxnmapper==0.4.3 (No matching distribution found): check the connection" in refused(
        ["networks", "install", "rxnmapper"], capsys
    )
    assert "unknown network 'rxnmaper'" in refused(["networks", "install", "rxnmaper"], capsys)
