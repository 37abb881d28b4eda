"""Your own data: a folder of pictures, a table of texts with labels, or one long text.

What is not split by whoever made it is split here: of each class a tenth is kept for testing and a tenth for
validation, at least one item each, chosen by the checksums of names or texts. So the same data are split alike on every
machine, and a new item moves no other one.
"""

import csv
import hashlib
import io
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import TypeVar

import torch

from odelib.data.images import channel_statistics
from odelib.data.pictures import PictureError, listed, measure_picture, pictures_in, read_picture, refusal
from odelib.data.sets import DataError, ImageData
from odelib.data.text import CharacterData, IntentData, split_characters
from odelib.data.tokens import Characters

Item = TypeVar("Item")
_LEAST, _LARGEST = 4, 64
_SPLITS = {"train": "train", "validation": "validation", "val": "validation", "valid": "validation", "test": "test"}


def load_folder(folder: Path, resolution: int | None = None, *, skip_bad: bool = False) -> ImageData:
    """Load pictures from a folder with a folder for each class (torchvision's ImageFolder layout).

    Above the classes there may be folders ``train``, ``validation`` (or ``val``) and ``test``.

    Args:
        folder: The folder.
        resolution: Side of the pictures in pixels, at least 4; None: the median of their shorter sides, at most 64, in
            fours.
        skip_bad: Leave out files that cannot be read; else they are refused.

    Raises:
        ValueError: The resolution is too small.
        DataError: There is no picture, a folder without any, fewer than two classes, a class with too few pictures, or
            a file that cannot be read; the sentence names it.
    """
    if resolution is not None and resolution < _LEAST:
        raise ValueError(f"resolution is {resolution}, expected None or at least {_LEAST} pixels")
    files = _labelled(folder)
    found, bad = {}, []
    for path in sorted({path for split in files.values() for path, _ in split}):
        try:
            found[path] = measure_picture(path)
        except PictureError as error:
            bad.append(error)
    if bad and not skip_bad:
        raise refusal(bad)
    kept = {split: [item for item in items if item[0] in found] for split, items in files.items()}
    for split, items in files.items():
        for label in sorted({label for _, label in items} - {label for _, label in kept[split]}):
            raise DataError(
                f"no picture of the class {label!r} in the {split} split of {folder} can be read: replace them, or "
                "remove the class"
            )
    classes, splits = _split(kept, folder, lambda path: str(path.relative_to(folder)), "pictures")
    channels = 1 if all(grey for _, grey in found.values()) else 3
    size = resolution or max(min(int(median(side for side, _ in found.values())), _LARGEST) // 4 * 4, 8)
    images = {
        split: torch.stack([read_picture(path, size, channels) for path, _ in items]) for split, items in splits.items()
    }
    labels = {
        split: torch.tensor([classes.index(label) for _, label in items], dtype=torch.int64)
        for split, items in splits.items()
    }
    mean, std = channel_statistics(images["train"])
    skipped = f"; left out, since they cannot be read: {listed(bad, folder)}" if bad else ""
    return ImageData(
        name=folder.resolve().name,
        train_images=images["train"],
        train_labels=labels["train"],
        test_images=images["test"],
        test_labels=labels["test"],
        classes=tuple(classes),
        mean=mean,
        std=tuple(max(each, 1e-3) for each in std),
        note=f"own pictures at {size} x {size} pixels{skipped}",
        validation_images=images["validation"],
        validation_labels=labels["validation"],
    )


def load_table(path: Path) -> IntentData:
    """Load texts with labels from a CSV file with columns ``text`` and ``label``; others are left aside.

    Raises:
        DataError: The file cannot be read, has a quotation mark that is not closed, lacks a column or a value, or has a
            label with too few texts.
    """
    items = _rows(path)
    classes, splits = _split({"train": items}, path, str, "texts")
    texts = {split: tuple(text for text, _ in rows) for split, rows in splits.items()}
    labels = {
        split: torch.tensor([classes.index(label) for _, label in rows], dtype=torch.int64)
        for split, rows in splits.items()
    }
    return IntentData(
        name=path.stem,
        train_texts=texts["train"],
        train_labels=labels["train"],
        validation_texts=texts["validation"],
        validation_labels=labels["validation"],
        test_texts=texts["test"],
        test_labels=labels["test"],
        classes=tuple(classes),
        out_of_scope=(),
        note="own texts with labels",
    )


def _rows(path: Path) -> list[tuple[str, str]]:
    # A file and not splitlines, which would cut at the other line ends of Unicode; strict, since a quotation mark that
    # is not closed would make one text of all rows that follow.
    rows, last = csv.DictReader(io.StringIO(_read(path)), strict=True), 0
    items = []
    try:
        missing = [name for name in ("text", "label") if name not in (rows.fieldnames or ())]
        if missing:
            columns = ", ".join(map(str, rows.fieldnames or ())) or "none"
            raise DataError(
                f"{path} has no column {missing[0]!r} (its columns: {columns}): name two of them text and label"
            )
        last = rows.line_num
        for row in rows:
            last = rows.line_num
            if not (row["text"] or "").strip() or not (row["label"] or "").strip():
                raise DataError(f"{path}, line {last}: text or label is empty: fill it in, or remove the row")
            items.append((row["text"].strip(), row["label"].strip()))
    except csv.Error as error:
        raise DataError(
            f"{path}, the row that begins on line {last + 1} cannot be read ({error}): close the quotation mark there, "
            "or write each one within a text twice"
        ) from error
    return items


def load_text(path: Path) -> CharacterData:
    """Load a text of which the characters are to be continued: nine tenths to learn from, then validation, then test.

    Raises:
        DataError: The file cannot be read or is empty.
    """
    text = _read(path)
    if len(text) < 3:
        raise DataError(f"{path} has {len(text)} characters: give a longer text")
    return replace(split_characters(path.stem, text, Characters.of(text)), note="own text")


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise DataError(f"cannot read {path} ({error.strerror}): check its name and its permissions") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not in UTF-8 ({error}): save it in that encoding") from error


def _labelled(folder: Path) -> dict[str, list[tuple[Path, str]]]:
    if folder.is_file():
        raise DataError(
            f"{folder} is a file, expected a folder with one subfolder for each class: give the folder above the "
            "classes, with pictures such as cat/1.png in it, or for texts a table.csv or a book.txt"
        )
    if not folder.is_dir():
        raise DataError(f"there is no folder {folder}: check its name")
    splits = {_SPLITS[each.name.lower()]: each for each in _folders(folder) if each.name.lower() in _SPLITS}
    places = splits if "train" in splits else {"train": folder}
    files = {
        split: [(path, each.name) for each in _folders(where) for path in pictures_in(each)]
        for split, where in places.items()
    }
    if not files["train"]:
        raise DataError(
            f"{folder} has no pictures in folders of classes: put those of each class into a folder with its name, "
            f"such as {folder}/cat/1.png"
        )
    for each in (each for where in places.values() for each in _folders(where)):
        if not pictures_in(each):
            raise DataError(f"the folder {each} has no pictures: put those of its class there, or remove it")
    return files


def _folders(folder: Path) -> Iterable[Path]:
    return sorted(each for each in folder.iterdir() if each.is_dir() and not each.name.startswith("."))


def _split(
    given: dict[str, list[tuple[Item, str]]], where: Path, name: Callable[[Item], str], what: str
) -> tuple[list[str], dict[str, list[tuple[Item, str]]]]:
    """The names of the classes, and all three splits: those that are missing are taken from the training one."""
    classes = sorted({label for _, label in given["train"]})
    for split, items in given.items():
        for item, label in items:
            if label not in classes:
                raise DataError(
                    f"{name(item)} in the {split} split of {where} has the label {label!r}, which no training item "
                    f"has (labels: {', '.join(classes)}): correct it, or add such items to learn from"
                )
    if len(classes) < 2:
        raise DataError(f"{where} has {len(classes)} class(es): give at least two to tell apart")
    missing = [split for split in ("test", "validation") if not given.get(split)]
    splits = {split: list(items) for split, items in given.items() if items and split != "train"}
    splits |= {split: [] for split in missing}
    splits["train"] = []
    for label in classes:
        own = sorted((item for item in given["train"] if item[1] == label), key=lambda item: _order(name(item[0])))
        if len(own) <= len(missing):
            raise DataError(
                f"the class {label!r} in {where} has {len(own)} {what[:-1] if len(own) == 1 else what}: give at least "
                f"{len(missing) + 1}, to learn from, to validate and to test with"
            )
        share = max(len(own) // 10, 1)
        for split in missing:
            splits[split] += own[:share]
            own = own[share:]
        splits["train"] += own
    return classes, splits


def _order(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()


def held_out(count: int, share: float) -> tuple[Sequence[int], Sequence[int]]:
    """Which of ``count`` training items stay, and which are kept for validation: the same ones in every run."""
    order = torch.randperm(count, generator=torch.Generator().manual_seed(0)).tolist()
    cut = max(round(share * count), 1)
    return sorted(order[cut:]), sorted(order[:cut])
