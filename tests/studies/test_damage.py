"""Commutators against damage: the correlation of known points, its interval, and points of a real table."""

import json
from dataclasses import asdict

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr

from odelib.analysis import Surgery, commuting, operate
from odelib.data import Vocabulary
from odelib.models import Encoder, EncoderConfig
from odelib.studies.damage import Correlation, Point, points_of, points_of_table, rank_correlation, read_points, said
from odelib.studies.layer_sizes import measure_layers
from odelib.studies.networks import HiddenTokens
from odelib.studies.surgeries import keep_table

LETTERS = Vocabulary(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"abcdef"], list)
TEXTS = ["abc", "abcdefabc", "ccd", "fedcba", "a", "bbbb", "cdcdcd", "fa"]


def cloud(pairs):
    return [Point("swap", i, x, y) for i, (x, y) in enumerate(pairs)]


def test_the_correlation_is_spearmans_and_ties_share_their_rank():
    rng = np.random.default_rng(1)
    one, other = (np.round(rng.normal(size=(n, 2)), 1) for n in (9, 5))
    found = rank_correlation({"one": cloud(one), "other": cloud(other)}, resamples=50)
    both = np.concatenate([one, other])
    assert found.value == pytest.approx(spearmanr(both[:, 0], both[:, 1]).statistic)
    assert found.own["other"] == pytest.approx(spearmanr(other[:, 0], other[:, 1]).statistic)
    assert found.low < found.value < found.high


def test_the_interval_draws_networks_first():
    rising = cloud([(x, x) for x in range(6)])
    falling = cloud([(x, -x) for x in range(6)])
    alike = rank_correlation({"a": rising, "b": rising}, resamples=200)
    assert (alike.value, alike.high) == (1.0, 1.0)
    unlike = rank_correlation({"a": rising, "b": falling}, resamples=200)
    assert (unlike.low, unlike.high) == (-1.0, 1.0)  # as often as one network is drawn twice
    assert unlike.own == {"a": 1.0, "b": -1.0}
    wide = rank_correlation({"a": cloud([(1, 2), (2, 1), (3, 4), (4, 3), (5, 6)])}, resamples=200)
    assert wide.high - wide.low > 0.3  # the points within a network are drawn anew too
    with pytest.raises(ValueError, match="2 points came"):
        rank_correlation({"a": rising[:2]})


@pytest.mark.slow
def test_points_of_a_table_and_of_a_network_agree(tmp_path):
    torch.manual_seed(0)
    sizes = {"dim": 16, "num_heads": 2, "mlp_ratio": 2.0, "vocab_size": 11, "max_tokens": 12, "intervals": 3}
    model = Encoder(EncoderConfig(**sizes)).eval()
    task = HiddenTokens(model, LETTERS, TEXTS)
    done = [Surgery(half=True), Surgery(swap=(0, 1)), Surgery(swap=(1, 2)), *(Surgery(parallel=(i,)) for i in range(3))]
    done += [Surgery(parallel=(0,), form="input"), Surgery(parallel=(1,), refine=2)]
    keep_table(tmp_path, {}, model, task, done, lambda row: None)
    (tmp_path / "layers.json").write_text(json.dumps(measure_layers(model, task, 4, rules=[]).plain()))
    found, own = points_of_table(tmp_path), points_of(model, task)
    assert [(p.kind, p.layer) for p in found] == [(p.kind, p.layer) for p in own]
    assert len(found) == 5
    for one, other in zip(found, own, strict=True):
        assert one.commutator == pytest.approx(other.commutator)
        assert one.damage == other.damage
    exact = commuting(model.double(), task.sample(4))
    model.float()
    assert own[0].commutator == pytest.approx(
        float(exact.layers[0].mean() / (exact.update[0] + exact.update[1]).mean())
    )
    changed = task.read(operate(model, Surgery(parallel=(2,)))).answers != task.read(model).answers
    assert own[-1].damage == pytest.approx(changed.mean())
    assert {p.kind for p in points_of_table(tmp_path, sequential=False)} == {"swap"}


@pytest.mark.parametrize(
    ("low", "high", "word"),
    [
        (0.6, 0.9, "predicts, well enough to choose by"),
        (0.2, 0.9, "predicts"),
        (0.1, 0.4, "predicts, but not well enough to choose by"),
        (-0.2, 0.4, "does not predict"),
        (-0.2, 0.9, "undecided"),
    ],
)
def test_what_a_correlation_says_is_read_off_its_interval(low, high, word):
    assert said(Correlation((low + high) / 2, low, high, {})) == word


def test_kept_points_are_read_back(tmp_path):
    points = [asdict(point) for point in cloud([(1.0, 0.5)])]
    (tmp_path / "damage.json").write_text(json.dumps({"networks": {"usual/seed1": {"points": points}}}))
    assert read_points(tmp_path) == {"usual/seed1": [Point("swap", 0, 1.0, 0.5)]}
