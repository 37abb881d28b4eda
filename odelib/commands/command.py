"""What a command of ``odelib`` is."""

import argparse
from collections.abc import Sequence
from typing import ClassVar


class Command:
    """One command; its docstring is its help."""

    name: ClassVar[str]

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Say what it takes."""
        raise NotImplementedError(f"{type(self).__name__} does not say what it takes: define add_arguments(parser)")

    def check(self, given: argparse.Namespace) -> None:
        """Refuse what cannot be, before anything is done."""

    def run(self, given: argparse.Namespace) -> int:
        """Do it, and return the exit code."""
        raise NotImplementedError(f"{type(self).__name__} does nothing: define run(given), which returns the exit code")

    def after_stop(self, given: argparse.Namespace, arguments: Sequence[str]) -> str:
        """What to say to who pressed Ctrl-C."""
        return "nothing was changed"


def whole(text: str) -> int:
    """Read an option that counts something."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"it is {number}, expected at least 1")
    return number
