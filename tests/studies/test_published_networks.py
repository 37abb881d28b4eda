"""The published networks, where they are installed: equal to transformers' own, and still what the kept tables say."""

import json

import pytest
import torch
from transformers import AlbertConfig, AlbertForMaskedLM, BertConfig, BertForMaskedLM

import odelib.teaching.results as results
from odelib.data import NETWORKS, find_network
from odelib.models.convert.folder import _read_weights
from odelib.studies.open_network import open_network, open_task
from odelib.studies.scalars import SCALARS, read_fits
from odelib.studies.surgeries import read_table

KEPT = sorted(path.parent for path in results.STUDIES.glob("networks-*/rows.jsonl"))
ENCODERS = [name for name in NETWORKS if name != "characters"]


@pytest.mark.nightly
@pytest.mark.parametrize("name", ENCODERS)
def test_an_installed_network_is_transformers_own(name):
    folder = find_network(name)
    if folder is None:
        pytest.skip(f"{name} is not installed: odelib networks install {name}")
    values = json.loads((folder / "config.json").read_text())
    shared = values.get("model_type") == "albert"
    config, kind = (AlbertConfig, AlbertForMaskedLM) if shared else (BertConfig, BertForMaskedLM)
    theirs, prefix = kind(config(**values)).double().eval(), "albert." if shared else "bert."
    state = _read_weights(folder)
    bare = not any(key.startswith(prefix) for key in state)
    theirs.load_state_dict({prefix + key if bare else key: tensor for key, tensor in state.items()}, strict=False)
    ours = open_network(name)[0].double()
    torch.manual_seed(0)
    tokens = torch.randint(1, values["vocab_size"], (3, 20))
    mask = torch.arange(20) < torch.tensor([[20], [13], [7]])
    ours.requires_grad_(True)
    found = ours(tokens, mask)
    expected = theirs(tokens, attention_mask=mask.long(), output_hidden_states=True)
    torch.testing.assert_close(found[mask], expected.hidden_states[-1][mask], rtol=1e-10, atol=1e-10)
    if ours.head is not None:
        torch.testing.assert_close(ours.logits(found)[mask], expected.logits[mask], rtol=1e-10, atol=1e-10)
    found[mask].square().sum().backward()
    expected.hidden_states[-1][mask].square().sum().backward()
    (table,) = (p for name, p in theirs.named_parameters() if name.endswith("word_embeddings.weight"))
    torch.testing.assert_close(ours.embed.token.weight.grad, table.grad, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("folder", KEPT, ids=lambda path: path.name)
def test_a_kept_table_is_whole_and_its_controls_fail(folder):
    head, rows = read_table(folder)
    trained, *others = rows
    assert not trained.surgery.changes()
    assert len({row.surgery for row in rows}) == len(rows) > 30
    main = next(iter(trained.values))
    assert len(trained.misses) == head["items"]
    drawn = [row for row in others if row.surgery.random is not None]
    assert len(drawn) == 3
    assert all(row.changes[main].high < -0.7 * trained.values[main] for row in drawn)


@pytest.mark.nightly
@pytest.mark.parametrize("folder", KEPT, ids=lambda path: path.name)
def test_a_network_as_trained_is_what_was_kept(folder):
    head, (trained, *_) = read_table(folder)
    if find_network(head["network"]) is None:
        pytest.skip(f"{head['network']} is not installed: odelib networks install {head['network']}")
    model, place = open_network(head["network"])
    task = open_task(head["network"], model, place, head["data"], head["items"], head["train"])
    reading = task.read(model)
    for name, value in trained.values.items():
        assert reading.sums[name].sum() / task.places.sum() == pytest.approx(value, abs=0.005)


@pytest.mark.parametrize("folder", KEPT, ids=lambda path: path.name)
def test_kept_layers_are_those_of_the_table_beside_them(folder):
    head, rows = read_table(folder)
    layers = json.loads((folder / "layers.json").read_text())
    assert len(layers["layers"]) == head["layers"]
    commits = [row.made["commit"] for row in rows] + [layers["made"]["commit"]]
    assert not any(commit.endswith("dirty") for commit in commits)


@pytest.mark.parametrize("folder", [path for path in KEPT if (path / SCALARS).is_file()], ids=lambda path: path.name)
def test_kept_scalars_are_few_and_of_the_network_beside_them(folder):
    head, (trained, *_) = read_table(folder)
    kept = read_fits(folder)
    assert kept["network"] == head["network"]
    assert [each.name for each in kept["fits"]] == ["sizes", "two-step", "fewer"]
    assert all(len(each.scalars) <= 50 for each in kept["fits"])
    main = next(iter(trained.values))
    assert kept["trained"][main] == pytest.approx(trained.values[main], abs=0.03)  # on other items
    assert not kept["made"]["commit"].endswith("dirty")
