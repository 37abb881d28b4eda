import os
import shlex
import signal
import subprocess
import sys
import time
import traceback
from argparse import Namespace
from collections import Counter
from pathlib import Path
from types import FrameType

import pytest
import torch

import odelib
from odelib.cli import main
from odelib.data import DATA_SETS
from odelib.models import ViTConfig
from odelib.training import TrainConfig, load_checkpoint, load_run, read_metrics
from odelib.training.checkpoint import CHECKPOINT

TINY = shlex.split("--train-images 60 --epochs 2 --dim 8 --num-heads 2 --mlp-ratio 1 --intervals 2 --device cpu")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def said(capsys: pytest.CaptureFixture[str]) -> str:
    """What went to stderr, on one line: tyro draws boxes whose lines break anywhere."""
    return " ".join(capsys.readouterr().err.replace("│", " ").split())


def refused(argv: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """The sentence with which ``argv`` is refused."""
    assert main(argv) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("odelib: error: ")
    return lines[0].removeprefix("odelib: error: ")


def test_train_then_evaluate(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", *TINY, "--step-rule", "rk4", "--no-flip", "--seed", "3", "--drop-path", "0.1"]) == 0
    folder = here / "runs" / "fashion-mnist-subset-rk4-seed3"
    config, _ = load_run(folder)
    assert config == TrainConfig(
        train_images=60,
        epochs=2,
        flip=False,
        seed=3,
        device="cpu",
        model=ViTConfig(dim=8, num_heads=2, mlp_ratio=1.0, intervals=2, step_rule="rk4", drop_path=0.1),
    )
    accuracy = read_metrics(folder)[1][-1].test_accuracy
    out = capsys.readouterr().out
    assert f"test accuracy {accuracy:.4f} after 2 epochs in " in out
    assert "run folder runs/fashion-mnist-subset-rk4-seed3" in out

    assert main(["evaluate", str(folder), "--device", "cpu"]) == 0
    out = capsys.readouterr().out
    assert f"test accuracy {accuracy:.4f}," in out
    assert "step rule rk4, 8 field evaluations" in out

    assert main(["evaluate", str(folder), "--step-rule", "euler", "--refine", "3", "--device", "cpu"]) == 0
    assert "step rule euler, 6 field evaluations" in capsys.readouterr().out


def test_a_rule_with_brackets_makes_a_plain_folder_name(here: Path) -> None:
    assert main(["train", *TINY, "--step-rule", "strang(midpoint)"]) == 0
    assert (here / "runs" / "fashion-mnist-subset-strang-midpoint-seed0" / CHECKPOINT).is_file()


def test_resume_needs_the_word_and_the_same_options(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    argv = ["train", *TINY, "--out", "run"]
    assert main(argv) == 0
    before = (here / "run" / CHECKPOINT).read_bytes()
    sentence = refused(argv, capsys)
    assert "run folder run is not empty" in sentence
    assert "--resume" in sentence
    assert "--out" in sentence
    assert "lr is 0." in refused([*argv, "--resume", "--lr", "0.5"], capsys)
    assert main([*argv, "--resume"]) == 0
    assert (here / "run" / CHECKPOINT).read_bytes() == before


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--step-rule", "rk5"], "unknown step rule 'rk5': the nearest valid name is 'rk4'"),
        (["--data", "cifar11"], "the nearest valid name is 'cifar10'"),
        (["--dim", "65"], "dim 65 is not divisible by num_heads 4"),
        (["--patch-size", "5"], "image_size 28 is not divisible by patch_size 5"),
        (["--epochs", "0"], "epochs is 0, expected a whole number of at least 1"),
        (["--device", "gpu"], "unknown device 'gpu'"),
        (["--train-images", "6001"], "train_images is 6001, but fashion-mnist-subset has 6000"),
        (["--resume"], "there is no checkpoint"),
    ],
)
def test_bad_values_are_one_sentence(
    here: Path, capsys: pytest.CaptureFixture[str], options: list[str], sentence: str
) -> None:
    assert sentence in refused(["train", *options], capsys)


def test_an_output_folder_that_cannot_be_written_is_refused_before_training(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (here / "file").write_text("not a folder")
    monkeypatch.setattr("odelib.training.run.prepare", lambda *_: pytest.fail("the data came first"))
    sentence = refused(["train", *TINY, "--out", "file/run"], capsys)
    assert sentence.startswith("cannot write to the run folder file/run (Not a directory): choose another")


def test_a_damaged_checkpoint_is_refused(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "run").mkdir()
    (here / "run" / CHECKPOINT).write_bytes(b"PK\x03\x04 cut short")
    assert "is corrupt or cut short" in refused(["evaluate", "run"], capsys)
    assert "is corrupt or cut short" in refused(["train", "--out", "run", "--resume"], capsys)


def test_a_folder_without_a_run_is_refused(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "there is no checkpoint nowhere/checkpoint.pt" in refused(["evaluate", "nowhere"], capsys)


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (
            ["train", "--step-rul", "rk4"],
            ("unrecognized argument '--step-rul'", "nearest valid option is '--step-rule'"),
        ),
        (["train", "--epochs", "many"], ("epochs is 'many', expected a whole number",)),
        (["train", "--pool", "max"], ("unknown pool 'max': the nearest valid name is",)),
        (["train", "--epochs"], ("--epochs: expected one argument",)),
        (["trian"], ("invalid choice: 'trian'", "train")),
        ([], ("the following arguments are required: command",)),
        (["info"], ("the following arguments are required: topic",)),
        (["info", "dta"], ("invalid choice: 'dta'", "data")),
        (["study", "x.yaml", "--workers", "0"], ("--workers: it is 0, expected at least 1",)),
    ],
)
def test_what_cannot_be_read_is_refused_with_the_nearest_option(
    capsys: pytest.CaptureFixture[str], argv: list[str], words: tuple[str, ...]
) -> None:
    assert main(argv) == 2
    error = said(capsys)
    assert error.startswith("odelib: error: ")
    for word in words:
        assert word in error


def test_help_lists_every_option_with_its_text(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--help"]) == 0
    text = " ".join(capsys.readouterr().out.replace("│", " ").split())
    for option in ("--data", "--epochs", "--lr", "--seed", "--step-rule", "--intervals", "--out", "--resume"):
        assert option in text
    assert "Peak learning rate of AdamW" in text
    assert "Number of distinct weight sets along depth" in text
    assert "--image-size" not in text


def test_info_names_every_data_set_and_where_it_is(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ODELIB_DATA", str(here / "data"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(here / "cache"))
    (here / "cache" / "odelib" / "tiny_shakespeare").mkdir(parents=True)
    (here / "cache" / "odelib" / "tiny_shakespeare" / "input.txt").touch()
    assert main(["info", "data"]) == 0
    blocks = capsys.readouterr().out.strip().split("\n\n")
    assert [block.partition(":")[0] for block in blocks] == list(DATA_SETS)
    for block, about in zip(blocks, DATA_SETS.values(), strict=True):
        for known in (about.title, about.what, about.sizes, about.licence, about.citation, about.url):
            assert known in block
    text = dict(zip(DATA_SETS, blocks, strict=True))
    assert "fashion_mnist_subset.npz" in text["fashion-mnist-subset"]
    assert text["cifar10"].endswith(
        f"here      absent; the first use downloads it into {here}/data/cifar10/cifar-10-batches-py"
    )
    assert "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz" in text["cifar10"]
    assert text["tiny-shakespeare"].endswith(f"here      {here}/cache/odelib/tiny_shakespeare")
    assert "data/task1/raw/ (train.de.gz, train.en.gz," in text["multi30k"]
    assert not (here / "data").exists()

    assert main(["info", "data", "clinc150", "cifar10"]) == 0
    assert capsys.readouterr().out.strip() == f"{text['clinc150']}\n\n{text['cifar10']}"


def test_info_about_an_unknown_set_gives_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    sentence = refused(["info", "data", "clinc"], capsys)
    assert "unknown data set 'clinc': the nearest valid name is 'clinc150'" in sentence


def test_info_help_says_what_it_tells(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", "--help"]) == 0
    text = " ".join(capsys.readouterr().out.replace("│", " ").split())
    for word in ("licence", "citation", "address", "what to tell about", "data sets, such as cifar10"):
        assert word in text


def start(folder: Path, *options: str) -> subprocess.Popen[str]:
    """The command in a process of its own, which takes Ctrl-C even if this process was told to ignore it."""
    program = (
        "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler);"
        "from odelib.cli import main; sys.exit(main(sys.argv[1:]))"
    )
    argv = [sys.executable, "-c", program, "train", *TINY, "--epochs", "500", "--out", "run", *options]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        argv, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


@pytest.mark.parametrize("options", [[], ["--out", "run"]])
def test_a_start_that_fails_leaves_no_folder(
    here: Path, capsys: pytest.CaptureFixture[str], options: list[str]
) -> None:
    for mistake in (["--epochs", "0"], ["--lr", "nan"], ["--train-images", "9999"], ["--resume"], ["--dim", "65"]):
        refused(["train", *options, *mistake], capsys)
        assert list(here.iterdir()) == []


@pytest.mark.parametrize("options", [[], ["--tensorboard"]])
def test_a_refused_start_leaves_an_empty_folder_empty(
    here: Path, capsys: pytest.CaptureFixture[str], options: list[str]
) -> None:
    (here / "run").mkdir()
    sentence = refused(["train", *TINY, "--weights", "nowhere", "--out", "run", *options], capsys)
    assert "has no weights" in sentence or "tensorboard" in sentence
    assert list((here / "run").iterdir()) == []


def test_a_file_that_cannot_be_read_is_named_with_a_remedy(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sentence = refused(["study", "nowhere.yaml"], capsys)
    assert sentence == "cannot use nowhere.yaml (No such file or directory): check its name"


@pytest.mark.parametrize("argv", [["info", "data"], ["evaluate", "nowhere"], ["--version"]])
def test_a_reader_that_closes_the_pipe_ends_the_command_quietly(here: Path, argv: list[str]) -> None:
    """Both streams lead into a pipe that nobody reads, and what Python itself says at its end would be seen."""
    reading, writing = os.pipe()
    os.close(reading)
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": ""}
    program = "import sys; from odelib.cli import main; sys.exit(main(sys.argv[1:]))"
    told = writing if argv[0] == "evaluate" else subprocess.PIPE  # a sentence, which goes to stderr
    process = subprocess.run(
        [sys.executable, "-c", program, *argv], stdout=writing, stderr=told, env=environment, check=False
    )
    os.close(writing)
    assert (process.returncode, process.stderr or b"") == (141, b"")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full, a disk that is always full")
def test_output_that_cannot_be_written_is_one_sentence(here: Path) -> None:
    program = "import sys; from odelib.cli import main; sys.exit(main(sys.argv[1:]))"
    with open("/dev/full", "w") as full:
        process = subprocess.run(
            [sys.executable, "-c", program, "info", "data"],
            stdout=full,
            stderr=subprocess.PIPE,
            env={**os.environ, "PYTHONUNBUFFERED": ""},
            text=True,
            check=False,
        )
    assert process.returncode == 2
    (line,) = process.stderr.splitlines()
    assert line.startswith("odelib: error: cannot use standard output (No space left on device): free some space")


def test_after_a_loss_that_is_not_finite_the_corrected_command_works(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ["train", *TINY, "--warmup-epochs", "0", "--out", "run"]
    assert "the loss is nan at step" in refused([*argv, "--lr", "1e30", "--clip-norm", "none"], capsys)
    assert main(argv) == 0


@pytest.mark.slow
def test_sigterm_keeps_what_is_done_within_the_epoch(tmp_path: Path) -> None:
    options = ["--train-images", "6000", "--batch-size", "4", "--dropout", "0.1", "--epochs", "2"]
    process = start(tmp_path, *options)
    try:
        metrics = tmp_path / "run" / CHECKPOINT
        for _ in range(1200):
            if metrics.is_file() and process.poll() is None:
                break
            time.sleep(0.05)
        time.sleep(1.0)
        process.terminate()
        _, error = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 143
    kept = load_checkpoint(tmp_path / "run")
    assert kept.sums is not None
    assert f"the checkpoint after epoch {kept.epoch} and {kept.sums.shape[1]} batches of the next is intact" in error
    again = start(tmp_path, *options, "--resume")
    _, error = again.communicate(timeout=120)
    assert again.returncode == 0, error
    straight = start(tmp_path, *options, "--out", "straight")
    assert straight.wait(timeout=120) == 0
    once, again_ = (load_checkpoint(tmp_path / name) for name in ("straight", "run"))
    assert all(torch.equal(once.model[name], again_.model[name]) for name in once.model)
    (a, b) = (read_metrics(tmp_path / name)[1] for name in ("straight", "run"))
    assert [epoch.train_loss for epoch in a] == [epoch.train_loss for epoch in b]


@pytest.mark.slow
def test_ctrl_c_keeps_the_checkpoint_and_says_how_to_go_on(tmp_path: Path) -> None:
    process = start(tmp_path)
    try:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("epoch   2/500"):
                break
        process.send_signal(signal.SIGINT)
        _, error = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130
    (sentence,) = error.strip().splitlines()
    epoch = load_checkpoint(tmp_path / "run").epoch
    assert epoch >= 2
    command = " ".join(["odelib train", *TINY, "--epochs 500 --out run --resume"])
    assert sentence == f"odelib: stopped; the checkpoint after epoch {epoch} is intact; go on with: {command}"

    again = start(tmp_path, "--resume")
    try:
        assert again.stdout is not None
        first = next(line for line in again.stdout if line.startswith("epoch "))
    finally:
        again.kill()
        again.wait()
    assert first.startswith(f"epoch {epoch + 1:3d}/500")


def test_lr_reaches_the_optimiser_through_three_shapes_and_eight_files(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lr, root = 0.01234, Path(odelib.__file__).parent
    files: set[str] = set()
    shapes: set[type] = set()
    calls: Counter[str] = Counter()

    def shapes_of(value: object) -> set[type]:
        """The types of what holds the learning rate under its name, as a text or a number: the value or a part."""
        parts = value if type(value) is tuple else (value, getattr(value, "config", None))
        held = [(part, part.get("lr") if isinstance(part, dict) else getattr(part, "lr", None)) for part in parts]
        return {type(part) for part, rate in held if str(rate) == str(lr)}

    def watch(frame: FrameType, event: str, value: object) -> None:
        path = Path(frame.f_code.co_filename)
        if event != "return" or not path.is_relative_to(root):
            return
        calls[f"{path.relative_to(root)} {frame.f_code.co_name}"] += 1
        if made := shapes_of(value):
            given = set().union(*map(shapes_of, frame.f_locals.values()))
            shapes.update(made)
            if (made | given) - {TrainConfig}:
                files.add(str(path.relative_to(root)))  # here it changes its shape

    def made(groups: object, lr: float, **options: object) -> None:
        paths = [Path(frame.f_code.co_filename) for frame, _ in traceback.walk_stack(sys._getframe(1))]
        files.update(str(path.relative_to(root)) for path in paths if path.is_relative_to(root))
        raise KeyboardInterrupt

    monkeypatch.setattr(torch.optim, "AdamW", made)
    sys.setprofile(watch)
    try:
        assert main(["train", *TINY, "--lr", str(lr)]) == 130
    finally:
        sys.setprofile(None)
    assert shapes == {Namespace, dict, TrainConfig}
    parts = ("prepare", "run", "options", "config", "loop", "optim")
    assert files == {"cli.py", "commands/train.py", *(f"training/{part}.py" for part in parts)}
    assert (
        calls["training/options.py check_options"] == 2
    )  # by the command, before processes wait for one another, and by the door
    assert calls["training/config.py from_dict"] == 1
