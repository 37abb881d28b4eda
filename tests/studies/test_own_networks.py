"""Networks of our own: what is measured of each, and what is read off it."""

import json
from copy import deepcopy
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest
import torch

from odelib import Adaptive, cli
from odelib.analysis import permuted, swapped
from odelib.models import ViT, ViTConfig
from odelib.studies.equations import Answer, cost_of_steps, depths, edges, sharing
from odelib.studies.own_networks import Pictures, main, measure_own, read_measured, step_ratios


@pytest.fixture(scope="module")
def images():
    return torch.randn(40, 1, 28, 28, generator=torch.Generator().manual_seed(0))


def vit(**sizes):
    torch.manual_seed(0)
    return ViT(ViTConfig(dim=8, num_heads=2, mlp_ratio=1.0, **sizes)).eval()


@torch.no_grad()
def solve_accurately(model, images):
    other = deepcopy(model).double()
    other.depth.swap("dopri8", steps=Adaptive(rtol=1e-7, atol=1e-7))
    return other(images.double())


@pytest.mark.slow
def test_a_network_is_measured_as_trained_refined_and_shuffled(images):
    model = vit(intervals=3)
    task = Pictures(images, torch.arange(40) % 10)
    found = measure_own(model, task, images=2)
    logits = model(images)
    loss = torch.nn.functional.cross_entropy(logits, torch.arange(40) % 10)
    assert found["loss"] == pytest.approx(float(loss), abs=1e-6)
    solved = solve_accurately(model, images)
    same = (solved.argmax(1) == logits.argmax(1)).double().mean()
    assert found["kept"] == pytest.approx(float(same))
    accurate = float(torch.nn.functional.cross_entropy(solved, torch.arange(40) % 10))
    assert found["accurate"]["loss"] == pytest.approx(accurate, abs=1e-3)
    assert found["accurate"]["unsettled"] == 0.0
    assert found["accurate"]["loss"] != pytest.approx(found["loss"], abs=1e-3)
    exchanged = [task.read(permuted(model, order)).sums["loss"].mean() for order in ([1, 0, 2], [0, 2, 1])]
    assert found["neighbours"] == pytest.approx(np.mean(exchanged))
    assert found["neighbours"] != found["loss"]
    others = [order for order in permutations(range(3)) if order != (0, 1, 2)]
    shuffled = [float(task.read(permuted(model, order)).sums["loss"].mean()) for order in others]
    assert min(shuffled) <= found["shuffled"] <= max(shuffled)
    assert found["shuffled"] != measure_own(model, task, images=2, seed=1)["shuffled"]
    one = [task.read(permuted(vit(intervals=2), (1, 0))).sums["loss"].mean()]
    assert measure_own(vit(intervals=2), task, images=2)["shuffled"] == pytest.approx(
        float(one[0])
    )  # never as they are
    assert len(found["ratios"]) == 3
    assert next(model.parameters()).dtype == torch.float32
    assert "shuffled" not in measure_own(vit(intervals=1, steps=2), task, images=2)


@pytest.mark.slow
def test_a_stiff_network_is_solved_until_it_settles(images):
    model = vit(intervals=1)
    with torch.no_grad():
        for weight in model.depth.parameters():
            weight.mul_(1.5)
    found = measure_own(model, Pictures(images, torch.arange(40) % 10), images=2)
    assert found["accurate"]["steps"] > 8
    with swapped(model, "rk4", refine=4), torch.no_grad():
        coarse = float(torch.nn.functional.cross_entropy(model(images), torch.arange(40) % 10))
    with swapped(model, "rk4", refine=256), torch.no_grad():
        fine = float(torch.nn.functional.cross_entropy(model(images), torch.arange(40) % 10))
    assert abs(found["accurate"]["loss"] - fine) < 0.01 < abs(coarse - fine)


def test_a_rule_of_half_steps_is_no_layer_as_a_whole(images):
    with pytest.raises(ValueError, match=r"has size 0\.5"):
        step_ratios(vit(step_rule="midpoint", steps=2, step_size=0.5), images[:2])


def test_a_step_of_half_the_size_is_half_as_near_to_the_edge(images):
    model = vit(intervals=1, steps=1)
    with torch.no_grad():
        for weight in model.depth.parameters():  # so that something decays
            weight.mul_(3.0)
    whole = step_ratios(model, images[:2])
    with swapped(model, refine=2):
        half = step_ratios(model, images[:2])
    torch.testing.assert_close(half[0], whole[0] / 2)
    assert (whole > 0).all()


