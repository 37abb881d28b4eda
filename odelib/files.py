"""Files that are written whole or not at all, and what versions wrote them."""

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any


@contextmanager
def replacing(path: Path, *, tag: str = "") -> Iterator[Path]:
    """Context that gives the path to write to instead; at its end that file is on the disk and takes the name ``path``.

    Where the block raises, and where a disk is full, the file before stays as it was.

    Args:
        path: The file; its folder exists.
        tag: Part of the temporary name, where several processes may write the same file at the same time.
    """
    partial = path.with_name(f"{path.name}{tag and '.' + tag}.partial")
    try:
        yield partial
        with open(partial, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def write_json(path: Path, values: Mapping[str, Any]) -> None:
    """Write plain values as JSON, whole or not at all."""
    with replacing(path) as partial:
        partial.write_text(json.dumps(values, indent=2, allow_nan=False) + "\n", encoding="utf-8")


def reason_of(error: BaseException) -> str:
    """Why a file could not be written, in the words of the system and not in those of the library that tried."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.strerror:
            return cause.strerror
        cause = cause.__cause__ or cause.__context__
    return "not all of it could be written"


def version_of(package: str = "odelib") -> str | None:
    """Version of an installed package; None where it is imported from a source tree that was never installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None
