"""Studies: what a file means, that nothing is done twice, and that kills and failures cost nothing but time."""

import errno
import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import Executor, Future
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from odelib.cli import main
from odelib.studies import execute, job
from odelib.studies.execute import local_processes, run_study
from odelib.studies.job import ATTEMPTS, FAILURE, RESULT, read_result, work
from odelib.studies.runs import keep_runs, open_study, read_items
from odelib.studies.study import Job
from odelib.studies.study_file import read_study
from odelib.training import read_metrics

TINY = """
title: Tiny
settings:
  fashion:
    options:
      {preset: fashion-micro, train_images: 60, epochs: 2, device: cpu, model: {dim: 8, num_heads: 2, mlp_ratio: 1}}
    seeds: 2
grid:
  - parallel: {model: {step_rule: euler}}
    usual: {model: {step_rule: lie-trotter}}
  - 2x1: {model: {intervals: 2}}
    1x2: {model: {intervals: 1, steps: 2}}
variants:
  plain:
swaps:
  half: {refine: 2}
  adaptive: {tolerance: 1e-1}
baseline: usual-2x1
claims:
  - {claim: Parallel is better., better: parallel-2x1, than: usual-2x1, equal: [parameters], relevant: 1e-2}
"""
SMALL = TINY.replace("    1x2: {model: {intervals: 1, steps: 2}}\n", "").replace("variants:\n  plain:\n", "")
ROOT = Path(__file__).parents[2]


class Here(Executor):
    """Runs what it is given in this process, at once."""

    def submit(self, fn: Any, /, *args: Any, **options: Any) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args, **options))
        except Exception as error:
            future.set_exception(error)
        return future


@contextmanager
def here() -> Any:
    with Here() as executor:
        yield executor


def written(folder: Path, text: str) -> Path:
    path = folder / "tiny.yaml"
    path.write_text(text)
    return path


def began(folder: Path) -> dict[str, int]:
    """How often each run was begun, by its name."""
    files = folder.glob(f"*/*/*/{ATTEMPTS}")
    return {str(path.parent.relative_to(folder)): path.read_text().count("\n") for path in files}


# The file


def test_the_grid_is_a_product_and_options_lie_over_the_settings(tmp_path: Path) -> None:
    study = read_study(written(tmp_path, TINY))
    assert list(study.variants) == ["parallel-2x1", "parallel-1x2", "usual-2x1", "usual-1x2", "plain"]
    assert len(study.jobs) == 10
    assert [job.name.rpartition("/")[2] for job in study.jobs] == ["seed0"] * 5 + ["seed1"] * 5
    (chosen,) = [job for job in study.jobs if job.name == "fashion/usual-1x2/seed1"]
    assert chosen.options == {
        **{"train_images": 60, "epochs": 2, "device": "cpu", "seed": 1},
        "model": {"dim": 8, "num_heads": 2, "mlp_ratio": 1.0, "step_rule": "lie-trotter", "intervals": 1, "steps": 2},
    }
    assert chosen.swaps == {"half": {"refine": 2}, "adaptive": {"tolerance": 0.1}}
    (claim,) = study.claims
    assert (claim.better, claim.settings, claim.relevant) == ("parallel-2x1", ("fashion",), 0.01)


