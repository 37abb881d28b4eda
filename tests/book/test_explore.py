"""What the explorables compute in the page is what `odelib` and the chapters compute: Node runs their modules."""

import ast
import gzip
import json
import math
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import torch
from torch.nn.functional import gelu

from odelib import Adaptive, Sum, TransformerField, solve
from odelib.analysis import convergence_order
from odelib.teaching.explorable import EXPLORABLES
from tests.book.conftest import missing

BOOK = Path(__file__).parents[2] / "book"
EXPLORE = BOOK / "_static/explore"
DRIVER = Path(__file__).with_name("explore.mjs")
CHAPTERS = {"flock": "06-particles", "race": "07-parallel-block", "robot": "08-splitting"}


@pytest.fixture(scope="module")
def run():
    """Run jobs of `explore.mjs`, given by name; return their results by name."""
    node = shutil.which("node")
    if not node:
        missing("no node on the path")

    def run(**jobs):
        ran = subprocess.run([node, str(DRIVER)], input=json.dumps(jobs), capture_output=True, text=True)
        assert ran.returncode == 0, ran.stderr[-3000:]
        return json.loads(ran.stdout)

    return run


def cells(chapter):
    return json.loads((BOOK / f"{chapter}.ipynb").read_text())["cells"]


def chapter_says(chapter, *names):
    """Execute those definitions of a chapter, and nothing else of it."""
    known = {"torch": torch, "math": math, "gelu": gelu}
    for cell in cells(chapter):
        text = "".join(cell["source"])
        if cell["cell_type"] != "code" or not any(name in text for name in names) or text.startswith("try:"):
            continue
        for node in ast.parse(text).body:
            targets = node.targets if isinstance(node, ast.Assign) else []
            named = getattr(node, "name", None) or next((t.id for t in targets if isinstance(t, ast.Name)), None)
            if named in names:
                exec(compile(ast.Module([node], []), chapter, "exec"), known)
    assert set(names) <= set(known)
    return known


def kept_page(name):
    """The explorable as its chapter's kept output has it."""
    for cell in cells(CHAPTERS[name]):
        for output in cell.get("outputs", []):
            page = "".join(output.get("data", {}).get("text/html", ""))
            if f'data-explore="{name}"' in page:
                return page
    raise AssertionError(f"no output of {CHAPTERS[name]} has the explorable {name}")


def kept_states(page):
    """The table of states, row by row."""
    (body,) = re.findall(r"<tbody>(.*)</tbody>", page, re.S)
    return [re.findall(r"<td>(.*?)</td>", row) for row in re.findall(r"<tr>(.*?)</tr>", body)]


def close(found, wanted, tolerance=1e-4):
    found, wanted = (torch.as_tensor(value, dtype=torch.float64) for value in (found, wanted))
    torch.testing.assert_close(found, wanted, rtol=0, atol=tolerance)


# ---- the core


def layer(*, causal):
    torch.manual_seed(1)
    field = TransformerField(dim=32, num_heads=4, mlp_ratio=2.0, causal=causal).requires_grad_(False)
    for weight in field.parameters():
        weight.add_(0.1 * torch.randn_like(weight))  # gains of 1 and shifts of 0 would test nothing
    weights = {name: weight.flatten().tolist() for name, weight in field.named_parameters()}
    return field, weights, {"heads": 4, "causal": causal}


def test_the_error_function_is_torch_s(run):
    x = torch.linspace(-5, 5, 401, dtype=torch.float64)
    close(run(erf=["erf", x.tolist()])["erf"], torch.erf(x), 2e-7)


@pytest.mark.parametrize("causal", [False, True])
def test_both_terms_of_a_layer_are_odelib_s(run, causal):
    field, weights, options = layer(causal=causal)
    x = 2 * torch.randn(200, 6, 32)
    found = run(terms=["terms", weights, options, x.flatten(1).tolist()])["terms"]
    wanted = torch.stack([term(0.0, x).flatten(1) for term in field.terms], dim=1)
    close(found, wanted)


RULES = ["euler", "midpoint", "heun", "rk4", "dopri5", "lie-trotter", "strang", "lie-trotter(midpoint)", "strang(rk4)"]


def test_every_step_rule_ends_where_odelib_s_does(run):
    field, weights, options = layer(causal=True)
    x = torch.randn(12, 6, 32)
    rules = [[rule, 3] for rule in RULES]
    found = run(follow=["follow", weights, options, x.flatten(1).tolist(), 1.5, rules])["follow"]
    for (rule, steps), ends in zip(rules, found, strict=True):
        close(ends, solve(field, x, (0.0, 1.5), rule=rule, steps=steps).ys[-1].flatten(1))


@pytest.mark.parametrize("rule", ["lie-trotter", "rk4"])
def test_a_cache_gives_what_reading_all_tokens_at_once_gives(run, rule):
    _, weights, options = layer(causal=True)
    x = torch.randn(5 * 32).tolist()
    found = run(
        cached=["cached", weights, options, x, 32, rule, 2, 3],
        whole=["follow", weights, options, [x], 1.0, [[rule, 2]]],
    )
    close(found["cached"], found["whole"][0][0], 1e-5)


