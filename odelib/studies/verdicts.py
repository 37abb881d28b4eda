"""The claims of a study, decided: each verdict is read off the interval of its gain, and all intervals hold at once."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from odelib.analysis.cost import Cost
from odelib.studies.statistics import FEWEST, Difference, difference, seeds_needed, summary
from odelib.studies.study import EQUAL, METRICS, Claim

ERROR = 0.05
"""With what probability one or more intervals of a family may miss."""
_SAME = 0.01  # field evaluations and FLOPs that differ by less than so much of the larger count as equal

Word = Literal["supported", "smaller than matters", "worse", "undecided", "no verdict"]


@dataclass(frozen=True)
class Comparison:
    """A claim in one setting, with the numbers that it is decided by."""

    claim: Claim
    setting: str
    metric: str
    better: Mapping[int, float]
    """The metric of the variant that is said to be better, by seed."""
    than: Mapping[int, float]
    """That of the other."""
    costs: tuple[Cost, Cost] | None
    """What the two cost; None where one of them has no run."""

    @property
    def values(self) -> tuple[list[float], list[float]]:
        """The metric of the two, in the order of the seeds, with a sign that makes more the better."""
        sign = 1.0 if METRICS[self.metric] else -1.0
        first, second = ([sign * arm[seed] for seed in sorted(arm)] for arm in (self.better, self.than))
        return first, second


@dataclass(frozen=True)
class Verdict:
    """What the runs say of a claim in one setting."""

    comparison: Comparison
    word: Word
    gain: Difference
    """By how much the one is better than the other, with the interval that the word is read off; positive is better
    whatever the metric. All NaN where one of them has no run."""

    @property
    def size(self) -> Literal["at least what matters", "less than matters"] | None:
        """How large a supported gain is, by its interval; None where that is open, or nothing is said to matter."""
        relevant = self.comparison.claim.relevant
        if self.word != "supported" or not relevant:
            return None
        if self.gain.low >= relevant:
            return "at least what matters"
        return "less than matters" if self.gain.high < relevant else None

    @property
    def seeds_needed(self) -> int | None:
        """With how many seeds of each an undecided claim is decided with probability 0.8, if the estimates are true.

        It is decided by a gain above zero or by one below what matters, whichever needs fewer. None where the claim
        is decided, or has no verdict, or the estimate is zero and nothing is said to matter.
        """
        if self.word != "undecided":
            return None
        distance = max(abs(self.gain.mean), self.comparison.claim.relevant - self.gain.mean)
        first, second = (summary(values).std for values in self.comparison.values)
        return seeds_needed(distance, (first, second), self.gain.level) if distance else None


def decide(comparisons: Sequence[Comparison], questions: int | None = None) -> list[Verdict]:
    """Decide a family of comparisons together, each by Welch's interval of its gain (see ``difference``).

    The intervals are simultaneous: each is of level 1 - 0.05 / ``questions``, so that with probability 0.95 all of them
    hold (Bonferroni), and no verdict that is read off them is wrong. That is the first step of the method of Shaffer
    (1986): of the two hypotheses that a comparison can refute, no gain and a gain that matters, one at most is true.

    A claim is *supported* where the whole interval is above zero, *worse* where it is below, *smaller than matters*
    where it is below the gain that would matter, else *undecided*. Where a variant has fewer than ``FEWEST`` seeds, or
    only equal values, there is *no verdict*.

    Args:
        comparisons: The claims with their numbers.
        questions: How many questions the family has, whether their runs are here or not; None: these.

    Raises:
        ValueError: There are more comparisons than ``questions``.
    """
    questions = max(len(comparisons), 1) if questions is None else questions
    if questions < max(len(comparisons), 1):
        raise ValueError(
            f"there are {len(comparisons)} comparisons in a family of {questions} questions: count them again"
        )
    return [_decided(comparison, 1.0 - ERROR / questions) for comparison in comparisons]


def _decided(comparison: Comparison, level: float) -> Verdict:
    first, second = comparison.values
    if not (first and second):
        missing = Difference((len(first), len(second)), math.nan, math.nan, math.nan, level)
        return Verdict(comparison, "no verdict", missing)
    gain = difference(first, second, level)
    return Verdict(comparison, read_off(gain, comparison.claim.relevant), gain)


def read_off(gain: Difference, relevant: float) -> Word:
    """The word for the place of an interval, as ``decide`` says it."""
    if math.isnan(gain.low):  # too few seeds, or ties
        return "no verdict"
    if gain.low > 0.0:
        return "supported"
    if gain.high < 0.0:
        return "worse"
    return "smaller than matters" if gain.high < relevant else "undecided"


def held_equal(first: Cost, second: Cost) -> tuple[str, ...]:
    """What a comparison of two models holds equal, of ``EQUAL``: parameters exactly, the others within 1 %."""
    pairs = (
        (first.parameters == second.parameters),
        abs(first.nfe - second.nfe) <= _SAME * max(first.nfe, second.nfe),
        abs(first.flops - second.flops) <= _SAME * max(first.flops, second.flops),
    )
    return tuple(name for name, same in zip(EQUAL, pairs, strict=True) if same)


def paragraph(verdict: Verdict) -> str:
    """The verdict in plain words."""
    comparison, gain = verdict.comparison, verdict.gain
    claim, metric = comparison.claim, comparison.metric.replace("_", " ").replace("bleu", "BLEU")
    if not min(gain.counts):
        return f"No verdict: `{claim.better}` or `{claim.than}` has no run in `{comparison.setting}` yet."
    unit, points = (100.0, " points") if comparison.metric.endswith("accuracy") else (1.0, "")
    more, less = ("higher", "lower") if METRICS[comparison.metric] else ("lower", "higher")
    size = f"{abs(gain.mean) * unit:.2f}{points} {more if gain.mean >= 0 else less}"
    own, other = gain.counts
    seeds = f"{own} seeds of each" if own == other else f"{own} and {other} seeds"
    found = f"over {seeds}, the mean {metric} of `{claim.better}` is {size} than that of `{claim.than}`"
    if verdict.word != "no verdict":
        found += f" ({100 * gain.level:.4g} % interval of the gain: {gain.low * unit:+.2f} to {gain.high * unit:+.2f})"
    sentences = (f"{_head(verdict)}: {found}.", _reason(verdict, f"{claim.relevant * unit:.2g}{points}"))
    return " ".join(text for text in (*sentences, _matched(comparison)) if text)


def _head(verdict: Verdict) -> str:
    if verdict.word == "supported" and verdict.comparison.claim.relevant:
        return f"Supported, {f'by {verdict.size}' if verdict.size else 'by less or more than matters'}"
    return verdict.word.capitalize()


def _reason(verdict: Verdict, relevant: str) -> str:
    if verdict.word == "no verdict":
        few = min(verdict.gain.counts) < FEWEST
        return f"At least {FEWEST} seeds of each are needed." if few else "Equal values have no spread to judge by."
    if verdict.word == "smaller than matters":
        return f"A gain of {relevant} or more is excluded."
    needed = verdict.seeds_needed
    if needed is None:
        return ""
    return (
        f"If the true gain and spreads were these, {needed:,} seeds of each would decide with a probability of at "
        "least 0.8."
    )


def _matched(comparison: Comparison) -> str:
    if comparison.costs is None:
        return ""
    equal = held_equal(*comparison.costs)
    missing = [name for name in comparison.claim.equal if name not in equal]
    text = f"Held equal: {', '.join(equal) or 'nothing'}."
    if missing:
        text += f" The claim asks for equal {' and '.join(missing)}, which these two variants do not have."
    return text
