"""The promises that the files around the code make: dependencies, layout, address, README, kept outputs."""

import itertools
import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
CHAPTERS = sorted((ROOT / "book").glob("*.ipynb"))
ADDRESS = PROJECT["urls"]["Repository"]
TOP = {
    ".binder",
    ".ci",
    ".github",
    ".gitignore",
    ".pre-commit-config.yaml",
    "CHANGELOG.md",
    "CITATION.cff",
    "CONTRIBUTING.md",
    "LICENSE",
    "LICENSE-text",
    "Makefile",
    "README.md",
    "_config.yml",
    "_toc.yml",
    "benchmarks",
    "book",
    "constraints.txt",
    "environment.yml",
    "odelib",
    "pyproject.toml",
    "studies",
    "tests",
}


def requirements():
    """Every direct dependency as (name, specifier), those of the extras too."""
    lists = [PROJECT["dependencies"], *PROJECT["optional-dependencies"].values()]
    lines = itertools.chain.from_iterable(lists)
    parts = [re.match(r"([A-Za-z0-9._-]+)(?:\[.*\])?(.*)", line).groups() for line in lines]
    return [(name.lower(), specifier) for name, specifier in parts if name != "odelib"]


def constraints():
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    return dict(line.lower().split("==") for line in lines if line and not line.startswith("#"))


