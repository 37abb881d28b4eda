import itertools
from dataclasses import replace

import pytest
import torch

from odelib.models import EncoderDecoder, EncoderDecoderConfig
from odelib.models.decoding import Reader, beam_search

SMALL = EncoderDecoderConfig(dim=16, num_heads=2, mlp_ratio=2.0, intervals=2, vocab_size=6, max_tokens=9)
START, END = 0, 1

RULES = [
    {"step_rule": "lie-trotter"},
    {"step_rule": "euler", "positions": "rotary"},
    {"step_rule": "strang", "norm_place": "shared", "norm": "rms"},
    {"step_rule": "rk4", "intervals": 1, "steps": 2},
    {"step_rule": "heun", "weights": "linear", "learn_step_size": True},
]


def make(changes=None):
    torch.manual_seed(0)
    model = EncoderDecoder(replace(SMALL, **(changes or {}))).double()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return model


def batch():
    torch.manual_seed(1)
    mask = torch.arange(7) < torch.tensor([[7], [4], [1]])
    return torch.randint(2, 6, (3, 7)), mask


@pytest.mark.parametrize("changes", RULES, ids=str)
def test_padding_and_the_future_change_nothing(changes):
    model = make(changes)
    source, mask = batch()
    target = torch.randint(2, 6, (3, 6))
    logits = model(source, target, mask)
    changed, later = source.where(mask, source.new_tensor(5)), target.clone()
    later[:, 4:] = 2
    torch.testing.assert_close(model(changed, later, mask)[:, :4], logits[:, :4], rtol=0, atol=1e-13)
    torch.testing.assert_close(model(source[1:2, :4], target[1:2]), logits[1:2])
    assert not torch.allclose(model(source, target), logits), "the mask counts"


@pytest.mark.parametrize("changes", RULES, ids=str)
@pytest.mark.parametrize("beams", [1, 3])
def test_cached_translation_equals_uncached(changes, beams):
    model = make(changes)
    source, mask = batch()
    texts, scores = model.translate(source, mask, start=START, end=END, beams=beams)
    again, same = model.translate(source, mask, start=START, end=END, beams=beams, cached=False)
    assert torch.equal(texts, again)
    torch.testing.assert_close(scores, same)


def log_probability(model, source, text):
    """Of the tokens after the first, up to and with the end."""
    steps = model(source, text[:, :-1]).log_softmax(dim=2).gather(2, text[:, 1:, None])[..., 0]
    over = (text[:, :-1] == END).cumsum(dim=1) > 0
    return steps.masked_fill(over, 0.0).sum(dim=1)


def test_greedy_search_takes_the_most_probable_token():
    model = make()
    source, _ = batch()
    text = torch.full((3, 1), START)
    for _ in range(8):
        token = model.eval()(source, text)[:, -1].argmax(dim=1)
        text = torch.cat([text, token.where(~(text[:, 1:] == END).any(dim=1), token.new_tensor(END))[:, None]], dim=1)
    found, scores = model.translate(source, start=START, end=END)
    assert torch.equal(found, text[:, : found.shape[1]])
    torch.testing.assert_close(scores, log_probability(model, source, found).detach())


def test_enough_beams_find_the_best_text_of_all():
    model = make().eval()
    source, _ = batch()
    texts = {}
    for tail in itertools.product(range(6), repeat=3):
        ended = [*tail, END]
        texts[(START, *ended[: ended.index(END) + 1], END, END, END)[:4]] = None
    every = torch.tensor(list(texts))
    for i in range(3):
        one = source[i : i + 1]
        scores = log_probability(model, one.expand(len(every), -1), every)
        found, score = model.translate(one, start=START, end=END, beams=216, max_tokens=4)
        assert torch.equal(found[0], every[scores.argmax()][: found.shape[1]])
        torch.testing.assert_close(score[0], scores.max().detach())
        _, greedy = model.translate(one, start=START, end=END, max_tokens=4)
        assert greedy <= score + 1e-12


def test_a_length_penalty_prefers_longer_texts():
    logits = torch.tensor([[0.5, 0.4, 0.1], [0.9, 0.05, 0.05]]).log()  # token 0 ends

    def table(tokens, cache):
        return logits[(tokens[:, -1:] != 2).long()].expand(-1, tokens.shape[1], -1)

    first = torch.tensor([[2]])
    found = {}
    for penalty in (0.0, 3.0):
        text, _ = beam_search(
            Reader(table, 4, cached=False), first, end=0, beams=2, max_tokens=3, length_penalty=penalty
        )
        found[penalty] = text.tolist()
    assert found == {0.0: [[2, 0, 0]], 3.0: [[2, 1, 0]]}


def test_it_learns_to_copy():
    torch.manual_seed(0)
    model = EncoderDecoder(replace(SMALL, step_rule="lie-trotter", dim=32))
    source = torch.randint(2, 6, (64, 3))
    target = torch.cat([torch.full((64, 1), START), source, torch.full((64, 1), END)], dim=1)
    optimiser = torch.optim.AdamW(model.parameters(), lr=5e-3)
    losses = []
    for _ in range(60):
        logits = model(source, target[:, :-1])
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), target[:, 1:].flatten())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.3 * losses[0]
    assert model.nfe == 4


@pytest.mark.parametrize(("options", "sentence"), [({"beams": 0}, "beams is 0"), ({"max_tokens": 1}, "max_tokens 1")])
def test_bad_numbers_are_refused(options, sentence):
    source, mask = batch()
    with pytest.raises(ValueError, match=sentence):
        make().translate(source, mask, start=START, end=END, **options)