def test_each_variant_may_have_seeds_of_its_own(tmp_path: Path) -> None:
    text = TINY.replace("seeds: 2", "seeds: {parallel-2x1: 3, usual-2x1: [7, 8]}")
    names = [job.name for job in read_study(written(tmp_path, text)).jobs]
    seeds = {"parallel-2x1": (0, 1, 2), "usual-2x1": (7, 8)}
    assert sorted(names) == sorted(f"fashion/{name}/seed{seed}" for name, own in seeds.items() for seed in own)
    assert names[:2] == ["fashion/parallel-2x1/seed0", "fashion/usual-2x1/seed7"]
    found = read_study(written(tmp_path, text)).settings["fashion"].seeds
    assert found == {**dict.fromkeys(("parallel-1x2", "usual-1x2", "plain"), ()), **seeds}


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("epochs: 2", "seed: 3, epochs: 2", r"line 6: seed is 3, but each run of a study has one of the seeds of its"),
        (
            "plain:",
            "plain: {seed: 3}",
            r"line 14: seed is 3, but .* or say `seeds: \[3\]` beside the setting's options",
        ),
        (
            "    1x2: {model: {intervals: 1, steps: 2}}",
            "    1x1: {model: {intervals: 1, steps: 1}}\n    same: {model: {steps: 1, intervals: 1}}",
            r"line 8: the variants 'parallel-1x1' and 'parallel-same' have the same options: leave one of them out",
        ),
        ("plain:", "plain: {lr: 1e-3}\n  same: {lr: 0.001}", "the variants 'plain' and 'same' have the same options"),
        ("title: Tiny", "titel: Tiny", r"line 2: unknown entry of a study 'titel': .*'title'"),
        ("epochs: 2", "epoch: 2", r"line 6: unknown training option 'epoch': .*'epochs'"),
        ("step_rule: euler", "step_rul: euler", r"line 9: unknown option of ViT 'step_rul'"),
        ("seeds: 2", "seeds: many", r"line 7: seeds is 'many', expected how many"),
        ("seeds: 2", "seeds: [1, 1]", r"line 7: seeds is \[1, 1\]"),
        ("seeds: 2", "seeds: {usual-2x2: 3}", r"line 7: unknown variant 'usual-2x2'"),
        ("seeds: 2", "seeds: {usual-2x1: 0}", r"line 7: seeds is 0, expected how many"),
        ("seeds: 2", "seeds: {}", r"line 7: seeds is {}, expected how many"),
        ("seeds: 2", "seeds: {usual-2x1: 5}", r"line 20: parallel-2x1 has no seeds in fashion: give it some"),
        ("seeds: 2", "sedes: 2", r"line 7: unknown entry of a setting 'sedes'"),
        ("baseline: usual-2x1", "baseline: usual-2x2", r"line 18: unknown variant 'usual-2x2'"),
        ("refine: 2", "refine: half", r"line 16: refine is 'half', expected a whole number"),
        ("than: usual-2x1", "then: usual-2x1", r"line 20: unknown entry of a claim 'then'.*'than'"),
        ("better: parallel-2x1", "better: parallel", r"line 20: unknown variant 'parallel'"),
        ("equal: [parameters]", "equal: [params]", r"unknown thing to hold equal 'params'.*'parameters'"),
        ("fashion:\n", "fashion: 3\n  other:\n", r"fashion is 3, expected entries"),
        ("plain:", "plain: 3", r"line 14: plain is 3, expected entries"),
        ("plain:", "../x:", r"line 14: the variant is named '../x'"),
        ("plain:", "a/b:", r"line 14: the variant 'a/b' has a '/' in its name"),
        ("plain:", '"":', r"line 14: the variant is named ''"),
        ("plain:", "parallel-2x1:", r"two variants are named 'parallel-2x1'"),
        ("plain:", "PARALLEL-2x1:", r"two variants are named 'PARALLEL-2x1' and 'parallel-2x1'"),
        ("  fashion:", "  Report:", r"line 4: the setting is named 'Report', as a file in the study's folder is"),
        ("  fashion:", "  study.yaml:", r"line 4: the setting is named 'study.yaml', as a file"),
        ("  fashion:", "  Runs.jsonl:", r"line 4: the setting is named 'Runs.jsonl', as a file"),
        ("  fashion:", "  metrics.jsonl:", r"line 4: the setting is named 'metrics.jsonl', as a file"),
        ("  fashion:", "  FASHION: {}\n  fashion:", r"line 4: two settings are named 'FASHION' and 'fashion'"),
        ("  fashion:", "  ../fashion:", r"line 4: the setting is named '../fashion'"),
        ("step_rule: euler", "step_rule: rk44", r"fashion/parallel-2x1: unknown step rule 'rk44': .*'rk4'"),
        ("epochs: 2", "epochs: 0", r"fashion/parallel-2x1: epochs is 0"),
        ("dim: 8", "dim: 9", r"dim 9 is not divisible by num_heads 2"),
        ("device: cpu", "device: cpu, data: cifar9", r"line 6: unknown data set 'cifar9': .*'cifar"),
        ("device: cpu", "device: cpu, data: cifar10", None),
        ("seeds: 2", "seeds: 2\n    metric: bleu", r"the metric is bleu, but fashion-mnist-subset has no translations"),
        ("seeds: 2", "seeds: 2\n    metric: validation_loss", r"no training image is kept for validation"),
        ("epochs: 2", "epochs: 2, keep_best: true", r"keep_best is true, but no training image is kept for validation"),
        ("device: cpu", "device: cpu, data: ./pets, validation: 0.2", r"validation is 0.2, but ./pets has a split of"),
        ("refine: 2", "step_rule: rk44", r"line 16: unknown step rule 'rk44'"),
        ("refine: 2", "refine: 0", r"line 16: refine is 0"),
        ("tolerance: 1e-1", "tolerance: -1", r"line 17: tolerance is -1"),
        ("tolerance: 1e-1", "tolerance: 1e-1, step_rule: rk4", r"line 17: the step rule 'rk4' estimates no error"),
        ("equal: [parameters]", "equal: parameters", r"equal is 'parameters', expected a list, such as \[parameters\]"),
        ("than: usual-2x1", "than: parallel-2x1", r"the claim compares parallel-2x1 with itself"),
        ("relevant: 1e-2", "relevant: -1", r"relevant is -1.0, expected a difference of at least 0"),
    ],
)
def test_mistakes_in_the_file_are_named_with_their_line(
    tmp_path: Path, old: str, new: str, sentence: str | None
) -> None:
    assert old in TINY
    if sentence is None:
        assert read_study(written(tmp_path, TINY.replace(old, new, 1))).jobs
        return
    with pytest.raises(ValueError, match=sentence):
        read_study(written(tmp_path, TINY.replace(old, new, 1)))


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("claims: yes\n", r"line 22: claims is True, expected a list"),
        ("grid: 3\n", r"'grid' stands on line 8 already"),
    ],
)
def test_entries_of_the_wrong_kind_are_refused(tmp_path: Path, text: str, sentence: str) -> None:
    base = TINY[: TINY.index("claims:")] if text.startswith("claims") else TINY
    with pytest.raises(ValueError, match=sentence.replace("line 22", "line 19")):
        read_study(written(tmp_path, base + text))
    with pytest.raises(ValueError, match="grid is 3, expected a list"):
        read_study(written(tmp_path, TINY.replace(TINY[TINY.index("grid:") : TINY.index("variants:")], "grid: 3\n")))