def test_step_rules_have_their_orders(run):
    orders = {"euler": 1, "midpoint": 2, "heun": 2, "rk4": 4, "dopri5": 5, "lie-trotter": 1, "strang": 1}
    orders |= {"lie-trotter(rk4)": 1, "strang(midpoint)": 2, "strang(rk4)": 2}
    counts = [16, 32, 64]
    for (rule, order), misses in zip(
        orders.items(), run(misses=["misses", list(orders), counts])["misses"], strict=True
    ):
        assert convergence_order([1 / n for n in counts], misses) == pytest.approx(order, abs=0.3), rule


def test_adaptive_steps_keep_the_tolerance_and_can_be_taken_one_by_one(run):
    found = run(loose=["adaptive", 1e-4, 1e-6], tight=["adaptive", 1e-9, 1e-11])
    for solved in found.values():
        assert solved["bySteps"] == solved["whole"]
    close(found["loose"]["whole"], found["tight"]["whole"], 1e-3)
    close(found["tight"]["back"], [0.3, -0.7], 1e-7)
    assert found["loose"]["accepted"] < found["tight"]["accepted"]


@pytest.mark.parametrize(("rule", "complaint"), [("rk5", "there is no step rule rk5"), ("strang", "with sum(A, M)")])
def test_a_rule_that_cannot_be_followed_is_refused(run, rule, complaint):
    assert complaint in run(refused=["refused", rule])["refused"]


# ---- the flock


@pytest.mark.parametrize("dim", [2, 3])
@pytest.mark.parametrize("what", ["attention", "attention and MLP", "attention, future masked"])
def test_the_flock_s_field_is_the_chapter_s(run, dim, what):
    says = chapter_says(CHAPTERS["flock"], "tangent", "on_circle", "pushed", "three")
    torch.manual_seed(2)
    x = torch.nn.functional.normalize(torch.randn(100, 24, dim), dim=-1)
    spots = says["three"] if dim == 2 else torch.eye(3)
    options = {"beta": 4, "dim": dim, "masked": "masked" in what, "places": None}
    options |= {"places": spots.flatten().tolist()} if "MLP" in what else {}
    found = run(flock=["flock", options, x.flatten(1).tolist()])["flock"]
    close(found, says["pushed"](x, 4, what).flatten(1))


def test_the_flock_s_pre_norm_field_is_the_chapter_s(run):
    says = chapter_says(CHAPTERS["flock"], "unit", "pre_flock")
    x = 3 * torch.randn(100, 16, 3)
    options = {"beta": 1, "dim": 3, "masked": False, "places": None, "pre": True}
    close(run(flock=["flock", options, x.flatten(1).tolist()])["flock"], says["pre_flock"](0.0, x).flatten(1))


def test_a_flock_s_path_and_energy_are_the_chapter_s(run):
    says = chapter_says(CHAPTERS["flock"], "tangent", "flock", "energy", "places_on_sphere")
    torch.manual_seed(3)
    x = torch.nn.functional.normalize(torch.randn(64, 3, dtype=torch.float64), dim=-1)
    times = [0.0, 1.0, 3.0, 10.0, 30.0]
    careful = Adaptive(rtol=1e-8, atol=1e-10)
    ways = solve(says["flock"](9), x, times, rule="dopri5", steps=careful).ys
    options = {"beta": 9, "dim": 3, "masked": False, "places": None}
    found = run(flow=["flow", options, x.flatten().tolist(), times[1:], {"rtol": 1e-8, "atol": 1e-10}])["flow"]
    most = 64**2 * math.exp(9) / 18
    for now, way in zip(found, ways[1:], strict=True):
        close(now["x"], way.flatten())
        close(now["energy"], says["energy"](way, 9) / most)
        assert now["places"] == says["places_on_sphere"](way)


def test_the_flock_s_table_says_what_the_page_computes(run):
    page = kept_page("flock")
    (settings,) = re.findall(r'class="explore-settings">(.*?)</script>', page)
    start = json.loads(settings)["start"]
    states = kept_states(page)
    corners = torch.eye(3).flatten().tolist()
    jobs = {}
    for number, (beta, what, *_) in enumerate(states):
        options = {"beta": int(beta), "dim": 3, "masked": "masked" in what}
        options["places"] = corners if "MLP" in what else None
        jobs[f"row{number}"] = ["flow", options, start, [25, 250], {"rtol": 1e-4, "atol": 1e-6}]
    found = run(**jobs)
    assert len(states) > 3
    for number, (_, _, *wanted) in enumerate(states):
        assert [str(now["places"]) for now in found[f"row{number}"]] == wanted


def test_places_of_a_flock_are_the_same_after_they_were_an_address(run):
    torch.manual_seed(4)
    x = torch.nn.functional.normalize(torch.randn(64, 3, dtype=torch.float64), dim=-1)
    x[:3] = torch.tensor([[0, 0, 1], [0, 0, -1], [-1, 0, 0]])
    found = run(packed=["packed", x.flatten().tolist()])["packed"]
    close(found["there"], x.flatten(), 2e-3)  # less than a picture shows
    assert found["again"] == found["text"]
    assert re.fullmatch(r"[\w-]{256}", found["text"])
    assert found["refused"] == [None] * 4


