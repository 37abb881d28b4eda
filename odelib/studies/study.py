"""A study as values: variants of a run, in several settings, with several seeds each, and what they are to tell."""

from dataclasses import dataclass
from typing import Any

from odelib.training.options import merge

METRICS = {
    "test_accuracy": True,
    "test_loss": False,
    "bleu": True,
    "validation_accuracy": True,
    "validation_loss": False,
}
"""What variants are compared by, and whether more of it is better."""

EQUAL = ("parameters", "field evaluations", "FLOPs")
"""What a comparison can hold equal."""


@dataclass(frozen=True)
class Setting:
    """A data set with a recipe."""

    options: dict[str, Any]
    seeds: tuple[int, ...]
    metric: str


@dataclass(frozen=True)
class Claim:
    """What is to be found out: whether one variant is better than another."""

    text: str
    """The claim in words."""
    better: str
    """The variant that is said to be better."""
    than: str
    """The variant that it is compared with."""
    settings: tuple[str, ...]
    """Where it is asked."""
    equal: tuple[str, ...] = ()
    """What the comparison holds equal, of ``EQUAL``; the report says where that is not so."""
    relevant: float = 0.0
    """The smallest difference of the metric that would matter; where it is surely smaller, the claim falls."""


@dataclass(frozen=True)
class Job:
    """One run of a study, as plain values that any process can be sent."""

    name: str
    """Setting, variant and seed, with slashes: its folder in that of the study."""
    options: dict[str, Any]
    """What ``prepare`` is called with."""
    swaps: dict[str, dict[str, Any]]
    """Other solvers to measure the trained model with."""


@dataclass(frozen=True)
class Study:
    """All runs, and what they are to tell."""

    title: str
    settings: dict[str, Setting]
    variants: dict[str, dict[str, Any]]
    claims: tuple[Claim, ...]
    baseline: str | None
    swaps: dict[str, dict[str, Any]]

    @property
    def jobs(self) -> list[Job]:
        """All runs; the first seed of everything comes first, so that a table is there early."""
        jobs = [
            (i, Job(f"{where}/{variant}/seed{seed}", merge(setting.options, options, {"seed": seed}), self.swaps))
            for where, setting in self.settings.items()
            for variant, options in self.variants.items()
            for i, seed in enumerate(setting.seeds)
        ]
        return [job for _, job in sorted(jobs, key=lambda pair: pair[0])]
