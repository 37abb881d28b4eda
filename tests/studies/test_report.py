"""Reports: from made-up results, of which all numbers are known, and once from a study that is really run."""

import csv
import errno
import json
import os
import re
import xml.etree.ElementTree as ET
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure
from scipy import stats

from odelib.cli import main
from odelib.data.baseline import TF_IDF
from odelib.studies.items import over_items, second_sentence
from odelib.studies.job import ITEMS, RESULT, STUDY
from odelib.studies.report import comparisons_of, write_report
from odelib.studies.runs import keep_runs, open_study
from odelib.studies.statistics import Difference
from odelib.studies.study import Claim
from odelib.studies.study_file import read_study
from odelib.studies.tables import latex, markdown
from odelib.studies.verdicts import Comparison, Verdict, decide
from odelib.training.record import EpochMetrics

TWO = """
title: Two rules
settings:
  clothes: {options: {epochs: 2}, seeds: 5}
  words: {options: {preset: shakespeare-char}, seeds: 4, metric: test_loss}
variants:
  parallel: {model: {step_rule: euler}}
  usual: {model: {step_rule: lie-trotter}}
  rk4_long: {model: {step_rule: rk4}}
baseline: usual
swaps:
  half: {refine: 2}
claims:
  - {claim: Parallel is better., better: parallel, than: usual, equal: [parameters]}
  - {claim: RK4 is better at equal cost., better: rk4_long, than: usual, equal: [FLOPs], settings: [clothes]}
"""
ACCURACIES = {
    "parallel": [0.81, 0.82, 0.83, 0.84, 0.825],
    "usual": [0.80, 0.811, 0.819, 0.83, 0.815],
    "rk4_long": [0.70, 0.71, 0.72, 0.729, 0.715],
}


