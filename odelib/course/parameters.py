"""What each student computes with: fields, seeds and sizes that follow from the student's id and a secret."""

import hashlib
import hmac
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

SHORTEST = 16
"""Bytes that a secret must have: 128 bits, if they are drawn at random."""

_KINDS = {"integer": 2, "number": 3, "choice": None}


def read_secret(path: str | Path) -> bytes:
    """Read a secret from a file; white space around it does not count.

    Raises:
        ValueError: It is too short to keep anything secret.
        OSError: The file cannot be read.
    """
    secret = Path(path).read_bytes().strip()
    if len(secret) < SHORTEST:
        raise ValueError(
            f"the secret in {path} has {len(secret)} bytes, expected at least {SHORTEST}: "
            "make one with `openssl rand -hex 16`"
        )
    return secret


def read_students(path: str | Path) -> list[str]:
    """Read a list of students, one id a line; empty lines and those that begin with # do not count.

    Raises:
        ValueError: There is none, one is there twice, or one cannot be told from the rest of a file's name.
        OSError: The file cannot be read.
    """
    lines = [line.strip() for line in Path(path).read_text(encoding="utf-8-sig").splitlines()]
    students = [line for line in lines if line and not line.startswith("#")]
    if not students:
        raise ValueError(f"{path} names no student: write one id a line")
    for student in students:
        if not re.fullmatch(r"[\w@+-][\w@+.-]*", student):
            raise ValueError(
                f"{student!r} in {path} cannot be a student's id: it takes letters, digits and any of _ @ + - . in it"
            )
    twice = sorted({student for student in students if students.count(student) > 1})
    if twice:
        raise ValueError(f"{path} names {twice[0]!r} twice: leave one out")
    return students


def fingerprint(secret: bytes) -> str:
    """What tells one secret from another without telling the secret."""
    return hmac.new(secret, b"odelib course", hashlib.sha256).hexdigest()[:16]


def check_specification(specification: Mapping[str, Any]) -> None:
    """Refuse parameters that cannot be drawn; ``specification`` as in ``assignment.json``.

    Raises:
        ValueError: One is of no kind, or its bounds are not two (three with digits) numbers in order.
    """
    for name, kinds in specification.items():
        (kind, bounds), *more = kinds.items() if isinstance(kinds, Mapping) and kinds else [("nothing", None)]
        wanted = "expected {integer: [low, high]}, {number: [low, high, digits]} or {choice: [...]}"
        if more or kind not in _KINDS or not isinstance(bounds, Sequence) or not bounds:
            raise ValueError(f"parameter {name!r} is {kinds!r}, {wanted}")
        count = _KINDS[kind]
        if count and (len(bounds) != count or bounds[0] > bounds[1]):
            raise ValueError(f"parameter {name!r} is {kinds!r}, {wanted}")


def parameters_for(assignment: Mapping[str, Any], student_id: str, secret: bytes | None) -> dict[str, Any]:
    """The parameters of one student in one assignment.

    Args:
        assignment: The content of ``assignment.json``.
        student_id: As in the list of students.
        secret: What the assignment was built with; None where it was built without.

    Returns:
        A value for each parameter: int, float or what a choice holds. Without a secret, the public ones.

    Raises:
        ValueError: The student is not in the list, or the secret is not the one that the assignment was built with.
    """
    name, students, built_with = assignment["name"], assignment.get("students"), assignment.get("fingerprint")
    if students is not None and student_id not in students:
        raise ValueError(f"{student_id!r} is no student in the list that {name} was built for: add it, and build again")
    if secret is None and built_with is None:
        return dict(assignment["public"])
    if secret is None or built_with is None or not hmac.compare_digest(fingerprint(secret), built_with):
        came = "without a secret" if secret is None else "with a secret that is not its own"
        wanted = "without one" if built_with is None else "with one"
        raise ValueError(
            f"{name} came {came}, and was built {wanted}: give it the --secret of its build, if it had one"
        )
    return {
        parameter: _draw(kinds, hmac.new(secret, json.dumps([name, student_id, parameter]).encode(), "sha256").digest())
        for parameter, kinds in assignment["parameters"].items()
    }


def student_of(file_name: str, assignment: Mapping[str, Any]) -> str:
    """Whose submission a file is: ``STUDENT.ipynb``, or ``STUDENT_anything.ipynb`` as Gradescope names it.

    Args:
        file_name: Without its folder.
        assignment: The content of ``assignment.json``.

    Returns:
        The student's id: the longest in the list that fits; without a list, what stands before the first underscore.

    Raises:
        ValueError: No student in the list fits.
    """
    stem = file_name.removesuffix(".ipynb")
    students = assignment.get("students")
    if students is None:
        return str(stem.partition("_")[0])
    fitting = [student for student in students if stem == student or stem.startswith(f"{student}_")]
    if not fitting:
        raise ValueError(
            f"{file_name!r} is of no student in the list that {assignment['name']} was built for: "
            "name it after one, STUDENT.ipynb"
        )
    return str(max(fitting, key=len))


def _draw(kinds: Mapping[str, Sequence[Any]], digest: bytes) -> Any:
    ((kind, bounds),) = kinds.items()
    number = int.from_bytes(digest, "big")
    if kind == "choice":
        return bounds[number % len(bounds)]
    if kind == "integer":
        return bounds[0] + number % (bounds[1] - bounds[0] + 1)
    low, high, digits = bounds
    return round(low + (high - low) * (number / 2 ** (8 * len(digest))), digits)