# ---- the race


def test_the_race_s_fields_are_the_chapter_s(run):
    says = chapter_says(CHAPTERS["race"], "turn", "pull", "push", "hold", "sideways", "upwards", "pairs")
    found = run(pairs=["pairs"])["pairs"]
    assert list(found) == list(says["pairs"])
    for name, pair in says["pairs"].items():
        for term, values in zip(pair, found[name], strict=True):
            for x, value in zip(([0.3, -1.2], [1.7, 0.4]), values, strict=True):
                close(value, term(0.0, torch.tensor(x, dtype=torch.float64)), 1e-12)


def test_the_race_ends_as_odelib_s_does_and_as_the_table_says(run):
    says = chapter_says(CHAPTERS["race"], "turn", "pull", "push", "hold", "sideways", "upwards", "pairs")
    states = kept_states(kept_page("race"))
    jobs = {str(n): ["race", pair, [1.2, 0.1], int(layers), 1] for n, (pair, layers, *_) in enumerate(states)}
    found = run(**jobs)
    for number, (pair, layers, usual, parallel, rk4) in enumerate(states):
        ends = found[str(number)]
        assert [f"{end:.4f}" for end in ends] == [parallel, usual, rk4]
        x = torch.tensor([1.2, 0.1], dtype=torch.float64)
        exact = solve(Sum(*says["pairs"][pair]), x, (0.0, 1.0), rule="dopri8", steps=50).ys[-1]
        for rule, end in zip(("euler", "lie-trotter", "rk4"), ends, strict=True):
            there = solve(Sum(*says["pairs"][pair]), x, (0.0, 1.0), rule=rule, steps=int(layers)).ys[-1]
            close(end, (there - exact).norm(), 1e-9)


# ---- the robot


def test_the_robot_goes_as_the_chapter_s(run):
    says = chapter_says(
        CHAPTERS["robot"], "walk", "turn", "press", "both_at_once", "x0", "half_circle", "orders", "stops_of", "miss"
    )
    torch.set_default_dtype(torch.float64)  # as in the chapter
    try:
        found = run(
            drive=["robot", "f1l0.5b0.75r2"],
            both=["robot", "fl1.3"],
            orders=["orders", [1, 4]],
            brackets=["brackets", 0.5],
        )
        walk, turn, press = (says[name] for name in ("walk", "turn", "press"))
        moves = (walk, 1.0), (turn, 0.5), (walk, -0.75), (turn, -2.0)
        close(found["drive"], torch.stack([press(torch.zeros(3), *moves[:n]) for n in range(5)]), 1e-12)
        close(found["both"][-1], says["both_at_once"](1.3), 1e-12)
        assert list(found["orders"]) == list(says["orders"])
        for order, ends in found["orders"].items():
            for n, end in zip((1, 4), ends, strict=True):
                close(end, says["stops_of"](n, order)[-1], 1e-6)
        bracket, mended = found["brackets"]
        close(bracket, press(torch.zeros(3), (walk, 0.5), (turn, 0.5), (walk, -0.5), (turn, -0.5)), 1e-12)
        halves = (turn, -0.25), (walk, 0.5), (turn, 0.5), (walk, -0.5), (turn, -0.25)
        close(mended, press(torch.zeros(3), *halves), 1e-12)
        assert abs(bracket[1] + 0.24) < 0.005  # what the page asks its guess about
    finally:
        torch.set_default_dtype(torch.float32)


def test_the_robot_s_table_says_what_the_page_computes(run):
    rows = kept_states(kept_page("robot"))
    found = run(orders=["orders", [4, 16]], brackets=["brackets", math.sqrt(0.5)])
    misses = [math.dist(end, (0, -0.5, 0)) for end in found["brackets"]]
    for n in range(2):
        misses += [math.dist(ends[n], (0, 2, math.pi)) for ends in found["orders"].values()]
    assert [row[-1] for row in rows] == [f"{miss:.3f}" for miss in misses]


def test_a_drive_is_the_same_after_it_was_an_address(run):
    drive = "f1l0.5fl0.25b0.7071r2"
    assert run(written=["written", drive])["written"] == drive


# ---- what is sent


def modules_of(name):
    """A module, and all that it imports or starts as a worker."""
    found, new = set(), {name}
    while new:
        found |= new
        texts = [(EXPLORE / file).read_text() for file in new]
        new = {file for text in texts for file in re.findall(r'"(?:[.]/)?([\w.-]+[.]js)"', text)} - found
    return found


@pytest.mark.parametrize("name", EXPLORABLES)
def test_an_explorable_is_sent_in_sixty_kilobytes(name):
    files = {"frame.js", "handle.js", "explore.css"} | modules_of(f"{name}.js")
    assert "core.js" in files or name == "robot"
    assert sum(len(gzip.compress((EXPLORE / file).read_bytes(), 6)) for file in files) <= 60_000
