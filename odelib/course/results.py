"""What grading leaves: a file for each submission, a table, and a picture of all."""

import csv
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from odelib.files import replacing, write_json

LONGEST = 500
"""Characters of one message."""


@dataclass(frozen=True)
class Score:
    """The points of one question; None where a person gives them."""

    question: str
    points: float | None
    out_of: float
    message: str = ""


@dataclass(frozen=True)
class Graded:
    """What came of one submission.

    Attributes:
        student: Whose it is.
        file: Its name.
        outcome: ``graded``; ``refused``, where it could not be run; ``look``, where a person must look.
        reason: One sentence for who reads it.
        scores: One for each question.
        key: What the result depends on.
    """

    student: str
    file: str
    outcome: str
    reason: str
    scores: list[Score] = field(default_factory=list)
    key: str = ""

    @property
    def points(self) -> float:
        """Of all questions that are graded."""
        return sum(score.points or 0 for score in self.scores)


def read_questions(assignment: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The questions of an assignment, judged.

    Raises:
        ValueError: There is none, one is there twice, or its points are no positive number.
    """
    questions = assignment.get("questions")
    if not isinstance(questions, list) or not questions:
        raise ValueError("assignment.json names no questions, expected a list of {name, points, manual}")
    for question in questions:
        points = question.get("points") if isinstance(question, dict) else None
        named = isinstance(question, dict) and isinstance(question.get("name"), str)
        if not named or not isinstance(points, int | float) or not 0 < points < math.inf:
            raise ValueError(f"assignment.json has the question {question!r}, expected {{name, points, manual}}")
    names = [question["name"] for question in questions]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"assignment.json names the question {twice[0]!r} twice: rename one")
    return questions


def scores_of(given: Any, questions: Sequence[Mapping[str, Any]]) -> list[Score]:
    """The scores that ``grade`` of a ``tests.py`` returned, judged.

    Raises:
        ValueError: They are not what the contract says; the fault is the tests'.
    """
    if not isinstance(given, list) or not all(isinstance(one, dict) for one in given):
        raise ValueError("grade() gave no list of {question, points, out_of, message}")
    by_name = {one.get("question"): one for one in given}
    known = {question["name"] for question in questions if not question.get("manual")}
    if set(by_name) != known or len(given) != len(known):
        raise ValueError(f"grade() gave the questions {sorted(map(str, by_name))}, expected {sorted(known)}, each once")
    scores = []
    for question in questions:
        name, out_of = question["name"], float(question["points"])
        if question.get("manual"):
            scores.append(Score(name, None, out_of, "by hand, with the rubric"))
            continue
        points = by_name[name].get("points")
        if isinstance(points, bool) or not isinstance(points, int | float) or not 0 <= points <= out_of:
            raise ValueError(f"grade() gave {points!r} points for {name}, expected 0 to {out_of:g}")
        scores.append(Score(name, float(points), out_of, one_line(by_name[name].get("message", ""))))
    return scores


def nothing(questions: Sequence[Mapping[str, Any]], message: str) -> list[Score]:
    """No points for any question that is not manual."""
    return [
        Score(question["name"], None if question.get("manual") else 0.0, float(question["points"]), message)
        for question in questions
    ]


def one_line(text: Any) -> str:
    """A text of somebody else on one line, without what a terminal would obey, and not too long."""
    plain = "".join(character if character.isprintable() else " " for character in str(text)[: 10 * LONGEST])
    plain = plain.encode("utf-8", "replace").decode()
    plain = re.sub(" +", " ", plain).strip()
    return plain if len(plain) <= LONGEST else plain[: LONGEST - 1] + "…"


def save(path: Path, graded: Graded) -> None:
    """Keep what came of a submission."""
    write_json(path, asdict(graded))


def load(path: Path) -> Graded | None:
    """What was kept, or None where nothing whole was."""
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        return Graded(**{**kept, "scores": [Score(**score) for score in kept["scores"]]})
    except (OSError, ValueError, TypeError, KeyError):
        return None


def write_table(path: Path, all_graded: Sequence[Graded], questions: Sequence[Mapping[str, Any]]) -> None:
    """Write the points and the feedback for each question as CSV, a line for each submission."""
    names = [question["name"] for question in questions]
    head = ["student", "file", "outcome", "reason", "points", "out_of"]
    head += [title for name in names for title in (f"{name} points", f"{name} out of", f"{name} feedback")]
    with replacing(path) as partial, open(partial, "w", encoding="utf-8-sig", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([_cell(title) for title in head])
        for graded in all_graded:
            row: list[Any] = [graded.student, graded.file, graded.outcome, graded.reason, graded.points]
            row.append(sum(score.out_of for score in graded.scores))
            for score in graded.scores:
                row += ["" if score.points is None else score.points, score.out_of, score.message]
            writer.writerow([_cell(value) for value in row])


def _cell(value: Any) -> str:
    """A field of the table; a text that a spreadsheet would compute begins with an apostrophe."""
    if isinstance(value, float | int):
        return f"{value:g}"
    text = one_line(value)
    return f"'{text}" if text[:1] in ("=", "+", "-", "@") else text


def write_plot(path: Path, all_graded: Sequence[Graded], questions: Sequence[Mapping[str, Any]], title: str) -> None:
    """Draw how many submissions have how many points, and the mean share of the points of each question."""
    from matplotlib.figure import Figure

    automatic = [question for question in questions if not question.get("manual")]
    most = sum(float(question["points"]) for question in automatic)
    figure = Figure(figsize=(9.0, 3.6), layout="constrained")
    totals, shares = figure.subplots(1, 2)
    totals.hist([graded.points for graded in all_graded], bins=20, range=(0, most or 1), color="#2a6f97")
    totals.set(xlabel=f"points, of {most:g}", ylabel="submissions")
    totals.set_title(_plain(title), loc="left")
    for place, question in enumerate(automatic):
        got = [score.points for graded in all_graded for score in graded.scores if score.question == question["name"]]
        share = sum(point or 0 for point in got) / max(len(got), 1) / float(question["points"])
        shares.barh(place, share, color="#2a6f97")
    shares.set_yticks(range(len(automatic)), [_plain(question["name"])[:40] for question in automatic])
    shares.invert_yaxis()
    shares.set(xlim=(0, 1), xlabel="mean share of the points")
    with replacing(path) as partial:
        figure.savefig(partial, format="png")


def _plain(text: str) -> str:
    return one_line(text).replace("$", r"\$")
