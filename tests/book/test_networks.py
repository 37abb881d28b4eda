"""The pages compute with the kept networks what `odelib` computes with them."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load, save_file

from odelib.analysis import swapped, trajectory
from odelib.data import load_images, normalise
from odelib.teaching import packs
from odelib.teaching.results import STUDIES, kept, kept_model, kept_writer
from tests.book.conftest import missing

SCRIPT = Path(__file__).with_name("networks.mjs")
RULES = {"lie-trotter": 2, "euler": 3, "midpoint": 2, "rk4": 1}  # and steps in each layer


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The packs that the pages fetch, and the character model as it is kept, in float16."""
    made = tmp_path_factory.mktemp("packs")
    files = {kind: packs.pack_classifiers(kind) for kind in packs.KINDS}
    files |= {"garments": packs.pack_garments(), "writer": packs.pack_writer()}
    for name, content in files.items():
        (made / f"{name}.safetensors").write_bytes(content)
    weights = load((STUDIES / "text-characters/model.safetensors").read_bytes())
    about = {"heads": 4, "eps": 1e-6, "rule": "euler", "intervals": 4, "steps": 1, "length": 1.0}
    save_file(weights, made / "exact.safetensors", metadata={"about": json.dumps(about)})
    return made


@pytest.fixture
def compute(folder):
    def run(tasks):
        node = shutil.which("node")
        if not node:
            missing("no node on the path")
        (folder / "tasks.json").write_text(json.dumps(tasks))
        finished = subprocess.run([node, SCRIPT, folder], capture_output=True, text=True)
        assert finished.returncode == 0, finished.stderr
        return json.loads(finished.stdout)

    return run


def test_what_is_fetched_is_little(folder):
    size = {path.stem: path.stat().st_size for path in folder.glob("*.safetensors")}
    assert size["writer"] <= 600_000
    # Who compares any two kinds of classifiers, five networks of each, has fetched so much.
    two = sorted(size[kind] for kind in packs.KINDS)[-2:]
    assert sum(two) + size["garments"] <= 900_000


def test_the_garments_are_six_of_each_class():
    labels = load_images("fashion-mnist-subset").test_labels[packs.garments()]
    assert labels.bincount().tolist() == [6] * 10


def test_the_garments_come_with_their_licence(folder):
    with safe_open(folder / "garments.safetensors", "np") as pack:
        assert "Permission is hereby granted" in pack.metadata()["licence"]


def test_ten_bits_keep_a_matrix_to_half_a_step():
    weight = torch.randn(7, 12, generator=torch.Generator().manual_seed(0))
    rows = packs.ten_bits(weight)
    assert rows.shape == (7, 2 + 15)
    step = torch.tensor(rows[:, :2].copy().view("float16")).float()
    fours = torch.tensor(rows[:, 2:]).view(7, 3, 5).int()
    upper = (fours[:, :, 4:] >> torch.arange(0, 8, 2)) & 3
    whole = (fours[:, :, :4] + 256 * upper - packs.LEVELS).flatten(1)
    assert ((whole * step - weight).abs() <= 0.51 * step + 1e-3 * weight.abs()).all()


@pytest.mark.slow
def test_classifiers_compute_what_odelib_computes(compute):
    generator = torch.Generator().manual_seed(0)
    tasks = [
        {"kind": kind, "seed": i % packs.SEEDS, "rule": rule, "steps": steps}
        | {"images": torch.randint(0, 256, (3, 784), generator=generator).tolist()}
        for i, kind in enumerate(packs.KINDS)
        for rule, steps in RULES.items()
    ]
    data = load_images("fashion-mnist-subset")
    seen = 0
    for task, got in zip(tasks, compute(tasks), strict=True):
        model = kept_model(f"small-{task['kind']}-seed{task['seed']}").double()
        own = model.depth.schedule
        images = torch.tensor(task["images"], dtype=torch.uint8).view(-1, 1, 28, 28)
        inputs = normalise(images, data.mean, data.std).double()
        model.depth.swap(task["rule"], steps=task["steps"])
        assert model.depth.schedule.depth == own.depth
        with torch.no_grad():
            logits, path = model(inputs), trajectory(model, inputs).states.mean(dim=2)
        for i, mine in enumerate(got):
            torch.testing.assert_close(torch.tensor(mine["logits"]).double(), logits[i], rtol=0, atol=1e-4)
            torch.testing.assert_close(torch.tensor(mine["path"]).double(), path[:, i], rtol=0, atol=1e-4)
            seen += 1 + len(path)
    assert seen > 300


