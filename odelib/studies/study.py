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
    seeds: dict[str, tuple[int, ...]]
    """Those of each variant; none where a variant is not run."""
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
    protocol: str | None = None
    """Checksum of the questions that it is run for."""


@dataclass(frozen=True)
class Protocol:
    """What a study follows."""

    family: str
    """The questions that are decided together."""
    questions: int
    """How many they are, those of other studies among them."""
    checksum: str | None
    """Of the family's questions and the effects that matter, 12 hexadecimal digits; None where a kept study has no copy
    of its protocol."""


@dataclass(frozen=True)
class Study:
    """All runs, and what they are to tell."""

    title: str
    settings: dict[str, Setting]
    variants: dict[str, dict[str, Any]]
    claims: tuple[Claim, ...]
    baseline: str | None
    swaps: dict[str, dict[str, Any]]
    protocol: Protocol | None = None

    @property
    def jobs(self) -> list[Job]:
        """All runs; the first seed of everything comes first, so that a table is there early."""
        checksum = self.protocol.checksum if self.protocol else None
        jobs = [
            (i, f"{where}/{variant}/seed{seed}", merge(setting.options, options, {"seed": seed}))
            for where, setting in self.settings.items()
            for variant, options in self.variants.items()
            for i, seed in enumerate(setting.seeds[variant])
        ]
        ordered = sorted(jobs, key=lambda job: job[0])
        return [Job(name, options, self.swaps, checksum) for _, name, options in ordered]
