"""All that a lent GPU is for, within 20 minutes: python benchmarks/gpu.py --out FOLDER [--only STEP ...].

Runs one after the other, each in a process of its own with a time limit, and goes on where one fails or is stopped:

    tests     the tests marked `gpu`
    solvers   the CUDA rows of benchmarks/solvers.py
    graphs    a training step of DeiT-Ti as it is, compiled, and as a CUDA graph
    epoch     one epoch of the preset cifar100-deit-ti, with its images per second
    study     30 epochs on a part of CIFAR-100, shift and flip: usual, parallel, RK4

FOLDER then holds results.tar.gz: what each step said, the metrics of the epoch, and the study in short (`odelib report
--keep`), as far as its runs are done. A machine that runs a command for ten minutes at most takes two calls, with a
folder each: `--only tests solvers graphs`, then `--only epoch study`. `--dry-run` does the same on a CPU with hardly
any work in it, to see that all of it runs. The images travel packed: `--pack FOLDER` writes a part of CIFAR-100 (100
training and 20 test images of each class, 37 MB; with the repository below 60) in the original format, for `--data`
there.
"""

import argparse
import os
import pickle
import subprocess
import sys
import tarfile
import tempfile
import time
from copy import deepcopy
from pathlib import Path
from typing import TextIO

import torch

from odelib import ViT, ViTConfig
from odelib.data import load_images

ROOT = Path(__file__).parents[1]
STUDY = """\
title: DeiT-Ti on a part of CIFAR-100, 30 epochs, shift and flip
settings:
  cifar100:
    options:
      data: cifar100
      epochs: {epochs}
      batch_size: 256
      warmup_epochs: {warmup}
      shift: 4
      flip: true
      checkpoint_every: 30
      device: {device}
      train_images: {images}
      model: {{patch_size: 4, dim: {dim}, num_heads: 3, intervals: {depth}, pool: class, drop_path: 0.1}}
    seeds: {seeds}
variants:
  usual: {{model: {{step_rule: lie-trotter}}}}
  parallel: {{model: {{step_rule: euler}}}}
  rk4: {{model: {{step_rule: rk4}}}}
baseline: usual
"""


def steps(out: Path, dry: bool) -> dict[str, tuple[int, list[str], list[list[str]]]]:
    """Name of each step, its limit in seconds, its command, and what is to be done then, whether it was done or not."""
    python, device = sys.executable, "cpu" if dry else "cuda"
    odelib = [python, "-m", "odelib"]
    full = {"epochs": 30, "warmup": 1, "images": 10_000, "dim": 192, "depth": 12, "seeds": 3}
    sizes = {"epochs": 1, "warmup": 0, "images": 60, "dim": 12, "depth": 1, "seeds": 1} if dry else full
    (out / "study.yaml").write_text(STUDY.format(device=device, **sizes), encoding="utf-8")
    tiny = "--dim 12 --intervals 1 --train-images 60 --batch-size 30 --average 0.5".split() if dry else []
    epoch = ["--preset", "cifar100-deit-ti", "--epochs", "1", "--warmup-epochs", "0", "--device", device, *tiny]
    solvers = [python, "benchmarks/solvers.py", "--device", device, "--quick"]
    return {
        "tests": (260, [python, "-m", "pytest", "-q", "-m", "gpu", *(["--collect-only"] if dry else []), "tests"], []),
        "solvers": (200, [*solvers, "--only", "reads"] if dry else solvers, []),
        "graphs": (120, [python, "benchmarks/gpu.py", "--graphs", *(["--dry-run"] if dry else [])], []),
        "epoch": (120, [*odelib, "train", *epoch, "--out", str(out / "epoch")], []),
        "study": (
            440,
            [*odelib, "study", str(out / "study.yaml"), "--out", str(out / "study"), "--workers", "1"],
            [
                [*odelib, "report", str(out / "study"), "--keep", str(out / "kept")],
                [*odelib, "report", str(out / "kept")],
            ],
        ),
    }


