"""Scalars that are fitted to some items: they lower the loss there, and are measured on the others only."""

import json

import numpy as np
import pytest
import torch

from odelib.analysis import Surgery, operate, with_scalars
from odelib.data import IntentData, Vocabulary
from odelib.models import CausalLM, CausalLMConfig, Encoder, EncoderConfig
from odelib.studies import scalars
from odelib.studies.networks import HiddenTokens, NextTokens, Requests
from odelib.studies.scalars import Fit, fit, keep_fits, least_missed, measure_fits, read_fits, said
from odelib.studies.statistics import Difference

LETTERS = Vocabulary(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"abcdef"], list)
TEXTS = ["abc", "abcdefabc", "ccd", "fedcba", "a", "bbbb", "cdcdcd", "fa", "fed", "dab", "bad", "fee"]
SIZES = {"dim": 16, "num_heads": 2, "mlp_ratio": 2.0, "vocab_size": 11, "max_tokens": 12, "intervals": 4}


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return Encoder(EncoderConfig(**SIZES)).eval()


@pytest.fixture(scope="module")
def task(model):
    return HiddenTokens(model, LETTERS, TEXTS)


def test_the_loss_of_a_task_is_that_of_its_reading(model, task):
    every = list(range(len(TEXTS)))
    read = task.read(model).sums["loss"].sum() / task.places.sum()
    assert task.loss(model, every).item() == pytest.approx(read, abs=1e-5)
    decoder = CausalLM(CausalLMConfig(**SIZES)).eval()
    windows = NextTokens(decoder, torch.randint(11, (60,)))
    read = windows.read(decoder).sums["loss"].sum() / windows.places.sum()
    assert windows.loss(decoder, [0, 1, 2, 3]).item() == pytest.approx(read, abs=1e-5)


def test_requests_have_the_loss_of_their_cosines(model):
    labels = torch.tensor([0, 0, 1, 1])
    data = IntentData(
        "own", ("aab", "ba", "ffe", "ef"), labels, (), labels[:0], ("a", "b", "ff", "ee"), labels, ("x", "y"), ()
    )
    task = Requests(model, LETTERS, data)
    with torch.no_grad():
        x = task._embed(model, [task.tokens[2]])
    right = torch.nn.functional.cross_entropy(x @ task._means.T / 0.05, task._labels[2:3])
    assert task.loss(model, [2]).item() == pytest.approx(float(right), abs=1e-5)


@pytest.mark.parametrize("options", [{}, {"memory": True}, {"skip": (1,)}])
def test_fitting_lowers_the_loss_where_it_is_fitted_and_leaves_the_weights(model, task, options):
    before = [weight.clone() for weight in model.parameters()]
    items = list(range(8))
    start = with_scalars(model, **options)[0]
    fitted, found = fit(model, task, 8, **options)
    with torch.no_grad():
        assert task.loss(fitted, items) < task.loss(start, items)
    assert len(found) == {"memory": 7, "skip": 3}.get(next(iter(options), ""), 4)
    assert all(torch.equal(one, other) for one, other in zip(before, model.parameters(), strict=True))
    assert all(weight.requires_grad and weight.grad is None for weight in model.parameters())


def test_the_layers_that_are_left_out_are_those_that_cost_least(model, task):
    items = list(range(8))
    with torch.no_grad():
        costs = [float(task.loss(operate(model, Surgery(skip=(i,))), items)) for i in range(4)]
    assert least_missed(model, task, 8) == (int(np.argmin(costs)),)
    shared = Encoder(EncoderConfig(**{**SIZES, "intervals": 1, "steps": 8})).eval()
    assert least_missed(shared, task, 8) == (6, 7)


def test_what_is_kept_is_of_the_items_that_nothing_was_fitted_to(model, task, tmp_path, monkeypatch):
    trained, fits = measure_fits(model, task, 4)
    rest = task.read(model).sums["accuracy"][4:].sum() / task.places[4:].sum()
    assert trained["accuracy"] == pytest.approx(rest)
    assert [(each.name, each.untouched is None) for each in fits] == [
        ("sizes", True),
        ("two-step", True),
        ("fewer", False),
    ]
    gain = fits[0].changes["loss"]
    assert gain.mean == pytest.approx(fits[0].values["loss"] - trained["loss"])
    assert gain.low < gain.mean < gain.high
    with pytest.raises(ValueError, match="fitting is 12 of 12 items"):
        measure_fits(model, task, 12)
    monkeypatch.setattr(scalars, "open_network", lambda name: (model, tmp_path))
    monkeypatch.setattr(scalars, "open_task", lambda *_, items: task)
    kept = keep_fits("own", 4, None, tmp_path / "kept")
    json.dumps(kept, allow_nan=False)
    back = read_fits(tmp_path / "kept")
    assert back["fits"][0].changes == fits[0].changes
    assert back["fits"][2].untouched == fits[2].untouched
    assert back["made"]["command"] == "python -m odelib.studies.scalars own --fitting 4"


@pytest.mark.parametrize(
    ("skip", "low", "high", "word"),
    [
        ((), 0.02, 0.03, "better by what matters"),
        ((), 0.002, 0.03, "better"),
        ((), -0.03, -0.002, "worse"),
        ((), -0.03, 0.002, "undecided"),
        ((3,), -0.009, 0.002, "cheaper"),
        ((3,), -0.03, -0.011, "not cheaper"),
        ((3,), -0.03, 0.01, "undecided"),
    ],
)
def test_what_a_fit_says_is_read_off_its_interval(skip, low, high, word):
    change = Difference((9, 9), (low + high) / 2, low, high, 0.95)
    assert said(Fit("own", skip, [], {}, {"accuracy": change}, None, 0.0)) == word
