"""The kept runs are complete, agree with themselves, and are runs of the present configuration."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from odelib import cli
from odelib.analysis import swapped
from odelib.data import bleu, load_clinc150, load_images, load_multi30k, load_tiny_shakespeare, windows
from odelib.models import ViTConfig
from odelib.studies import read_study
from odelib.studies.own_networks import MEASURED, read_measured
from odelib.teaching import results, samples
from odelib.teaching.results import FOLDER, RUNS, WITH_WEIGHTS, kept, kept_model, main, make
from odelib.training import TrainConfig

TINY = "--train-images 64 --epochs 1 --warmup-epochs 0 --dim 8 --num-heads 1 --intervals 1 --seed 3 --device cpu"


def _config(options):
    """The configuration that these options of ``odelib train`` stand for."""
    words = options.split()
    given = {name.removeprefix("--"): value for name, value in zip(words[::2], words[1::2], strict=True)}
    types = {"step-rule": str, "weights": str, "mlp-ratio": float, "step-size": float}
    values = {name.replace("-", "_"): types.get(name, int)(value) for name, value in given.items()}
    recipe = {name: values.pop(name) for name in ("epochs", "seed") if name in values}
    return TrainConfig(model=ViTConfig(**values), **recipe)


def test_the_folder_holds_these_runs_and_no_others():
    assert sorted(path.name for path in FOLDER.iterdir()) == sorted(RUNS)


@pytest.mark.parametrize("name", RUNS)
def test_a_kept_run_is_complete_and_of_the_present_configuration(name):
    run = kept(name)
    assert run.config == _config(RUNS[name]), "the defaults have changed: make the kept runs anew"
    assert run.command == f"odelib train {RUNS[name]}"
    assert [epoch.epoch for epoch in run.history] == list(range(1, run.config.epochs + 1))
    assert {"date", "machine", "cores", "threads", "commit", "device", "versions"} <= set(run.made)


@pytest.mark.parametrize("name", RUNS)
def test_kept_predictions_give_the_kept_accuracy(name):
    run, labels = kept(name), load_images("fashion-mnist-subset").test_labels
    assert run.predictions.shape == labels.shape
    assert run.predictions.dtype == torch.int64
    # Answers of networks whose weights are kept are those of the weights rounded to float16.
    off = 0.002 if name in WITH_WEIGHTS else 1e-9
    assert (run.predictions == labels).double().mean().item() == pytest.approx(run.test_accuracy, abs=off)


@pytest.mark.slow
@pytest.mark.parametrize("name", WITH_WEIGHTS)
def test_kept_weights_are_those_of_the_run(name):
    run, model, data = kept(name), kept_model(name), load_images("fashion-mnist-subset")
    assert model.config == run.config.model
    # Another CPU rounds otherwise, so an image that lies between two classes may change sides.
    assert (results.predict(model, data) != run.predictions).sum() <= 2
    some = replace(data, test_images=data.test_images[::4], test_labels=data.test_labels[::4])
    with swapped(model, "dopri5", refine=4):
        assert (results.predict(model, some) != run.accurate[::4]).sum() <= 3


def test_solutions_are_kept_of_the_runs_that_promise_them():
    assert {name for name in RUNS if kept(name).accurate is not None} == set(WITH_WEIGHTS)
    shapes = {(run.accurate.shape, run.accurate.dtype) for run in map(kept, WITH_WEIGHTS)}
    assert shapes == {(kept("small-euler-seed0").predictions.shape, torch.int64)}


def test_weights_that_are_not_kept_name_the_nearest():
    with pytest.raises(ValueError, match="small-euler"):
        kept_model("euler-4-epochs-seed0")


def test_an_unknown_run_names_the_nearest():
    with pytest.raises(ValueError, match="lie-trotter-4-epochs-seed0"):
        kept("lie-troter-4-epochs-seed0")
    with pytest.raises(ValueError, match="kept run"):
        main(["elephant"])


@pytest.fixture
def workshop(tmp_path, monkeypatch):
    """A results folder of our own, with one small run to make."""
    monkeypatch.setattr(results, "FOLDER", tmp_path)
    monkeypatch.setattr(results, "RUNS", {"tiny": TINY})
    return tmp_path


def test_a_run_with_weights_is_made_whole(workshop, monkeypatch):
    monkeypatch.setattr(results, "WITH_WEIGHTS", {"tiny": TINY})
    run = make("tiny")
    model, data = kept_model("tiny"), load_images("fashion-mnist-subset")
    assert torch.equal(results.predict(model, data), run.predictions)
    with swapped(model, "rk4", refine=4):
        assert torch.equal(results.predict(model, data), run.accurate)


def test_a_run_is_made_and_made_again_alike(workshop, capsys):
    first = make("tiny")
    main(["tiny"])
    second = kept("tiny")
    assert f"kept tiny: test accuracy {first.test_accuracy:.4f}" in capsys.readouterr().out
    assert torch.equal(first.predictions, second.predictions)
    timeless = [replace(run.history[0], seconds=0, images_per_second=0) for run in (first, second)]
    assert timeless[0] == timeless[1]
    assert second.seconds_per_epoch == second.history[0].seconds
    assert sorted(path.name for path in (workshop / "tiny").iterdir()) == ["made.json", "metrics.jsonl"]
    made = json.loads((workshop / "tiny" / "made.json").read_text())
    assert len(made["predictions"]) == 1000
    assert made["command"] == f"odelib train {TINY}"


def test_a_run_that_fails_leaves_the_old_one(workshop, monkeypatch, capsys):
    old = make("tiny")
    monkeypatch.setattr(results, "RUNS", {"tiny": "--step-rule elephant"})
    with pytest.raises(RuntimeError, match="nothing was kept"):
        make("tiny")
    assert "elephant" in capsys.readouterr().err
    assert kept("tiny").command == old.command


STUDIES = sorted(path.parent.name for path in results.STUDIES.glob("*/study.yaml"))


@pytest.mark.parametrize("name", STUDIES)
def test_a_kept_study_is_whole_and_is_the_one_that_can_be_rerun(name):
    study, runs = results.kept_study(name)
    assert [f"{run.setting}/{run.variant}/seed{run.seed}" for run in runs] == [job.name for job in study.jobs]
    assert study == read_study(Path(__file__).parents[2] / f"studies/{name}.yaml")
    commits = {run.provenance["commit"] for run in runs}
    if name == "solver-swap":  # the mark was that of its own results, as studies/PROTOCOL.md says
        commits = {commit.removesuffix("-dirty") for commit in commits}
    assert len(commits) == 1
    assert all(commit and not commit.endswith("-dirty") for commit in commits)


WAITING = {
    *("cifar100-deit-ti", "cifar100-smoke"),  # for a GPU
    *(f"{data}-rates" for data in ("characters", "requests", "translation")),
}


def test_every_study_is_kept():
    files = {path.stem for path in (Path(__file__).parents[2] / "studies").glob("*.yaml")}
    assert files - WAITING == set(STUDIES)


@pytest.mark.parametrize("name", STUDIES)
def test_the_table_of_the_studies_says_what_each_took(name):
    _, runs = results.kept_study(name)
    minutes = round(sum(run.seconds for run in runs) / 60)
    table = (Path(__file__).parents[2] / "studies/README.md").read_text().splitlines()
    (row,) = (line for line in table if line.startswith(f"| [{name}.yaml]"))
    assert row.endswith(f"| {len(runs)} | {minutes} |")
    assert all(run.provenance["threads"] == 1 for run in runs)


@pytest.mark.parametrize("name", [name for name in STUDIES if (results.STUDIES / name / MEASURED).is_file()])
def test_the_networks_of_a_study_were_measured_one_by_one(name):
    _, runs = results.kept_study(name)
    found = {(run["variant"], run["seed"]): run for run in read_measured(results.STUDIES / name)}
    assert sorted(found) == sorted((run.variant, run.seed) for run in runs)
    for run in runs:
        measured = found[run.variant, run.seed]
        assert measured["trained at"] == run.provenance["commit"]
        assert measured["accuracy"] == pytest.approx(run.metrics["test_accuracy"], abs=0.002)
        assert measured["loss"] == pytest.approx(run.metrics["test_loss"], abs=1e-4)


def test_a_study_that_is_not_kept_is_refused():
    with pytest.raises(ValueError, match="images"):
        results.kept_study("imagse")


SAMPLED = sorted(path.parent.name for path in results.STUDIES.glob(f"*/{results.SAMPLES}"))


def test_the_studies_of_text_have_samples():
    assert SAMPLED == ["text-characters", "text-intents", "text-translation"]
    with pytest.raises(ValueError, match="text-intents"):
        results.kept_samples("text-intent")


@pytest.mark.parametrize("name", SAMPLED)
def test_kept_samples_are_of_every_variant_and_say_how_they_came_about(name):
    study, _ = results.kept_study(name)
    kept_samples = results.kept_samples(name)
    assert list(kept_samples.samples) == list(study.variants)
    assert kept_samples.made["command"].startswith(f"python -m odelib.teaching.samples runs/{name}")
    assert not kept_samples.made["commit"].endswith("dirty")
    assert {"date", "processor", "torch", "threads", "seed", "trained at commit"} <= set(kept_samples.made)


def _metric(name, variant, metric):
    _, runs = results.kept_study(name)
    (value,) = (run.metrics[metric] for run in runs if (run.variant, run.seed) == (variant, 0))
    return value


@pytest.mark.parametrize("variant", ["sequential", "parallel", "shared", "shared-rk4"])
def test_kept_samples_have_the_quality_of_their_runs(variant, real_data):
    intents = load_clinc150(real_data)
    answers = torch.tensor(results.kept_samples("text-intents").samples[variant])
    accuracy = (answers == intents.test_labels).double().mean().item()
    assert accuracy == pytest.approx(_metric("text-intents", variant, "test_accuracy"), abs=1e-3)
    written = results.kept_samples("text-translation").samples[variant]
    score = bleu(written, load_multi30k(root=real_data).test_target).score
    assert score == pytest.approx(_metric("text-translation", variant, "bleu"), abs=0.1)


def test_the_kept_writer_is_that_of_its_run(real_data):
    writer, data = results.kept_writer(), load_tiny_shakespeare(real_data)
    inputs, targets = windows(data.test, writer.config.max_tokens)
    with torch.no_grad():
        logits = torch.cat([writer(part) for part in inputs.split(64)])
    loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten()).item()
    assert loss == pytest.approx(_metric("text-characters", "parallel", "test_loss"), abs=1e-3)


@pytest.mark.slow
def test_samples_of_a_study_are_kept_whole(tmp_path, real_data, monkeypatch):
    monkeypatch.setenv("ODELIB_DATA", str(real_data))
    monkeypatch.setattr(samples, "TEMPERATURES", (0.0, 1.0))
    (tmp_path / "tiny.yaml").write_text(TINY_STUDY)
    assert cli.main(["study", str(tmp_path / "tiny.yaml"), "--out", str(tmp_path / "tiny"), "--workers", "1"]) == 0
    assert samples.main([str(tmp_path / "tiny"), "--out", str(tmp_path / "kept"), "--weights", "parallel"]) == 0
    names = [results.SAMPLES, "config.json", "model.safetensors"]
    assert sorted(path.name for path in (tmp_path / "kept").iterdir()) == sorted(names)
    written = json.loads((tmp_path / "kept" / results.SAMPLES).read_text())["samples"]["parallel"]
    assert [len(texts) for texts in written.values()] == [len(samples.PROMPTS)] * 2
    assert {len(text) for texts in written.values() for text in texts} == {samples.LENGTH}
    with pytest.raises(SystemExit):
        samples.main([str(tmp_path / "tiny"), "--weights", "paralell"])
    with pytest.raises(SystemExit):
        samples.main([str(tmp_path)])


TINY_STUDY = """\
settings:
  characters:
    options:
      preset: shakespeare-char
      device: cpu
      train_images: 2000
      epochs: 1
      warmup_epochs: 0
      model: {dim: 8, num_heads: 1, intervals: 1}
    seeds: 1
    metric: test_loss
variants:
  parallel: {model: {step_rule: euler}}
"""


@pytest.mark.parametrize("network", ["minilm", "rxnmapper"])
def test_kept_tables_begin_with_the_network_as_trained_and_hold_a_control_that_fails(network):
    head, rows = results.kept_table(network)
    assert head["network"] == network
    assert rows[0].same == 1.0
    assert all(len(row.misses) == head["items"] for row in rows)
    drawn = [row for row in rows if row.surgery.random is not None]
    assert drawn
    assert max(row.same for row in drawn) < 0.2


def test_a_network_without_a_table_is_named():
    with pytest.raises(ValueError, match=r"minilm"):
        results.kept_table("minilms")
