"""The repository's address is changed everywhere by one command, or not at all."""

import json
import tomllib
from pathlib import Path

import pytest

from odelib.teaching.notebook import FIRST_CELL, REPOSITORY
from odelib.teaching.repository import main

# Put together here, so that the command does not change this test when it is run on the project itself.
OLD = "https://github.com/" + "old-owner/old-book"
NEW = "https://github.com/new-owner/new.book"


@pytest.fixture
def tree(tmp_path):
    def write(path, text):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text, newline="")

    write("pyproject.toml", f'[project]\nname = "x"\n[project.urls]\nRepository = "{OLD}"\n')
    cell = f'    %pip install -q "odelib @ git+{OLD}"\n'
    write("book/01.ipynb", json.dumps({"cells": [{"source": [cell]}]}))
    colab = "https://colab.research.google.com/github/old-owner/old-book/blob/main/book/01.ipynb"
    write(
        "README.md", f"[![CI]({OLD}/actions)]({OLD}.git)\r\n{colab}\r\nhttps://mybinder.org/v2/gh/old-owner/old-book\n"
    )
    write("_config.yml", f"repository:\n  url: {OLD}\n# https://old-owner.github.io/old-book/\n")
    write(".github/workflows/ci.yml", "if: github.repository == 'old-owner/old-book'\n")
    write("other.md", f"{OLD}-two https://github.com/very-old-owner/old-book {OLD}er\n")
    write(".git/config", f"url = {OLD}\n")
    write("_build/page.html", OLD)
    (tmp_path / "data.bin").write_bytes(b"\xff\xfe" + OLD.encode())
    return tmp_path


def test_every_copy_is_renewed_and_named(tree, capsys):
    assert main([NEW, "--root", str(tree)]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed == [
        *sorted(["README.md", "_config.yml", "pyproject.toml"]),
        ".github/workflows/ci.yml",
        "book/01.ipynb",
        "5 files changed.",
    ]
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


def test_other_addresses_and_folders_stay(tree):
    kept = {path: (tree / path).read_bytes() for path in ("other.md", ".git/config", "_build/page.html", "data.bin")}
    main([NEW, "--root", str(tree)])
    assert {path: (tree / path).read_bytes() for path in kept} == kept


def test_there_and_back_leaves_the_tree_as_it_was(tree, capsys):
    before = {path: path.read_bytes() for path in tree.rglob("*") if path.is_file()}
    main([NEW, "--root", str(tree)])
    main([OLD + "/", "--root", str(tree)])
    assert {path: path.read_bytes() for path in before} == before
    capsys.readouterr()
    assert main([OLD, "--root", str(tree)]) == 0
    assert capsys.readouterr().out == "0 files changed.\n"


@pytest.mark.parametrize(
    "url",
    [
        "",
        "new-owner/new-book",
        "http://github.com/a/b",
        "https://github.com/a",
        "https://github.com/a/b/c",
        "https://github.com/a b/c",
    ],
)
def test_malformed_address_changes_nothing(url, tree, capsys):
    before = {path: path.read_bytes() for path in tree.rglob("*") if path.is_file()}
    assert main([url, "--root", str(tree)]) == 2
    assert "expected https://github.com/<owner>/<name>" in capsys.readouterr().err
    assert {path: path.read_bytes() for path in before} == before


def test_folder_without_project_is_refused(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main([NEW]) == 2
    assert "run this in the project's folder" in capsys.readouterr().err


def test_first_cell_has_the_projects_address():
    root = Path(__file__).parents[2]
    stated = tomllib.loads((root / "pyproject.toml").read_text())["project"]["urls"]["Repository"]
    assert stated == REPOSITORY
    assert f"git+{stated}" in FIRST_CELL
