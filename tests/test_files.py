"""Files are written whole or not at all, and an error says which file, why, and what to do."""

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from odelib.files import copy, filling, naming, reason_of, replacing, said, write_text


def full() -> OSError:
    return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def write(path: Path) -> None:
    """Write half a file, then stop."""
    with replacing(path) as partial:
        partial.write_text("after")
        raise full()


def fill(folder: Path, last: Callable[[Path], None]) -> None:
    with filling(folder) as partial:
        write_text(partial / "1", "new")
        last(partial / "2")


def stop(path: Path) -> None:
    raise ValueError("stop")


def test_a_file_that_cannot_be_written_is_named_and_stays_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    write_text(path, "before")
    with pytest.raises(OSError, match=r"No space left on device: '.*a\.txt'") as caught:
        write(path)
    assert said(caught.value) == (
        f"cannot use {path} (No space left on device): free some space, or write to another disk"
    )
    assert [each.name for each in tmp_path.iterdir()] == ["a.txt"]
    assert path.read_text() == "before"


def test_a_copy_names_the_file_that_is_not_there_or_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"source'$"):
        copy(tmp_path / "source", tmp_path / "target")
    error = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "source", None, "target")  # as shutil raises it
    with pytest.raises(OSError, match=r"device: '[^']*target'$"), naming(tmp_path / "target"):
        raise error


def test_a_folder_is_filled_or_left_as_it_was(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    fill(folder, lambda path: write_text(path, "two"))
    write_text(folder / "1", "old")
    with pytest.raises(OSError, match=rf"cannot use {folder}/2 \(No space left"):
        fill(folder, write)
    assert {path.name: path.read_text() for path in folder.iterdir()} == {"1": "old", "2": "two"}
    with pytest.raises(ValueError, match="stop"):
        fill(tmp_path / "c" / "d", stop)
    assert not (tmp_path / "c").exists()


def test_a_folder_that_is_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("")
    with pytest.raises(OSError, match=rf"cannot use {tmp_path}/x \(Not a directory\): check its name"):
        fill(tmp_path / "x", stop)


def test_an_error_without_words_is_told_by_its_kind() -> None:
    assert said(KeyError()) == "KeyError"
    assert said(FileNotFoundError("there is none")) == "there is none"


def test_the_reason_is_the_systems_also_where_a_library_tells_only_its_number() -> None:
    library = RuntimeError("Error while serializing: I/O error: File too large (os error 27)")
    assert reason_of(library) == os.strerror(27)
    assert reason_of(RuntimeError("unexpected pos 64")) == "not all of it could be written"
    wrapped = RuntimeError("unexpected pos 64")
    wrapped.__cause__ = full()
    assert reason_of(wrapped) == "No space left on device"
