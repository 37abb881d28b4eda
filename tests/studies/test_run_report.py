"""The report of one run, with its data, without them, and with others."""

import errno
import os
from pathlib import Path
from typing import Any

import pytest
from matplotlib.figure import Figure

from odelib.cli import main
from odelib.studies.run_report import write_run_report

TINY = "--device cpu --dim 8 --num-heads 2 --intervals 1 --batch-size 8 --warmup-epochs 0 --epochs 1 --subwords 270"


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run of which the table has moved."""
    pytest.importorskip("tokenizers")
    rows = [f"I {word} it {k},{label}\n" for word, label in (("love", "good"), ("hate", "bad")) for k in range(10)]
    (tmp_path / "table.csv").write_text("text,label\n" + "".join(rows))
    monkeypatch.chdir(tmp_path)
    assert main(f"train --data table.csv {TINY} --out run".split()) == 0
    Path("table.csv").rename("moved.csv")
    return tmp_path / "run"


def test_without_its_data_a_report_says_what_it_lacks(run: Path) -> None:
    text = write_run_report(run, device="cpu").read_text()
    assert "confusion.svg" not in text
    assert "This was not measured: the data " in text
    assert "are not here: say where they are (--data)" in text
    assert not (run / "report/confusion.svg").exists()


def test_a_report_takes_the_data_from_where_they_are_now(run: Path) -> None:
    assert main(["report", str(run), "--data", "moved.csv"]) == 0
    assert "confusion.svg" in (run / "report/report.md").read_text()


def test_nothing_is_written_with_other_data(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("moved.csv").write_text(Path("moved.csv").read_text().replace("love", "like"))
    for name, sentence in (("moved.csv", "are not those of the run"), ("gone.csv", "are not here")):
        assert main(["report", str(run), "--data", name]) == 2
        assert sentence in capsys.readouterr().err
    assert not (run / "report").exists()
    assert main(["report", ".", "--data", "moved.csv"]) == 2
    assert "--data is for the report of one run, and . is none" in capsys.readouterr().err


def test_a_full_disk_leaves_no_part_of_a_report(
    run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(self: Figure, path: Path, **options: Any) -> None:
        path.write_text("half a figure")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Figure, "savefig", full)
    capsys.readouterr()
    assert main(["report", str(run)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert f"cannot use {run}/report/loss.svg (No space left on device): free some space" in line
    assert not (run / "report").exists()
