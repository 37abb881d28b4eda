"""The page on teaching says of chapters, exercises and assignments what these say of themselves."""

import importlib.util
import re
from pathlib import Path

from odelib.course.masters import read_master
from odelib.teaching.exercises import exercises

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "book/teaching.md").read_text()

_spec = importlib.util.spec_from_file_location("chapters", ROOT / "book/_extensions/chapters.py")
chapters = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(chapters)

LISTED = [chapter for part in chapters.read(ROOT) for chapter in part.chapters]
PLANS = re.findall(r"^\| (\d+) \|([^|]*)\|([^|]*)\|([^|]*)\|$", PAGE, re.M)


def minutes(name):
    """Of the exercises with a check in a chapter."""
    names = set(re.findall(r'check\(\\"([\w-]+)\\"', (ROOT / f"book/{name}.ipynb").read_text()))
    return sum(exercises()[exercise].minutes for exercise in names)


def test_chapters_have_their_minutes_and_needs():
    rows = re.findall(r"^\| \[\]\(([\w-]+)\) \| \d+ \| (\d+) \| ([\d, ]*)\|$", PAGE, re.M)
    assert [name for name, _, _ in rows] == [chapter.name for chapter in LISTED]
    assert [int(said) for _, said, _ in rows] == [minutes(chapter.name) for chapter in LISTED]
    needs = [", ".join(str(int(name[:2])) for name in sorted(chapter.needs)) for chapter in LISTED]
    assert [said.strip() for _, _, said in rows] == needs


def test_assignments_have_their_minutes_and_points():
    masters = [read_master(path) for path in sorted((ROOT / "book/assignments").glob("*.ipynb"))]
    rows = re.findall(r"^\| (\d-[\w-]+) \| (\d+) \| (\d+) \| (\d+) \| [^|]+ \|$", PAGE, re.M)
    by_hand = [sum(question.points for question in master.questions if question.manual) for master in masters]
    assert rows == [
        (master.name, str(master.minutes), str(master.points), str(points))
        for master, points in zip(masters, by_hand, strict=True)
    ]


def test_plans_hand_out_what_can_be_done_by_then():
    assert [week for week, *_ in PLANS] == [str(week) for week in (*range(1, 7), *range(1, 13))]
    for plan, handed_out in ((PLANS[:6], {1, 3, 4, 5}), (PLANS[6:], {1, 2, 3, 4, 5})):
        read, given = set(), set()
        for _, taught, out, due in plan:
            due_now = {int(number) for number in re.findall(r"\d+", due)}
            assert due_now <= given
            read |= {int(number) for number in re.findall(r"\d+", taught)}
            given |= {int(number) for number in re.findall(r"^ (\d)", out)}
        assert given == handed_out
        assert read <= {chapter.number for chapter in LISTED}
