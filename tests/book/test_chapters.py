"""Each chapter runs as it would in Colab: in an empty folder, with the wheel, without the repository and ipywidgets.

nbval compares what its cells print with what the chapter shows. The book is built from the same run, so that each
chapter is executed once.
"""

import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import nbformat
import pytest
from filelock import FileLock
from jupyter_cache import get_cache
from jupyter_cache.base import CacheBundleIn

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]


def seconds(chapter):
    """How long a chapter took when it was kept, by its last cell."""
    number, unit = re.findall(r"run-time: ([\d.]+) (second|minute)", chapter.read_text())[-1]
    return float(number) * (60 if unit == "minute" else 1)


# The longest first: so two processes end at the same time.
CHAPTERS = sorted((ROOT / "book").glob("*.ipynb"), key=seconds, reverse=True)
BUILT = ROOT / "_build"
COLOURS = re.compile(r"\x1b\[[\d;]*m")
NO_DATA = re.compile(r"^DataError: (.+ is not in .+ and could not be downloaded from \S+)", re.M)


def files():
    """What belongs to the distribution: the package, and what its description reads."""
    wanted = ["odelib", "pyproject.toml", "README.md", "LICENSE", "LICENSE-text"]
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", *wanted]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    return [name for name in listed if (ROOT / name).exists()]


@pytest.fixture(scope="session")
def wheel(tmp_path_factory):
    """The wheel, built from a copy, since building leaves files behind that would end up in the next one."""
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in files():
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, source / name)
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--quiet", "--wheel-dir", out]
    run = subprocess.run([*command, source], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    (built,) = out.glob("odelib-*.whl")
    return built


@pytest.fixture(scope="session")
def installed(wheel, tmp_path_factory):
    """A folder with the wheel installed, and nothing else."""
    target = tmp_path_factory.mktemp("installed")
    command = [sys.executable, "-m", "pip", "install", "--no-deps", "--quiet", "--target", target, wheel]
    run = subprocess.run(command, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    return target


def test_the_wheel_holds_the_whole_package(wheel):
    packed = {name for name in zipfile.ZipFile(wheel).namelist() if name.startswith("odelib/")}
    assert packed == {name for name in files() if name.startswith("odelib/")}


@pytest.fixture(scope="session")
def surroundings(installed, plain, data_beside):
    """The environment of a chapter's kernel."""
    variables = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (installed, plain)))}
    if data_beside is not None:
        variables["ODELIB_DATA"] = str(data_beside)
    return variables


@pytest.fixture(scope="session")
def cache():
    """Where the build looks for executed chapters, without those that another state of the library has executed."""
    BUILT.mkdir(exist_ok=True)
    with FileLock(BUILT / ".lock"):
        subprocess.run(["make", "fresh", f"PY={sys.executable}"], cwd=ROOT, check=True, capture_output=True)
    return BUILT / ".jupyter_cache"


def test_the_chapters_have_the_wheel_and_no_widgets(surroundings, installed, tmp_path):
    code = "import odelib; print(odelib.__file__); import ipywidgets"
    run = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=surroundings, capture_output=True, text=True)
    assert run.stdout.startswith(str(installed))
    assert run.stderr.endswith("ModuleNotFoundError: No module named 'ipywidgets'\n")


@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda path: path.stem)
def test_the_chapter_prints_what_it_shows(chapter, nbval, surroundings, cache, tmp_path):
    shutil.copy(chapter, tmp_path)
    run, executed = nbval(tmp_path / chapter.name, surroundings)
    if absent := absent_data(run.stdout):
        pytest.skip(f"neither the data nor a network: {absent}")
    assert run.returncode == 0, run.stdout[-6000:]
    keep(chapter, executed, cache)


def keep(chapter, executed, cache):
    """Put an executed chapter where the build finds it."""
    bundle = CacheBundleIn(nbformat.read(executed, 4), str(chapter))
    with FileLock(cache.with_name(".lock")):
        get_cache(str(cache)).cache_notebook_bundle(bundle, check_validity=False, overwrite=True)


def test_the_build_finds_what_nbval_has_executed(nbval, plain, tmp_path):
    cell = nbformat.v4.new_code_cell("import os\nos.getpid()", metadata={"tags": ["nbval-ignore-output"]})
    cell.update(execution_count=1, outputs=[nbformat.v4.new_output("execute_result", {"text/plain": "0"})])
    shown = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell("A process."), cell])
    nbformat.write(shown, tmp_path / "chapter.ipynb")
    _, executed = nbval(tmp_path / "chapter.ipynb", {**os.environ, "PYTHONPATH": str(plain)})
    keep(tmp_path / "chapter.ipynb", executed, tmp_path / "cache")
    _, found = get_cache(str(tmp_path / "cache")).merge_match_into_notebook(shown)
    (output,) = found.cells[1].outputs
    assert int(output.data["text/plain"]) > 0


def absent_data(said):
    """What a loader says that found no data and no network; None if none says so."""
    found = NO_DATA.search(COLOURS.sub("", said))
    return found and found[1]


@pytest.mark.parametrize(
    ("code", "loader"),
    [("from odelib.data import load_tiny_shakespeare\nload_tiny_shakespeare()", True), ("1 / 0", False)],
)
def test_only_a_loader_can_say_that_there_are_no_data(code, loader, nbval, plain, tmp_path):
    cell = nbformat.v4.new_code_cell(code, execution_count=1)
    nbformat.write(nbformat.v4.new_notebook(cells=[cell]), tmp_path / "chapter.ipynb")
    nowhere = {"https_proxy": "http://127.0.0.1:9", "XDG_CACHE_HOME": str(tmp_path), "ODELIB_DATA": str(tmp_path)}
    library = os.pathsep.join(map(str, (ROOT, plain)))
    run, executed = nbval(tmp_path / "chapter.ipynb", {**os.environ, **nowhere, "PYTHONPATH": library})
    assert run.returncode == 1
    assert bool(absent_data(run.stdout)) == loader, run.stdout[-6000:]
    assert not executed.exists()
