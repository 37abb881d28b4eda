"""Runs on texts that are killed at any moment, by SIGKILL, and resumed: the same numbers, bit for bit."""

import os
import random
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from odelib.training import load_checkpoint, read_metrics
from odelib.training.checkpoint import CHECKPOINT

ROOT = Path(__file__).parents[2]
PROGRAM = """
import sys
from pathlib import Path
import torch
torch.set_num_threads(1)
from odelib.data import CharacterData, Characters, IntentData, TranslationData
from odelib.training import train

letters = Characters("abcdefg")
numbers = letters.encode("abcdefg" * 200)
nouns = {"Hund": "dog", "Katze": "cat", "Maus": "mouse", "Kuh": "cow"}
pairs = [("die " * n + de, "the " * n + en) for n in range(1, 7) for de, en in nouns.items()]
german, english = (tuple(side) for side in zip(*pairs))
labels = torch.arange(len(pairs)) % 4
sets = {
    "tiny-shakespeare": CharacterData("letters", letters, numbers[:800], numbers[800:900], numbers[900:]),
    "clinc150": IntentData("nouns", german, labels, german, labels, german, labels, tuple(nouns), ()),
    "multi30k": TranslationData("nouns", ("de", "en"), german, english, german, english, german, english),
}
name, folder = sys.argv[1], Path(sys.argv[2])
width = {"max_tokens": 10} if name == "tiny-shakespeare" else {}
options = {"epochs": 24, "batch_size": 5, "device": "cpu", "average": 0.5, "subwords": 275, "shift": 0, "flip": False,
           "model": {"dim": 8, "num_heads": 2, "intervals": 2, "step_rule": "midpoint", "dropout": 0.2,
                     "drop_path": 0.1, **width}}
resume = (folder / "checkpoint.pt").is_file()
train(options, folder, data=sets[name], resume=resume, progress=False)
"""


def run(name: str, folder: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, name, str(folder)],
        cwd=ROOT,
        env={**os.environ, "XDG_CACHE_HOME": str(folder.parent)},
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", ["multi30k"])  # the others differ in nothing that a kill could touch
def test_a_run_on_texts_survives_kills_at_any_moment(tmp_path: Path, name: str) -> None:
    assert run(name, tmp_path / "straight").wait(timeout=200) == 0
    moments = random.Random(name)
    stopped_at = []
    for _ in range(2):
        process = run(name, tmp_path / "killed")
        try:
            before = epochs(tmp_path / "killed")
            while epochs(tmp_path / "killed") < before + 2 and process.poll() is None:
                time.sleep(0.001)
            time.sleep(moments.uniform(0.0, 0.2))  # anywhere in an epoch, or in writing its checkpoint
        finally:
            process.kill()
            process.wait()
        stopped_at.append(epochs(tmp_path / "killed"))
    assert 0 < stopped_at[0] < stopped_at[1]
    assert run(name, tmp_path / "killed").wait(timeout=200) == 0
    once, again = (load_checkpoint(tmp_path / folder) for folder in ("straight", "killed"))
    assert (again.epoch, again.step) == (once.epoch, once.step)
    for kind in ("model", "average"):
        first, second = getattr(once, kind), getattr(again, kind)
        assert all(torch.equal(first[key], second[key]) for key in first)
    clock = {"seconds": 0.0, "images_per_second": 0.0}
    straight, killed = (read_metrics(tmp_path / folder)[1] for folder in ("straight", "killed"))
    assert [replace(epoch, **clock) for epoch in killed] == [replace(epoch, **clock) for epoch in straight]
    assert {path.name for path in (tmp_path / "killed").iterdir()} == {
        CHECKPOINT,
        "config.json",
        "data.json",
        "metrics.jsonl",
    }


def epochs(folder: Path) -> int:
    """Epochs in the metrics file, read without waiting for it."""
    path = folder / "metrics.jsonl"
    return max(path.read_bytes().count(b"\n") - 1, 0) if os.path.exists(path) else 0