def runs(variant, values):
    return [{"variant": variant, "seed": seed, **value} for seed, value in enumerate(values)]


def losing(*points):
    return [{"accuracy": 0.8, "accurate": {"accuracy": 0.8 - lost / 100}} for lost in points]


def test_sharing_is_decided_by_what_is_lost():
    shared, distinct = runs("shared", losing(20, 22, 21, 24, 19)), runs("parallel", losing(3, 4, 5, 3, 4))
    found = sharing([*distinct, *shared])
    assert found.word == "supported"
    assert found.interval.level == 0.95
    assert found.interval.mean == pytest.approx(0.174)
    assert found.interval.low > 0.02
    assert sharing([*runs("parallel", losing(20, 22, 21)), *shared]).word == "no verdict"
    other = [*runs("n32-full", losing(3, 4, 5, 3, 4)), *runs("n32-inverse", losing(20, 22, 21, 24, 19))]
    assert cost_of_steps(other).word == "worse"
    assert cost_of_steps(other).interval.level == pytest.approx(1 - 0.05 / 13)


@pytest.mark.parametrize(
    ("ratios", "word"),
    [
        ([1.0, 1.01, 0.99, 1.02, 1.0], "at the edge"),
        ([0.1, 0.11, 0.1, 0.12, 0.1], "below it"),
        ([3.0, 3.1, 3.2, 3.0, 3.1], "beyond it"),
        ([0.5, 1.5, 1.0, 0.7, 1.4], "undecided"),
        ([1.0, 1.0], "no verdict"),
        ([1.0] * 5, "no verdict"),
    ],
)
def test_the_edge_is_a_band_and_the_interval_has_to_lie_in_it(ratios, word):
    found = edges(runs("n4-full", [{"ratio": ratio} for ratio in ratios]), ["n4-full"])["n4-full"]
    assert found.word == word
    assert found.interval.level == pytest.approx(1 - 0.05 / 13)


@pytest.mark.parametrize(
    ("order", "solution", "word"),
    [
        (0.01, 0.5, "ensemble"),
        (0.5, 0.01, "equation"),
        (0.01, 0.01, "both"),
        (0.5, 0.5, "neither"),
        (0.05, 0.5, "undecided"),
    ],
)
def test_ensemble_or_equation_is_read_off_two_costs(order, solution, word):
    noise = [0.0, 0.002, -0.002, 0.001, -0.001]
    values = [
        {"loss": 0.5 + e, "shuffled": 0.5 + order + 2 * e, "accurate": {"loss": 0.5 + solution + 2 * e}} for e in noise
    ]
    few = [{**value, "loss": value["loss"] + 0.1} for value in values]
    found, said = depths([*runs("n4", few), *runs("n16", values)])
    assert said == word
    assert found["fall"].word == "supported"
    assert isinstance(found["order"], Answer)
    assert {answer.interval.level for answer in found.values()} == {1 - 0.05 / 6}
    assert found["solution"].interval.mean == pytest.approx(solution)


@pytest.mark.slow
def test_the_runs_of_a_study_are_measured_from_the_command_line(tmp_path: Path):
    model = "{dim: 8, num_heads: 2, mlp_ratio: 1.0, step_rule: euler, intervals: 2}"
    options = f"{{preset: fashion-micro, epochs: 1, warmup_epochs: 0, train_images: 64, model: {model}}}"
    (tmp_path / "tiny.yaml").write_text(
        f"title: T\nsettings: {{own: {{options: {options}, seeds: 1}}}}\n"
        "variants: {one: {lr: 0.01}, two: {lr: 0.02}}\n"
    )
    assert cli.main(["study", str(tmp_path / "tiny.yaml"), "--out", str(tmp_path / "tiny"), "--workers", "1"]) == 0
    assert main([str(tmp_path / "tiny"), "--variants", "two", "--out", str(tmp_path / "kept")]) == 0
    (run,) = read_measured(tmp_path / "kept")
    assert (run["variant"], run["seed"]) == ("two", 0)
    made = json.loads((tmp_path / "kept" / "measured.json").read_text())["made"]
    assert made["command"] == "python -m odelib.studies.own_networks runs/tiny --variants two"
    with pytest.raises(SystemExit):
        main([str(tmp_path / "tiny"), "--variants", "three", "--out", str(tmp_path / "kept")])