INTENTS = """
settings:
  intents: {options: {preset: clinc150}, seeds: 1, metric: validation_accuracy}
variants: {plain: {}, best: {keep_best: true}}
"""


def test_a_metric_that_no_run_measures_is_refused(tmp_path: Path) -> None:
    sentence = r"plain: the metric is validation_accuracy, which a run on clinc150 measures only.*add `keep_best: true`"
    with pytest.raises(ValueError, match=sentence):
        read_study(written(tmp_path, INTENTS))
    assert read_study(written(tmp_path, INTENTS.replace("plain: {}, ", ""))).jobs


EMPTY = "epochs: 2, data: {folder}/pets"
NOT_HERE = [
    ("epochs: 2, init: nowhere", "fashion/parallel-2x1: nowhere has no weights to begin from"),
    ("epochs: 2, data: ./pets", "fashion/parallel-2x1: there is no ./pets: check the path of the data"),
    (EMPTY, "/pets has no pictures in folders of classes"),
    ("train_images: 6001", "fashion/parallel-2x1: train_images is 6001, but fashion-mnist-subset has 6000: ask for at"),
    ("precision: float32", "fashion/parallel-2x1: device 'mps' was asked for, but torch finds no Apple GPU here"),
]


@pytest.mark.parametrize(("new", "sentence"), NOT_HERE)
def test_what_is_not_here_is_refused_before_the_first_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], new: str, sentence: str
) -> None:
    text = SMALL.replace("preset: fashion-micro, train_images: 60, epochs: 2", new.format(folder=tmp_path))
    if "mps" in sentence:
        monkeypatch.setattr("torch.backends.mps.is_available", lambda: False)
        text = text.replace("device: cpu", "device: mps")
    if new == EMPTY:
        (tmp_path / "pets").mkdir()
    file = written(tmp_path, text)
    before = sorted(tmp_path.iterdir())
    assert read_study(file).jobs  # a report needs none of it
    monkeypatch.setattr(execute, "dask_cluster", lambda address: here)
    argv = ["study", str(file), "--out", str(tmp_path / "out")]
    for more in (["--workers", "1"], ["--scheduler", "tcp://here:1"]):
        assert main([*argv, *more]) == 2
        assert sentence in capsys.readouterr().err
    with pytest.raises(ValueError, match=sentence):
        run_study(file, tmp_path / "out", here, say=lambda line: None)
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.slow
def test_another_process_checks_the_runs_that_it_will_do(tmp_path: Path) -> None:
    file = written(tmp_path, SMALL.replace("train_images: 60", "train_images: 6001"))
    with pytest.raises(ValueError, match="fashion/parallel-2x1: train_images is 6001"):
        run_study(file, tmp_path / "out", local_processes(1), say=lambda line: None)


