"""``odelib networks`` and ``odelib surgery``: pretrained networks, and what is left of one after surgery."""

import argparse
import json
import shlex
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import nn

from odelib.analysis.surgery import FORMS, Surgery, count_layers, shares_weights
from odelib.commands.command import Command, whole
from odelib.data.networks import NETWORKS, describe_network, install_networks
from odelib.files import write_json
from odelib.names import choose
from odelib.studies.layer_sizes import LAYERS, measure_layers
from odelib.studies.networks import Task
from odelib.studies.open_network import open_network, open_task
from odelib.studies.statistics import FEWEST
from odelib.studies.surgeries import Row, all_surgeries, keep_table, line, measure, plain
from odelib.training.record import environment, source_commit


class Networks(Command):
    """Bring pretrained networks to this machine (install), or tell about each and where it is (list)."""

    name = "networks"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Say what it takes."""
        parser.add_argument("action", choices=("install", "list"), help="what to do")
        parser.add_argument("names", nargs="*", help=f"some of: {', '.join(NETWORKS)}; none named: all of them")

    def check(self, given: argparse.Namespace) -> None:
        """Refuse unknown names."""
        for name in given.names:
            choose(name, NETWORKS, "network")

    def run(self, given: argparse.Namespace) -> int:
        """Install or tell."""
        if given.action == "install":
            install_networks(given.names)
        print("\n\n".join(describe_network(name) for name in given.names or NETWORKS))
        return 0


class SurgeryCommand(Command):
    """Solve a pretrained network otherwise, or rearrange its layers, and measure what is left; weights unchanged."""

    name = "surgery"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Say what it takes."""
        add = parser.add_argument
        add(
            "network",
            help=f"{', '.join(NETWORKS)}; a folder with config.json, weights, and vocab.txt (BERT, ALBERT) or "
            "tokenizer.json (GPT-2, GPT-J, Pythia); or owner/name on the Hugging Face hub",
        )
        add("--data", help="clinc150, reactions, tiny-shakespeare, or a file with a text in each line")
        add("--items", type=whole, help="measure so many test items, drawn with a fixed seed (default: all)")
        add("--train", type=whole, help="of clinc150: fit to so many training requests of each intent (default: all)")
        add("--refine", type=whole, default=1, help="steps in place of each layer's one (default: 1)")
        add(
            "--rule",
            default="euler",
            help="step rule along the layers' fields, such as midpoint or rk4 (default: euler)",
        )
        add(
            "--parallel",
            nargs="+",
            metavar="LAYER",
            help="attention and MLP in parallel: all, or layers counted from 0",
        )
        add(
            "--form", default="sum", help="a parallel layer of a post-norm network: sum, or input (norms stay in place)"
        )
        add("--swap", nargs=2, type=int, metavar="LAYER", help="exchange two layers")
        add("--skip", nargs="+", type=int, default=[], metavar="LAYER", help="leave layers out")
        add("--together", type=int, metavar="LAYER", help="run a layer in parallel with the next one")
        add("--reverse", action="store_true", help="the layers in the opposite order")
        add("--half", action="store_true", help="leave every second layer out")
        add("--random", type=int, metavar="SEED", help="weights drawn anew: a control")
        add("--at-once", action="store_true", help="do all of it to one network (default: a row for each)")
        add("--all", action="store_true", help="do everything that the book does, a row for each")
        add("--layers", type=whole, metavar="ITEMS", help="measure each layer, along the states of so many items")
        add("--out", type=Path, help="keep the rows in this folder, and measure only those that are not there")
        add("--json", action="store_true", help="one JSON object per row and line")

    def check(self, given: argparse.Namespace) -> None:
        """Refuse what no network can be made of."""
        choose(given.form, FORMS, "form of a parallel layer")
        if given.items is not None and given.items < FEWEST:
            raise ValueError(f"items is {given.items}: from fewer than {FEWEST} there is no interval, so measure more")
        _ = _asked(given)  # raises where a value is out of its range

    def run(self, given: argparse.Namespace) -> int:
        """Operate and measure."""
        network, folder = open_network(given.network)
        layers = count_layers(network)
        surgeries = all_surgeries(layers, shared=shares_weights(network)) if given.all else _asked(given)
        task = open_task(given.network, network, folder, given.data, given.items, given.train)

        if (found := len(task.places)) < FEWEST and given.layers is None:
            raise ValueError(
                f"the data has {found} items: from fewer than {FEWEST} there is no interval, so bring more"
            )
        if given.layers is not None:
            return _layer_sizes(given, network, task)
        if not given.json:
            print(f"{len(task.places)} items; in brackets: the 95 % interval of the change, over items")

        def say(row: Row) -> None:
            print(json.dumps(plain(row)) if given.json else line(row), flush=True)

        if given.out is None:
            for row in measure(network, task, surgeries):
                say(row)
            return 0
        head = {  # one of the two data is there, or there were no task
            "network": given.network if given.network in NETWORKS else folder.name,
            "package": NETWORKS[given.network].package if given.network in NETWORKS else None,
            "data": given.data or NETWORKS[given.network].data,
            "items": len(task.places),
            "train": given.train,
            "layers": layers,
        }
        rows = keep_table(given.out, head, network, task, surgeries, say)
        if not given.json:
            print(f"{len(rows)} rows are kept in {given.out}")
        return 0

    def after_stop(self, given: argparse.Namespace, arguments: Sequence[str]) -> str:
        """Say how to go on."""
        if given.out is None:
            return "the rows above are whole"
        return f"what is done stays; go on with: {shlex.join(['odelib', *arguments])}"


def _layer_sizes(given: argparse.Namespace, network: nn.Module, task: Task) -> int:
    """Measure and print each layer, and keep that where asked."""
    found = measure_layers(network, task, given.layers).plain()
    if given.out is not None:
        given.out.mkdir(parents=True, exist_ok=True)
        write_json(given.out / LAYERS, {**found, "made": {"commit": source_commit(), **environment()}})
    if given.json:
        print(json.dumps(found))
        return 0
    for row in found["layers"]:
        print("  ".join(f"{name} {value:.4g}" for name, value in row.items()))
    print("observed order: " + ", ".join(f"{rule} {order:.2f}" for rule, order in found["orders"].items()))
    return 0


def _asked(given: argparse.Namespace) -> list[Surgery]:
    """The surgeries that the options name."""
    parallel = _layers(given.parallel)
    named: list[dict[str, Any]] = []
    if given.rule != "euler" or given.refine != 1:
        named.append({"rule": given.rule, "refine": given.refine})
    named += [{"parallel": parallel, "form": given.form}] if parallel else []
    named += [{"swap": tuple(given.swap)}] if given.swap else []
    named += [{"skip": tuple(given.skip)}] if given.skip else []
    named += [{"together": given.together}] if given.together is not None else []
    named += [{name: True} for name in ("reverse", "half") if getattr(given, name)]
    named += [{"random": given.random}] if given.random is not None else []
    if not given.at_once:
        return [Surgery(**values) for values in named]
    together = Surgery()
    for values in named:
        together = replace(together, **values)
    return [together]


def _layers(given: list[str] | None) -> Any:
    if given is None or given == ["all"]:
        return () if given is None else "all"
    try:
        return tuple(map(int, given))
    except ValueError as error:
        raise ValueError(f"--parallel is {' '.join(given)}: give all, or the numbers of layers, from 0") from error
