"""Download one file: resumed when cut, verified, and put in its place whole or not at all.

The downloads of torchvision, torch.hub and pooch are verified and whole, but begin again when the connection breaks.
"""

import hashlib
import os
import ssl
import time
from dataclasses import dataclass
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import BinaryIO
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

_CHUNK = 1 << 16
# What a broken connection raises. No server, no such page, or a full disk are others, and to try again is no use; nor
# does a server or a certificate that is refused become a better one.
_CUT = (ConnectionError, HTTPException, ssl.SSLError)
_REFUSED = (ConnectionRefusedError, ssl.SSLCertVerificationError)
# What a server answers that may do better later.
BUSY = (429, 500, 502, 503, 504)
_LONGEST_WAIT = 60.0


class DamagedError(RuntimeError):
    """A download arrived complete, but is not the file that was asked for."""


@dataclass(frozen=True)
class Remote:
    """A file at a public address.

    Attributes:
        url: Where it is; the last part is its name.
        checksum: Kind and hexadecimal digits of its checksum, such as ``sha256:86c4...`` or ``md5:c58f...``.
    """

    url: str
    checksum: str

    @property
    def name(self) -> str:
        """Name of the file."""
        return self.url.rpartition("/")[2]


def fetch(remote: Remote, folder: Path, *, attempts: int = 4, wait: float = 1.0, timeout: float = 30.0) -> Path:
    """Download ``remote`` into ``folder``, unless it is there already.

    What arrives is kept in ``<name>.partial``. A cut connection is taken up again where it broke off, at once and,
    if that does not help, by the next call. Only when all of it is there with the right checksum does it get its
    name. A server that cannot send a part of a file sends it all again.

    Args:
        remote: The file.
        folder: An existing folder; no other process may download the same file into it at the same time.
        attempts: Connections in a row that may break off without having brought anything new.
        wait: Seconds between two of them; a busy server (429, 503, ...), or one with which no secure connection
            could be made, is asked again after twice as long each time, or when it says, but within a minute.
        timeout: Seconds without an answer after which a connection counts as broken.

    Returns:
        The path of the file.

    Raises:
        DamagedError: The checksum of what arrived is another one; it is removed.
        OSError: There is no connection, it broke off too often, or the disk is full; what arrived is kept.
        HTTPException: The server does not speak HTTP.
    """
    path = folder / remote.name
    if path.exists():
        return path
    partial = path.with_name(path.name + ".partial")
    resumed = partial.exists()
    _receive_all(remote.url, partial, attempts, wait, timeout)
    if resumed and checksum_of(partial, remote.checksum) != remote.checksum:
        # What was there before need not be the beginning of this file, so it does not count against the server.
        partial.unlink()
        _receive_all(remote.url, partial, attempts, wait, timeout)
    found = checksum_of(partial, remote.checksum)
    if found != remote.checksum:
        partial.unlink()
        raise DamagedError(f"{remote.name} arrived damaged or changed: {found}, expected {remote.checksum}")
    os.replace(partial, path)
    return path


def checksum_of(path: Path, kind: str) -> str:
    """Checksum of a file as ``Remote`` writes it, of the kind that ``kind`` names or begins with."""
    name = kind.partition(":")[0]
    with open(path, "rb") as file:
        return f"{name}:{hashlib.file_digest(file, lambda: hashlib.new(name, usedforsecurity=False)).hexdigest()}"


def cause_of(error: Exception) -> BaseException:
    """What urllib has wrapped into an error of its own, as it does with all that fails before an answer begins."""
    wrapped = error.reason if isinstance(error, URLError) else None
    return wrapped if isinstance(wrapped, BaseException) else error


def _may_pass(error: Exception) -> bool:
    if isinstance(error, HTTPError):
        return error.code in BUSY
    cause = cause_of(error)
    # A time-out that urllib has wrapped is that of a server which is not there; another one, that of a slow one.
    return isinstance(error, TimeoutError) or (isinstance(cause, _CUT) and not isinstance(cause, _REFUSED))


def _pause(error: Exception, wait: float, failures: int) -> float:
    said = str(error.headers.get("Retry-After", "")) if isinstance(error, HTTPError) else ""
    patient = isinstance(error, HTTPError) or isinstance(cause_of(error), ssl.SSLError)
    return min(float(said) if said.isdecimal() else wait * 2**failures, _LONGEST_WAIT) if patient else wait


def _receive_all(url: str, partial: Path, attempts: int, wait: float, timeout: float) -> None:
    """Connect again and again until all bytes are there, or ``attempts`` times in a row brought no new ones."""
    most = failures = 0
    while True:
        try:
            return _receive(url, partial, timeout)
        except (OSError, HTTPException) as error:
            if not _may_pass(error):
                raise
            pause = _pause(error, wait, failures)
            size = partial.stat().st_size if partial.exists() else 0
            failures = 1 if size > most else failures + 1
            most = max(most, size)
            if failures >= attempts:
                raise
            time.sleep(pause)


def _receive(url: str, partial: Path, timeout: float) -> None:
    """Append to ``partial`` what it lacks, over one connection."""
    start = partial.stat().st_size if partial.exists() else 0
    headers = {"User-Agent": "odelib", "Accept-Encoding": "identity"} | ({"Range": f"bytes={start}-"} if start else {})
    try:
        response = urlopen(Request(url, headers=headers), timeout=timeout)
    except HTTPError as error:
        if error.code == 416:  # there is nothing beyond `start`, so that the checksum has the word
            return
        raise
    with response:
        # Anything but the part that was asked for is taken to be the whole file, from its first byte.
        continues = response.status == 206 and response.headers.get("Content-Range", "").startswith(f"bytes {start}-")
        with open(partial, "ab" if continues else "wb") as file:
            _copy(response, file, url, start if continues else 0)
            file.flush()
            os.fsync(file.fileno())


def _copy(response: HTTPResponse, file: BinaryIO, url: str, start: int) -> None:
    from tqdm import tqdm

    expected, got = response.length, 0
    total = None if expected is None else start + expected
    name = url.rpartition("/")[2]
    with tqdm(total=total, initial=start, desc=name, unit="B", unit_scale=True, leave=False, disable=None) as bar:
        while chunk := response.read(_CHUNK):
            file.write(chunk)
            got += len(chunk)
            bar.update(len(chunk))
    if expected is not None and got < expected:  # http.client takes the end of the connection for the end of the file
        raise ConnectionError(f"the connection broke off after {start + got:,} of {total:,} bytes")