def test_a_failure_to_write_names_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: Any, **options: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(job.np, "savez_compressed", full)
    (outcome, *_) = run_study(written(tmp_path, SMALL), tmp_path / "out", here, say=lambda line: None)
    path = tmp_path / "out" / outcome.name / "items.npz"
    assert outcome.message == f"cannot use {path} (No space left on device): free some space, or write to another disk"
    assert not path.exists()


def test_joined_names_that_meet_are_refused(tmp_path: Path) -> None:
    grid = "settings: {fashion: {seeds: 1}}\ngrid:\n  - {a-b: , a: }\n  - {c: , b-c: }\n"
    with pytest.raises(ValueError, match="two variants are named 'a-b-c', and a name is a folder"):
        read_study(written(tmp_path, grid))


def test_a_file_in_another_encoding_is_named(tmp_path: Path) -> None:
    path = tmp_path / "tiny.yaml"
    path.write_bytes(TINY.encode("utf-16"))
    with pytest.raises(ValueError, match=r"tiny.yaml is not in UTF-8 .*save it in that encoding"):
        read_study(path)


def test_a_study_needs_runs(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="a study needs at least one entry"):
        read_study(written(tmp_path, "title: Nothing\n"))


@pytest.mark.parametrize("path", sorted((ROOT / "studies").glob("*.yaml")), ids=lambda path: path.stem)
def test_the_kept_studies_can_be_read(path: Path) -> None:
    study = read_study(path)
    assert len({job.name for job in study.jobs}) == len(study.jobs) >= 8
    assert (
        study.claims or path.stem in ("presets", "loops", "depths") or path.stem.endswith("-rates")
    )  # which only measure


# Doing it


@pytest.mark.slow
def test_each_run_leaves_a_folder_and_none_is_done_twice(tmp_path: Path) -> None:
    lines: list[str] = []
    file, folder = written(tmp_path, SMALL), tmp_path / "out"
    outcomes = run_study(file, folder, here, say=lines.append)
    assert [outcome.done for outcome in outcomes] == [True] * 4
    assert [line.partition(" ")[0] for line in lines] == ["[1/4]", "[2/4]", "[3/4]", "[4/4]"]
    assert {line.split()[1] for line in lines} == {outcome.name for outcome in outcomes}
    result = read_result(folder / "fashion/usual-2x1/seed1")
    head, history = read_metrics(folder / "fashion/usual-2x1/seed1/run")
    assert result["options"] == head["config"]
    assert (result["options"]["seed"], result["options"]["model"]["step_rule"]) == (1, "lie-trotter")
    assert result["metrics"]["test_accuracy"] == history[-1].test_accuracy
    assert result["swaps"]["half"]["nfe"] == 2 * result["cost"]["nfe"] == 4
    assert {"commit", "versions", "processor", "date", "threads", "cpu_seconds"} <= result["provenance"].keys()

    keep_runs(folder, tmp_path / "kept")
    _, runs, _ = open_study(folder)
    for run in runs:
        items, kept = read_items(folder, run), read_items(tmp_path / "kept", run)
        assert items.keys() == kept.keys() == {"loss", "hits", "places"}
        assert items["hits"].mean() == pytest.approx(run.metrics["test_accuracy"])
        assert items["loss"].mean() == pytest.approx(run.metrics["test_loss"], rel=1e-5)
        assert (items["hits"] == kept["hits"]).all()
        assert kept["loss"] == pytest.approx(items["loss"], rel=1e-3)

    lines.clear()
    run_study(file, folder, here, say=lines.append)
    assert lines == ["4 of 4 runs are done already"]
    (folder / "fashion/parallel-2x1/seed0" / RESULT).unlink()
    run_study(file, folder, here, say=lines.append)
    assert began(folder) == {
        **{f"fashion/{variant}-2x1/seed{seed}": 1 for variant in ("parallel", "usual") for seed in (0, 1)},
        "fashion/parallel-2x1/seed0": 2,
    }


