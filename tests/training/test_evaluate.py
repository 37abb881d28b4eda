"""Other solvers on trained weights: exactly the same weights, and tolerances that are kept."""

import copy

import pytest
import torch
from torch import nn

from odelib.models import CausalLM, CausalLMConfig, EncoderDecoder, EncoderDecoderConfig, ViT, ViTConfig
from odelib.training import Batch, Runtime
from odelib.training.evaluate import measure, measure_items, rule_of, swap
from odelib.training.tasks import IGNORED


@pytest.fixture
def model() -> ViT:
    torch.manual_seed(0)
    return ViT(ViTConfig.preset("micro")).eval()


@torch.no_grad()
def test_a_smaller_tolerance_comes_closer_and_costs_more(model: ViT) -> None:
    images = torch.rand(4, 1, 28, 28, generator=torch.Generator().manual_seed(1))
    exact = swap(copy.deepcopy(model), "rk4", refine=64)(images)
    errors, evaluations = [], []
    for tolerance in (1e-1, 1e-3, 1e-5):
        adaptive = swap(copy.deepcopy(model), tolerance=tolerance)
        errors.append((adaptive(images) - exact).abs().max().item())
        evaluations.append(adaptive.nfe)
        assert rule_of(adaptive) == "tsit5"
    assert errors[2] < errors[1] < 1e-2
    assert errors[2] < 1e-4
    assert evaluations == sorted(evaluations)


@torch.no_grad()
def test_equal_steps_are_those_of_the_depth_block(model: ViT) -> None:
    images = torch.rand(2, 1, 28, 28)
    other = copy.deepcopy(model)
    other.depth.swap("heun", refine=3)
    assert torch.equal(swap(model, "heun", refine=3)(images), other(images))
    assert rule_of(model) == "heun"
    assert model.nfe == 2 * 3 * 2


@pytest.mark.slow
@torch.no_grad()
def test_causal_and_crossed_fields_are_swapped_too() -> None:
    sizes = {"dim": 8, "num_heads": 2, "intervals": 1, "vocab_size": 11, "max_tokens": 9}
    tokens = torch.arange(6).reshape(2, 3)
    language, translator = (
        CausalLM(CausalLMConfig(**sizes)).eval(),
        EncoderDecoder(EncoderDecoderConfig(**sizes)).eval(),
    )
    for model, inputs in ((language, (tokens,)), (translator, (tokens, tokens, tokens > 0))):
        exact = swap(copy.deepcopy(model), "rk4", refine=64)(*inputs)
        adaptive = swap(copy.deepcopy(model), "dopri5", tolerance=1e-5)
        torch.testing.assert_close(adaptive(*inputs), exact, atol=1e-3, rtol=1e-3)
        assert rule_of(adaptive) == "dopri5"


def test_the_rows_add_up_to_what_is_measured(model: ViT) -> None:
    torch.manual_seed(3)
    runtime = Runtime.choose("cpu")
    images = [Batch((torch.rand(n, 1, 28, 28),), torch.randint(10, (n,)), n) for n in (5, 2)]
    text = CausalLM(CausalLMConfig(dim=8, num_heads=2, intervals=1, vocab_size=11, max_tokens=9))
    targets = torch.randint(11, (4, 6)).masked_fill(torch.rand(4, 6) < 0.4, IGNORED)
    words = [Batch((torch.randint(11, (4, 6)),), targets, int((targets != IGNORED).sum()))]
    for net, batches in ((model, images), (text, words)):
        rows = measure_items(net, batches, runtime=runtime)
        loss, accuracy = measure(net, batches, runtime=runtime)
        places = rows["places"].sum()
        assert places == sum(batch.count for batch in batches)
        assert rows["loss"].sum() / places == pytest.approx(loss, rel=1e-6)
        assert rows["hits"].sum() / places == pytest.approx(accuracy, rel=1e-6)
        assert len(rows["loss"]) == sum(len(batch.targets) for batch in batches)
    alone = measure_items(model, [Batch((images[0].inputs[0][3:4],), images[0].targets[3:4], 1)], runtime=runtime)
    assert measure_items(model, images, runtime=runtime)["loss"][3] == pytest.approx(alone["loss"][0], rel=1e-5)


def test_what_cannot_be_is_refused(model: ViT) -> None:
    with pytest.raises(ValueError, match=r"refine is 2 and tolerance is 0\.1: give one of the two"):
        swap(model, refine=2, tolerance=0.1)
    with pytest.raises(ValueError, match="unknown step rule 'rk5'"):
        swap(model, "rk5")


class Keeping(nn.Module):
    """Makes a buffer in its first pass and fills it in all others, as FSDP does."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 2)
        self.kept: torch.Tensor | None = None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.kept = torch.empty_like(x) if self.kept is None else self.kept
        return self.layer(self.kept.copy_(x))


def test_what_a_model_makes_while_it_is_measured_serves_in_training() -> None:
    model, batch = Keeping(), Batch((torch.ones(4, 3),), torch.zeros(4, dtype=torch.int64), count=4)
    measure(model, [batch], runtime=Runtime.choose("cpu"))
    model(*batch.inputs).sum().backward()
    assert model.layer.weight.grad is not None
    assert model.layer.weight.grad.eq(4).all()
