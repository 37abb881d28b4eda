"""What is measured layer by layer, on a network of which some is known."""

import json
import math

import pytest
import torch

from odelib.analysis import Commuting
from odelib.data import Vocabulary
from odelib.models import Encoder, EncoderConfig
from odelib.studies.layer_sizes import LayerSizes, measure_layers
from odelib.studies.networks import HiddenTokens


def test_layers_are_measured_along_the_states_of_texts_of_one_length():
    torch.manual_seed(0)
    config = EncoderConfig(dim=8, num_heads=2, mlp_ratio=1.0, vocab_size=8, max_tokens=8, intervals=1, steps=2)
    model = Encoder(config).eval()
    vocabulary = Vocabulary(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"abc"], list)
    found = measure_layers(
        model, HiddenTokens(model, vocabulary, ["ab", "ca", "abc", "cc"]), 2, rules=["euler"], refine=(4, 8)
    )
    assert found.commuting.update.shape == (2, 2, 4)
    assert found.growth.shape == found.critical.shape == (2, 2)
    assert found.orders == {"euler": pytest.approx(1, abs=0.2)}
    rows = found.plain()["layers"]
    assert [row["layer"] for row in rows] == [0, 1]
    assert rows[0]["exchange"] == pytest.approx(0.0, abs=1e-10)  # the layers are one and the same
    assert "exchange" not in rows[1]
    assert (found.critical < 3).all()
    assert rows[0]["step / critical"] == pytest.approx(float((1 / found.critical[0]).mean()))
    json.dumps(found.plain(), allow_nan=False)
    assert next(model.parameters()).dtype == torch.float32


def test_an_order_that_no_error_shows_is_left_out():
    sizes = torch.ones(1, 1, 1)
    commuting = Commuting(*[sizes] * len(Commuting._fields))
    found = LayerSizes(commuting, torch.ones(1, 1), torch.full((1, 1), torch.inf), {"euler": 1.0, "rk4": math.nan})
    assert found.plain()["orders"] == {"euler": 1.0}
    assert found.plain()["layers"][0]["step / critical"] == 0.0
