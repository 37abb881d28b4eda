"""What a download that failed says and leaves."""

import errno
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from odelib.data import DATA_SETS, DataError, downloads, load_images
from odelib.data.downloads import Source, find_or_download
from odelib.data.fetch import Remote

FULL = [(errno.ENOSPC, "No space left on device"), (errno.EDQUOT, "Disk quota exceeded"), (errno.EFBIG, "File too big")]


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def source_of(remote: Remote, **options: Any) -> Source:
    return Source("tiny-shakespeare", (remote,), Path("own"), marks=("a.txt",), **options)


@pytest.mark.parametrize(("number", "words"), FULL)
def test_a_full_disk_asks_for_space_and_the_next_call_goes_on(
    server: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, words: str
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(number, words)

    source = source_of(server.remote("a.txt", b"a" * 2000))
    with monkeypatch.context() as patch:
        patch.setattr(downloads.os, "fsync", full)
        with pytest.raises(DataError, match=rf"\({words}\): free some space there and try again") as caught:
            find_or_download(source, tmp_path, True)
    assert str(caught.value).endswith("or set ODELIB_DATA to a folder on another disk")  # and no file by hand there
    assert names(tmp_path) == [".own.download"]
    assert (find_or_download(source, tmp_path, True) / "a.txt").read_bytes() == b"a" * 2000
    assert server.asked == [("a.txt", None), ("a.txt", "bytes=2000-")]


@pytest.mark.parametrize(("number", "words"), FULL)
def test_a_disk_that_is_full_before_a_download_asks_for_space(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, words: str
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(number, words)

    monkeypatch.setattr(FileLock, "acquire", full)
    with pytest.raises(DataError, match=rf"cannot be downloaded into it \({words}\): free some space there"):
        load_images("cifar10", root=tmp_path)


@pytest.mark.parametrize("archive", [False, True])
def test_an_address_that_leads_nowhere_is_not_named_as_a_remedy(server: Any, tmp_path: Path, archive: bool) -> None:
    source = source_of(Remote(server.url("gone.tar"), "md5:0"), archive=archive)
    with pytest.raises(DataError, match=r"HTTP Error 404: .* at this address any more, so install a newer") as caught:
        find_or_download(source, tmp_path, True)
    said = str(caught.value)
    assert "try again" not in said
    assert said.count(server.url("")) == 1
    assert f"gone.tar from {DATA_SETS['tiny-shakespeare'].url} into {tmp_path}/own by hand" in said


@pytest.mark.parametrize("name", ["fashion-mnist", "cifar10"])
def test_where_nothing_arrived_nothing_is_left(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError, match="no network"):
        load_images(name, root=tmp_path)
    assert names(tmp_path) == []
