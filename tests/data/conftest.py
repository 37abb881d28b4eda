"""Small fabricated data in the original formats, and no network."""

import gzip
import hashlib
import pickle
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.error import URLError
from urllib.request import ProxyHandler, Request, build_opener

import numpy as np
import pytest

from odelib.data import fetch

CifarWriter = Callable[..., Path]


@pytest.fixture(scope="session")
def original_fashion_mnist() -> Path:
    """The folder with the original files of Fashion-MNIST, from Debian's package dataset-fashion-mnist."""
    folder = Path("/usr/share/datasets/fashion-mnist")
    if not folder.is_dir():
        pytest.skip("the Debian package dataset-fashion-mnist is not installed")
    return folder


@pytest.fixture
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither ODELIB_DATA nor XDG_CACHE_HOME is set."""
    monkeypatch.delenv("ODELIB_DATA", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)


@pytest.fixture
def write_idx() -> Callable[[Path, int], None]:
    """A function that writes the four files of Fashion-MNIST with a few random images per class."""

    def write(folder: Path, per_class: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        generator = np.random.default_rng(0)
        for split in ("train", "t10k"):
            labels = generator.permutation(np.repeat(np.arange(10, dtype=np.uint8), per_class))
            images = generator.integers(0, 256, (len(labels), 28, 28), dtype=np.uint8)
            for name, array, magic in (("images-idx3", images, 0x803), ("labels-idx1", labels, 0x801)):
                header = np.array([magic, *array.shape], dtype=">i4").tobytes()
                (folder / f"{split}-{name}-ubyte.gz").write_bytes(gzip.compress(header + array.tobytes()))

    return write


def _cifar_rows(count: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, 3072), dtype=np.uint8)


@pytest.fixture
def write_cifar() -> CifarWriter:
    """A function that writes a small CIFAR-10 or CIFAR-100 in the original format; it returns its folder."""

    def write(root: Path, name: str = "cifar10", per_file: int = 3) -> Path:
        if name == "cifar10":
            folder = root / "cifar-10-batches-py"
            files = [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]
            meta, key, classes = "batches.meta", "labels", 10
        else:
            folder = root / "cifar-100-python"
            files, meta, key, classes = ["train", "test"], "meta", "fine_labels", 100
        folder.mkdir(parents=True)
        for seed, file in enumerate(files):
            labels = [(seed + i) % classes for i in range(per_file)]
            batch = {"data": _cifar_rows(per_file, seed), key: labels, "batch_label": file}
            (folder / file).write_bytes(pickle.dumps(batch, protocol=2))
        names_key = "label_names" if name == "cifar10" else "fine_label_names"
        names = {names_key: [f"class {i}" for i in range(classes)]}
        (folder / meta).write_bytes(pickle.dumps(names, protocol=2))
        return folder

    return write


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Any address but this machine fails as it does without a network, and no test waits between two attempts."""

    def local_only(request: Request, **options: object) -> object:
        if request.host.partition(":")[0] != "127.0.0.1":
            raise URLError("no network")
        return build_opener(ProxyHandler({})).open(request, **options)

    monkeypatch.setattr(fetch, "urlopen", local_only)
    monkeypatch.setattr(fetch.time, "sleep", lambda seconds: None)


class Server:
    """Serves files over HTTP on this machine, and misbehaves on request.

    Attributes:
        files: Content of each file, by name.
        asked: Name and Range header of each request, in order.
        cuts: Bytes after which each connection breaks off; None for one that holds. Those after the last hold.
        ranges: Whether a part of a file can be asked for.
    """

    def __init__(self, http: ThreadingHTTPServer) -> None:
        self.http = http
        self.files: dict[str, bytes] = {}
        self.asked: list[tuple[str, str | None]] = []
        self.cuts: list[int | None] = []
        self.ranges = True

    def remote(self, name: str, content: bytes) -> fetch.Remote:
        """Serve ``content``, and say where and with which checksum."""
        self.files[name] = content
        return fetch.Remote(self.url(name), f"sha256:{hashlib.sha256(content).hexdigest()}")

    def url(self, name: str) -> str:
        return f"http://127.0.0.1:{self.http.server_port}/{name}"


class Handler(BaseHTTPRequestHandler):
    """Answers GET as the ``Server`` says."""

    def do_GET(self) -> None:
        server = self.server.owner
        name, asked = self.path.removeprefix("/"), self.headers["Range"]
        server.asked.append((name, asked))
        if name not in server.files:
            self.send_error(404)
            return
        content = server.files[name]
        start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked and server.ranges else 0
        if start >= len(content) > 0:
            self.send_error(416)
            return
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        cut = server.cuts.pop(0) if server.cuts else None
        self.wfile.write(content[start:] if cut is None else content[start : start + cut])

    def log_message(self, *_: object) -> None:
        """Print nothing."""


@pytest.fixture
def server() -> Iterator[Server]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        http.owner = Server(http)
        thread = Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield http.owner
        http.shutdown()
        thread.join()
