"""Files that are written whole or not at all, and what versions wrote them."""

import errno
import json
import os
import re
import shutil
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
        with naming(path, partial):
            yield partial
            with open(partial, "rb+") as file:
                os.fsync(file.fileno())
            os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def filling(folder: Path) -> Iterator[Path]:
    """Context that gives a folder to write into instead; at its end the files in it move to ``folder``, made if absent.

    Where the block raises, nothing of it is left, and what was in the folder before stays as it was.

    Args:
        folder: The folder.

    Raises:
        OSError: A file cannot be written; the sentence names it as it would have been called in the folder.
    """
    made = [each for each in (folder, *folder.parents) if not each.exists()]
    partial = folder / ".partial"
    try:
        partial.mkdir(parents=True, exist_ok=True)
        yield partial
        for path in sorted(partial.iterdir()):
            os.replace(path, folder / path.name)
    except OSError as error:
        raise OSError(said(error).replace(str(partial), str(folder))) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)  # absent where it could not be made
        for each in made:
            if each.is_dir() and not any(each.iterdir()):
                each.rmdir()


@contextmanager
def naming(path: Path, partial: Path | None = None) -> Iterator[None]:
    """Context in which the system's errors say which file is written, which those of a full disk do not know.

    Args:
        path: The file.
        partial: What it is called until it is whole.
    """
    try:
        yield
    except OSError as error:
        unknown = error.filename is None or str(error.filename) == str(partial) or error.errno in FULL
        if error.errno is not None and unknown:
            error.filename = str(path)
            del error.filename2  # None would be told as a name
        raise


def write_text(path: Path, text: str) -> None:
    """Write a text in UTF-8, whole or not at all."""
    with replacing(path) as partial:
        partial.write_text(text, encoding="utf-8")


def copy(path: Path, to: Path) -> None:
    """Copy a file, whole or not at all."""
    with replacing(to) as partial:
        shutil.copyfile(path, partial)


def write_json(path: Path, values: Mapping[str, Any]) -> None:
    """Write plain values as JSON, whole or not at all."""
    write_text(path, json.dumps(values, indent=2, allow_nan=False) + "\n")


FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""What the system says where a disk, a quota or a file is full."""
_REMEDIES = {
    **dict.fromkeys(FULL, "free some space, or write to another disk"),
    **dict.fromkeys((errno.EACCES, errno.EPERM, errno.EROFS), "change its permissions, or choose another folder"),
    **dict.fromkeys((errno.ENOENT, errno.ENOTDIR, errno.EISDIR), "check its name"),
}


def said(error: BaseException) -> str:
    """What an error says: its own sentence, or for one of the system's the file, the reason and what to do."""
    if not isinstance(error, OSError) or error.errno is None or error.filename is None:
        return str(error) or type(error).__name__
    remedy = _REMEDIES.get(error.errno, "check it, or choose another one")
    return f"cannot use {error.filename} ({error.strerror}): {remedy}"


def reason_of(error: BaseException) -> str:
    """Why a file could not be written, in the words of the system and not in those of the library that tried."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.strerror:
            return cause.strerror
        if number := re.search(r"\(os error (\d{1,4})\)", str(cause)):  # all that safetensors passes on
            return os.strerror(int(number[1]))
        cause = cause.__cause__ or cause.__context__
    return "not all of it could be written"


def version_of(package: str = "odelib") -> str | None:
    """Version of an installed package; None where it is imported from a source tree that was never installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None
