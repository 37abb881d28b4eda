"""``odelib networks`` and ``odelib surgery`` from the command line, on a small network with random weights."""

import json
import subprocess
from functools import partial
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import save_file
from transformers import BertConfig, BertForMaskedLM

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
    config.write_text(json.dumps(values | {"hidden_size": 32}))
    assert "the weights in mine are not of this configuration" in refused(network, capsys)
    assert "'minilm' is not installed in" in refused(["surgery", "minilm", "--reverse"], capsys)
    assert "unknown network 'minlm'" in refused(["surgery", "minlm", "--reverse"], capsys)


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
