"""The pages around the chapters: contents, map, front page and reference agree with what there is."""

import importlib.util
import json
import re
from importlib import import_module
from pathlib import Path

import pytest

import odelib

ROOT = Path(__file__).parents[2]
BOOK = ROOT / "book"
ROOMS = ("solvers", "layers", "models", "analysis", "data", "training", "studies", "teaching")

_spec = importlib.util.spec_from_file_location("chapters", BOOK / "_extensions/chapters.py")
chapters = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(chapters)

_spec = importlib.util.spec_from_file_location("formulas", BOOK / "_extensions/formulas.py")
formulas = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(formulas)

_spec = importlib.util.spec_from_file_location("borrowed", BOOK / "_extensions/borrowed.py")
borrowed = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(borrowed)

LISTED = [chapter for part in chapters.read(ROOT) for chapter in part.chapters]


def test_the_contents_list_every_chapter_in_order():
    assert [chapter.name for chapter in LISTED] == sorted(path.stem for path in BOOK.glob("*.ipynb"))


def test_the_front_page_asks_the_question_of_every_chapter():
    rows = re.findall(r"^\| \[\]\((\d\d-[\w-]+)\) \| (.*) \|$", (BOOK / "index.md").read_text(), re.M)
    assert [name for name, _ in rows] == [chapter.name for chapter in LISTED]
    assert all(question.endswith("?") for _, question in rows)


def glued(chapter, name):
    """What a cell of a chapter has glued under a name."""
    for cell in json.loads((BOOK / chapter).read_text())["cells"]:
        for output in cell.get("outputs", []):
            if output.get("metadata", {}).get("scrapbook", {}).get("name") == name:
                return "".join(output["data"]["application/papermill.record/text/plain"]).strip("'")
    raise AssertionError(f"{chapter} has glued no {name}")


def test_readme_has_the_hook_and_the_picture_of_the_front_page():
    (hook,) = re.findall(r"^\*\*Solve .*?\n\n", (BOOK / "index.md").read_text(), re.M | re.S)
    hook = re.sub(r"\{glue:text\}`([\w.-]+)::([\w-]+):s`", lambda found: glued(*found.groups()), hook)
    hook = re.sub(r"\{term\}`(.*?) <.*?>`", r"\1", hook)
    readme = (ROOT / "README.md").read_text()
    assert " ".join(hook.split()) in " ".join(readme.split())
    assert "](book/_static/swap.png)" in readme
    picture = (BOOK / "_static/swap.png").read_bytes()
    assert picture == borrowed.readme_picture(BOOK), "run python book/_extensions/borrowed.py"


def test_a_chapter_needs_only_chapters_before_it():
    names = [chapter.name for chapter in LISTED]
    for place, chapter in enumerate(LISTED):
        assert set(chapter.needs) <= set(names[:place]), chapter.name


def notebook(folder, name, first):
    cell = {"cell_type": "markdown", "metadata": {}, "source": first.splitlines(keepends=True)}
    (folder / name).write_text(json.dumps({"cells": [cell], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}))
    return folder / name


def test_what_a_chapter_needs_is_read_from_its_first_cell(tmp_path):
    text = (
        "# T\n\nSee {doc}`01-one`.\n\nYou need {doc}`03-three`, and\n{doc}`02-two`, {doc}`02-two`.\n\n{doc}`04-four`."
    )
    assert chapters.needs(notebook(tmp_path, "05-five.ipynb", text)) == ("02-two", "03-three")


@pytest.mark.parametrize("text", ["# T\n\nNothing.", "# T\n\nYou need one.\n\nYou need two."])
def test_a_chapter_must_say_once_what_it_needs(tmp_path, text):
    with pytest.raises(ValueError, match="say once what a reader needs"):
        chapters.needs(notebook(tmp_path, "05-five.ipynb", text))


def test_the_map_draws_an_arc_for_each_need_and_says_the_same_in_words():
    one, two = chapters.Chapter("01-one", ()), chapters.Chapter("02-two", ("01-one",))
    five = chapters.Chapter("05-five", ("01-one", "02-two"))
    parts = [chapters.Part("First", (one, two)), chapters.Part("Second", (five,))]
    svg = chapters.picture(parts)
    assert svg.count("<circle") == 3
    arcs = re.findall(r'class="to-(\d+)" d="M\d+ (\d+) [^"]* (\d+)"', svg)
    middle = [chapters.ROW * row + chapters.ROW // 2 for row in (1, 2, 4)]  # rows 0 and 3 are the captions'
    assert [(int(n), int(a), int(b)) for n, a, b in arcs] == [
        (2, middle[0], middle[1]),
        (5, middle[0], middle[2]),
        (5, middle[1], middle[2]),
    ]
    assert "Chapter 1 needs none. Chapter 2 needs 1. Chapter 5 needs 1 and 2." in svg


def described(room):
    """The names that the page of a room describes."""
    blocks = re.findall(
        rf"```\{{reference\}} odelib\.{room}\n(.*?)\n```", (BOOK / f"reference/{room}.md").read_text(), re.S
    )
    return " ".join(blocks).split()


@pytest.mark.parametrize("room", ROOMS)
def test_the_reference_describes_every_name_of_a_room_once(room):
    assert sorted(described(room)) == sorted(import_module(f"odelib.{room}").__all__)


def test_the_reference_lists_the_names_of_odelib_itself():
    listed = re.findall(r"^   ~odelib\.(\w+)\.(\w+)$", (BOOK / "reference/index.md").read_text(), re.M)
    assert sorted(name for _, name in listed) == sorted(odelib.__all__)
    for room, name in listed:
        assert getattr(import_module(f"odelib.{room}"), name) is getattr(odelib, name)


def test_the_rooms_are_those_of_the_library():
    packages = {path.parent.name for path in (ROOT / "odelib").glob("*/__init__.py")}
    assert packages == {*ROOMS, "commands", "course"}  # which the command line and the page on teaching tell about


def test_a_formula_stays_with_the_comma_behind_it():
    formula = '<span class="math notranslate nohighlight">\\(h^2\\)</span>'
    assert formulas.together(f"of {formula}, just") == f'of <span class="unbroken">{formula},</span> just'
    assert formulas.together(f"of {formula} just") == f"of {formula} just"
