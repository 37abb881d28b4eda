"""Read a master notebook: an assignment in Otter-Grader's format, with the settings of the course beside it.

A raw cell that begins with ``# COURSE`` holds what Otter has no place for, as YAML: ``points`` and ``minutes`` of the
whole, ``timeout_s`` and ``memory_mb`` of one submission, the ``parameters`` of students, and the ``rubric`` of each
question that a person marks, a list of ``{points, for}``. The code cell with the tag ``parameters`` sets the public
ones. A code cell that begins with ``## Ignore ##``, which Otter leaves out, has what hidden tests need.
"""

import ast
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
import yaml

from odelib.course.parameters import check_specification

Cell = Any  # a notebook's cell, nbformat.NotebookNode, which has no types


@dataclass(frozen=True)
class Test:
    """One test of a question: a function, its points, and whether students see it."""

    name: str
    source: str
    points: float
    hidden: bool


@dataclass(frozen=True)
class Question:
    """One question: marked by its tests, or by a person with a rubric of (points, what for)."""

    name: str
    points: float
    manual: bool
    tests: tuple[Test, ...]
    rubric: tuple[tuple[float, str], ...]


@dataclass(frozen=True)
class Master:
    """One assignment, as its author wrote it.

    Attributes:
        path: The notebook.
        notebook: Its content.
        code: The source of each code cell that is no test, the solutions among them, in order.
        helpers: What hidden tests need, code.
        questions: In order.
        specification: Of the parameters, by name (see ``odelib.course``).
        public: The parameters without a secret.
        seen: All that students see, white space made even.
        kept: Lines that students must not get: of solutions and of hidden tests, unless they see the same elsewhere.
    """

    path: Path
    notebook: Cell
    code: tuple[str, ...]
    helpers: str
    questions: tuple[Question, ...]
    specification: Mapping[str, Any]
    public: Mapping[str, Any]
    points: float
    minutes: int
    timeout_s: int
    memory_mb: int
    seen: str
    kept: tuple[str, ...]

    @property
    def name(self) -> str:
        """What the assignment is called: its file's name."""
        return self.path.stem


def read_master(path: str | Path) -> Master:
    """Read and check one.

    Raises:
        ValueError: It is no notebook, a setting is missing, two questions have one name, or points do not add up.
        OSError: It cannot be read.
    """
    path = Path(path)
    try:
        notebook = nbformat.reads(path.read_text(encoding="utf-8"), as_version=4)
    except (ValueError, nbformat.reader.NotJSONError) as error:
        raise ValueError(f"{path} is no notebook: expected a master in Otter-Grader's format") from error
    try:
        return _read(path, notebook)
    except (KeyError, TypeError, yaml.YAMLError, SyntaxError) as error:
        raise ValueError(
            f"master {path.name} cannot be read ({type(error).__name__}: {error}): mend that cell"
        ) from error
    except ValueError as error:
        raise ValueError(f"master {path.name}: {error}") from error


def is_settings(cell: Cell) -> bool:
    """Whether a cell holds the settings of the course."""
    return bool(cell.cell_type == "raw" and cell.source.startswith("# COURSE"))


def is_ignored(cell: Cell) -> bool:
    """Whether a cell has what hidden tests need."""
    return bool(cell.cell_type == "code" and cell.source.startswith("## Ignore ##"))


def is_parameters(cell: Cell) -> bool:
    """Whether a cell sets the parameters."""
    return cell.cell_type == "code" and "parameters" in cell.metadata.get("tags", ())


def _read(path: Path, notebook: Cell) -> Master:
    cells = notebook.cells
    settings, public = (
        _one(cells, is_settings, "raw cell # COURSE"),
        _one(cells, is_parameters, "cell tagged parameters"),
    )
    course = yaml.safe_load(settings.source)
    values = ast.literal_eval(ast.parse(public.source).body[0].value)
    specification = course["parameters"]
    check_specification(specification)
    if set(values) != set(specification):
        raise ValueError(
            f"its cell sets {sorted(values)}, but parameters are {sorted(specification)}: make them the same"
        )
    helpers = "\n".join(cell.source for cell in cells if is_ignored(cell))
    cells = [cell for cell in cells if not is_ignored(cell)]
    questions, code, hidden, shown = _walk(cells, course.get("rubric") or {})
    hidden.append(helpers)
    kept, seen = lines_of("\n".join(hidden)), " ".join("\n".join(shown).split())
    master = Master(
        path=path,
        notebook=notebook,
        code=tuple(code),
        helpers=helpers,
        questions=tuple(questions),
        specification=specification,
        public=values,
        points=course["points"],
        minutes=course["minutes"],
        timeout_s=course["timeout_s"],
        memory_mb=course["memory_mb"],
        seen=seen,
        kept=tuple(dict.fromkeys(line for line in kept if line not in seen)),
    )
    _check(master)
    return master


