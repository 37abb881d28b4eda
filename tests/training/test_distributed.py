"""Two processes train what one does: equal numbers to rounding, one set of files, one voice, and nobody waits for ever.

This file is also what torchrun starts: it then does the runs of a plan, and notes in each process what they gave.
"""

import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from copy import deepcopy
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from odelib.cli import main
from odelib.data import ImageData, Subwords, TranslationData
from odelib.models import CausalLM, CausalLMConfig, EncoderDecoderConfig, ViT, ViTConfig
from odelib.training import (
    EpochMetrics,
    Runtime,
    Task,
    TrainConfig,
    TrainingError,
    build_model,
    image_task,
    load_checkpoint,
    load_run,
    loop,
    merge,
    read_metrics,
    translation_task,
)
from odelib.training.folder import hold_folder
from odelib.training.run import fit_task

pytestmark = pytest.mark.slow  # two launches of two processes

ROOT = Path(__file__).parents[2]
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
ACCELERATE = [sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2"]
ACCELERATE += ["--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", "0"]
STRONG = {"rand_augment": 9, "erasing": 0.5, "mixup": 0.8, "cutmix": 1.0}
WAIT = 120  # seconds; what takes longer hangs

Plan = dict[str, Any]


# What is run, in one process or in two


def task_of(plan: Plan, runtime: Runtime) -> Task:
    if "images" in plan:
        return image_task(plan["images"], plan["config"], runtime)
    return translation_task(*plan["sentences"], plan["config"], runtime)


def do(plan: Plan, folder: Path, **how: Any) -> Any:
    """The run of a plan in this process, and in those that it has met."""
    config, runtime = plan["config"], Runtime.choose("cpu")

    def build() -> nn.Module:
        if plan.get("fails_in") == os.environ.get("RANK", "none"):
            raise ValueError("this process has no model")
        return build_model(config.model)

    return fit_task(config, task_of(plan, runtime), build, folder, runtime=runtime, **{"progress": False, **how})


@contextmanager
def at_measuring(number: int | None, act: Any) -> Iterator[None]:
    """Do something when the test data are measured for the given time."""
    whole, calls = loop.measure, iter(range(1, 1000))

    def measure(*args: Any, **options: Any) -> tuple[float, float]:
        if next(calls) == number:
            act()
        return whole(*args, **options)

    loop.measure = measure
    try:
        yield
    finally:
        loop.measure = whole


def press_ctrl_c() -> None:
    if os.environ["RANK"] == "1":
        os.kill(os.getpid(), signal.SIGINT)


@contextmanager
def full_disk(wanted: bool) -> Iterator[None]:
    """Let the kernel refuse to write files of more than 10 kB, in the main process."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    if wanted and os.environ["RANK"] == "0":
        resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def noted(plan: Plan, folder: Path) -> Plan:
    """What a run gave this process, as plain values."""
    out, err = StringIO(), StringIO()
    try:
        with (
            redirect_stdout(out),
            redirect_stderr(err),
            at_measuring(plan.get("ctrl_c_in_epoch"), press_ctrl_c),
            full_disk(plan.get("full_disk", False)),
        ):
            result = do(plan, folder, **plan.get("how", {}))
    except (TrainingError, ValueError, KeyboardInterrupt) as error:
        return {"error": type(error).__name__, "sentence": str(error)}
    weights = torch.nn.utils.parameters_to_vector(result.model.parameters()).tolist()
    losses = [epoch.test_loss for epoch in result.history]
    return {"out": out.getvalue(), "err": err.getvalue(), "losses": losses, "weights": weights}


MODELS: dict[str, dict[str, Any]] = {
    "parallel": {},
    "usual": {"step_rule": "lie-trotter"},
    "rk4": {"step_rule": "rk4", "steps": 2},
    "checkpoint": {"gradient": "checkpoint"},
    "adjoint": {"gradient": "adjoint"},
    "reversible": {"gradient": "reversible"},
    "linear weights": {"weights": "linear"},
    "one norm": {"norm_place": "shared"},
    "language": {},
}


def gradients(name: str, shard: bool) -> tuple[float, float]:
    """How far the gradient in two processes is from that in one, and the share of the weights that this one holds."""
    common = {"dim": 8, "num_heads": 2, "intervals": 2, **MODELS[name]}
    torch.manual_seed(1)
    if name == "language":
        inputs = torch.randint(0, 11, (5, 6))
        model: nn.Module = CausalLM(CausalLMConfig(vocab_size=11, max_tokens=6, **common))
    else:
        inputs = torch.randn(5, 1, 8, 8)
        model = ViT(ViTConfig(image_size=8, patch_size=4, num_classes=3, **common))
    alone, processes = deepcopy(model), Runtime.choose("cpu").processes
    alone(inputs).square().sum().backward()
    forward: Any = processes.wrap(model, None, shard=shard)
    (part,) = processes.parts(len(inputs))
    with processes.no_sync(forward, last=True):
        (forward(inputs[part.first : part.last]).square().sum() * processes.world_size).backward()
    pairs = zip(model.parameters(), alone.parameters(), strict=True)
    wrong = [
        float((processes.full_state_dict(ours.grad, everywhere=True) - right.grad).abs().max() / right.grad.abs().max())
        for ours, right in pairs
        if right.grad is not None and right.grad.abs().max() > 1e-4
    ]
    held = sum(weight.to_local().numel() if shard else weight.numel() for weight in model.parameters())
    return max(wrong), held / sum(weight.numel() for weight in alone.parameters())


def told(*arguments: str) -> Plan:
    """What the command line answers as long as the processes have not met."""
    out, err = StringIO(), StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = main(arguments)
    return {"code": code, "said": out.getvalue() + err.getvalue()}


def in_each_process(folder: Path) -> int:
    """Do all of the plan in ``folder``, and at last train by the command line, until Ctrl-C; torchrun starts this."""
    plan = torch.load(folder / "plan.pt", weights_only=False)
    notes: Plan = {line: told(*line.split()) for line in plan["lines"]}
    notes |= {name: noted(each, folder / name) for name, each in plan["runs"].items()}
    notes["gradients"] = {f"{name}, {shard}": gradients(name, shard) for name in MODELS for shard in (False, True)}
    (folder / f"notes{os.environ['RANK']}.json").write_text(json.dumps(notes))
    return main(command_line(folder / "run"))


def command_line(folder: Path) -> list[str]:
    tiny = "train --train-images 60 --epochs 60 --batch-size 30 --dim 8 --num-heads 2 --mlp-ratio 1 --intervals 1"
    return [*tiny.split(), "--dropout", "0.1", "--device", "cpu", "--out", str(folder)]


# One launch for all of that


def plans(data: ImageData, config: TrainConfig) -> dict[str, Plan]:
    nouns = {"Hund": "dog", "Katze": "cat", "Maus": "mouse", "Kuh": "cow"}
    pairs = [("die " * n + de, "the " * n + en) for n in range(1, 7) for de, en in nouns.items()]
    german, english = (tuple(side) for side in zip(*pairs, strict=True))
    subwords = Subwords.train([*german, *english], 275)
    sentences = TranslationData("nouns", ("de", "en"), german, english, german, english, german[:7], english[:7])
    written = TrainConfig(data="multi30k", epochs=2, batch_size=7, eval_batch_size=3, device="cpu")
    task = translation_task(sentences, subwords, written, Runtime.choose("cpu"))
    options = {"dim": 8, "num_heads": 2, "intervals": 2, "dropout": 0.2, "drop_path": 0.1, **task.sizes}
    # Without biases: the loss does not depend on those of the keys, so that Adam makes steps out of rounding errors.
    parallel = replace(config.model, qkv_bias=False)
    usual = replace(parallel, step_rule="lie-trotter")
    runs: dict[str, Plan] = {
        # 48 images: four batches of 10 and one of 8, in three pieces; 12 test images: 11, and 1 for two processes.
        "all": {
            "config": replace(config, model=parallel, **STRONG, epochs=2, accumulate=3, average=0.5, eval_batch_size=11)
        },
        # 48 images: a batch of 47, and 1 for two processes.
        "shard": {"config": replace(config, model=usual, epochs=2, batch_size=47, average=0.5, shard=True)},
        "there and back": {"config": replace(config, shard=True), "how": {"resume": True}, "ctrl_c_in_epoch": 1},
        "nan": {"config": replace(config, lr=1e30, warmup_epochs=0.0, clip_norm=None)},
        "not empty": {"config": config},
        "held": {"config": config},
        "fails in one": {"config": config, "fails_in": "1"},
        "full disk": {"config": config, "full_disk": True},
    }
    runs = {name: {"images": data, **run} for name, run in runs.items()}
    text = replace(written, model=EncoderDecoderConfig(**options))
    return {**runs, "text": {"config": text, "sentences": (sentences, subwords)}}


LINES = ["train --epochs x", "train --preset fashion", "train --device cuda:1", "study none.yaml"]
SHOWN = {"all": {"how": {"progress": True, "tensorboard": True}}}


@pytest.fixture(scope="module")
def folder(data: ImageData, config: TrainConfig, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What two processes have left of the plan; `there and back` was begun by one."""
    pytest.importorskip("accelerate")
    pytest.importorskip("tensorboard")
    folder = tmp_path_factory.mktemp("two")
    runs = plans(data, config)
    torch.save({"lines": LINES, "runs": merge(runs, SHOWN)}, folder / "plan.pt")

    def stop() -> None:
        raise KeyboardInterrupt

    with at_measuring(3, stop), pytest.raises(KeyboardInterrupt):
        do(runs["there and back"], folder / "there and back")
    for name in ("not empty", "held"):
        (folder / name).mkdir()
    (folder / "not empty" / "notes.txt").write_text("mine")
    command = [*TORCHRUN, __file__, str(folder)]
    with hold_folder(folder / "held"), launched(command, folder / "said.txt") as process:
        await_epochs(folder / "run", 3, process, folder / "said.txt")
        process.send_signal(signal.SIGINT)
        process.wait(timeout=WAIT)
    return folder


@contextmanager
def launched(command: list[str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A launcher, which is gone at the end, and so is what it has started."""
    psutil = pytest.importorskip("psutil")
    surroundings = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), "COLUMNS": "200"}
    with open(log, "wb") as file:
        process = subprocess.Popen(command, cwd=ROOT, env=surroundings, stdout=file, stderr=subprocess.STDOUT)
    try:
        yield process
    finally:
        if process.poll() is None:
            for each in (*psutil.Process(process.pid).children(recursive=True), process):
                each.kill()
        process.wait()


def epochs(folder: Path) -> int:
    path = folder / "metrics.jsonl"
    return max(path.read_bytes().count(b"\n") - 1, 0) if path.exists() else 0


def await_epochs(folder: Path, number: int, process: subprocess.Popen[bytes], log: Path) -> None:
    limit = time.monotonic() + WAIT
    while epochs(folder) < number:
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < limit, log.read_text()
        time.sleep(0.02)


@pytest.fixture(scope="module")
def notes(folder: Path) -> list[Plan]:
    """What the main process noted, and what the other one did."""
    return [json.loads((folder / f"notes{rank}.json").read_text()) for rank in (0, 1)]


def numbers(epoch: EpochMetrics) -> list[float]:
    return [epoch.train_loss, epoch.train_accuracy, epoch.test_loss, epoch.test_accuracy, epoch.lr]


@pytest.mark.parametrize("name", ["all", "shard", "text"])
def test_two_processes_learn_what_one_does(
    data: ImageData, config: TrainConfig, folder: Path, notes: list[Plan], tmp_path: Path, name: str
) -> None:
    plan = plans(data, config)[name]
    one = do(plan, tmp_path)
    _, history = read_metrics(folder / name)
    for alone, together in zip(one.history, history, strict=True):
        assert numbers(together) == pytest.approx(numbers(alone), rel=1e-4)
        assert together.step == alone.step
    weights = torch.nn.utils.parameters_to_vector(one.model.parameters()).detach()
    for each in notes:
        assert each[name]["losses"] == [epoch.test_loss for epoch in history]
        # AdamW moves a weight of almost no gradient by the learning rate all the same: rounding can turn its direction.
        apart = (torch.tensor(each[name]["weights"]) - weights).abs()
        assert apart.max() <= 2 * config.lr
        assert (apart > 1e-4).double().mean() < 0.01
    alone, together = load_checkpoint(tmp_path), load_checkpoint(folder / name)
    assert torch.equal(together.rng["cpu"], alone.rng["cpu"])
    assert layout(together) == layout(alone)
    _, model = load_run(folder / name)
    torch.testing.assert_close(
        torch.nn.utils.parameters_to_vector(model.parameters()).tolist(), notes[0][name]["weights"]
    )


def layout(checkpoint: Any) -> Any:
    """The names and shapes of all that a checkpoint holds, in their order."""
    parts = (checkpoint.model, checkpoint.optimizer, checkpoint.average)
    return torch.utils._pytree.tree_map(lambda value: getattr(value, "shape", value), parts)


def test_from_one_process_to_two_and_back(
    data: ImageData, config: TrainConfig, folder: Path, notes: list[Plan], tmp_path: Path
) -> None:
    # Ctrl-C reached the second process only, while the third epoch was measured.
    assert [each["there and back"]["error"] for each in notes] == ["KeyboardInterrupt"] * 2
    plan = plans(data, config)["there and back"]
    assert load_checkpoint(folder / "there and back").epoch == 3
    one = do(plan, tmp_path)
    back = do(plan, folder / "there and back", resume=True)
    assert [epoch.epoch for epoch in back.history] == [1, 2, 3, 4]
    for alone, together in zip(one.history, back.history, strict=True):
        assert numbers(together) == pytest.approx(numbers(alone), rel=1e-4)


@pytest.mark.parametrize("name", MODELS)
def test_gradients_are_those_of_one_process(notes: list[Plan], name: str) -> None:
    for each in notes:
        copied, (shared, held) = each["gradients"][f"{name}, False"], each["gradients"][f"{name}, True"]
        assert copied == [pytest.approx(0.0, abs=1e-5), 1.0]
        assert shared == pytest.approx(0.0, abs=1e-5)
        assert held == pytest.approx(0.5, abs=0.1)


def test_the_main_process_alone_writes_and_speaks(folder: Path, notes: list[Plan]) -> None:
    first, second = (each["all"] for each in notes)
    assert [line.split()[1] for line in first["out"].splitlines()] == ["1/2", "2/2"]
    assert (second["out"], second["err"]) == ("", "")
    files = {path.name for path in (folder / "all").iterdir()}
    assert files == {"checkpoint.pt", "config.json", "metrics.jsonl", "tensorboard"}
    assert len(list((folder / "all" / "tensorboard").iterdir())) == 1
    head, history = read_metrics(folder / "all")
    assert (head["processes"], len(history)) == (2, 2)


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("nan", "the loss is nan at step"),
        ("not empty", "not empty is not empty: resume the run in it"),
        ("held", "is being written by process"),
        ("full disk", "there is none before it: free some space"),
        ("fails in one", "this process has no model"),
    ],
)
def test_what_goes_wrong_in_one_process_ends_all(notes: list[Plan], name: str, sentence: str) -> None:
    first, second = (each[name] for each in notes)
    assert sentence in first["sentence"]
    assert first["sentence"] == second["sentence"]
    assert {first["error"], second["error"]} <= {"TrainingError", "LossError", "CheckpointError", "ValueError"}


@pytest.mark.parametrize(
    ("line", "sentence"),
    list(
        zip(
            LINES,
            (
                "epochs is 'x', expected a whole number",
                "unknown preset 'fashion'",
                "device 'cuda:1' was asked for by 2 processes: ask for cuda",
                "2 processes were started, but only `odelib train` works in several",
            ),
            strict=True,
        )
    ),
)
def test_a_mistake_in_the_command_line_is_told_once(notes: list[Plan], line: str, sentence: str) -> None:
    first, second = (each[line] for each in notes)
    assert sentence in first["said"]
    assert (first["code"], second) == (2, {"code": 0, "said": ""})


# The command line, broken off in two ways


def test_a_run_survives_ctrl_c_and_the_death_of_a_process(folder: Path, tmp_path: Path) -> None:
    psutil = pytest.importorskip("psutil")
    run, log = folder / "run", tmp_path / "said.txt"
    said = (folder / "said.txt").read_text()
    assert said.count("odelib: stopped; the checkpoint after epoch") == 1
    assert "go on with the same command, with --resume at its end\n" in said
    stopped = load_checkpoint(run).epoch
    assert 3 <= stopped < 60

    with launched([*ACCELERATE, "-m", "odelib", *command_line(run), "--resume", "--shard"], log) as process:
        await_epochs(run, stopped + 3, process, log)
        workers = psutil.Process(process.pid).children(recursive=True)
        (second,) = [worker for worker in workers if worker.environ().get("RANK") == "1"]
        second.kill()
        assert process.wait(timeout=WAIT) == 1  # the launcher's, as soon as a process fails
        assert not psutil.wait_procs(workers, timeout=WAIT)[1]
    assert stopped + 3 <= load_checkpoint(run).epoch < 60

    assert main([*command_line(run), "--resume"]) == 0
    assert main(command_line(tmp_path / "straight")) == 0
    _, straight = read_metrics(tmp_path / "straight")
    _, broken = read_metrics(run)
    for alone, together in zip(straight, broken, strict=True):
        assert numbers(together) == pytest.approx(numbers(alone), rel=2e-3)


if __name__ == "__main__":
    sys.exit(in_each_process(Path(sys.argv[1])))
