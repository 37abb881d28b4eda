"""One file over a network that cuts connections, forgets the beginning, lies, or is not there."""

import errno
import socket
import ssl
from email.message import Message
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from odelib.data import fetch as module
from odelib.data.downloads import _advice
from odelib.data.fetch import DamagedError, Remote, checksum_of, fetch

CONTENT = bytes(range(256)) * 40


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_arrives_whole_and_is_not_asked_for_again(server: Any, tmp_path: Path) -> None:
    remote = server.remote("a.bin", CONTENT)
    for _ in range(2):
        assert fetch(remote, tmp_path).read_bytes() == CONTENT
    assert names(tmp_path) == ["a.bin"]
    assert server.asked == [("a.bin", None)]


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.integers(0, 5000), max_size=6), st.binary(max_size=6000), st.booleans())
def test_wherever_and_however_often_it_is_cut(
    server: Any, tmp_path_factory: pytest.TempPathFactory, cuts: list[int], content: bytes, ranges: bool
) -> None:
    folder = tmp_path_factory.mktemp("data")
    server.cuts, server.ranges = list(cuts), ranges
    assert fetch(server.remote("a.bin", content), folder, attempts=len(cuts) + 1).read_bytes() == content
    assert names(folder) == ["a.bin"]


def test_only_what_is_lacking_is_asked_for(server: Any, tmp_path: Path) -> None:
    remote = server.remote("a.bin", CONTENT)
    server.cuts = [1000, 0, 500]
    fetch(remote, tmp_path)
    assert [asked for _, asked in server.asked] == [None, "bytes=1000-", "bytes=1000-", "bytes=1500-"]


def test_what_arrived_is_kept_and_the_next_call_goes_on(server: Any, tmp_path: Path) -> None:
    remote = server.remote("a.bin", CONTENT)
    server.cuts = [1000, 0, 0]
    with pytest.raises(ConnectionError, match=r"broke off after 1,000 of 10,240 bytes"):
        fetch(remote, tmp_path, attempts=3)
    assert names(tmp_path) == ["a.bin.partial"]
    assert (tmp_path / "a.bin.partial").read_bytes() == CONTENT[:1000]
    assert fetch(remote, tmp_path).read_bytes() == CONTENT
    assert server.asked[-1] == ("a.bin", "bytes=1000-")


def test_a_server_that_always_cuts_at_the_same_byte_ends(server: Any, tmp_path: Path) -> None:
    server.ranges, server.cuts = False, [1000] * 50
    with pytest.raises(ConnectionError):
        fetch(server.remote("a.bin", CONTENT), tmp_path, attempts=3)
    assert len(server.asked) == 3


