"""Where the full image sets are looked for, and downloads that fail, break off or arrive."""

import gzip
import hashlib
import io
import os
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock
from torchvision import datasets

from odelib.data import IMAGE_SETS, DataError, data_folder, downloads, fashion_mnist, load_images
from odelib.data.downloads import Source, find, find_or_download

CifarWriter = Callable[..., Path]


def visible(folder: Path) -> list[str]:
    """What a person sees: not the lock, nor the folder in which a download arrives."""
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))


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


def test_the_cache_is_searched_after_the_folder_that_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, write_cifar: CifarWriter
) -> None:
    monkeypatch.setenv("ODELIB_DATA", str(tmp_path / "named"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with pytest.raises(DataError) as caught:
        load_images("cifar10", download=False)
    named, cache = tmp_path / "named", tmp_path / "cache" / "odelib"
    assert f"CIFAR-10 is not in {named} or {cache} and downloading" in str(caught.value)
    write_cifar(cache / "cifar10")
    assert len(load_images("cifar10", download=False).train_labels) == 15
    write_cifar(named / "cifar10", per_file=4)
    assert len(load_images("cifar10", download=False).train_labels) == 20


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
    assert "(<urlopen error no network>): try again" in message
    assert "set ODELIB_DATA" in message
    assert f"into {tmp_path / name.replace('-', '_')}" in message
    assert "\n" not in message
    assert visible(tmp_path) == []


def test_cache_that_cannot_be_written(tmp_path: Path) -> None:
    # A file where a folder must be made: taking away the write permission would not stop the root user.
    (tmp_path / "file").write_text("")
    root = tmp_path / "file" / "cache"
    with pytest.raises(DataError, match=r"cannot be downloaded into it \(Not a directory\): set ODELIB_DATA"):
        load_images("cifar10", root=root)


@pytest.fixture
def served_cifar(
    server: Any, tmp_path: Path, write_cifar: CifarWriter, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., bytes]:
    """A function that puts an archive with a small CIFAR-10 in the place of the official one, changed if asked."""

    def serve(damage: Callable[[bytes], bytes] = bytes) -> bytes:
        write_cifar(tmp_path / "origin")
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
            archive.add(tmp_path / "origin" / "cifar-10-batches-py", "cifar-10-batches-py")
        content = damage(buffer.getvalue())
        server.files["cifar.tar.gz"] = content
        monkeypatch.setattr(datasets.CIFAR10, "url", server.url("cifar.tar.gz"))
        monkeypatch.setattr(datasets.CIFAR10, "tgz_md5", hashlib.md5(content).hexdigest())
        return content

    return serve


def test_download_arrives_whole(server: Any, tmp_path: Path, served_cifar: Callable[..., bytes]) -> None:
    root = tmp_path / "root"
    served_cifar()
    server.cuts = [300]
    assert len(load_images("cifar10", root=root).train_labels) == 15
    assert [asked for _, asked in server.asked] == [None, "bytes=300-"]
    assert visible(root) == ["cifar10"]
    assert visible(root / "cifar10") == ["cifar-10-batches-py"]
    assert sorted(path.name for path in root.iterdir()) == [".cifar10.lock", "cifar10"]
    assert len(load_images("cifar10", root=root).train_labels) == 15
    assert len(server.asked) == 2


def test_fashion_mnist_download_arrives_whole_or_goes_on(
    server: Any, tmp_path: Path, write_idx: Callable[[Path, int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    write_idx(tmp_path / "origin", 2)
    resources = []
    for path in sorted((tmp_path / "origin").iterdir()):
        server.files[path.name] = path.read_bytes()
        resources.append((path.name, hashlib.md5(path.read_bytes()).hexdigest()))
        content = hashlib.sha256(gzip.decompress(path.read_bytes())).hexdigest()
        monkeypatch.setitem(fashion_mnist.FASHION_MNIST_SHA256, path.stem, content)
    monkeypatch.setattr(datasets.FashionMNIST, "mirrors", [server.url("")])
    monkeypatch.setattr(datasets.FashionMNIST, "resources", resources)
    root = tmp_path / "root"
    third = server.files.pop(resources[2][0])
    missing = rf"could not be downloaded from {server.url(resources[2][0])} \(HTTP Error 404.*does not have it at this"
    with pytest.raises(DataError, match=missing) as caught:
        load_images("fashion-mnist", root=root)
    assert "try again" not in str(caught.value)
    assert f"from {IMAGE_SETS['fashion-mnist'].url} into" in str(caught.value)
    assert [path.name for path in root.iterdir()] == [".fashion_mnist.download"]  # what has arrived, and no lock
    server.files[resources[2][0]] = third
    assert len(load_images("fashion-mnist", root=root).train_labels) == 20
    assert [name for name, _ in server.asked] == [name for name, _ in (*resources[:3], *resources[2:])]
    assert visible(root) == ["fashion_mnist"]


def test_corrupt_bytes_are_refused(server: Any, tmp_path: Path, served_cifar: Callable[..., bytes]) -> None:
    content = served_cifar()
    server.files["cifar.tar.gz"] = content[:-1]
    with pytest.raises(DataError, match=r"could not be downloaded .*arrived damaged or changed: md5:.*by hand"):
        load_images("cifar10", root=tmp_path / "root")
    assert visible(tmp_path / "root") == []
    server.files["cifar.tar.gz"] = content
    assert len(load_images("cifar10", root=tmp_path / "root").train_labels) == 15


def test_archive_that_cannot_be_unpacked(server: Any, tmp_path: Path, served_cifar: Callable[..., bytes]) -> None:
    served_cifar(lambda content: b"not an archive")
    with pytest.raises(DataError, match=r"could not be downloaded from .*not a gzip file"):
        load_images("cifar10", root=tmp_path / "root")
    assert visible(tmp_path / "root") == []


def test_interrupted_while_unpacking(
    server: Any,
    tmp_path: Path,
    write_cifar: CifarWriter,
    served_cifar: Callable[..., bytes],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def interrupt(archive: tarfile.TarFile, into: Path) -> None:
        write_cifar(into)  # some files are unpacked already
        raise KeyboardInterrupt

    served_cifar()
    with monkeypatch.context() as patch:
        patch.setattr(tarfile.TarFile, "extractall", interrupt)
        with pytest.raises(KeyboardInterrupt):
            load_images("cifar10", root=tmp_path / "root")
    assert visible(tmp_path / "root") == []
    assert len(load_images("cifar10", root=tmp_path / "root").train_labels) == 15
    assert len(server.asked) == 1


def test_an_archive_puts_nothing_beside_its_folder(
    server: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not hasattr(tarfile, "data_filter"):
        pytest.skip("this Python cannot filter archives")
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("../../../escaped"), io.BytesIO())
    content = buffer.getvalue()
    monkeypatch.setattr(datasets.CIFAR10, "tgz_md5", hashlib.md5(content).hexdigest())
    monkeypatch.setattr(datasets.CIFAR10, "url", server.remote("cifar.tar", content).url)
    with pytest.raises(DataError, match="could not be downloaded"):
        load_images("cifar10", root=tmp_path / "root")
    assert not list(tmp_path.rglob("escaped"))


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), TimeoutError("timed out")])
def test_failures_are_one_sentence(
    server: Any, tmp_path: Path, served_cifar: Callable[..., bytes], monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail(*_: object) -> None:
        raise error

    served_cifar()
    monkeypatch.setattr(downloads, "fetch", fail)
    with pytest.raises(DataError, match=r"could not be downloaded from http.*(No space|timed out)") as caught:
        load_images("cifar10", root=tmp_path / "root")
    assert "\n" not in str(caught.value)
    assert visible(tmp_path / "root") == []


def text_source(server: Any) -> Source:
    """Two files that take the place of a text set."""
    files = tuple(server.remote(name, name.encode() * 2000) for name in ("a.txt", "b.txt"))
    return Source("tiny-shakespeare", files, Path("own"), marks=("a.txt", "b.txt"), others=(Path(),))


def test_a_set_is_looked_for_in_its_places_in_order(server: Any, tmp_path: Path) -> None:
    source = text_source(server)
    assert find(source, tmp_path) is None
    (tmp_path / "b.txt").touch()
    assert find(source, tmp_path) == tmp_path
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "other.txt").touch()
    assert find(source, tmp_path) == tmp_path
    (tmp_path / "own" / "a.txt").touch()
    assert find_or_download(source, tmp_path, True) == tmp_path / "own"
    assert server.asked == []


# Processes that are forked from one that has imported odelib, and run none of their own cleaning up.
FORKING = """
import os
from pathlib import Path
from odelib.data import downloads, fetch
from odelib.data.downloads import Source
from odelib.data.fetch import Remote

def in_a_process(root, last_step):
    pid = os.fork()
    if pid:
        return pid
    steps = iter(range(1, 100))
    def dying(step):
        def call(*arguments, **options):
            if next(steps) == last_step:
                os.kill(os.getpid(), 9)
            return step(*arguments, **options)
        return call
    fetch.os.fsync, fetch.os.replace = dying(os.fsync), dying(os.replace)
    Path.rename = dying(Path.rename)
    downloads.find_or_download(SOURCE, root, True)
    os._exit(0)

"""


def run_forking(source: Source, program: str) -> list[str]:
    text = f"{FORKING}SOURCE = {source!r}\n{program}".replace("PosixPath", "Path")
    environment = {**os.environ, "NO_PROXY": "127.0.0.1"}
    command = [sys.executable, "-c", text]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.split()


@pytest.mark.slow
def test_killed_at_any_moment_and_taken_up_again(server: Any, tmp_path: Path) -> None:
    # Synchronising and naming each file, then the move of both, then no death.
    source, steps = text_source(server), range(1, 7)
    program = f"for s in {steps!r}: print(os.waitpid(in_a_process(f'{tmp_path}/{{s}}', s), 0)[1])"
    assert run_forking(source, program) == ["9"] * 5 + ["0"]
    for step in steps[:-1]:
        assert visible(tmp_path / str(step)) == []
    for step in steps:
        asked = len(server.asked)
        found = find_or_download(source, tmp_path / str(step), True)
        assert {path.name: path.read_bytes() for path in found.iterdir()} == server.files
        assert len(server.asked) - asked == [2, 2, 1, 1, 0, 0][step - 1]


def test_a_second_process_says_that_it_waits(
    server: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    source, other = text_source(server), FileLock(tmp_path / ".own.lock")
    other.acquire()
    acquire = FileLock.acquire

    def released_later(lock: FileLock, timeout: float | None = None) -> object:
        if timeout is None:
            other.release()
        return acquire(lock, timeout)

    monkeypatch.setattr(FileLock, "acquire", released_later)
    find_or_download(source, tmp_path, True)
    assert capsys.readouterr().err.startswith("waiting for another process, which is downloading Tiny Shakespeare into")


@pytest.mark.slow
def test_two_processes_download_once(server: Any, tmp_path: Path) -> None:
    program = f"for p in [in_a_process('{tmp_path}/root', 0) for _ in range(2)]: print(os.waitpid(p, 0)[1])"
    assert run_forking(text_source(server), program) == ["0", "0"]
    assert sorted(name for name, _ in server.asked) == ["a.txt", "b.txt"]
