"""``odelib course grade``: from a folder of submissions to points."""

import argparse
import os
import shlex
from collections.abc import Sequence
from pathlib import Path

from odelib.commands.command import Command, whole


class Grade(Command):
    """Grade a folder of submissions, each in a sandbox of its own: a table with feedback, and a picture."""

    name = "grade"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Say what it takes."""
        add = parser.add_argument
        add("folder", type=Path, metavar="DIR", help="the submissions: files STUDENT.ipynb or STUDENT_....ipynb")
        add(
            *("--assignment", "-a"),
            type=Path,
            required=True,
            metavar="AUTOGRADER",
            help="folder autograder/NAME that `odelib course build` made",
        )
        add("--secret", type=Path, metavar="FILE", help="the secret that the assignment was built with")
        add("--out", type=Path, metavar="DIR", help="where to write (default: graded/NAME)")
        add("--jobs", type=whole, default=os.cpu_count() or 1, help="submissions at a time (default: one per core)")
        add("--sandbox", choices=("bwrap", "podman", "docker"), help="which to use (default: the first that works)")
        add("--unsafe", action="store_true", help="do without a sandbox where there is none: see the page on teaching")

    def run(self, given: argparse.Namespace) -> int:
        """Grade."""
        from odelib.course.grade import Assignment, grade_folder
        from odelib.course.sandbox import find

        assignment = Assignment.read(given.assignment)
        sandbox = find(given.sandbox, given.unsafe)
        out = given.out or Path("graded") / given.assignment.resolve().name
        graded = grade_folder(given.folder, assignment, out, sandbox, secret=given.secret, jobs=given.jobs)
        look = [one for one in graded if one.outcome == "look"]
        print(f"{len(graded)} submissions are in {out / 'points.csv'} and {out / 'points.png'}")
        if look:
            print(f"{len(look)} of them a person must look at; the same command tries them again")
        return 1 if look else 0

    def after_stop(self, given: argparse.Namespace, arguments: Sequence[str]) -> str:
        """Say how to go on."""
        return f"what is graded stays; go on with: {shlex.join(['odelib', *arguments])}"