def test_interrupted_by_the_user_and_taken_up_again(
    server: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    remote = server.remote("a.bin", CONTENT)
    server.cuts = [1000]

    def interrupt(seconds: float) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(module.time, "sleep", interrupt)
        with pytest.raises(KeyboardInterrupt):
            fetch(remote, tmp_path)
    assert names(tmp_path) == ["a.bin.partial"]
    assert fetch(remote, tmp_path).read_bytes() == CONTENT


@pytest.mark.parametrize("kind", ["sha256", "md5"])
def test_corrupt_bytes_are_refused_and_removed(server: Any, tmp_path: Path, kind: str) -> None:
    (tmp_path / "right").write_bytes(CONTENT)
    checksum = checksum_of(tmp_path / "right", kind)
    (tmp_path / "right").unlink()
    server.files["a.bin"] = CONTENT[:-1] + b"?"
    with pytest.raises(DamagedError, match=rf"a\.bin arrived damaged or changed: {kind}:\w+, expected {checksum}"):
        fetch(Remote(server.url("a.bin"), checksum), tmp_path)
    assert names(tmp_path) == []
    server.files["a.bin"] = CONTENT
    assert fetch(Remote(server.url("a.bin"), checksum), tmp_path).read_bytes() == CONTENT


@pytest.mark.parametrize("left", [b"other bytes", CONTENT + b"too long", CONTENT, CONTENT[:99], b""])
def test_whatever_an_earlier_call_left(server: Any, tmp_path: Path, left: bytes) -> None:
    (tmp_path / "a.bin.partial").write_bytes(left)
    assert fetch(server.remote("a.bin", CONTENT), tmp_path).read_bytes() == CONTENT
    assert names(tmp_path) == ["a.bin"]


def test_no_such_file_and_no_network_are_not_tried_again(server: Any, tmp_path: Path) -> None:
    with pytest.raises(HTTPError, match="404"):
        fetch(Remote(server.url("absent"), "md5:0"), tmp_path)
    assert len(server.asked) == 1
    with pytest.raises(URLError, match="no network"):
        fetch(Remote("https://example.org/a.bin", "md5:0"), tmp_path)
    assert names(tmp_path) == []


@pytest.mark.parametrize("code", [429, 503])
def test_a_busy_server_is_asked_again_later(
    server: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    answers: list[Any] = [HTTPError("u", code, "busy", Message(), None) for _ in range(3)]
    answers[1].headers["Retry-After"] = "7"
    waited: list[float] = []
    whole = module.urlopen

    def busy(*args: Any, **options: Any) -> Any:
        if answers:
            raise answers.pop(0)
        return whole(*args, **options)

    monkeypatch.setattr(module, "urlopen", busy)
    monkeypatch.setattr(module.time, "sleep", waited.append)
    assert fetch(server.remote("a.bin", CONTENT), tmp_path).read_bytes() == CONTENT
    assert waited == [1.0, 7.0, 4.0]
    answers += [HTTPError("u", code, "busy", Message(), None) for _ in range(9)]
    with pytest.raises(HTTPError):
        fetch(server.remote("b.bin", CONTENT), tmp_path)


def failing(errors: list[Exception]) -> Any:
    """What takes the place of urlopen and fails so, and then downloads after all."""
    whole = module.urlopen
    return lambda *args, **options: _raised(errors.pop(0)) if errors else whole(*args, **options)


def _raised(error: Exception) -> Any:
    raise error


@pytest.mark.parametrize(
    ("error", "pauses"),
    [
        (URLError(ssl.SSLError(1, "[SSL: TLSV1_ALERT_INTERNAL_ERROR]")), [1.0, 2.0, 4.0]),
        (URLError(ssl.SSLEOFError(8, "EOF occurred in violation of protocol")), [1.0, 2.0, 4.0]),
        (URLError(ConnectionResetError(errno.ECONNRESET, "Connection reset by peer")), [1.0, 1.0, 1.0]),
    ],
)
def test_what_breaks_before_an_answer_begins_is_tried_again(
    server: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, pauses: list[float]
) -> None:
    waited: list[float] = []
    monkeypatch.setattr(module.time, "sleep", waited.append)
    errors = [error] * 3
    monkeypatch.setattr(module, "urlopen", failing(errors))
    assert fetch(server.remote("a.bin", CONTENT), tmp_path).read_bytes() == CONTENT
    assert waited == pauses
    errors += [error] * 9
    with pytest.raises(URLError):
        fetch(server.remote("b.bin", CONTENT), tmp_path)
    assert len(errors) == 5


@pytest.mark.parametrize(
    "cause",
    [
        ssl.SSLCertVerificationError("self-signed"),
        ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused"),
        TimeoutError("timed out"),
        socket.gaierror(socket.EAI_NONAME, "Name or service not known"),
    ],
)
def test_what_does_not_pass_is_not_tried_again(
    server: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cause: OSError
) -> None:
    monkeypatch.setattr(module, "urlopen", failing([URLError(cause)]))
    with pytest.raises(URLError):
        fetch(server.remote("a.bin", CONTENT), tmp_path)
    assert server.asked == []


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (
            URLError(ssl.SSLError(1, "handshake failure")),
            "check this machine's clock, its certificates (SSL_CERT_FILE)",
        ),
        (URLError(socket.gaierror(-2, "Name or service not known")), "check this machine's connection to the network"),
        (OSError(errno.ENOSPC, "No space left on device"), "free some space there and try again"),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), "free some space there and try again"),
        (OSError(errno.EFBIG, "File too large"), "free some space there and try again"),
        (HTTPError("u", 404, "Not Found", Message(), None), "does not have it at this address any more, so install a"),
        (HTTPError("u", 403, "Forbidden", Message(), None), "does not let you have it, so check your proxy"),
        (URLError(ssl.SSLCertVerificationError("self-signed")), "does not trust the server's certificate, so set"),
        (
            HTTPError("u", 503, "Service Unavailable", Message(), None),
            "the server is busy, so try again in some minutes",
        ),
        (URLError("no network"), "try again, which goes on where this broke off"),
    ],
)
def test_the_advice_fits_what_went_wrong(error: Exception, words: str) -> None:
    assert words in _advice(error)


def test_a_full_disk_keeps_what_has_arrived(server: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(module.os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        fetch(server.remote("a.bin", CONTENT), tmp_path)
    assert names(tmp_path) == ["a.bin.partial"]
    assert len(server.asked) == 1
