"""The numbers of a study as tables: Markdown to read, CSV to compute with, LaTeX to print."""

import csv
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

from odelib.studies.runs import Run
from odelib.studies.statistics import Summary, difference, summary
from odelib.studies.study import METRICS, Study
from odelib.studies.verdicts import ERROR, held_equal

UNITS = {
    "test_accuracy": ("test accuracy in %", 100.0),
    "test_loss": ("test loss in nats", 1.0),
    "bleu": ("BLEU", 1.0),
    "validation_accuracy": ("validation accuracy in %", 100.0),
    "validation_loss": ("validation loss in nats", 1.0),
}
"""What a table says a metric is in, and the factor to that unit."""


@dataclass(frozen=True)
class Row:
    """One variant in one setting; the numbers in the unit of the setting's metric."""

    setting: str
    variant: str
    metric: str
    parameters: int
    field_evaluations: float
    mega_flops: float
    seeds: int
    mean: float
    std: float
    low: float
    high: float
    difference: float | None
    """Mean less that of the baseline; None for the baseline itself, or without one."""
    difference_low: float | None
    """Lower end of its interval, which holds together with those of all other rows with probability 0.95; NaN where a
    variant has too few seeds for one."""
    difference_high: float | None
    """Upper end."""
    held_equal: str
    """What the comparison with the baseline holds equal."""
    seconds: float
    """Mean wall-clock time of a run."""


def rows_of(study: Study, runs: Sequence[Run]) -> list[Row]:
    """The table of a study: one row per setting and variant that has a finished run."""
    numbers = {
        where: by_seed(runs, where, setting.metric, UNITS[setting.metric][1])
        for where, setting in study.settings.items()
    }
    bases = [values for values in numbers.values() if study.baseline in values]
    level = 1.0 - ERROR / max(sum(len(values) - 1 for values in bases), 1)
    return [
        _row(study, runs, where, variant, values, level)
        for where, values in numbers.items()
        for variant in study.variants
        if variant in values
    ]


def _row(
    study: Study,
    runs: Sequence[Run],
    where: str,
    variant: str,
    values: Mapping[str, Mapping[int, float]],
    level: float,
) -> Row:
    own = [run for run in runs if (run.setting, run.variant) == (where, variant)]
    sample, base = list(values[variant].values()), list(values.get(study.baseline or "", {}).values())
    gap = difference(sample, base, level) if base and variant != study.baseline else None
    first = next((run for run in runs if (run.setting, run.variant) == (where, study.baseline)), None)
    found = summary(sample)
    return Row(
        setting=where,
        variant=variant,
        metric=study.settings[where].metric,
        parameters=own[0].cost.parameters,
        field_evaluations=own[0].cost.nfe,
        mega_flops=own[0].cost.flops / 1e6,
        seeds=found.count,
        **{name: getattr(found, name) for name in ("mean", "std", "low", "high")},
        difference=None if gap is None else gap.mean,
        difference_low=None if gap is None else gap.low,
        difference_high=None if gap is None else gap.high,
        held_equal=", ".join(held_equal(own[0].cost, first.cost)) if gap and first else "",
        seconds=sum(run.seconds for run in own) / len(own),
    )


def by_seed(runs: Sequence[Run], setting: str, metric: str, factor: float = 1.0) -> dict[str, dict[int, float]]:
    """The metric of each variant in a setting, by seed."""
    values: dict[str, dict[int, float]] = {}
    for run in runs:
        if run.setting == setting:
            values.setdefault(run.variant, {})[run.seed] = factor * run.metrics[metric]
    return values


HEADS = (
    "variant",
    "parameters",
    "NFE",
    "MFLOPs",
    "seeds",
    "mean ± std",
    "95 % interval",
    "less baseline",
    "equal",
)


def cells(row: Row) -> tuple[str, ...]:
    """A row as the texts below ``HEADS``."""
    digits = 4 if row.metric == "test_loss" else 2
    spread = "" if math.isnan(row.std) else f" ± {row.std:.{digits}f}"
    gap = ""
    if row.difference is not None:
        gap = f"{row.difference:+.{digits}f}" + _interval(row.difference_low, row.difference_high, f"+.{digits}f")
    return (
        row.variant,
        f"{row.parameters:,}",
        f"{row.field_evaluations:g}",
        f"{row.mega_flops:.3g}",
        str(row.seeds),
        f"{row.mean:.{digits}f}{spread}",
        _interval(row.low, row.high, f".{digits}f").strip() or "–",
        gap or "–",
        row.held_equal or "–",
    )


def _interval(low: float | None, high: float | None, form: str) -> str:
    if low is None or high is None or math.isnan(low):
        return ""
    return f" [{low:{form}}, {high:{form}}]"


def markdown(heads: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """A Markdown table; the first column is to the left, the others to the right."""
    marks = [":--", *("--:" for _ in heads[1:])]
    return "\n".join("| " + " | ".join(line) + " |" for line in (heads, marks, *lines))


def latex(heads: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """A LaTeX table for the package booktabs."""
    columns = "l" + "r" * (len(heads) - 1)
    body = [" & ".join(map(_escaped, line)) + r" \\" for line in lines]
    top = [rf"\begin{{tabular}}{{{columns}}}", r"\toprule", " & ".join(map(_escaped, heads)) + r" \\", r"\midrule"]
    return "\n".join([*top, *body, r"\bottomrule", r"\end{tabular}", ""])


_LATEX = {"\\": r"\textbackslash{}", "±": r"$\pm$", "–": "--", **{sign: "\\" + sign for sign in "&%$#_{}"}}


def _escaped(text: str) -> str:
    return "".join(_LATEX.get(character, character) for character in text)


def comma_separated(rows: Sequence[Row]) -> str:
    """All numbers, unrounded, with a line of names; what is unknown is empty."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    names = [column.name for column in fields(Row)]
    writer.writerow(names)
    for row in rows:
        values = [getattr(row, name) for name in names]
        writer.writerow(["" if value is None or value != value else value for value in values])
    return file.getvalue()


def swap_lines(study: Study, runs: Sequence[Run], setting: str) -> list[tuple[str, ...]]:
    """Mean and spread of accuracy and loss of each trained variant under each other solver, and under its own."""
    lines: list[tuple[str, ...]] = []
    for variant in study.variants:
        own = [run for run in runs if (run.setting, run.variant) == (setting, variant)]
        if not own:
            continue
        plain = [{**run.metrics, "nfe": run.cost.nfe} for run in own]
        for name, results in [("its own", plain), *((name, [run.swaps[name] for run in own]) for name in study.swaps)]:
            accuracy = summary([100 * result["test_accuracy"] for result in results])
            loss = summary([result["test_loss"] for result in results])
            nfe = sum(result["nfe"] for result in results) / len(results)
            lines.append((variant, name, f"{nfe:.1f}", _plus_minus(accuracy, 2), _plus_minus(loss, 3)))
    return lines


def _plus_minus(found: Summary, digits: int) -> str:
    return f"{found.mean:.{digits}f}" + ("" if math.isnan(found.std) else f" ± {found.std:.{digits}f}")


def better_first(metric: str, rows: Sequence[Row]) -> list[Row]:
    """Rows in the order of their means, the best first."""
    return sorted(rows, key=lambda row: row.mean, reverse=METRICS[metric])
