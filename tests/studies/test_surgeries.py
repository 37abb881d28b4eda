"""Tasks, rows and tables on small networks: what is read off, that a table goes on, and what is refused."""

import json

import numpy as np
import pytest
import torch

from odelib.analysis import Surgery, operate
from odelib.data import DataError, IntentData, Vocabulary
from odelib.models import CausalLM, CausalLMConfig, Encoder, EncoderConfig
from odelib.studies.networks import HiddenTokens, NextTokens, Requests
from odelib.studies.open_network import _lines, open_task
from odelib.studies.surgeries import ROWS, all_surgeries, keep_table, line, measure, read_table, title
from odelib.training import TrainingError

MARKS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
LETTERS = Vocabulary([*MARKS, *"abcdef"], list)
TEXTS = ["abc", "abcdefabc", "ccd", "fedcba", "a", "bbbb", "cdcdcd", "fa"]
SIZES = {"dim": 16, "num_heads": 2, "mlp_ratio": 2.0, "vocab_size": 11, "max_tokens": 12, "intervals": 3}


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return Encoder(EncoderConfig(**SIZES)).eval()


@pytest.fixture(scope="module")
def task(model):
    return HiddenTokens(model, LETTERS, TEXTS)


def test_hidden_tokens_are_hidden_and_scored(model, task):
    assert task.places.sum() == sum(max(1, round(0.15 * len(text))) for text in TEXTS)
    reading = task.read(model)
    assert reading.answers.shape == (task.places.sum(),)
    assert (reading.sums["accuracy"] <= task.places).all()
    right = {}
    for i, shown in enumerate(task._shown):  # one text at a time, without padding, and the whole of the head
        with torch.no_grad():
            logits = model.logits(model(torch.tensor([shown])))[0]
        places = [j for j, n in enumerate(shown) if n == LETTERS.mask]
        assert places
        assert not {0, len(shown) - 1} & set(places)
        right[i] = sum(int(logits[j].argmax()) == task.tokens[i][j] for j in places)
        loss = torch.nn.functional.cross_entropy(logits[places], torch.tensor(task.tokens[i])[places], reduction="sum")
        assert reading.sums["loss"][i] == pytest.approx(float(loss), abs=1e-5)
    assert [right[i] for i in range(len(TEXTS))] == reading.sums["accuracy"].tolist()


def requests(texts, labels):
    numbers = torch.tensor(labels)
    return IntentData("own", tuple(texts), numbers, (), numbers[:0], tuple(texts), numbers, ("x", "y"), ())


def test_requests_are_read_off_by_what_was_fitted_to_the_network_as_trained(model):
    data = requests(["aab", "aaba", "baa", "ffe", "eff", "fef"], [0, 0, 0, 1, 1, 1])
    task = Requests(model, LETTERS, data)
    reading = task.read(model)
    assert reading.sums["neighbour"].tolist() == [1.0] * 6  # each request is its own nearest
    assert reading.sums.keys() == {"class mean", "probe", "neighbour"}
    with torch.no_grad():
        states = model(torch.tensor([LETTERS.encode(["ffe"], 12)[0]]))
    mean = torch.nn.functional.normalize(states.mean(dim=1), dim=1)[0]
    torch.testing.assert_close(task._known[3], mean)
    assert Requests(model, LETTERS, data, items=2, train=1)._known.shape == (2, 16)
    other = task.read(operate(model, Surgery(random=0)))  # nothing is fitted again
    assert other.sums["neighbour"].sum() < 6


def test_next_tokens_are_scored_window_by_window():
    torch.manual_seed(0)
    decoder = CausalLM(CausalLMConfig(**SIZES)).eval()
    numbers = torch.randint(11, (40,))
    task = NextTokens(decoder, numbers)
    reading = task.read(decoder)
    assert task.places.tolist() == [12.0] * 3
    with torch.no_grad():
        given = decoder(numbers[:36].view(3, 12)).argmax(dim=2)
    hits = (given == numbers[1:37].view(3, 12)).sum(dim=1)
    assert sorted(reading.sums["accuracy"].tolist()) == sorted(hits.tolist())


def test_fewer_items_are_among_more(model):
    few, more = (HiddenTokens(model, LETTERS, TEXTS, items).tokens for items in (3, 6))
    assert few == more[:3]


