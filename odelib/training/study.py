"""A study: variants of a run, in several settings, with several seeds each, as one YAML file says.

    title: Parallel against usual layers
    settings:
      fashion:
        options: {preset: fashion-micro, epochs: 4}
        seeds: 5
        metric: test_accuracy
    grid:
      - parallel: {model: {step_rule: euler}}
        usual: {model: {step_rule: lie-trotter}}
      - 6x1: {model: {intervals: 6, steps: 1}}
        1x6: {model: {intervals: 1, steps: 6}}
    baseline: usual-6x1
    claims:
      - claim: The parallel layer is better than the usual one.
        better: parallel-6x1
        than: usual-6x1
        equal: [parameters, field evaluations]
        relevant: 0.005

Variants are the product of the mappings under ``grid``, with joined names, and those under ``variants``. A run is a
setting's options with a variant's laid over them and a seed. ``swaps`` names other solvers to measure each trained
model with: ``step_rule``, ``refine``, ``tolerance``.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from odelib.names import choose
from odelib.training.config import TrainConfig
from odelib.training.options import YamlFile, check_options, typed
from odelib.training.presets import merge

METRICS = {"test_accuracy": True, "test_loss": False, "bleu": True}
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


def read_study(path: str | Path) -> Study:
    """Read a study's YAML file.

    Raises:
        ValueError: A name is unknown or a value of the wrong type; the sentence gives the line and the nearest name.
        OSError: The file cannot be read.
    """
    file = YamlFile(path)
    values = file.values
    for name in values:
        with file.place(name):
            choose(name, ("title", "settings", "grid", "variants", "swaps", "baseline", "claims"), "entry of a study")
    variants = _variants(file)
    settings = {name: _setting(file, name) for name in _mapping(file, "settings")}
    with file.place("settings"):
        if not settings or not variants:
            raise ValueError("a study needs at least one entry under settings and one under grid or variants")
    kinds = {setting.options.get("data", TrainConfig.data) for setting in settings.values()}
    for data in kinds:
        _check_variants(file, data)
    baseline = values.get("baseline")
    if baseline is not None:
        with file.place("baseline"):
            choose(baseline, variants, "variant")
    claims = tuple(
        _claim(file, str(i), claim, variants, settings) for i, claim in enumerate(values.get("claims") or [])
    )
    return Study(str(values.get("title", Path(path).stem)), settings, variants, claims, baseline, _swaps(file, "swaps"))


def _mapping(file: YamlFile, *at: str) -> dict[str, Any]:
    value: Any = file.values
    for key in at:
        value = value[int(key)] if isinstance(value, list) else value.get(key)
        if value is None:
            return {}
    with file.place(*at):
        if not isinstance(value, Mapping):
            raise ValueError(f"{at[-1]} is {value!r}, expected entries as `name: value`")
    return {str(name): entry for name, entry in value.items()}


def _variants(file: YamlFile) -> dict[str, dict[str, Any]]:
    factors = [_mapping(file, "grid", str(i)) for i in range(len(file.values.get("grid") or []))]
    grid = {
        "-".join(name for name, _ in chosen): merge(*(options or {} for _, options in chosen))
        for chosen in (product(*(factor.items() for factor in factors)) if factors else ())
    }
    return {**grid, **{name: options or {} for name, options in _mapping(file, "variants").items()}}


def _check_variants(file: YamlFile, data: str) -> None:
    places = [("grid", str(i)) for i in range(len(file.values.get("grid") or []))] + [("variants",)]
    for at in places:
        for name, options in _mapping(file, *at).items():
            check_options({"data": data, **(options or {})}, lambda *key, at=at, name=name: file.place(*at, name, *key))


def _setting(file: YamlFile, name: str) -> Setting:
    at = ("settings", name)
    entry = _mapping(file, *at)
    for key in entry:
        with file.place(*at, key):
            choose(key, ("options", "seeds", "metric"), "entry of a setting")
    options = check_options(_mapping(file, *at, "options"), lambda *key: file.place(*at, "options", *key))
    with file.place(*at, "metric"):
        metric = choose(str(entry.get("metric", "test_accuracy")), METRICS, "metric")
    with file.place(*at, "seeds"):
        return Setting(options, _seeds(entry.get("seeds", 5)), metric)


def _seeds(value: Any) -> tuple[int, ...]:
    seeds = range(value) if type(value) is int else value
    if isinstance(seeds, str) or not isinstance(seeds, Sequence) or not seeds or len(set(seeds)) < len(seeds):
        raise ValueError(f"seeds is {value!r}, expected how many, such as 5, or a list of different ones")
    return tuple(typed(seed, int, "seed") for seed in seeds)


def _swaps(file: YamlFile, *at: str) -> dict[str, dict[str, Any]]:
    hints = {"step_rule": str, "refine": int, "tolerance": float}
    swaps = {}
    for name in _mapping(file, *at):
        entry = _mapping(file, *at, name)
        for key, value in entry.items():
            with file.place(*at, name, key):
                entry[key] = typed(value, hints[choose(key, hints, "option of a swap")], key)
        swaps[name] = entry
    return swaps


def _claim(file: YamlFile, number: str, entry: Any, variants: Mapping[str, Any], settings: Mapping[str, Any]) -> Claim:
    at = ("claims", number)
    entry = _mapping(file, *at)
    with file.place(*at):
        for key in entry:
            choose(key, ("claim", "better", "than", "settings", "equal", "relevant"), "entry of a claim")
        for key in ("claim", "better", "than"):
            if key not in entry:
                raise ValueError(f"the claim has no entry {key!r}: a claim needs claim, better and than")
        for key in ("better", "than"):
            choose(str(entry[key]), variants, "variant")
        where = tuple(choose(str(name), settings, "setting") for name in entry.get("settings", settings))
        equal = tuple(choose(str(name), EQUAL, "thing to hold equal") for name in entry.get("equal", ()))
        relevant = typed(entry.get("relevant", 0.0), float, "relevant")
    return Claim(str(entry["claim"]), str(entry["better"]), str(entry["than"]), where, equal, relevant)
