"""A study as a report: tables, figures, and a paragraph for each claim."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from odelib.data.baseline import TF_IDF
from odelib.files import filling, write_text
from odelib.studies.figures import gains, learning_curves, scatter
from odelib.studies.items import over_items, second_sentence
from odelib.studies.job import REPORT, Outcome
from odelib.studies.runs import Run, open_study
from odelib.studies.study import Study
from odelib.studies.tables import (
    HEADS,
    UNITS,
    Row,
    better_first,
    by_seed,
    cells,
    comma_separated,
    latex,
    markdown,
    rows_of,
    swap_lines,
)
from odelib.studies.verdicts import Comparison, Verdict, decide, paragraph

_METHOD = """\
Intervals of means are 95 % intervals by Student's t. Differences are of the means, unpaired, by Welch's t. Those of \
the tables hold all together with probability 0.95, and so do those of the claims: each of m is of level 1 - 0.05 / m \
(Bonferroni). A verdict is read off the interval of a claim: *supported* if all of it is above zero, *worse* if all \
of it is below zero, *smaller than matters* if all of it is below the gain that would matter, else *undecided*, with \
the seeds that would decide. With fewer than 5 seeds of a variant, or equal values, there is neither interval nor \
verdict. A second interval, over seeds and test items, says what another test set would change. *Equal* is what a \
variant and the baseline hold equal, measured: parameters exactly, field evaluations and FLOPs within 1 %. NFE are \
field evaluations and MFLOPs the operations of a forward pass. The numbers are those after the last epoch, or of the \
epoch that the validation split chose: test data choose nothing."""


def write_report(folder: Path, out: Path | None = None) -> Path:
    """Write ``report.md``, ``table.csv``, ``table-<setting>.tex`` and figures for what a study has so far.

    Args:
        folder: A study's folder, as ``run_study`` or ``keep_runs`` leaves it.
        out: Where to write; None: the folder ``report`` in it.

    Returns:
        The Markdown file.

    Raises:
        TrainingError: The folder is not that of a study, or no run is done yet, or a result is damaged.
        ValueError: Its study file has a mistake.
        OSError: The report cannot be written; nothing of it is left.
    """
    study, runs, others = open_study(folder)
    rows = rows_of(study, runs)
    verdicts = decide(comparisons_of(study, runs), study.protocol.questions if study.protocol else None)
    parts = [f"# {study.title}", _state(runs, others), _claims(study, verdicts, runs, folder)]
    out = out or folder / REPORT
    with filling(out) as partial:
        write_text(partial / "table.csv", comma_separated(rows))
        parts += [
            _setting(name, study, runs, rows, verdicts, partial)
            for name in study.settings
            if any(r.setting == name for r in rows)
        ]
        parts += ["## How to read the numbers", _METHOD, "## How they came about", _provenance(runs)]
        write_text(partial / "report.md", "\n\n".join(part for part in parts if part) + "\n")
    return out / "report.md"


def comparisons_of(study: Study, runs: Sequence[Run]) -> list[Comparison]:
    """Each claim in each setting where it is asked, with the numbers of the runs."""
    found = []
    for claim in study.claims:
        for where in claim.settings:
            metric = study.settings[where].metric
            values = by_seed(runs, where, metric)
            costs = {run.variant: run.cost for run in runs if run.setting == where}
            both = claim.better in costs and claim.than in costs
            found.append(
                Comparison(
                    claim,
                    where,
                    metric,
                    values.get(claim.better, {}),
                    values.get(claim.than, {}),
                    (costs[claim.better], costs[claim.than]) if both else None,
                )
            )
    return found


def _state(runs: Sequence[Run], others: Sequence[Outcome]) -> str:
    text = f"{len(runs)} of {len(runs) + len(others)} runs are done"
    if not others:
        return text + "."
    return text + ". Missing:\n\n" + "\n".join(f"- {other.name}: {other.message}" for other in others)


def _claims(study: Study, verdicts: Sequence[Verdict], runs: Sequence[Run], folder: Path) -> str:
    parts = ["## Claims"] if verdicts else []
    for claim in study.claims:
        own = [verdict for verdict in verdicts if verdict.comparison.claim is claim]
        parts.append(f"### {claim.text}")
        for verdict in own:
            wider = over_items(verdict, runs, folder)
            more = "" if wider is None else f" {second_sentence(verdict, wider)}"
            parts.append(f"*{verdict.comparison.setting}.* {paragraph(verdict)}{more}")
    return "\n\n".join(parts)


def _setting(
    name: str, study: Study, runs: Sequence[Run], rows: Sequence[Row], verdicts: Sequence[Verdict], out: Path
) -> str:
    own = [run for run in runs if run.setting == name]
    table = [row for row in rows if row.setting == name]
    metric = study.settings[name].metric
    lines = [cells(row) for row in table]
    write_text(out / f"table-{name}.tex", latex(HEADS, lines))
    against = f"; the baseline is `{study.baseline}`" if study.baseline else ""
    parts = [f"## {name}: {UNITS[metric][0]}{against}", markdown(HEADS, lines)]
    simple = {run.metrics[TF_IDF] for run in own if TF_IDF in run.metrics}
    if simple:
        parts.append(f"Without a network, logistic regression on TF-IDF features reaches {100 * max(simple):.1f} %.")
    order = [row.variant for row in better_first(metric, table)]
    asked = [v for v in verdicts if v.comparison.setting == name and min(v.gain.counts)]
    figures = {"gains": gains(asked, out / f"gains-{name}.svg")} if asked else {}
    figures |= {
        "curves": learning_curves(own, metric, order, out / f"curves-{name}.svg"),
        "compute": scatter(table, lambda row: row.mega_flops, "MFLOPs of a forward pass", out / f"compute-{name}.svg"),
        "parameters": scatter(table, lambda row: row.parameters, "parameters", out / f"parameters-{name}.svg"),
    }
    parts += [f"![{text}]({kind}-{name}.svg)\n\n{text}" for kind, text in figures.items()]
    if study.swaps:
        heads = ("variant", "solver", "NFE", "test accuracy in %", "test loss in nats")
        parts += ["### Other solvers on the trained weights", markdown(heads, swap_lines(study, runs, name))]
    return "\n\n".join(parts)


def _provenance(runs: Sequence[Run]) -> str:
    def most(key: str) -> str:
        counts = Counter(str(run.provenance.get(key)) for run in runs)
        return ", ".join(
            f"{value} ({count} runs)" if len(counts) > 1 else value for value, count in counts.most_common()
        )

    versions = Counter(", ".join(f"{k} {v}" for k, v in run.provenance["versions"].items()) for run in runs)
    dates = sorted(str(run.provenance["date"]) for run in runs)
    lines = {
        "Time": f"{sum(run.seconds for run in runs) / 60:.1f} minutes of computing in {len(runs)} runs",
        "Dates": dates[0] if dates[0] == dates[-1] else f"{dates[0]} to {dates[-1]}",
        "Commit": most("commit"),
        "Protocol": most("protocol"),
        "Versions": "; ".join(versions),
        "Processor": f"{most('processor')}, {most('threads')} thread(s) per run, device {most('device')}",
    }
    return "\n".join(f"- {name}: {text}" for name, text in lines.items())
