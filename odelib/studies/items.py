"""What another set of test items would change: a second interval beside that of a verdict."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from odelib.studies.runs import Run, read_items
from odelib.studies.statistics import Difference, hierarchical
from odelib.studies.study import METRICS
from odelib.studies.verdicts import Verdict, read_off

_ITEMS = {"test_accuracy": "hits", "test_loss": "loss", "bleu": "bleu"}


def over_items(verdict: Verdict, runs: Sequence[Run], folder: Path) -> Difference | None:
    """The gain of a verdict with its interval over seeds *and* test items (see ``hierarchical``), at the same level.

    Args:
        verdict: What was decided by the seeds.
        runs: Those of the study.
        folder: The study's, in either form.

    Returns:
        The gain, positive for better; None where the metric is not one of test items, a run was kept without them, or
        the verdict has no interval either.
    """
    comparison = verdict.comparison
    metric, claim = comparison.metric, comparison.claim
    if verdict.word == "no verdict" or metric not in _ITEMS:
        return None
    sign = 1 if METRICS[metric] else -1
    arms = []
    for variant in (claim.better, claim.than):
        own = [run for run in runs if (run.setting, run.variant) == (comparison.setting, variant)]
        found = [read_items(folder, run) for run in sorted(own, key=lambda run: run.seed)]
        if not all(_ITEMS[metric] in items for items in found):
            return None
        arms.append(np.stack([sign * _score(items, metric) for items in found]))
    return hierarchical(arms[0], arms[1], verdict.gain.level)


def _score(items: dict[str, np.ndarray], metric: str) -> np.ndarray:
    """Rows of which the mean is the metric of a network, or the counts of its BLEU."""
    values = items[_ITEMS[metric]].astype(np.float64 if metric != "bleu" else np.int64)
    return values if metric == "bleu" else values * len(values) / items["places"].sum(dtype=np.int64)


def second_sentence(verdict: Verdict, wider: Difference) -> str:
    """What the interval over seeds and test items says, and where it contradicts the verdict."""
    unit = 100.0 if verdict.comparison.metric.endswith("accuracy") else 1.0
    text = f"Over seeds and test items together the interval is {unit * wider.low:+.2f} to {unit * wider.high:+.2f}"
    word = read_off(wider, verdict.comparison.claim.relevant)
    return text + ("." if word == verdict.word else f", by which the claim would be *{word}* on another test set.")