def run(out: Path, data: Path | None, only: list[str], dry: bool) -> int:
    """Do the steps; return how many failed."""
    out.mkdir(parents=True, exist_ok=True)
    surroundings = {**os.environ, "PYTHONPATH": str(ROOT), **({"ODELIB_DATA": str(data.absolute())} if data else {})}
    failed = 0
    with tempfile.TemporaryDirectory() as scratch:
        work = Path(scratch)
        for name, (limit, command, then) in steps(work, dry).items():
            if only and name not in only:
                continue
            begin = time.perf_counter()
            with open(work / f"{name}.txt", "w", encoding="utf-8") as log:
                codes = [call(command, limit, surroundings, log), *(call(each, 15, surroundings, log) for each in then)]
            failed += any(codes)
            seconds = time.perf_counter() - begin
            print(f"{name}: {f'exit codes {codes}' if any(codes) else 'done'} in {seconds:.0f} s", flush=True)
        with tarfile.open(out / "results.tar.gz", "w:gz") as archive:
            for path in (*work.glob("*.txt"), work / "kept", work / "epoch" / "metrics.jsonl"):
                if path.exists():
                    archive.add(path, path.relative_to(work))
    return failed


def call(command: list[str], limit: float, surroundings: dict[str, str], log: TextIO) -> int:
    """Run a command within a limit in seconds; return its exit code, or 124 where it was stopped."""
    how = {"cwd": ROOT, "env": surroundings, "stdout": log, "stderr": subprocess.STDOUT}
    try:
        return subprocess.run(command, timeout=limit, check=False, **how).returncode
    except subprocess.TimeoutExpired:
        print(f"\nstopped after {limit} seconds", file=log, flush=True)
        return 124


def graphs(dry: bool) -> None:
    """Print the time of a forward and backward pass in three ways."""
    device = torch.device("cpu" if dry else "cuda")
    config = ViTConfig.preset("deit-tiny-32", num_classes=100, **({"intervals": 1} if dry else {}))
    images = torch.rand(2 if dry else 512, 3, 32, 32, device=device)

    def timed(function: torch.nn.Module) -> float:
        rounds = []
        for _ in range(2 if dry else 20):
            start = time.perf_counter()
            function(images).square().mean().backward()
            if not dry:
                torch.cuda.synchronize()
            rounds.append(time.perf_counter() - start)
        return 1e3 * sorted(rounds)[len(rounds) // 2]

    for rule in ("lie-trotter", "euler", "rk4"):
        model = ViT(ViTConfig.from_dict({**config.to_dict(), "step_rule": rule})).to(device)
        ways = {"as it is": lambda own: own}
        if not dry:
            ways["compiled"] = torch.compile
            ways["CUDA graph"] = lambda own: torch.cuda.make_graphed_callables(own, (images.clone(),))
        # Each way has a model of its own: make_graphed_callables puts its graph into the one that it is given.
        took = {name: timed(way(deepcopy(model))) for name, way in ways.items()}
        print(f"{rule}: " + ", ".join(f"{name} {time_:.1f} ms" for name, time_ in took.items()), flush=True)


def pack(out: Path) -> None:
    """Write a part of CIFAR-100 in its original format."""
    data, folder = load_images("cifar100"), out / "cifar-100-python"
    folder.mkdir(parents=True, exist_ok=True)
    for split, count in (("train", 100), ("test", 20)):
        images, labels = getattr(data, f"{split}_images"), getattr(data, f"{split}_labels")
        chosen = torch.cat([(labels == k).nonzero().flatten()[:count] for k in range(100)]).sort().values
        part = {"data": images[chosen].reshape(len(chosen), -1).numpy(), "fine_labels": labels[chosen].tolist()}
        (folder / split).write_bytes(pickle.dumps(part, protocol=4))
    (folder / "meta").write_bytes(pickle.dumps({"fine_label_names": list(data.classes)}, protocol=4))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="where all that is worth keeping goes")
    parser.add_argument("--only", nargs="+", default=[], metavar="STEP", help="only these steps")
    parser.add_argument("--data", type=Path, help="folder with cifar-100-python, such as --pack made")
    parser.add_argument("--dry-run", action="store_true", help="on a CPU, with hardly any work")
    parser.add_argument("--pack", type=Path, help="only write a part of CIFAR-100 into this folder")
    parser.add_argument("--graphs", action="store_true", help="only the step `graphs`")
    given = parser.parse_args()
    if given.pack:
        pack(given.pack)
    elif given.graphs:
        graphs(given.dry_run)
    elif given.out is None:
        parser.error("say where the results go: --out FOLDER")
    elif not given.dry_run and not torch.cuda.is_available():
        parser.error("torch finds no GPU here: add --dry-run, or go to a machine that has one")
    else:
        return run(given.out, given.data, given.only, given.dry_run)
    return 0


if __name__ == "__main__":
    sys.exit(main())