def _one(cells: list[Cell], wanted: Any, what: str) -> Cell:
    found = [cell for cell in cells if wanted(cell)]
    if len(found) != 1:
        raise ValueError(f"it has {len(found)} cells of the kind {what}, expected one")
    return found[0]


def _walk(cells: list[Cell], rubric: Mapping[str, Any]) -> tuple[list[Question], list[str], list[str], list[str]]:
    """The questions, the code with the solutions, the texts to keep from students, and those that they see."""
    questions: list[Question] = []
    code: list[str] = []
    hidden: list[str] = []
    shown: list[str] = []
    block: list[str] = []
    config: dict[str, Any] = {}
    tests: list[Test] = []
    for cell in cells:
        edge = (
            re.match(r"# (BEGIN|END) (QUESTION|SOLUTION|TESTS|PROMPT)", cell.source)
            if cell.cell_type == "raw"
            else None
        )
        if edge and edge[1] == "BEGIN":
            block.append(edge[2])
            if edge[2] == "QUESTION":
                config, tests = yaml.safe_load(cell.source), []
        elif edge:
            if not block or block.pop() != edge[2]:
                raise ValueError(f"`{edge[0]}` ends what has not begun: put the raw cells in order")
            if edge[2] == "QUESTION":
                marks = tuple((row["points"], row["for"]) for row in rubric.get(config["name"], ()))
                questions.append(
                    Question(config["name"], config["points"], bool(config.get("manual")), tuple(tests), marks)
                )
        elif block[-1:] == ["TESTS"]:
            tests.append(_read_test(cell.source))
            (hidden if tests[-1].hidden else shown).append(tests[-1].source)
        elif cell.cell_type != "raw":
            if cell.cell_type == "code":
                code.append(cell.source)
            for texts, text in zip((shown, hidden), _without_solution(cell, block[-1:] == ["SOLUTION"]), strict=True):
                texts.append(text)
    if block:
        raise ValueError(f"`# BEGIN {block[-1]}` has no end: add a raw cell `# END {block[-1]}`")
    return questions, code, hidden, shown


def lines_of(text: str) -> list[str]:
    """Lines by which a text can be recognised, white space made even: those of 16 characters with a letter or more."""
    even = (" ".join(line.removesuffix("# SOLUTION").split()) for line in text.splitlines())
    return [line for line in even if len(line) >= 16 and re.search(r"[A-Za-z]", line)]


def _without_solution(cell: Cell, solution: bool) -> tuple[str, str]:
    """What students see of a cell and what not."""
    if not solution or cell.cell_type == "markdown":
        return ("", cell.source) if solution else (cell.source, "")
    shown: list[str] = []
    hidden: list[str] = []
    inside = False
    for line in cell.source.splitlines():
        begins, ends = "# BEGIN SOLUTION" in line, "# END SOLUTION" in line
        inside = (inside or begins) and not ends
        (hidden if inside or ends or "# SOLUTION" in line else shown).append(line)
    return "\n".join(shown), "\n".join(hidden)


def _read_test(source: str) -> Test:
    """A test as Otter has it: its settings in a string before one function."""
    parts = re.match(r'"""\s*# BEGIN TEST CONFIG\n(.*?)"""\s*# END TEST CONFIG\n(.*)', source, re.DOTALL)
    config, body = (yaml.safe_load(parts[1]), parts[2]) if parts else (None, "")
    if not isinstance(config, dict) or "points" not in config:
        raise ValueError(f"a test begins with {source[:40]!r}, expected its settings with points: see the other tests")
    function = ast.parse(body).body[0]
    if not isinstance(function, ast.FunctionDef):
        raise ValueError(f"a test is {body[:40]!r}, expected one function")
    return Test(function.name, body.strip(), config["points"], bool(config.get("hidden")))


def _check(master: Master) -> None:
    """Refuse names that are there twice and points that do not add up."""
    names = [question.name for question in master.questions]
    names += [test.name for question in master.questions for test in question.tests]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise ValueError(f"{twice!r} is the name of two questions or tests: rename one")
    for question in master.questions:
        parts = [part[0] for part in question.rubric] if question.manual else [test.points for test in question.tests]
        where = "its rubric" if question.manual else "its tests"
        if round(sum(parts), 6) != question.points:
            raise ValueError(
                f"{question.name} has {question.points} points, but {where} {sum(parts):g}: make them equal"
            )
    total = sum(question.points for question in master.questions)
    if total != master.points:
        raise ValueError(f"it says {master.points} points, but its questions have {total:g}: make them equal")
