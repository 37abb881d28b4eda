"""The questions of ``studies/PROTOCOL.md`` on networks of our own, decided from what was measured of each network."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from odelib.studies.statistics import CONFIDENCE, Difference, difference, summary
from odelib.studies.verdicts import ERROR, read_off

POINTS = 0.02
"""A difference of accuracies that matters."""
NATS = 0.05
"""A cost in nats that matters."""
FALL = 0.02
"""A difference of two depths in nats that matters."""
EDGE = (0.8, 1.25)
"""Between these, the ratio of a step to the critical one counts as the edge."""
Runs = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Answer:
    """What the networks say to one question."""

    interval: Difference
    """The number that is asked for, with its interval over seeds; NaN where there are fewer than five of them."""
    word: str
    """What is read off the interval."""


def lost(run: Mapping[str, Any]) -> float:
    """Return the accuracy that a network loses when its equation is solved accurately."""
    return float(run["accuracy"] - run["accurate"]["accuracy"])


def of_variant(runs: Runs, variant: str) -> list[Mapping[str, Any]]:
    """Return the networks of one variant, in the order of their seeds."""
    return sorted((run for run in runs if run["variant"] == variant), key=lambda run: int(run["seed"]))


def sharing(runs: Runs, shared: str = "shared", distinct: str = "parallel") -> Answer:
    """(a) Do networks of one weight set lose more by accurate solution than those of distinct ones?"""
    return _more(runs, shared, distinct, CONFIDENCE)


def edges(runs: Runs, variants: Sequence[str], questions: int = 13) -> dict[str, Answer]:
    """(c) Is the step of each kind of loop at the edge of stability, below it, beyond it, or undecided?"""
    found = {}
    for variant in variants:
        each = _mean([run["ratio"] for run in of_variant(runs, variant)], 1.0 - ERROR / questions)
        found[variant] = Answer(each, _place(each))
    return found


def cost_of_steps(runs: Runs, large: str = "n32-full", small: str = "n32-inverse", questions: int = 13) -> Answer:
    """(c) Does accurate solution cost the loop with large steps more accuracy than the one with small steps?"""
    return _more(runs, large, small, 1.0 - ERROR / questions)


def depths(runs: Runs, suffix: str = "", questions: int = 6) -> tuple[dict[str, Answer], str]:
    """(d) Is a network of sixteen layers an ensemble, an equation, both or neither?

    Args:
        runs: Networks of 4 and of 16 layers.
        suffix: Of their variants: "" for steps of 1, "-scaled" for those of 2/N.
        questions: How many the family has.

    Returns:
        By name: ``fall``, the loss at 4 layers less that at 16; ``order``, what a random order of the layers costs;
        ``solution``, what accurate solution costs. And the word.
    """
    level = 1.0 - ERROR / questions
    few, many = of_variant(runs, f"n4{suffix}"), of_variant(runs, f"n16{suffix}")
    fall = difference([run["loss"] for run in few], [run["loss"] for run in many], level)
    order = _mean([run["shuffled"] - run["loss"] for run in many], level)
    solution = _mean([run["accurate"]["loss"] - run["loss"] for run in many], level)
    found = {
        "fall": Answer(fall, read_off(fall, FALL)),
        "order": Answer(order, _cost(order)),
        "solution": Answer(solution, _cost(solution)),
    }
    words = {
        ("less", "more"): "ensemble",
        ("more", "less"): "equation",
        ("less", "less"): "both",
        ("more", "more"): "neither",
    }
    return found, words.get((found["order"].word, found["solution"].word), "undecided")


def _more(runs: Runs, first: str, second: str, level: float) -> Answer:
    found = difference(
        [lost(run) for run in of_variant(runs, first)], [lost(run) for run in of_variant(runs, second)], level
    )
    return Answer(found, read_off(found, POINTS))


def _mean(values: Sequence[float], level: float) -> Difference:
    """The mean with Student's interval; without one (NaN) for fewer than five values, or equal ones."""
    found = summary(values, level)
    return Difference((found.count, found.count), found.mean, found.low, found.high, level)


def _place(ratio: Difference) -> str:
    if not ratio.low <= ratio.high:
        return "no verdict"
    if EDGE[0] <= ratio.low and ratio.high <= EDGE[1]:
        return "at the edge"
    if ratio.high < EDGE[0]:
        return "below it"
    return "beyond it" if ratio.low > EDGE[1] else "undecided"


def _cost(cost: Difference) -> str:
    if not cost.low <= cost.high:
        return "no verdict"
    if cost.low > NATS:
        return "more"
    return "less" if cost.high < NATS else "undecided"
