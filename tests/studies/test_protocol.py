"""Protocols: what a study asks is what was written down before, and runs of two protocols are kept apart."""

import json
import shutil
from pathlib import Path

import pytest

from odelib.cli import main
from odelib.studies.execute import run_study
from odelib.studies.job import JOB, RESULT, STUDY, read_result
from odelib.studies.protocol import PROTOCOL
from odelib.studies.report import write_report
from odelib.studies.runs import keep_runs, open_study
from odelib.studies.study import Study
from odelib.studies.study_file import read_study

from .test_report import pretend
from .test_study import here

ROOT = Path(__file__).parents[2]
ASKED = """
title: Clothes
settings:
  clothes: {options: {train_images: 60, epochs: 1, warmup_epochs: 0, model: {dim: 8, num_heads: 2}}, seeds: 5}
variants:
  parallel: {model: {step_rule: euler}}
  usual: {model: {step_rule: lie-trotter}}
protocol: {family: Images, questions: 2}
claims:
  - {claim: Parallel is better., better: parallel, than: usual, relevant: 0.01}
"""
WRITTEN = """
# Protocols

1. clothes: is `usual` better than `parallel`?

**The smallest effect that matters.** Images: 1 point.

**Questions**, each about a difference. *Images* (two):

1. clothes: is `parallel`
   better than `usual`? Equal parameters.
2. CIFAR-10, 6 epochs: `rk4` against `parallel`.

*Texts* (one):

3. letters: `parallel` against `usual`.

**Analysis.** Welch.

4. not a question: `parallel` against `usual`.
"""


def written(folder: Path, study: str = ASKED, protocol: str | None = WRITTEN) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "clothes.yaml").write_text(study)
    if protocol is not None:
        (folder / PROTOCOL).write_text(protocol)
    return folder / "clothes.yaml"


def read(folder: Path, study: str = ASKED, protocol: str | None = WRITTEN) -> Study:
    return read_study(written(folder, study, protocol))


def checksum(folder: Path, protocol: str) -> str | None:
    found = read(folder, protocol=protocol).protocol
    assert found is not None
    return found.checksum


def test_a_study_knows_its_family(tmp_path: Path) -> None:
    found = read(tmp_path).protocol
    assert found is not None
    assert (found.family, found.questions) == ("Images", 2)
    assert found.checksum is not None
    assert len(found.checksum) == 12
    assert {job.protocol for job in read(tmp_path).jobs} == {found.checksum}
    assert read(tmp_path, ASKED.replace("protocol: {family: Images, questions: 2}\n", ""), None).protocol is None


def test_the_checksum_is_of_questions_and_effects_and_of_nothing_else(tmp_path: Path) -> None:
    first = checksum(tmp_path, WRITTEN)
    assert checksum(tmp_path, WRITTEN.replace("Welch", "Student").replace("letters", "words")) == first
    assert checksum(tmp_path, WRITTEN.replace("`parallel`\n   better", "`parallel` better")) == first
    assert checksum(tmp_path, WRITTEN.replace("1 point", "2 points")) != first
    assert checksum(tmp_path, WRITTEN.replace("6 epochs", "12 epochs")) != first


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        (
            "family: Images, questions: 2",
            "family: Image, questions: 2",
            r"line 8: unknown family of .*'image'.*'images'",
        ),
        ("questions: 2", "questions: 3", r"line 8: the family Images has 2 questions in .*, and questions is 3"),
        ("questions: 2", "questions: two", r"line 8: questions is 'two', expected a whole number"),
        ("{family: Images, questions: 2}", "images", r"line 8: protocol is 'images', expected a family and its number"),
        (
            "better: parallel, than: usual",
            "better: usual, than: parallel",
            r"line 10: the protocol does not ask whether",
        ),
        ("  clothes:", "  letters:", r"the protocol does not ask whether `parallel` is better than `usual` in letters"),
        ("  clothes:", "  not a question:", r"the protocol does not ask"),
        (
            "seeds: 5",
            "seeds: 4",
            r"line 10: parallel has 4 seeds in clothes, and a claim with a protocol needs at least 5",
        ),
        ("seeds: 5", "seeds: {parallel: 9, usual: 3}", r"line 10: usual has 3 seeds in clothes"),
    ],
)
def test_what_the_protocol_does_not_allow_is_one_sentence(tmp_path: Path, old: str, new: str, sentence: str) -> None:
    assert old in ASKED
    with pytest.raises(ValueError, match=sentence) as raised:
        read(tmp_path, ASKED.replace(old, new))
    assert "\n" not in str(raised.value)