def test_rows_compare_with_the_network_as_trained(model, task):
    first, second = measure(model, task, [Surgery(skip=(1,))])
    assert (first.surgery, first.same, first.changes["accuracy"].mean) == (Surgery(), 1.0, 0.0)
    reading, trained = task.read(operate(model, Surgery(skip=(1,)))), task.read(model)
    total = task.places.sum()
    assert second.values["accuracy"] == pytest.approx(reading.sums["accuracy"].sum() / total)
    gain = second.changes["loss"]
    assert gain.mean == pytest.approx((reading.sums["loss"] - trained.sums["loss"]).sum() / total)
    assert gain.low < gain.mean < gain.high
    assert second.same == pytest.approx((reading.answers == trained.answers).mean())
    assert second.misses.tolist() == (task.places - reading.sums["accuracy"]).tolist()


HEAD = {"network": "own", "items": len(TEXTS)}
TWO = [Surgery(skip=(1,)), Surgery(rule="midpoint", parallel=(0, 2), form="input")]


def test_a_table_goes_on_where_it_stopped(model, task, tmp_path):
    said = []
    keep_table(tmp_path, HEAD, model, task, TWO[:1], said.append)
    assert [row.surgery for row in said] == [Surgery(), TWO[0]]
    rows = keep_table(tmp_path, HEAD, model, task, TWO, said.append)
    assert [row.surgery for row in said] == [row.surgery for row in rows] == [Surgery(), *TWO]
    assert keep_table(tmp_path, HEAD, model, task, TWO, pytest.fail)[2].surgery == TWO[1]  # nothing is left to do
    head, read = read_table(tmp_path)
    assert head["network"] == "own"
    for one, other in zip(read, said, strict=True):
        assert (one.surgery, one.values, one.changes, one.same, one.made) == (
            other.surgery,
            other.values,
            other.changes,
            other.same,
            other.made,
        )
        assert np.array_equal(one.misses, other.misses)
    assert "layer 1" in line(read[1])


def test_another_table_and_a_damaged_one_are_refused(model, task, tmp_path):
    keep_table(tmp_path, HEAD, model, task, [], lambda row: None)
    with pytest.raises(ValueError, match="items is 8 there and 5 here"):
        keep_table(tmp_path, HEAD | {"items": 5}, model, task, [], lambda row: None)
    text = (tmp_path / ROWS).read_text()
    for line_ in ("no JSON", json.dumps({"record": "row"}), '{"record": "row", "misses": "AAAA"}'):
        (tmp_path / ROWS).write_text(text + line_ + "\n")
        with pytest.raises(TrainingError, match="line 3 is no row of a table"):
            read_table(tmp_path)


def test_titles_tell_surgeries_apart():
    done = [Surgery(), *all_surgeries(6), Surgery(swap=(0, 1), skip=(2, 3), reverse=True)]
    assert len({title(surgery) for surgery in done}) == len(set(done)) == len(done)
    assert title(Surgery(rule="rk4", refine=2)) == "2 steps of rk4 per layer"


def test_shared_layers_are_neither_exchanged_nor_reversed():
    done = all_surgeries(12, shared=True)
    assert not any(surgery.swap or surgery.reverse for surgery in done)
    assert sum(bool(surgery.skip) for surgery in done) == 1


def test_data_that_do_not_fit_are_refused(model, tmp_path):
    (tmp_path / "vocab.txt").write_text("\n".join(LETTERS.tokens) + "\n")
    (tmp_path / "texts.txt").write_text("how do I transfer money?\n")

    def refused(data, network=model, error=DataError):
        with pytest.raises(error) as caught:
            open_task("own", network, tmp_path, data)
        assert "\n" not in str(caught.value)
        return str(caught.value)

    assert "is not in the vocabulary" in refused(str(tmp_path / "texts.txt"))
    assert "are neither of clinc150, reactions, tiny-shakespeare nor a file of texts" in refused("nothing.txt")
    assert "what own is to be measured on is not known: name data" in refused(None, error=ValueError)
    decoder = CausalLM(CausalLMConfig(**SIZES))
    sentence = refused("clinc150", decoder)
    assert "this decoder has 11 tokens, and" in sentence
    assert "has no tokenizer.json that says which" in sentence
    headless = Encoder(EncoderConfig(**SIZES, head=False))
    (tmp_path / "texts.txt").write_text("abc\n\nfed\n")
    assert "no head that guesses hidden tokens" in refused(str(tmp_path / "texts.txt"), headless)
    found = open_task("own", model, tmp_path, str(tmp_path / "texts.txt"))
    assert sorted(found.tokens) == [[2, 5, 6, 7, 3], [2, 10, 9, 8, 3]]


def test_a_line_of_texts_ends_at_a_line_feed_alone(tmp_path):
    (tmp_path / "texts.txt").write_text("one\u2028two\n\nthree\x85four\n", encoding="utf-8")
    assert _lines(str(tmp_path / "texts.txt")) == ("one\u2028two", "three\x85four")
