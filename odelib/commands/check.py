"""``odelib check``: what the exercises in a chapter's notebook are worth."""

import argparse
from dataclasses import asdict
from pathlib import Path

from odelib.commands.command import Command, whole


class Check(Command):
    """Run a chapter's notebook and say which of its exercises are answered, which are right, and why not."""

    name = "check"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Say what it takes."""
        add = parser.add_argument
        add("notebook", type=Path, help="a chapter with your answers in it")
        add("--out", type=Path, metavar="FILE", help="where to write it as JSON (default: NOTEBOOK.check.json)")
        add("--seconds", type=whole, default=900, help="the most that its cells may take (default: 900)")

    def run(self, given: argparse.Namespace) -> int:
        """Check."""
        from odelib.course.check import check_notebook, print_answers
        from odelib.course.sandbox import find
        from odelib.files import write_json

        sandbox = find(unsafe=True)
        answers, failed = check_notebook(given.notebook, sandbox, given.seconds)
        out = given.out or given.notebook.with_suffix(".check.json")
        states = [answer.state for answer in answers]
        counts = {state: states.count(state) for state in dict.fromkeys(states)}
        content = {
            "notebook": given.notebook.name,
            "sandbox": sandbox.kind,
            "counts": counts,
            "cells_with_errors": failed,
        }
        write_json(out, {**content, "exercises": [asdict(answer) for answer in answers]})
        print_answers(answers, failed)
        print(f"{', '.join(f'{count} {state}' for state, count in counts.items())}; written to {out}")
        return 0
