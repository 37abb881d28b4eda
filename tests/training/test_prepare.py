"""Your own data are found from anywhere, and where they have moved to, if they are still the same."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from odelib.cli import main
from odelib.training import load, load_checkpoint, read_metrics, train
from odelib.training.checkpoint import save_checkpoint
from odelib.training.prepare import where_data_are

TINY = "--device cpu --dim 8 --num-heads 2 --mlp-ratio 2 --intervals 1 --batch-size 4 --warmup-epochs 0 --epochs 2"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder in which a run learned from the folder pics beside it."""
    for name, colour in (("red", (255, 0, 0)), ("blue", (0, 0, 255))):
        (tmp_path / "pics" / name).mkdir(parents=True)
        for k in range(4):
            Image.new("RGB", (8, 8), (*colour[:2], colour[2] // (k + 1))).save(tmp_path / "pics" / name / f"{k}.png")
    monkeypatch.chdir(tmp_path)
    assert main(f"train --data pics {TINY} --keep-best --out run".split()) == 0
    return tmp_path


def refused(argv: str, capsys: pytest.CaptureFixture[str]) -> str:
    capsys.readouterr()
    assert main(argv.split()) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    return line.removeprefix("odelib: error: ")


def test_a_run_goes_on_from_another_directory(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (here / "elsewhere").mkdir()
    monkeypatch.chdir(here / "elsewhere")
    assert main("train --resume ../run --epochs 3".split()) == 0
    assert main("evaluate ../run --device cpu".split()) == 0
    assert len(read_metrics(here / "run")[1]) == 3


@pytest.mark.parametrize("longer", [" --epochs 3", ""])
def test_a_run_goes_on_where_its_data_have_moved_to(
    here: Path, capsys: pytest.CaptureFixture[str], longer: str
) -> None:
    (here / "pics").rename(here / "moved")
    sentence = refused("train --resume run", capsys)
    assert f"the data '{here}/pics' of the run in run are not here: say where they are (--data)" in sentence
    assert main(f"train --resume run --data moved{longer}".split()) == 0
    for command in ("evaluate run --device cpu", "train --resume run", "report run"):  # they are known from then on
        assert main(command.split()) == 0
    assert load("run").config.data == f"{here}/moved"
    assert "confusion.svg" in (here / "run/report/report.md").read_text()


def test_a_run_does_not_go_on_with_other_data(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree("pics", "other")
    Image.new("RGB", (8, 8)).save("other/red/0.png")
    assert "are not those of the run (pics, " in refused("train --resume run --data other", capsys)
    assert json.loads((here / "run/config.json").read_text())["data"] == f"{here}/pics"


def test_a_run_whose_path_was_kept_as_typed_goes_on_too(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    values = {**json.loads(Path("run/config.json").read_text()), "data": "pics"}
    Path("run/config.json").write_text(json.dumps(values))
    kept = load_checkpoint(here / "run")
    save_checkpoint(replace(kept, config={**kept.config, "data": "pics"}), here / "run")
    Path("elsewhere").mkdir()
    monkeypatch.chdir("elsewhere")
    assert main("train --resume ../run --data ../pics --epochs 3".split()) == 0


def test_a_run_goes_on_where_what_it_began_from_is_gone(here: Path) -> None:
    assert main(f"train --data pics {TINY} --weights run --out second".split()) == 0
    shutil.rmtree("run")
    assert main("train --resume second --epochs 3".split()) == 0


def test_a_path_is_kept_whole_and_a_link_by_its_own_name(here: Path) -> None:
    Path("linked").symlink_to("pics")
    values = json.loads(Path("run/config.json").read_text())
    result = train({**values, "data": "linked"}, here / "again", progress=False)
    assert result.config.data == f"{here}/linked"


def test_data_of_a_name_are_not_sought_in_a_folder(here: Path) -> None:
    assert where_data_are("cifar10", None, here) == "cifar10"
    with pytest.raises(ValueError, match="learned from cifar10, not from pics: leave --data out"):
        where_data_are("cifar10", "pics", here)
    with pytest.raises(ValueError, match=r"the data 'gone.csv' of the run in .* are not here"):
        where_data_are("pics", "gone.csv", here)