@pytest.mark.slow
@pytest.mark.parametrize("accurately", [False, True])
def test_classifiers_answer_as_they_are_kept(compute, accurately):
    """Of all 35 networks, for five garments, as trained and on the accurate solution."""
    tasks = []
    chosen = list(range(2, 60, 2 * packs.OF_EACH))
    for kind in packs.KINDS:
        schedule = kept_model(f"small-{kind}-seed0").config
        steps = max(4, schedule.steps) if accurately else schedule.steps
        rule = "rk4" if accurately else schedule.step_rule
        tasks += [
            {"kind": kind, "seed": seed, "rule": rule, "steps": steps, "images": chosen} for seed in range(packs.SEEDS)
        ]
    places = packs.garments()[chosen]
    for task, got in zip(tasks, compute(tasks), strict=True):
        run = kept(f"small-{task['kind']}-seed{task['seed']}")
        answers = (run.accurate if accurately else run.predictions)[places]
        logits = torch.tensor([mine["logits"] for mine in got])
        # Another answer only where two logits are as good as equal, and the CPU's rounding decides.
        assert (logits.amax(dim=1) - logits.gather(1, answers[:, None])[:, 0]).max() < 1e-3


def test_the_plane_is_that_of_the_accurate_paths(compute, folder):
    """Two directions of 32 show a third of what the accurate paths do and more, where others show a sixteenth."""
    pack = load((folder / "euler.safetensors").read_bytes())
    (got,) = compute([{"kind": "euler", "seed": 3, "rule": "rk4", "steps": 4, "images": list(range(60))}])
    plane, middle = pack["3.plane"].double(), pack["3.middle"].double()
    torch.testing.assert_close(plane @ plane.T, torch.eye(2).double(), rtol=0, atol=1e-2)
    paths = torch.tensor([mine["path"] for mine in got]).double() - middle
    inside = (paths @ plane.T).square().sum() / paths.square().sum()
    assert inside > 1 / 3
    ends = (paths[:, -1] @ plane.T).float()
    torch.testing.assert_close(torch.tensor([mine["plane"] for mine in got]), ends, rtol=0, atol=1e-3)


def text(seed, length):
    return torch.randint(0, 65, (length,), generator=torch.Generator().manual_seed(seed)).tolist()


@pytest.fixture(scope="module")
def writer():
    return kept_writer().double().requires_grad_(False)


def guesses(writer, task):
    with swapped(writer, task["rule"], refine=task["steps"]):
        return writer(torch.tensor([task["text"]]))[0].softmax(dim=1)


@pytest.mark.parametrize(("kind", "off"), [("exact", 1e-4), ("writer", 0.02)])
def test_the_writer_guesses_what_odelib_guesses(compute, writer, kind, off):
    tasks = [
        {"kind": kind, "rule": rule, "steps": steps, "text": text(seed, 64)}
        for seed, (rule, steps) in enumerate([("euler", 1), ("euler", 2), *RULES.items()])
    ]
    for task, got in zip(tasks, compute(tasks), strict=True):
        wanted = guesses(writer, task)
        mine = torch.tensor(got["first"]).double()
        torch.testing.assert_close(mine, wanted, rtol=0, atol=off)
        best = wanted.argmax(dim=1)
        sure = wanted.topk(2, dim=1).values.diff(dim=1).abs()[:, 0] > 2 * off
        assert (mine.argmax(dim=1) == best)[sure].all()
        assert sure.double().mean() > 0.5


@pytest.mark.parametrize(("rule", "evaluations"), [("euler", 1), ("midpoint", 2), ("rk4", 4)])
def test_an_edited_letter_changes_later_guesses_only(compute, rule, evaluations):
    before = text(0, 40)
    after = [*before[:20], (before[20] + 1) % 65, *before[21:]]
    task = {"kind": "writer", "rule": rule, "steps": 2}
    whole, other, edited = compute(
        [
            task | {"text": before},
            task | {"text": after},
            task | {"text": before, "keep": 20, "then": after[20:]},
        ]
    )
    assert whole["first"][:20] == other["first"][:20]
    assert all(a != b for a, b in zip(whole["first"][20:], other["first"][20:], strict=True))
    assert edited["later"] == other["first"][20:]  # what was kept of the letters before serves
    assert whole["slots"] == 4 * 2 * evaluations