@pytest.mark.slow
def test_a_study_may_grow_but_not_change(tmp_path: Path) -> None:
    file, folder = written(tmp_path, SMALL), tmp_path / "out"
    run_study(file, folder, here, say=lambda line: None)
    run_study(written(tmp_path, SMALL.replace("seeds: 2", "seeds: 3")), folder, here, say=lambda line: None)
    assert sorted(began(folder).values()) == [1] * 6
    written(tmp_path, SMALL.replace("epochs: 2", "epochs: 3"))
    with pytest.raises(ValueError, match=r"seed0 is of another configuration \(epochs is 2 there and 3 here\)"):
        run_study(file, folder, here)
    written(tmp_path, SMALL.replace("refine: 2", "refine: 3"))
    run_study(file, folder, here, say=lambda line: None)  # what is trained already is only measured again
    assert read_result(folder / "fashion/usual-2x1/seed1")["swaps"]["half"]["nfe"] == 6


@pytest.mark.slow
def test_failed_runs_are_listed_and_the_others_go_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = written(tmp_path, SMALL.replace("step_rule: euler}", "step_rule: euler}, lr: 1e30, clip_norm: null"))
    argv = ["study", str(file), "--out", str(tmp_path / "out"), "--workers", "1"]
    assert main(argv) == 1
    out = capsys.readouterr().out
    assert "2 of 4 runs are done in" in out
    assert "failed: fashion/parallel-2x1/seed0: the loss is " in out
    failure = json.loads((tmp_path / "out/fashion/parallel-2x1/seed0" / FAILURE).read_text())
    assert "try a lower learning rate" in failure["message"]
    assert "Traceback" in failure["traceback"]


def test_a_worker_without_the_folder_says_so(tmp_path: Path) -> None:
    outcome = work(Job("a/b/seed0", {}, {}), str(tmp_path / "elsewhere"), 1)
    assert not outcome.done
    assert "this worker sees no" in outcome.message


@pytest.mark.slow
def test_a_run_whose_process_always_dies_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def deadly(chosen: Job, study: str, threads: int) -> job.Outcome:
        if chosen.name == "fashion/usual-2x1/seed0":
            folder = Path(study) / chosen.name
            folder.mkdir(parents=True, exist_ok=True)
            with open(folder / ATTEMPTS, "a") as attempts:
                attempts.write("{}\n")
            raise ConnectionError("the process died")
        return work(chosen, study, threads)

    monkeypatch.setattr(execute, "work", deadly)
    outcomes = run_study(written(tmp_path, SMALL), tmp_path / "out", here, say=lambda line: None)
    assert [outcome.name for outcome in outcomes if not outcome.done] == ["fashion/usual-2x1/seed0"]
    assert began(tmp_path / "out")["fashion/usual-2x1/seed0"] == execute.MOST_DEATHS


LONG = SMALL.replace("epochs: 2", "epochs: 16")


def start(folder: Path, *options: str) -> subprocess.Popen[str]:
    argv = [sys.executable, "-m", "odelib", "study", str(folder / "tiny.yaml"), "--out", str(folder / "out"), *options]
    return subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.PIPE, text=True)


def wait_for(what: Any, seconds: float = 120.0) -> None:
    for _ in range(int(seconds / 0.05)):
        if what():
            return
        time.sleep(0.05)
    raise AssertionError("it never came")


def in_mid_run(folder: Path) -> bool:
    """Whether a run has checkpoints and no result."""
    runs = folder.glob("out/fashion/*/*/run/metrics.jsonl")
    return any(path.read_text().count("\n") > 3 and not (path.parents[1] / RESULT).exists() for path in runs)


