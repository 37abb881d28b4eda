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
setting's options with a variant's laid over them and a seed. ``seeds`` is a number or a list, or a mapping that gives
either by variant; a variant that it does not name is not run there. ``swaps`` names other solvers to measure each
trained model with: ``step_rule``, ``refine``, ``tolerance``. ``protocol`` names a family of questions (see
``odelib.studies.protocol``).

A file is checked whole when it is read: names, types, claims, swaps, and that each run is one that can be. What has to
be on the machine that does the runs, your own data, weights to begin from and a device, is looked for before the first.
"""

from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

from odelib.names import choose
from odelib.solvers import step_rule
from odelib.studies.checks import check_name, check_runs, check_setting, sizes_of
from odelib.studies.protocol import read_protocol
from odelib.studies.study import EQUAL, METRICS, Claim, Setting, Study
from odelib.training.config import TrainConfig
from odelib.training.options import YamlFile, check_options, merge, typed

_ENTRIES = ("title", "settings", "grid", "variants", "swaps", "baseline", "claims", "protocol")


def read_study(path: str | Path) -> Study:
    """Read a study's YAML file, and check all of it.

    Raises:
        ValueError: A name is unknown or would leave the study's folder, a value is of the wrong type or out of range,
            two variants have one name, or a run is none that can be; the sentence gives the line and the nearest name.
        OSError: The file cannot be read.
    """
    file = YamlFile(path)
    values = file.values
    for name in values:
        with file.place(name):
            choose(name, _ENTRIES, "entry of a study")
    variants = _variants(file)
    settings = {name: _setting(file, name, variants) for name in _mapping(file, "settings")}
    for name in settings:
        with file.place("settings", name):
            check_name(name, "setting")
            check_setting(name, settings)
    with file.place("settings"):
        if not settings or not variants:
            raise ValueError("a study needs at least one entry under settings and one under grid or variants")
    for data in {setting.options.get("data", TrainConfig.data) for setting in settings.values()}:
        _check_variants(file, data)
        _check_different(file, variants, data)
    baseline = values.get("baseline")
    if baseline is not None:
        with file.place("baseline"):
            choose(str(baseline), variants, "variant")
    claims = tuple(_claim(file, i, variants, settings) for i in range(len(_list(file, "claims"))))
    title = str(values.get("title", Path(path).stem))
    base = None if baseline is None else str(baseline)
    study = Study(title, settings, variants, claims, base, _swaps(file), read_protocol(file, claims, settings))
    check_runs(study, Path(path))
    return study


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


def _list(file: YamlFile, name: str) -> list[Any]:
    value = file.values.get(name)
    with file.place(name):
        if value is not None and not isinstance(value, list):
            raise ValueError(f"{name} is {value!r}, expected a list, each entry after a dash")
    return value or []


def _places(file: YamlFile) -> list[tuple[str, ...]]:
    """Where variants are described."""
    return [("grid", str(i)) for i in range(len(_list(file, "grid")))] + [("variants",)]


def _variants(file: YamlFile) -> dict[str, dict[str, Any]]:
    for at in _places(file):
        for name in _mapping(file, *at):
            _mapping(file, *at, name)  # refuses what is none
            with file.place(*at, name):
                check_name(name, "variant")
    factors = [_mapping(file, *at) for at in _places(file) if at[0] == "grid"]
    named = [
        ("-".join(name for name, _ in chosen), merge(*(options or {} for _, options in chosen)))
        for chosen in (product(*(factor.items() for factor in factors)) if factors else ())
    ]
    named += [(name, options or {}) for name, options in _mapping(file, "variants").items()]
    seen: dict[str, str] = {}
    for name, _ in named:
        if name.casefold() in seen:
            with file.place("grid" if factors else "variants"):
                raise ValueError(
                    f"two variants are named {name!r}"
                    + (f" and {seen[name.casefold()]!r}" if seen[name.casefold()] != name else "")
                    + ", and a name is a folder: give each a name of its own"
                )
        seen[name.casefold()] = name
    return dict(named)


def _check_variants(file: YamlFile, data: str) -> None:
    for at in _places(file):
        for name in _mapping(file, *at):
            options = {"data": data, **_mapping(file, *at, name)}
            check_options(options, lambda *key, at=at, name=name: file.place(*at, name, *key))
            _check_no_seed(file, *at, name)


def _check_no_seed(file: YamlFile, *at: str) -> None:
    options = _mapping(file, *at)
    if "seed" in options:
        with file.place(*at, "seed"):
            raise ValueError(
                f"seed is {options['seed']!r}, but each run of a study has one of the seeds of its setting: leave it "
                f"out, or say `seeds: [{options['seed']}]` beside the setting's options"
            )


def _check_different(file: YamlFile, variants: Mapping[str, Mapping[str, Any]], data: str) -> None:
    """Refuse variants that would be the same runs: the table would set a variant against itself."""
    known: list[tuple[str, dict[str, Any]]] = []
    for name, options in variants.items():
        checked = check_options({"data": data, **options})
        if same := [other for other, its in known if its == checked]:
            with file.place("grid" if "grid" in file.values else "variants"):
                raise ValueError(f"the variants {same[0]!r} and {name!r} have the same options: leave one of them out")
        known.append((name, checked))


def _setting(file: YamlFile, name: str, variants: Mapping[str, Any]) -> Setting:
    at = ("settings", name)
    entry = _mapping(file, *at)
    for key in entry:
        with file.place(*at, key):
            choose(key, ("options", "seeds", "metric"), "entry of a setting")
    options = check_options(_mapping(file, *at, "options"), lambda *key: file.place(*at, "options", *key))
    _check_no_seed(file, *at, "options")
    with file.place(*at, "options", "data"):
        sizes_of(options)
    with file.place(*at, "metric"):
        metric = choose(str(entry.get("metric", "test_accuracy")), METRICS, "metric")
    return Setting(options, _all_seeds(file, at, entry.get("seeds", 5), variants), metric)


def _all_seeds(
    file: YamlFile, at: tuple[str, ...], value: Any, variants: Mapping[str, Any]
) -> dict[str, tuple[int, ...]]:
    if not isinstance(value, Mapping) or not value:
        with file.place(*at, "seeds"):
            return dict.fromkeys(variants, _seeds(value))
    found: dict[str, tuple[int, ...]] = dict.fromkeys(variants, ())
    for name, own in value.items():
        with file.place(*at, "seeds", str(name)):
            found[choose(str(name), variants, "variant")] = _seeds(own)
    return found


def _seeds(value: Any) -> tuple[int, ...]:
    seeds = range(value) if type(value) is int else value
    if isinstance(seeds, str) or not isinstance(seeds, Sequence) or not seeds:
        raise ValueError(f"seeds is {value!r}, expected how many, such as 5, or a list of different ones")
    numbers = tuple(typed(seed, int, "seed") for seed in seeds)
    if len(set(numbers)) < len(numbers) or min(numbers) < 0:
        raise ValueError(f"seeds is {value!r}, expected how many, such as 5, or a list of different ones of at least 0")
    return numbers


def _swaps(file: YamlFile) -> dict[str, dict[str, Any]]:
    hints = {"step_rule": str, "refine": int, "tolerance": float}
    swaps = {}
    for name in _mapping(file, "swaps"):
        entry = _mapping(file, "swaps", name)
        for key, value in entry.items():
            with file.place("swaps", name, key):
                entry[key] = typed(value, hints[choose(key, hints, "option of a swap")], key)
        with file.place("swaps", name):
            _check_swap(entry)
        swaps[name] = entry
    return swaps


def _check_swap(entry: Mapping[str, Any]) -> None:
    rule = step_rule(entry.get("step_rule", "tsit5"))
    refine, tolerance = entry.get("refine", 1), entry.get("tolerance")
    if refine < 1:
        raise ValueError(f"refine is {refine}, expected at least 1")
    if tolerance is None:
        return
    if not tolerance > 0 or refine != 1:
        raise ValueError(f"tolerance is {tolerance:g} and refine is {refine}: give one of the two, and greater than 0")
    if "step_rule" in entry and rule.error_order is None:
        raise ValueError(
            f"the step rule {entry['step_rule']!r} estimates no error by which steps could be chosen: take an embedded "
            "pair such as 'dopri5', 'tsit5' or 'bosh3', or leave the tolerance out"
        )


def _claim(file: YamlFile, number: int, variants: Mapping[str, Any], settings: Mapping[str, Setting]) -> Claim:
    at = ("claims", str(number))
    entry = _mapping(file, *at)
    with file.place(*at):
        for key in entry:
            choose(key, ("claim", "better", "than", "settings", "equal", "relevant"), "entry of a claim")
        for key in ("claim", "better", "than"):
            if key not in entry:
                raise ValueError(f"the claim has no entry {key!r}: a claim needs claim, better and than")
        for key in ("better", "than"):
            choose(str(entry[key]), variants, "variant")
        if entry["better"] == entry["than"]:
            raise ValueError(f"the claim compares {entry['better']} with itself: name another variant")
        for key in ("settings", "equal"):
            if not isinstance(entry.get(key, []), list):
                raise ValueError(f"{key} is {entry[key]!r}, expected a list, such as [{entry[key]}]")
        where = tuple(choose(str(name), settings, "setting") for name in entry.get("settings", settings))
        for variant in (str(entry["better"]), str(entry["than"])):
            if missing := [name for name in where if not settings[name].seeds[variant]]:
                raise ValueError(f"{variant} has no seeds in {missing[0]}: give it some, or leave that setting out")
        equal = tuple(choose(str(name), EQUAL, "thing to hold equal") for name in entry.get("equal", ()))
        relevant = typed(entry.get("relevant", 0.0), float, "relevant")
        if not 0.0 <= relevant < float("inf"):
            raise ValueError(f"relevant is {relevant}, expected a difference of at least 0")
    return Claim(str(entry["claim"]), str(entry["better"]), str(entry["than"]), where, equal, relevant)