def files():
    """What is in the repository. Someone who works here may have files of their own beside it."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [name for name in listed.splitlines() if (ROOT / name).exists()]


def from_a_registry(text):
    """The advice in a text to install odelib by a name that anybody can register: from a clone or an address it is."""
    command = r"\b(?:pip3?|pipx|uv|conda|mamba|poetry)\s+(?:install|add|run)\b"
    named = r"(?:[ \t]+[^\s`]+)*?[ \t]+['\"]?odelib\b(?!(?:\[[^\]]*\])? @ git\+)"
    return re.findall(command + named, text)


def test_constraints_pin_every_direct_dependency():
    assert {name for name, _ in requirements()} - set(constraints()) == set()


def test_lower_bounds_only():
    with_upper = [name for name, specifier in requirements() if re.search(r"<|==|~=", specifier)]
    assert with_upper == ["jupyter-book"]
    assert all(specifier.startswith(">=") for _, specifier in requirements())


def test_environment_installs_what_make_installs():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    (pip,) = (entry["pip"] for entry in environment if isinstance(entry, dict))
    (made,) = re.findall(r"pip install (--constraint .*)", (ROOT / "Makefile").read_text())
    assert " ".join(pip).replace("'", "") == made.replace("$(PINS)", "constraints.txt").replace("'", "")


@pytest.mark.parametrize("path", ["environment.yml", ".binder/environment.yml"])
def test_binder_makes_the_python_that_is_asked_for(path):
    environment = yaml.safe_load((ROOT / path).read_text())["dependencies"]
    # repo2docker's pattern, in buildpacks/conda; where it finds nothing, the base is another Python.
    found = [match[1] for line in environment if (match := re.match(r"python\s*=+\s*([\d\.]*)", str(line)))]
    assert found == ["3.12"]
    (pip,) = (entry["pip"] for entry in environment if isinstance(entry, dict))
    paths = [ROOT / path / ".." / re.sub(r"\[.*\]", "", line.split()[1]) for line in pip if "://" not in line]
    assert [found.resolve() for found in paths] == [ROOT / "constraints.txt", ROOT]


SET_BY_MAKE = ("MAKEFLAGS", "MAKEOVERRIDES", "MFLAGS", "PINS", "PY", "PYTHON", "VENV", "WORKERS")


def planned(*arguments):
    """What make would do; a make that runs these tests, and its options, do not count."""
    around = {name: value for name, value in os.environ.items() if name not in SET_BY_MAKE}
    return subprocess.run(["make", "-n", *arguments], cwd=ROOT, env=around, capture_output=True, text=True)


@pytest.mark.parametrize("path", sorted((ROOT / ".github/workflows").glob("*.yml")), ids=lambda path: path.stem)
def test_workflows_call_targets_and_files_that_exist(path):
    jobs = yaml.safe_load(path.read_text())["jobs"].values()
    commands = [step["run"] for job in jobs for step in job["steps"] if "run" in step]
    matrices = [job["strategy"]["matrix"] for job in jobs if "strategy" in job]
    targets = {name for matrix in matrices for name in (*matrix["make"], *(row["make"] for row in matrix["include"]))}
    targets |= {name for command in commands for name in re.findall(r"\bmake ([a-z][\w.-]*)", command)}
    made = planned(*targets)
    assert made.returncode == 0, made.stderr
    named = {name for command in commands for name in re.findall(r"(?:^|\s)((?:\.ci|book)/[\w./-]+)", command)}
    assert [name for name in named if not (ROOT / name).is_file()] == []


def test_the_checks_of_the_night_are_in_environments_of_their_own():
    plan = planned("nightly").stdout
    assert {f".venv{name}/bin/python -m pytest" for name in ("", "-oldest", "-3.12", "-3.13")} <= set(
        re.findall(r"\S+ -m pytest", plan)
    )
    assert "tests/book/colab.py .venv-colab/bin/python" in plan
    refused = planned("nightly", "PY=python")
    assert refused.returncode == 2
    assert "leave PY out" in refused.stderr


def test_layout():
    assert {name.split("/")[0] for name in files()} == TOP


def test_arrows_between_rooms_point_one_way():
    for rooms in (
        ("solvers", "layers", "models", "training", "studies", "commands", "teaching"),
        ("solvers", "layers", "models", "teaching", "course", "commands"),
        ("data", "training", "studies"),
        ("analysis", "training", "studies"),
    ):
        for number, room in enumerate(rooms):
            texts = {path: path.read_text() for path in (ROOT / "odelib" / room).rglob("*.py")}
            assert texts
            later = rf"^\s*(?:from|import) odelib\.(?:{'|'.join(rooms[number + 1 :] or ['-'])})\b"
            assert [str(path) for path, text in texts.items() if re.search(later, text, re.MULTILINE)] == []


def test_a_room_is_seen_at_a_glance():
    assert len(list((ROOT / "odelib/training").glob("*.py"))) <= 18
    lines = {str(path): path.read_text().count("\n") for path in (ROOT / "odelib").rglob("*.py")}
    assert {path: count for path, count in lines.items() if count > 320} == {}


def test_one_address():
    carriers = [ROOT / "_config.yml", ROOT / "CITATION.cff", ROOT / "odelib/install.py", *CHAPTERS]
    assert [path.name for path in carriers if ADDRESS not in path.read_text()] == []
    if "OWNER" not in ADDRESS:
        texts = [ROOT / name for name in files() if Path(name).suffix in {".md", ".yml", ".ipynb", ".cff", ".toml"}]
        assert [path.name for path in texts if "OWNER" in path.read_text()] == []


def test_no_sentence_advises_to_install_a_name_of_a_registry():
    texts = {
        name: (ROOT / name).read_bytes().decode(errors="ignore") for name in files() if name != "tests/test_project.py"
    }
    assert {name: found for name, text in texts.items() if (found := from_a_registry(text))} == {}


@pytest.mark.parametrize(
    ("advice", "refused"),
    [
        ("pip install odelib", True),
        ("run `pip install -U odelib`", True),
        ("pip install 'odelib[text]'", True),
        ('python -m pip install "odelib[text]>=1"', True),
        ("%pip install -q torch odelib", True),
        ("conda install -c conda-forge odelib", True),
        ("uv add odelib", True),
        ("pip install '.[text]'", False),
        ("pip install 'odelib[text] @ git+https://github.com/a/b'", False),
        ("pip install git+https://github.com/a/b\nimport odelib", False),
        ("`pip install .`, then `odelib train`", False),
    ],
)
def test_such_a_sentence_is_found(advice, refused):
    assert bool(from_a_registry(advice)) == refused


def test_readme_code_runs():
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), flags=re.DOTALL)
    assert blocks
    for block in blocks:
        names = {}
        exec(block, names)
        assert names["logits"].shape == (8, 10)


@pytest.mark.slow
def test_import_stays_light():
    heavy = {"matplotlib", "torchvision", "torchdiffeq", "scipy", "IPython", "tyro", "tqdm"}
    code = "import sys, torch; before = set(sys.modules); import odelib; print(*set(sys.modules) - before)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert heavy & set(loaded) == set()


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
class TestChapter:
    def cells(self, path):
        notebook = json.loads(path.read_text())
        return [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]

    def test_was_executed_in_order(self, path):
        cells = self.cells(path)
        assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))
        assert any(cell["outputs"] for cell in cells)

    def test_has_no_error_in_its_outputs(self, path):
        outputs = [output for cell in self.cells(path) for output in cell["outputs"]]
        assert [output["ename"] for output in outputs if output["output_type"] == "error"] == []
        assert [output["text"] for output in outputs if output.get("name") == "stderr"] == []

    def test_cells_are_short(self, path):
        sources = ["".join(cell["source"]) for cell in self.cells(path)]
        assert [source for source in sources if len(source.splitlines()) > 25] == []

    def test_keeps_nothing_that_changes_with_each_run(self, path):
        notebook = json.loads(path.read_text())
        assert "widgets" not in notebook["metadata"]
        assert {key for cell in notebook["cells"] for key in cell["metadata"]} <= {"tags"}

    def test_works_with_any_python_kernel(self, path):
        assert json.loads(path.read_text())["metadata"]["kernelspec"]["name"] == "python3"
