"""The command line: ``odelib train``, ``evaluate``, ``predict``, ``export``, ``study``, ``report`` and others."""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from odelib import __version__
from odelib.commands import COMMANDS
from odelib.commands.arguments import Parser, add_run_options
from odelib.commands.command import Command
from odelib.commands.train import starting_point
from odelib.data import DataError
from odelib.errors import TrainingError
from odelib.files import naming, said
from odelib.training.processes import launched, leave, quiet_unless_first, speaks

_DESCRIPTION = (
    "Transformers as differential equations.\n"
    "Start with `odelib train`: a parallel vision transformer on bundled images, minutes on a laptop."
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        argv: Arguments without the program's name; None takes those of the process.

    Returns:
        Exit code: 0 done, 1 runs of a study failed, 2 bad input (one sentence on stderr), 130 stopped by Ctrl-C, 143
        by SIGTERM; 141 whoever read the output wants no more of it, as with `| head`.
    """
    try:
        return _run(list(sys.argv[1:] if argv is None else argv))
    except BrokenPipeError:
        return 141  # as a shell says of a program that the signal SIGPIPE has ended
    finally:
        _drop_unwritten()


def _run(arguments: list[str]) -> int:
    try:
        with quiet_unless_first():
            command, given = _read(arguments)
    except SystemExit as stop:  # argparse has printed help or the version
        return _written(int(stop.code or 0) if speaks(stop) else 0)
    except (ValueError, OSError) as error:
        return _refuse(error)
    try:
        if launched() > 1 and command.name != "train":
            raise ValueError(
                f"{launched()} processes were started, but only `odelib train` works in several: start one"
            )
        code = command.run(given)
        leave()
    except (ValueError, DataError, TrainingError, OSError) as error:
        return _refuse(error)
    except KeyboardInterrupt as stop:
        leave(stop)
        if not speaks(stop):
            return 0
        print(f"odelib: stopped; {command.after_stop(given, arguments)}", file=sys.stderr)
        return 143 if getattr(stop, "terminated", False) else 130
    return _written(code)


def _refuse(error: Exception) -> int:
    leave(error)
    if isinstance(error, BrokenPipeError):
        raise error
    if not speaks(error):
        return 0  # another of several processes says it, and its exit code is that of all
    print(f"odelib: error: {said(error)}", file=sys.stderr)
    return 2


def _written(code: int) -> int:
    """The exit code, or that of an error if what was printed cannot be written, which Python finds out at its end."""
    try:
        with naming(Path("standard output")):
            print(end="", flush=True)
    except OSError as error:
        return _refuse(error)
    return code


def _drop_unwritten() -> None:
    """Let Python's end not try once more to write what cannot be written (docs.python.org, "Note on SIGPIPE")."""
    for stream in (sys.stdout, sys.stderr):
        try:
            print(end="", file=stream, flush=True)
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _read(arguments: Sequence[str]) -> tuple[Command, argparse.Namespace]:
    parser = Parser(prog="odelib", description=_DESCRIPTION)
    parser.add_argument("--version", action="version", version=f"odelib {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="command", required=True)
    named = {}
    for command in COMMANDS:
        text = (command.__doc__ or "").strip()
        own = commands.add_parser(
            command.name, help=text.splitlines()[0], description=text, prog=f"odelib {command.name}"
        )
        command.add_arguments(own)
        if command.name == "train" and list(arguments[:1]) == ["train"]:
            add_run_options(own, starting_point(arguments[1:]))
        named[command.name] = (command, own)
    given, rest = parser.parse_known_args(list(arguments))
    command, own = named[given.command]
    own.refuse_unknown(rest)
    command.check(given)
    return command, given
