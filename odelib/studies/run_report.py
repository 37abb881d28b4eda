"""One run as a report: its curves, and for a classifier which classes it takes for which."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Int64
from torch import Tensor

from odelib.data import DataError
from odelib.files import filling, write_text
from odelib.studies.figures import axes, write
from odelib.studies.tables import markdown
from odelib.training.prepare import prepare, where_data_are
from odelib.training.record import EpochMetrics, read_metrics
from odelib.training.run import chosen
from odelib.training.runtime import Runtime
from odelib.training.tasks import Task
from odelib.training.trained import Trained, load

_CURVES = {
    "train": ("training (augmented)", "--"),
    "test": ("test", "-"),
    "validation": ("validation", ":"),
    "raw_test": ("test, weights not averaged", "-."),
}


def write_run_report(folder: Path, out: Path | None = None, device: str = "auto", data: str | None = None) -> Path:
    """Write ``report.md`` and figures of one run; without its data the report says why it has no confusion matrix.

    Args:
        folder: A run folder, of a run that may still go on.
        out: Where to write; None: the folder ``report`` in it.
        device: Where to measure the confusion of a classifier.
        data: Where the data of the run are now, if they were your own and have moved; None: where they were.

    Returns:
        The Markdown file.

    Raises:
        TrainingError: The folder has no checkpoint or no metrics that can be used.
        ValueError: ``data`` are not those of the run.
        DataError: ``data`` cannot be read.
        OSError: The report cannot be written; nothing of it is left.
    """
    run = load(folder)
    head, history = read_metrics(folder)
    counts, missing = _counted(run, data, Runtime.choose(device, run.config.precision))
    out = out or folder / "report"
    with filling(out) as partial:
        parts = _accuracy(run, history, partial)
        if counts is not None or missing:
            shown = missing if counts is None else _drawn(counts, run, partial)
            parts += ["## Which classes are taken for which", *shown]
        parts += ["## How it came about", _provenance(head, history)]
        write_text(partial / "report.md", "\n\n".join(parts) + "\n")
    return out / "report.md"


def _accuracy(run: Trained, history: tuple[EpochMetrics, ...], out: Path) -> list[str]:
    """What the run has come to, in words and curves."""
    parts = [
        f"# {run.data.get('name', run.config.data)}, step rule {run.config.model.step_rule}, seed {run.config.seed}"
    ]
    if history:
        best = chosen(run.config, history)
        parts += [
            f"After {len(history)} of {run.config.epochs} epochs: test accuracy {100 * best.test_accuracy:.2f} %, test "
            f"loss {best.test_loss:.4f} nats"
            + (f", of epoch {best.epoch}, which the validation split chose." if run.config.keep_best else "."),
            *(f"![{text}]({name}.svg)\n\n{text}" for name, text in _curves(history, out).items()),
        ]
    else:
        parts.append("No epoch is done yet.")
    return parts


def _provenance(head: dict[str, Any], history: Sequence[EpochMetrics]) -> str:
    cost, versions = head["cost"], ", ".join(f"{name} {value}" for name, value in head["versions"].items())
    return (
        f"{cost['parameters']:,} parameters, {cost['nfe']:g} field evaluations and {cost['flops'] / 1e6:.3g} MFLOPs of "
        f"a forward pass; {sum(epoch.seconds for epoch in history) / 60:.1f} minutes on {head['device_name']} "
        f"({head['device']}, {head['precision']}, {head['threads']} threads); {versions}; commit {head['commit']}."
    )


def _curves(history: Sequence[EpochMetrics], out: Path) -> dict[str, str]:
    texts = {}
    for what, label, factor in (("loss", "loss in nats", 1.0), ("accuracy", "accuracy in %", 100.0)):
        figure, ax = axes("epoch", label)
        for name, (text, line) in _CURVES.items():
            values = [getattr(epoch, f"{name}_{what}") for epoch in history]
            if None not in values:
                ax.plot([epoch.epoch for epoch in history], [factor * value for value in values], line, label=text)
        ax.legend(frameon=False, fontsize=8)
        write(figure, out / f"{what}.svg")
        texts[what] = f"{label.capitalize()} after each epoch."
    return texts


def _counted(
    run: Trained, data: str | None, runtime: Runtime
) -> tuple[Int64[Tensor, "classes classes"] | None, list[str]]:
    """The confusion of a classifier; None where its data are not where they were, and the sentence about that."""
    try:
        if not run.classes:
            return None, []
        now = where_data_are(run.config.data, data, run.folder)
        prepared = prepare({**run.config.to_dict(), "init": None, "data": now}, runtime, known=run.data)
    except (ValueError, DataError) as error:
        if data is not None:  # named for this report, so it is to be corrected and not to be gone without
            raise
        return None, [f"This was not measured: {error}."]
    return confusion(run.model.to(runtime.device), prepared.task, len(run.classes), runtime), []


def _drawn(counts: Int64[Tensor, "classes classes"], run: Trained, out: Path) -> list[str]:
    """The confusion matrix as a figure, and its largest entries as a table."""
    figure, ax = axes("predicted class", "true class", width=5.6 if len(run.classes) <= 20 else 8.0)
    shares = counts / counts.sum(dim=1, keepdim=True).clamp(min=1)
    ax.imshow(shares.numpy(), cmap="Blues", vmin=0.0, vmax=1.0)
    ax.grid(visible=False)
    if len(run.classes) <= 20:
        places = range(len(run.classes))
        ax.set_xticks(places, run.classes, rotation=90, fontsize=7)
        ax.set_yticks(places, run.classes, fontsize=7)
    write(figure, out / "confusion.svg")
    wrong = counts.clone().fill_diagonal_(0)
    order = wrong.flatten().argsort(descending=True)[:10].tolist()
    rows: list[tuple[str, ...]] = [
        (run.classes[k // len(run.classes)], run.classes[k % len(run.classes)], str(int(wrong.flatten()[k])))
        for k in order
        if wrong.flatten()[k] > 0
    ]
    text = "Share of the test items of each true class (rows) that each class was predicted for (columns)."
    return [
        f"![{text}](confusion.svg)\n\n{text}",
        *([markdown(("is", "taken for", "times"), rows)] if rows else ["No test item is taken for another class."]),
    ]


@torch.inference_mode()
def confusion(model: Any, task: Task, classes: int, runtime: Runtime) -> Int64[Tensor, "classes classes"]:
    """How often each true class (first axis) was taken for each class (second axis), on the test split."""
    counts = torch.zeros(classes * classes, dtype=torch.int64)
    for batch in task.test():
        with runtime.autocast():
            given = model(*batch.inputs).argmax(dim=-1)
        counts += torch.bincount((batch.targets * classes + given).cpu(), minlength=classes * classes)
    return counts.view(classes, classes)