def test_settings_are_named_by_the_first_words_of_a_question(tmp_path: Path) -> None:
    other = ASKED.replace("parallel: {", "rk4: {").replace("usual: {", "parallel: {")
    other = other.replace("better: parallel, than: usual", "better: rk4, than: parallel")
    for name in ("CIFAR-10", "cifar-10", "cifar-10-6-epochs"):
        assert read(tmp_path, other.replace("  clothes:", f"  {name}:")).claims
    with pytest.raises(ValueError, match="does not ask"):
        read(tmp_path, other.replace("  clothes:", "  cifar10:"))


def test_a_protocol_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"line 8: there is no .*PROTOCOL.md: write the protocol there"):
        read(tmp_path, protocol=None)


@pytest.mark.parametrize(("family", "questions", "setting"), [("images", 8, "clothes"), ("texts", 9, "characters")])
def test_the_books_own_protocol_can_be_read(tmp_path: Path, family: str, questions: int, setting: str) -> None:
    text = ASKED.replace("family: Images, questions: 2", f"family: {family}, questions: {questions}")
    shutil.copy(ROOT / "studies" / PROTOCOL, tmp_path / PROTOCOL)
    assert read(tmp_path, text.replace("  clothes:", f"  {setting}:"), None).protocol


@pytest.mark.slow
def test_runs_carry_their_protocol_and_another_one_loses_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, out = written(tmp_path / "studies"), tmp_path / "out"
    run_study(file, out, here, say=lambda line: None)
    own = checksum(tmp_path / "studies", WRITTEN)
    results = {path: path.read_bytes() for path in out.glob(f"*/*/*/{RESULT}")}
    assert len(results) == 10
    assert {read_result(path.parent)["provenance"]["protocol"] for path in results} == {own}
    assert f"- Protocol: {own}" in write_report(out).read_text()

    written(tmp_path / "studies", protocol=WRITTEN.replace("1 point", "2 points"))
    assert main(["study", str(file), "--out", str(out)]) == 2
    error = capsys.readouterr().err
    assert f"is of the protocol {own} and the study now of" in error
    assert "choose another folder for the study (--out), and both are kept" in error
    assert {path: path.read_bytes() for path in results} == results
    assert (out / PROTOCOL).read_text() == WRITTEN

    keep_runs(out, tmp_path / "kept")
    assert len(open_study(tmp_path / "kept")[1]) == 10
    (tmp_path / "kept" / PROTOCOL).write_text(WRITTEN.replace("1 point", "2 points"))
    assert main(["report", str(tmp_path / "kept")]) == 2
    assert f"seed0 in {tmp_path / 'kept'} is of the protocol {own}, and" in capsys.readouterr().err
    (tmp_path / "kept" / PROTOCOL).unlink()
    assert len(open_study(tmp_path / "kept")[1]) == 10


def test_runs_without_a_protocol_are_not_taken_for_runs_of_one(tmp_path: Path) -> None:
    folder = pretend(tmp_path / "out")
    (path,) = folder.glob("clothes/usual/seed0")
    (path / JOB).write_text(json.dumps(read_result(path)["job"]))
    text = (folder / STUDY).read_text().replace("seeds: 4", "seeds: 5").replace("better: rk4_long", "better: parallel")
    protocol = WRITTEN.replace("*Texts* (one):\n\n", "").replace("letters", "words")
    file = written(tmp_path / "new", text + "protocol: {family: images, questions: 3}\n", protocol)
    with pytest.raises(ValueError, match="is of the protocol None and the study now of"):
        run_study(file, folder, here)


@pytest.mark.slow
def test_the_family_of_the_protocol_sets_the_intervals(tmp_path: Path) -> None:
    text = write_report(pretend(tmp_path / "two")).read_text()
    assert "97.5 % interval of the gain" not in text  # three comparisons, so 1 - 0.05 / 3
    assert "98.33 % interval of the gain" in text
    (tmp_path / "two" / PROTOCOL).write_text(WRITTEN.replace("1. clothes: is `parallel`", "1. clothes: `parallel`"))
    study = (tmp_path / "two" / STUDY).read_text()
    claims = study[study.index("claims:") :]
    new = "claims:\n  - {claim: A, better: parallel, than: usual, settings: [clothes]}\n"
    (tmp_path / "two" / STUDY).write_text(study.replace(claims, new) + "protocol: {family: images, questions: 2}\n")
    for path in (tmp_path / "two").glob(f"*/*/*/{RESULT}"):
        result = json.loads(path.read_text())
        found = read_study(tmp_path / "two" / STUDY).protocol
        assert found is not None
        result["provenance"]["protocol"] = found.checksum
        path.write_text(json.dumps(result))
    assert "97.5 % interval of the gain" in write_report(tmp_path / "two").read_text()
