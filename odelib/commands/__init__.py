"""What each command of ``odelib`` takes and does."""

import argparse

from odelib.commands.check import Check
from odelib.commands.command import Command
from odelib.commands.course import Course
from odelib.commands.networks import Networks, SurgeryCommand
from odelib.commands.studies import Report, Study
from odelib.commands.train import Train
from odelib.commands.trained import Evaluate, Export, Predict
from odelib.data import DATA_SETS
from odelib.data.describe import describe


class Info(Command):
    """Say what there is: for each data set what it is, its sizes, licence, citation, address, and where it is here."""

    name = "info"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Say what it takes."""
        parser.add_argument("topic", choices=("data",), help="what to tell about")
        parser.add_argument("names", nargs="*", help="data sets, such as cifar10; none named: all of them")

    def run(self, given: argparse.Namespace) -> int:
        """Tell."""
        print("\n\n".join(describe(name) for name in given.names or DATA_SETS))
        return 0


COMMANDS: tuple[Command, ...] = (
    Train(),
    Evaluate(),
    Predict(),
    Export(),
    Study(),
    Report(),
    Info(),
    Networks(),
    SurgeryCommand(),
    Course(),
    Check(),
)