def finals(folder: Path) -> dict[str, Any]:
    return {str(p.parent.relative_to(folder)): read_result(p.parent)["metrics"] for p in folder.glob(f"*/*/*/{RESULT}")}


@pytest.mark.slow
def test_a_killed_study_goes_on_and_repeats_no_finished_run(tmp_path: Path) -> None:
    written(tmp_path, LONG)
    process = start(tmp_path, "--workers", "1")
    try:
        assert process.stdout is not None
        next(line for line in process.stdout if line.startswith("[1/4]"))
        wait_for(lambda: in_mid_run(tmp_path))
    finally:
        process.kill()  # SIGKILL: nothing can be tidied up
        process.wait()
    finished = {path.parent for path in tmp_path.glob(f"out/*/*/*/{RESULT}")}
    before = {path: (path / RESULT).read_bytes() for path in finished}
    assert 1 <= len(finished) < 4
    again = start(tmp_path, "--workers", "1")
    out, _ = again.communicate(timeout=200)
    assert again.returncode == 0, out
    assert f"{len(finished)} of 4 runs are done already" in out
    assert all((path / RESULT).read_bytes() == content for path, content in before.items())
    counts = began(tmp_path / "out")
    assert all(counts[str(path.relative_to(tmp_path / "out"))] == 1 for path in finished)
    # Broken off or not, the numbers are those of a study that was never stopped.
    run_study(tmp_path / "tiny.yaml", tmp_path / "straight", local_processes(1), say=lambda line: None)
    assert finals(tmp_path / "out") == finals(tmp_path / "straight")


@pytest.mark.slow
def test_a_killed_worker_process_costs_nothing_but_time(tmp_path: Path) -> None:
    psutil = pytest.importorskip("psutil")
    written(tmp_path, LONG)
    process = start(tmp_path, "--workers", "1")
    try:
        wait_for(lambda: in_mid_run(tmp_path))
        workers = [
            child for child in psutil.Process(process.pid).children() if "spawn_main" in " ".join(child.cmdline())
        ]
        os.kill(workers[0].pid, signal.SIGKILL)
        out, _ = process.communicate(timeout=200)
    finally:
        process.kill()
    assert process.returncode == 0
    assert "4 of 4 runs are done" in out
    assert 2 in began(tmp_path / "out").values()


def test_two_studies_in_one_folder_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from odelib.training.folder import hold_folder

    file = written(tmp_path, SMALL)
    (tmp_path / "out").mkdir()
    with hold_folder(tmp_path / "out"):
        assert main(["study", str(file), "--out", str(tmp_path / "out")]) == 2
    assert "is being written by process" in capsys.readouterr().err


# A cluster


@pytest.mark.slow
def test_a_scheduler_that_does_not_answer_is_one_sentence(tmp_path: Path) -> None:
    pytest.importorskip("distributed")
    file = written(tmp_path, SMALL)
    argv = [sys.executable, "-m", "odelib", "study", str(file), "--out", str(tmp_path / "out")]
    done = subprocess.run(
        [*argv, "--scheduler", "tcp://127.0.0.1:9"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "odelib: error: the scheduler tcp://127.0.0.1:9 does not answer" in done.stderr
    assert "nothing is lost" in done.stderr


@pytest.mark.slow
def test_a_cluster_survives_the_death_of_a_worker_in_mid_run(tmp_path: Path) -> None:
    distributed = pytest.importorskip("distributed")
    file = written(tmp_path, LONG)
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None, local_directory=str(tmp_path)
    ) as cluster:
        process = start(tmp_path, "--scheduler", cluster.scheduler_address)
        try:
            wait_for(lambda: in_mid_run(tmp_path))
            pids = [worker.process.pid for worker in cluster.workers.values()]
            os.kill(pids[0], signal.SIGKILL)
            out, _ = process.communicate(timeout=240)
        finally:
            process.kill()
    assert process.returncode == 0, out
    assert "4 of 4 runs are done" in out
    run_study(file, tmp_path / "straight", local_processes(1), say=lambda line: None)
    assert finals(tmp_path / "out") == finals(tmp_path / "straight")
