"""What grades an assignment: the folder that ``odelib course grade`` reads, and the zip that Gradescope runs."""

import inspect
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from odelib.course.masters import Master
from odelib.course.parameters import fingerprint, parameters_for
from odelib.course.running import run_test
from odelib.install import REPOSITORY

_GRADE = '''
def grade(namespace, parameters):
    """Points and a message for each question that tests mark."""
    results = []
    for question, tests in TESTS.items():
        wrong = [(points, run_test(test, namespace, parameters)) for points, test in tests]
        got = sum(points for points, message in wrong if not message)
        message = "; ".join(dict.fromkeys(message for _, message in wrong if message)) or "all right"
        out_of = sum(points for points, _ in tests)
        results.append({"question": question, "points": got, "out_of": out_of, "message": message})
    return results
'''

_GRADESCOPE = '''"""Run the tests with the parameters of the student whom Gradescope names."""

import json
from pathlib import Path

import course_tests

HERE = Path(__file__).parent


def students():
    """The ids that a submission may be known by: Gradescope's e-mail address, what stands before its @, or its id."""
    users = json.loads((HERE.parent / "submission_metadata.json").read_text()).get("users", [])
    names = [(user["email"], user["email"].partition("@")[0], user.get("sid")) for user in users]
    return [name for three in names for name in three if name]


def parameters():
    """Those of the student; of all, without a list; of the first, in `otter run` on a teacher's machine."""
    table, names = json.loads((HERE / "course_parameters.json").read_text()), students()
    names = list(table) if "" in table or not names else [name for name in names if name in table]
    assert names, "no student of that id was in the list when the autograder was built: ask your teacher"
    return table[names[0]]


def run(question, number, namespace):
    """Run one test."""
    wrong = course_tests.run_test(course_tests.TESTS[question][number][1], namespace, parameters())
    assert not wrong, wrong
'''


def describe(master: Master, secret: bytes | None, students: Sequence[str] | None) -> dict[str, Any]:
    """The content of ``assignment.json``."""
    return {
        "name": master.name,
        "questions": [{"name": q.name, "points": q.points, "manual": q.manual} for q in master.questions],
        "timeout_s": master.timeout_s,
        "memory_mb": master.memory_mb,
        "parameters": dict(master.specification),
        "public": dict(master.public),
        "students": None if students is None else list(students),
        "fingerprint": None if secret is None else fingerprint(secret),
    }


def grader_text(master: Master) -> str:
    """The text of ``tests.py``."""
    marked = [question for question in master.questions if not question.manual]
    functions = "\n\n\n".join(test.source for question in marked for test in question.tests)
    table = "".join(
        f"    {question.name!r}: [{', '.join(f'({test.points!r}, {test.name})' for test in question.tests)}],\n"
        for question in marked
    )
    parts = (
        f'"""Tests of {master.name}; made by `odelib course build` from its master."""',
        "import inspect\nfrom collections.abc import Callable, Mapping\nfrom typing import Any",
        master.helpers,
        inspect.getsource(run_test),
        functions,
        f"TESTS = {{\n{table}}}",
        _GRADE.strip(),
    )
    return "\n\n\n".join(part.strip() for part in parts if part) + "\n"


def write_autograder(folder: Path, assignment: Mapping[str, Any], tests: str) -> None:
    """Write the folder of an assignment that ``odelib course grade`` reads."""
    folder.mkdir(parents=True)
    (folder / "assignment.json").write_text(json.dumps(assignment, indent=2), encoding="utf-8")
    (folder / "tests.py").write_text(tests, encoding="utf-8")


def write_gradescope(
    path: Path, master: Master, assignment: Mapping[str, Any], tests: str, secret: bytes | None
) -> None:
    """Write the zip that Gradescope takes, by Otter's ``generate``; it holds parameters, and no secret."""
    from otter.generate import main as generate
    from otter.utils import chdir

    path = path.absolute()  # of the folder here, not of the one below
    students = assignment["students"] or [""]
    table = {student: parameters_for(assignment, student, secret) for student in students}
    with TemporaryDirectory() as temporary, chdir(temporary):
        here = Path(temporary)
        (here / "tests").mkdir()
        for question in master.questions:
            if not question.manual:
                (here / "tests" / f"{question.name}.py").write_text(_otter_test(question.name, question.tests))
        files = {
            "course_tests.py": tests,
            "course_gradescope.py": _GRADESCOPE,
            "course_parameters.json": json.dumps(table),
            "requirements.txt": f"--extra-index-url https://download.pytorch.org/whl/cpu\ngit+{REPOSITORY}\n",
            "otter_config.json": json.dumps({"show_hidden": False, "warn_missing_pdf": False}),
        }
        for name, text in files.items():
            (here / name).write_text(text, encoding="utf-8")
        generate(
            tests_dir=str(here / "tests"),
            output_path=str(path),
            config="otter_config.json",
            requirements="requirements.txt",
            no_environment=True,
            python_version="3.12",
            files=[name for name in files if name.startswith("course_")],
        )


def _otter_test(question: str, tests: Sequence[Any]) -> str:
    """A question's tests as Otter reads them; each asks for the one in ``course_tests.py``."""
    cases = "".join(
        f"\n\n@test_case(name={test.name!r}, points={test.points!r}, hidden={test.hidden})\ndef test_{number}(env):\n"
        f"    import course_gradescope\n\n    course_gradescope.run({question!r}, {number}, env)\n"
        for number, test in enumerate(tests)
    )
    points = sum(test.points for test in tests)
    head = "from otter.test_files import test_case\n\nOK_FORMAT = False"
    return f"{head}\nname = {question!r}\npoints = {points!r}\n{cases}"
