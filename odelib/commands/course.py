"""The command ``odelib course``: a course from the master notebooks to the points."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from odelib.commands.command import Command
from odelib.commands.grade import Grade


class Build(Command):
    """Make what students and teachers get from the master notebooks: notebooks, autograders, rubrics, a checklist."""

    name = "build"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Say what it takes."""
        parser.add_argument(
            "masters", nargs="*", type=Path, help="master notebooks (default: those in book/assignments)"
        )
        parser.add_argument(
            "--out", type=Path, required=True, metavar="DIR", help="folder to write into, made if absent"
        )
        parser.add_argument(
            "--secret", type=Path, metavar="FILE", help="what parameters of students are derived from: 16 bytes or more"
        )
        parser.add_argument("--students", type=Path, metavar="FILE", help="their ids, one a line; needs --secret")

    def check(self, given: argparse.Namespace) -> None:
        """Refuse what cannot be, before anything is done."""
        if (given.secret is None) != (given.students is None):
            there, missing = ("--students", "--secret") if given.secret is None else ("--secret", "--students")
            raise ValueError(f"{there} came without {missing}: parameters of students are derived from both, give both")

    def run(self, given: argparse.Namespace) -> int:
        """Build, and say where what lies."""
        from odelib.course.build import build  # which needs otter-grader

        build(given.masters, given.out, given.secret, given.students)
        return 0


class Course(Command):
    """Teach from the book: build assignments for students, grade what they hand in."""

    name = "course"
    parts: tuple[Command, ...] = (Build(), Grade())

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Say what each part takes."""
        parts = parser.add_subparsers(dest="part", metavar="part", required=True)
        for part in self.parts:
            text = (part.__doc__ or "").strip()
            options: dict[str, Any] = {"help": text.splitlines()[0], "description": text}
            part.add_arguments(parts.add_parser(part.name, **options))

    def _part(self, given: argparse.Namespace) -> Command:
        return next(part for part in self.parts if part.name == given.part)

    def check(self, given: argparse.Namespace) -> None:
        """Refuse what the part refuses."""
        self._part(given).check(given)

    def run(self, given: argparse.Namespace) -> int:
        """Do the part."""
        return self._part(given).run(given)

    def after_stop(self, given: argparse.Namespace, arguments: Sequence[str]) -> str:
        """What the part says."""
        return self._part(given).after_stop(given, arguments)