def pretend(folder: Path, text: str = TWO) -> Path:
    """Write what a finished study leaves."""
    folder.mkdir()
    (folder / STUDY).write_text(text)
    for job in read_study(folder / STUDY).jobs:
        _, variant, seed = job.name.split("/")
        accuracy = ACCURACIES[variant][int(seed.removeprefix("seed"))]
        rk4 = variant == "rk4_long"
        result = {
            "job": asdict(job),
            "options": job.options,
            "metrics": {"test_accuracy": accuracy, "test_loss": 2.0 - accuracy, "train_loss": 1.0},
            "swaps": {"half": {"test_accuracy": accuracy - 0.1, "test_loss": 1.5, "nfe": 16.0 if rk4 else 4.0}},
            "cost": {"parameters": 1234, "nfe": 8.0 if rk4 else 2.0, "flops": 4e6 if rk4 else 1e6},
            "seconds": 60.0,
            "provenance": {
                **{"commit": "abc", "device": "cpu", "processor": "a processor", "threads": 1, "date": "2026-01-02"},
                "versions": {"torch": "2.0"},
            },
        }
        (folder / job.name / "run").mkdir(parents=True)
        (folder / job.name / RESULT).write_text(json.dumps(result))
        epochs = [EpochMetrics(n, 9 * n, 1.0, 0.5, 2.0 - accuracy, accuracy * n / 2, 1e-3, 1.0, 9.0) for n in (1, 2)]
        lines = [{"record": "header"}, *({"record": "epoch", **asdict(epoch)} for epoch in epochs)]
        (folder / job.name / "run/metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


def test_the_table_has_the_numbers(tmp_path: Path) -> None:
    write_report(pretend(tmp_path / "two"))
    with open(tmp_path / "two/report/table.csv") as file:
        rows = {(row["setting"], row["variant"]): row for row in csv.DictReader(file)}
    assert len(rows) == 6
    parallel, usual = rows["clothes", "parallel"], rows["clothes", "usual"]
    assert float(parallel["mean"]) == pytest.approx(82.5)
    assert float(parallel["std"]) == pytest.approx(1.1180340)
    assert float(parallel["difference"]) == pytest.approx(1.0)
    # Four differences of the study, so each interval is of level 1 - 0.05 / 4.
    samples = ([100 * value for value in ACCURACIES[name]] for name in ("parallel", "usual"))
    expected = stats.ttest_ind(*samples, equal_var=False).confidence_interval(1 - 0.05 / 4)
    assert float(parallel["difference_low"]) == pytest.approx(expected.low)
    assert float(parallel["difference_high"]) == pytest.approx(expected.high)
    assert usual["difference"] == usual["difference_low"] == ""
    assert rows["words", "parallel"]["difference_low"] == ""  # four seeds
    assert parallel["held_equal"] == "parameters, field evaluations, FLOPs"
    assert rows["clothes", "rk4_long"]["held_equal"] == "parameters"
    assert float(rows["words", "parallel"]["mean"]) == pytest.approx(2.0 - 0.825)
    assert float(rows["words", "parallel"]["difference"]) == pytest.approx(-0.01)


@pytest.mark.slow
def test_the_report_says_what_is_to_be_seen(tmp_path: Path) -> None:
    text = write_report(pretend(tmp_path / "two")).read_text()
    assert "27 of 27 runs are done." in text
    assert "| parallel | 1,234 | 2 | 1 | 5 | 82.50 ± 1.12 | " in text
    assert (
        "*clothes.* Undecided: over 5 seeds of each, the mean test accuracy of `parallel` is 1.00 points higher" in text
    )
    assert "*words.* No verdict: over 4 seeds of each, the mean test loss of `parallel` is 0.01 lower" in text
    assert "*clothes.* Worse: " in text
    assert "The claim asks for equal FLOPs, which these two variants do not have." in text
    assert "| rk4_long | half | 16.0 | 61.4" in text
    assert "27.0 minutes of computing in 27 runs" in text
    for word in ("Welch", "Bonferroni", "Commit: abc", "Protocol: None", "torch 2.0"):
        assert word in text
    assert write_report(tmp_path / "two").read_text() == text


def test_a_report_has_the_baseline_beside_the_networks(tmp_path: Path) -> None:
    folder = pretend(tmp_path / "two")
    for path in folder.glob(f"clothes/*/*/{RESULT}"):
        result = json.loads(path.read_text())
        result["metrics"][TF_IDF] = 0.9149
        path.write_text(json.dumps(result))
    text = write_report(folder).read_text()
    assert text.count("Without a network, logistic regression on TF-IDF features reaches 91.5 %.") == 1


def test_every_figure_is_there_and_readable(tmp_path: Path) -> None:
    path = write_report(pretend(tmp_path / "two"), tmp_path / "elsewhere")
    assert path == tmp_path / "elsewhere/report.md"
    for setting in ("clothes", "words"):
        for kind in ("curves", "gains", "compute", "parameters"):
            figure = tmp_path / "elsewhere" / f"{kind}-{setting}.svg"
            texts = "".join(ET.parse(figure).getroot().itertext())
            assert figure.stat().st_size < 100_000
            assert all(variant in texts for variant in ACCURACIES if (setting, kind) != ("words", "gains"))
            assert f"({figure.name})" in path.read_text()
    assert "MFLOPs" in "".join(ET.parse(tmp_path / "elsewhere/compute-words.svg").getroot().itertext())


@pytest.mark.slow
def test_a_report_says_what_another_test_set_would_change(tmp_path: Path) -> None:
    # Each network of a variant gets its own easy items right, others by chance: the items are a noise of their own.
    rng = np.random.default_rng(3)
    folder = pretend(tmp_path / "two")
    easy = {variant: rng.random(40) for variant in ACCURACIES}
    for path in folder.glob(f"clothes/*/*/{RESULT}"):
        result = json.loads(path.read_text())
        hits = (rng.random(40) < 0.1 + 0.8 * (easy[path.parts[-3]] > 0.5)).astype(np.int32)
        if path.parts[-3] == "rk4_long":
            hits = (rng.random(40) < 0.05).astype(np.int32)
        result["metrics"]["test_accuracy"] = float(hits.mean())
        path.write_text(json.dumps(result))
        np.savez(path.with_name(ITEMS), hits=hits, loss=hits.astype(np.float32), places=np.ones(40, np.int32))
    study, runs, _ = open_study(folder)
    verdicts = decide(comparisons_of(study, runs))
    wider = [over_items(verdict, runs, folder) for verdict in verdicts]
    for verdict, found in zip(verdicts, wider, strict=True):
        if verdict.comparison.setting == "clothes":
            assert found is not None
            assert found.mean == pytest.approx(verdict.gain.mean)
            assert (found.counts, found.level) == (verdict.gain.counts, verdict.gain.level)
            assert found.high - found.low > verdict.gain.high - verdict.gain.low
        else:
            assert found is None  # four seeds
    keep_runs(folder, tmp_path / "kept")
    text = write_report(folder).read_text()
    assert text == write_report(tmp_path / "kept").read_text()
    assert text.count("Over seeds and test items together the interval is ") == 2


@pytest.mark.parametrize(
    ("low", "high", "end"), [(0.01, 0.03, "+3.00."), (-0.01, 0.05, "be *undecided* on another test")]
)
def test_a_second_interval_that_contradicts_is_said_to(low: float, high: float, end: str) -> None:
    claim = Claim("", "a", "b", ("here",), (), 0.0)
    comparison = Comparison(claim, "here", "test_accuracy", {}, {}, None)
    verdict = Verdict(comparison, "supported", Difference((5, 5), 0.02, 0.005, 0.035, 0.95))
    assert end in second_sentence(verdict, Difference((5, 5), 0.02, low, high, 0.95))


def test_a_lower_loss_is_a_gain_on_items_too(tmp_path: Path) -> None:
    text = TWO.replace("seeds: 4", "seeds: 5")
    folder = pretend(tmp_path / "two", text)
    rng = np.random.default_rng(4)
    for path in folder.glob(f"words/*/*/{RESULT}"):
        result = json.loads(path.read_text())
        loss = rng.normal(4 * result["metrics"]["test_loss"], 0.1, 30).astype(np.float32)  # four places in each row
        result["metrics"]["test_loss"] = float(loss.mean()) / 4
        path.write_text(json.dumps(result))
        np.savez(path.with_name(ITEMS), hits=np.ones(30, np.int32), loss=loss, places=np.full(30, 4, np.int32))
    study, runs, _ = open_study(folder)
    (verdict,) = [v for v in decide(comparisons_of(study, runs)) if v.comparison.setting == "words"]
    found = over_items(verdict, runs, folder)
    assert found is not None
    assert found.mean == pytest.approx(verdict.gain.mean, rel=1e-4)


def test_a_report_of_half_a_study_names_what_is_missing(tmp_path: Path) -> None:
    folder = pretend(tmp_path / "two")
    (folder / "clothes/usual/seed3" / RESULT).unlink()
    (folder / "clothes/usual/seed3/failure.json").write_text("{}")
    (folder / "words/parallel/seed0" / RESULT).unlink()
    text = write_report(folder).read_text()
    assert "25 of 27 runs are done. Missing:" in text
    assert "- clothes/usual/seed3: failed" in text
    assert "- words/parallel/seed0: not done yet" in text
    assert "No verdict: over 5 and 4 seeds, the mean test accuracy of `parallel`" in text


def test_latex_is_escaped_and_markdown_aligned() -> None:
    table = latex(("a_b", "95 %"), [("x & y", "1 ± 2"), ("–", "{}")])
    assert r"a\_b & 95 \% \\" in table
    assert r"x \& y & 1 $\pm$ 2 \\" in table
    assert r"-- & \{\} \\" in table
    assert markdown(("a", "b"), [("1", "2")]) == "| a | b |\n| :-- | --: |\n| 1 | 2 |"


@pytest.mark.parametrize(("make", "sentence"), [(False, "is not the folder of a study"), (True, "no run of")])
def test_what_is_no_study_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], make: bool, sentence: str
) -> None:
    if make:
        (tmp_path / STUDY).write_text(TWO)
    assert main(["report", str(tmp_path)]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert sentence in line


def test_a_report_that_cannot_be_written_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(self: Figure, path: Path, **options: Any) -> None:
        path.write_text("half a figure")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    folder = pretend(tmp_path / "study")
    before = {path.name for path in folder.iterdir()}
    monkeypatch.setattr(Figure, "savefig", full)
    assert main(["report", str(folder)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert re.search(r"cannot use \S*/study/report/\w+-\w+.svg \(No space left on device\): free some space", line)
    assert {path.name for path in folder.iterdir()} == before


def test_a_damaged_result_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = pretend(tmp_path / "two")
    (folder / "clothes/usual/seed3" / RESULT).write_text('{"job"')
    assert main(["report", str(folder)]) == 2
    assert "result.json is damaged" in capsys.readouterr().err


@pytest.mark.slow
def test_a_study_and_its_report_end_to_end(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "tiny.yaml").write_text(
        """
settings:
  images: {options: {train_images: 60, epochs: 1, warmup_epochs: 0, model: {dim: 8, num_heads: 2}}, seeds: 2}
grid:
  - {parallel: {model: {step_rule: euler}}, usual: {model: {step_rule: lie-trotter}}}
claims:
  - {claim: Parallel is better., better: parallel, than: usual}
"""
    )
    out = str(tmp_path / "out")
    assert main(["study", str(tmp_path / "tiny.yaml"), "--out", out, "--workers", "2"]) == 0
    assert "4 of 4 runs are done" in capsys.readouterr().out
    assert main(["report", out]) == 0
    assert f"the report is {out}/report/report.md" in capsys.readouterr().out
    text = (tmp_path / "out/report/report.md").read_text()
    assert "Held equal: parameters, field evaluations, FLOPs." in text


@pytest.mark.slow
def test_a_kept_study_has_the_same_report(tmp_path, capsys):
    study, kept = pretend(tmp_path / "study"), tmp_path / "kept"
    assert main(["report", str(study), "--keep", str(kept)]) == 0
    assert "27 runs are kept" in capsys.readouterr().out
    assert sorted(path.name for path in kept.iterdir()) == ["runs.jsonl", STUDY]
    long, short = write_report(study), write_report(kept)
    assert short.read_text() == long.read_text()
    assert (kept / "report/table.csv").read_text() == (study / "report/table.csv").read_text()


def test_a_damaged_kept_study_names_the_line(tmp_path, capsys):
    kept = tmp_path / "kept"
    main(["report", str(pretend(tmp_path / "study")), "--keep", str(kept)])
    lines = (kept / "runs.jsonl").read_text().splitlines()
    (kept / "runs.jsonl").write_text("\n".join([lines[0], lines[1][:-5]]))
    capsys.readouterr()
    assert main(["report", str(kept)]) == 2
    assert "line 2 is not a kept run" in capsys.readouterr().err


@pytest.mark.slow
def test_a_kept_study_says_what_is_missing(tmp_path):
    kept = tmp_path / "kept"
    main(["report", str(pretend(tmp_path / "study")), "--keep", str(kept)])
    lines = (kept / "runs.jsonl").read_text().splitlines()
    (kept / "runs.jsonl").write_text("\n".join(lines[1:]))
    assert f"{len(lines) - 1} of {len(lines)} runs are done" in write_report(kept).read_text()
    assert "not among the kept runs" in write_report(kept).read_text()


def test_there_must_be_something_to_keep(tmp_path, capsys):
    assert main(["report", str(tmp_path), "--keep", str(tmp_path / "kept")]) == 2
    assert "not the folder of a study" in capsys.readouterr().err


def test_a_study_is_not_kept_in_its_own_folder(tmp_path, capsys):
    study = pretend(tmp_path / "study")
    assert main(["report", str(study), "--keep", str(study)]) == 2
    assert "cannot be kept in its own folder" in capsys.readouterr().err
    assert not (study / "runs.jsonl").exists()


def test_a_study_is_kept_or_reported(tmp_path, capsys):
    study = pretend(tmp_path / "study")
    assert main(["report", str(study), "--keep", str(tmp_path / "a"), "--out", str(tmp_path / "b")]) == 2
    assert "give one of them" in capsys.readouterr().err
