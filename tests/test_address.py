"""The repository's address is changed everywhere by one command, or not at all."""

import json
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

from odelib.install import REPOSITORY
from odelib.teaching.notebook import FIRST_CELL

ROOT = Path(__file__).parents[1]
# Put together here, so that the command does not change this test when it is run on the project itself.
OLD = "https://github.com/" + "old-owner/old.book"
NEW = "https://github.com/new-owner/new.book"


@pytest.fixture
def tree(tmp_path):
    def write(path, text):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text, newline="")

    subprocess.run(["git", "init", "--quiet", tmp_path], check=True)
    shutil.copy(ROOT / "Makefile", tmp_path)
    write(".gitignore", "_build/\n")
    write("pyproject.toml", f'[project]\nname = "x"\n[project.urls]\nRepository = "{OLD}"\n')
    cell = f'    %pip install -q "odelib @ git+{OLD}"\n'
    write("book/01.ipynb", json.dumps({"cells": [{"source": [cell]}]}))
    colab = "https://colab.research.google.com/github/old-owner/old.book/blob/main/book/01.ipynb"
    write(
        "README.md", f"[![CI]({OLD}/actions)]({OLD}.git)\r\n{colab}\r\nhttps://mybinder.org/v2/gh/old-owner/old.book\n"
    )
    write("_config.yml", f"repository:\n  url: {OLD}\n# https://old-owner.github.io/old.book/\n")
    write(
        ".github/workflows/ci.yml",
        "if: github.repository == 'old-owner/old.book' # old-owner/old.book old-owner/old.book",
    )
    write("other.md", f"{OLD}-two https://github.com/very-old-owner/old.book {OLD}er old-owner/oldxbook\n")
    write("_build/page.html", OLD)
    (tmp_path / "data.bin").write_bytes(b"\x00\xff\xfe" + OLD.encode())
    return tmp_path


def address(tree, to):
    """Run the command; return the process, which names the files that it changed."""
    command = ["make", "--no-print-directory", "address", f"TO={to}"]
    return subprocess.run(command, cwd=tree, capture_output=True, text=True)


def contents(tree):
    return {path: path.read_bytes() for path in tree.rglob("*") if path.is_file() and ".git" not in path.parts}


def test_every_copy_is_renewed_and_named(tree):
    run = address(tree, "new-owner/new.book")
    assert run.returncode == 0, run.stderr
    changed = [".github/workflows/ci.yml", "README.md", "_config.yml", "book/01.ipynb", "pyproject.toml"]
    assert sorted(run.stderr.splitlines()) == changed
    assert tomllib.loads((tree / "pyproject.toml").read_text())["project"]["urls"]["Repository"] == NEW
    notebook = json.loads((tree / "book/01.ipynb").read_text())
    assert notebook["cells"][0]["source"] == [f'    %pip install -q "odelib @ git+{NEW}"\n']
    readme = (tree / "README.md").read_bytes().decode()
    assert readme == (
        f"[![CI]({NEW}/actions)]({NEW}.git)\r\n"
        "https://colab.research.google.com/github/new-owner/new.book/blob/main/book/01.ipynb\r\n"
        "https://mybinder.org/v2/gh/new-owner/new.book\n"
    )
    assert "https://new-owner.github.io/new.book/" in (tree / "_config.yml").read_text()
    assert (tree / ".github/workflows/ci.yml").read_text().count("new-owner/new.book") == 3


def test_other_addresses_and_folders_stay(tree):
    kept = {path: (tree / path).read_bytes() for path in ("other.md", "_build/page.html", "data.bin")}
    address(tree, "new-owner/new.book")
    assert {path: (tree / path).read_bytes() for path in kept} == kept


def test_there_and_back_leaves_the_tree_as_it_was(tree):
    before = contents(tree)
    address(tree, "new-owner/new.book")
    assert contents(tree) != before
    address(tree, "old-owner/old.book")
    assert contents(tree) == before


@pytest.mark.parametrize("to", ["", "new-book", NEW, "a/b/c", "a b/c", "-a/b", "a/b#c"])
def test_malformed_address_changes_nothing(to, tree):
    before = contents(tree)
    run = address(tree, to)
    assert run.returncode == 2
    assert "make address TO=owner/name" in run.stdout
    assert contents(tree) == before


def test_the_library_has_the_projects_address():
    stated = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["urls"]["Repository"]
    assert stated == REPOSITORY
    assert f"git+{stated}" in FIRST_CELL
