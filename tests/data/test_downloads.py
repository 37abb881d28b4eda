"""Where the full image sets are looked for, and downloads that fail, break off or arrive."""

import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from torchvision import datasets
from torchvision.datasets import utils

from odelib.data import IMAGE_SETS, DataError, data_folder, load_images

CifarWriter = Callable[..., Path]


def test_data_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, no_environment: None) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert data_folder() == tmp_path / ".cache" / "odelib"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "x"))
    assert data_folder() == tmp_path / "x" / "odelib"
    monkeypatch.setenv("ODELIB_DATA", "~/data")
    assert data_folder() == tmp_path / "data"
    monkeypatch.setenv("ODELIB_DATA", "")
    assert data_folder() == tmp_path / "x" / "odelib"


def test_environment_names_the_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, write_cifar: CifarWriter
) -> None:
    write_cifar(tmp_path / "cifar10")
    monkeypatch.setenv("ODELIB_DATA", str(tmp_path))
    assert len(load_images("cifar10").train_labels) == 15


@pytest.mark.parametrize("name", ["fashion-mnist", "cifar10", "cifar100"])
def test_absent_and_not_to_be_downloaded(tmp_path: Path, name: str) -> None:
    root = tmp_path / "cache"
    with pytest.raises(DataError) as caught:
        load_images(name, root=root, download=False)
    message = str(caught.value)
    title = IMAGE_SETS[name].title
    assert message.startswith(f"{title} is not in {root} and downloading it was not allowed: ")
    assert "set ODELIB_DATA" in message
    assert f"into {root / name.replace('-', '_')}" in message
    assert "http" in message
    assert not root.exists()


@pytest.mark.parametrize("name", ["fashion-mnist", "cifar10", "cifar100"])
def test_absent_and_no_network(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError) as caught:
        load_images(name, root=tmp_path)
    message = str(caught.value)
    title = IMAGE_SETS[name].title
    assert message.startswith(f"{title} is not in {tmp_path} and could not be downloaded from http")
    assert "(<urlopen error no network>): set ODELIB_DATA" in message
    assert f"into {tmp_path / name.replace('-', '_')}" in message
    assert "\n" not in message
    assert list(tmp_path.iterdir()) == []


def test_cache_that_cannot_be_written(tmp_path: Path) -> None:
    # A file where a folder must be made: taking away the write permission would not stop the root user.
    (tmp_path / "file").write_text("")
    root = tmp_path / "file" / "cache"
    with pytest.raises(DataError, match=r"cannot be downloaded into it \(Not a directory\): set ODELIB_DATA"):
        load_images("cifar10", root=root)


def test_download_arrives_whole(
    tmp_path: Path,
    write_cifar: CifarWriter,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    origin, root = tmp_path / "origin", tmp_path / "root"
    write_cifar(origin)
    asked = []

    def serve(url: str, folder: str, filename: str, md5: str) -> None:
        asked.append((url, md5))
        with tarfile.open(Path(folder, filename), "w:gz") as archive:
            archive.add(origin / "cifar-10-batches-py", "cifar-10-batches-py")

    monkeypatch.setattr(utils, "download_url", serve)
    data = load_images("cifar10", root=root)
    assert asked == [(datasets.CIFAR10.url, datasets.CIFAR10.tgz_md5)]
    assert len(data.train_labels) == 15
    assert [path.name for path in root.iterdir()] == ["cifar10"]
    assert [path.name for path in (root / "cifar10").iterdir()] == ["cifar-10-batches-py"]
    assert len(load_images("cifar10", root=root).train_labels) == 15
    assert len(asked) == 1


def test_fashion_mnist_download_arrives_whole(
    tmp_path: Path, original_fashion_mnist: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def serve(url: str, folder: str, filename: str, md5: str) -> None:
        asked.append(url)
        Path(folder).mkdir(parents=True, exist_ok=True)
        Path(folder, filename).write_bytes((original_fashion_mnist / filename).read_bytes())

    monkeypatch.setattr(utils, "download_url", serve)
    assert len(load_images("fashion-mnist", root=tmp_path).train_labels) == 60_000
    assert len(asked) == 4
    assert [path.name for path in tmp_path.iterdir()] == ["fashion_mnist"]


@pytest.mark.parametrize(
    "failure",
    [
        RuntimeError("File not found or corrupted."),
        TimeoutError("timed out"),
        OSError(28, "No space left on device"),
    ],
)
def test_failed_download_leaves_nothing(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    failure: Exception,
) -> None:
    def fail_halfway(url: str, folder: str, filename: str, md5: str) -> None:
        Path(folder, filename).write_bytes(b"half")
        raise failure

    monkeypatch.setattr(utils, "download_url", fail_halfway)
    with pytest.raises(DataError, match="could not be downloaded from http"):
        load_images("cifar10", root=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_interrupted_download_leaves_nothing(
    tmp_path: Path, write_cifar: CifarWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(from_path: str, to_path: str) -> None:
        write_cifar(Path(to_path))  # some files are unpacked already
        raise KeyboardInterrupt

    monkeypatch.setattr(utils, "download_url", lambda *_: None)
    monkeypatch.setattr(utils, "extract_archive", interrupt)
    with pytest.raises(KeyboardInterrupt):
        load_images("cifar10", root=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_archive_that_cannot_be_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def serve(url: str, folder: str, filename: str, md5: str) -> None:
        Path(folder, filename).write_bytes(b"not an archive")

    monkeypatch.setattr(utils, "download_url", serve)
    with pytest.raises(DataError, match=r"could not be downloaded from .*not a gzip file"):
        load_images("cifar100", root=tmp_path)
    assert list(tmp_path.iterdir()) == []
