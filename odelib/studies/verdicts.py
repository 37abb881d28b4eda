"""The claims of a study, decided: supported, not supported, or undecided at this sample size."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from odelib.analysis.cost import Cost
from odelib.studies.statistics import FEWEST, Difference, above, below, difference, holm
from odelib.studies.study import EQUAL, METRICS, Claim

LEVEL = 0.05
_SAME = 0.01  # field evaluations and FLOPs that differ by less than so much of the larger count as equal

Word = Literal["supported", "not supported", "undecided"]


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
    def seeds(self) -> list[int]:
        """The seeds that both have."""
        return sorted(self.better.keys() & self.than.keys())

    @property
    def gains(self) -> list[float]:
        """By how much the one is better than the other, seed by seed; positive is better whatever the metric."""
        sign = 1.0 if METRICS[self.metric] else -1.0
        return [sign * (self.better[seed] - self.than[seed]) for seed in self.seeds]

    @property
    def gain(self) -> Difference:
        """The mean gain with its interval."""
        return difference(self.gains, [0.0] * len(self.gains))


@dataclass(frozen=True)
class Verdict:
    """What the runs say of a claim in one setting."""

    comparison: Comparison
    word: Word
    p_better: float
    """Corrected p-value of no gain."""
    p_small: float
    """Corrected p-value of a gain that matters, that is of at least ``relevant``."""


def decide(comparisons: Sequence[Comparison], *, fewest: int = FEWEST) -> list[Verdict]:
    """Decide all comparisons of a study together.

    Two one-sided paired t-tests for each: is there a gain at all (then the claim is supported), and is a gain of at
    least ``relevant`` excluded (then it is not)? All of them are corrected together by Holm's method, so that with
    probability 0.95 none of the decided claims is decided wrongly because of chance. Neither: undecided. So is a
    claim with fewer than ``fewest`` shared seeds, whatever they say.
    """
    decidable = [comparison for comparison in comparisons if comparison.gains]
    tests = [above(c.gains, 0.0) for c in decidable] + [below(c.gains, c.claim.relevant) for c in decidable]
    corrected = holm(tests)
    found = {id(comparison): (corrected[i], corrected[len(decidable) + i]) for i, comparison in enumerate(decidable)}
    verdicts = []
    for comparison in comparisons:
        p_better, p_small = found.get(id(comparison), (1.0, 1.0))
        word: Word = "supported" if p_better <= LEVEL else "not supported" if p_small <= LEVEL else "undecided"
        if len(comparison.gains) < fewest:
            word = "undecided"
        verdicts.append(Verdict(comparison, word, p_better, p_small))
    return verdicts


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
    comparison = verdict.comparison
    claim, metric = comparison.claim, comparison.metric.replace("_", " ")
    names = f"`{claim.better}` and `{claim.than}`"
    if not comparison.gains:
        return f"Undecided: {names} share no seed in `{comparison.setting}` yet."
    gain, unit = comparison.gain, 100.0 if comparison.metric.endswith("accuracy") else 1.0
    points = " points" if unit == 100.0 else ""
    how = "higher" if METRICS[comparison.metric] else "lower"
    size = (
        f"{abs(gain.mean) * unit:.2f}{points} {how if gain.mean >= 0 else {'higher': 'lower', 'lower': 'higher'}[how]}"
    )
    seeds = f"{gain.count} shared seed{'s' if gain.count > 1 else ''}"
    first = f"Over {seeds}, the {metric} of `{claim.better}` is {size} than that of `{claim.than}`"
    if gain.low == gain.low:  # else it is not a number: one seed, or equal gains
        first += f" (95 % interval of the gain: {gain.low * unit:+.2f} to {gain.high * unit:+.2f})"
    return f"{_WORDS[verdict.word]}: {first}. {_reason(verdict, unit, points)} {_matched(comparison)}"


_WORDS = {"supported": "Supported", "not supported": "Not supported", "undecided": "Undecided at this sample size"}


def _reason(verdict: Verdict, unit: float, points: str) -> str:
    relevant = f"{verdict.comparison.claim.relevant * unit:.2g}{points}"
    if verdict.word == "supported":
        return f"Chance alone would rarely do this (p = {verdict.p_better:.2g} after Holm's correction)."
    if verdict.word == "not supported":
        than = f"a gain of {relevant} or more" if verdict.comparison.claim.relevant else "any gain"
        return f"The runs speak against {than} (p = {verdict.p_small:.2g} after Holm's correction)."
    count = verdict.comparison.gain.count
    if min(verdict.p_better, verdict.p_small) <= LEVEL:
        return f"With {count} seed{'s' if count > 1 else ''} nothing is decided: at least {FEWEST} are needed."
    return (
        f"Neither a gain nor its absence stands out from chance (p = {verdict.p_better:.2g} and "
        f"{verdict.p_small:.2g} after Holm's correction); more seeds might decide."
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
