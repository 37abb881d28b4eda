"""Find the files of a data set on this machine, or download them: the whole set or nothing of it."""

import gzip
import hashlib
import os
import shutil
import socket
import ssl
import sys
import tarfile
import zlib
from contextlib import suppress
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from urllib.error import HTTPError

from odelib.data.fetch import BUSY, DamagedError, Remote, cause_of, fetch
from odelib.data.sets import DATA_SETS, DataError
from odelib.files import FULL

_GONE = (404, 410)


@dataclass(frozen=True)
class Source:
    """Where the files of a data set come from and where they belong.

    Attributes:
        name: Its name in ``DATA_SETS``.
        files: What to download.
        place: Folder within a data folder into which a download goes; its first part is the set's own.
        marks: Names of the files. A folder with one of them in it is taken to be the place of the set.
        others: Further folders within a data folder in which the set may lie, in the order of looking.
        archive: Whether the one file to download is an archive with the folder that ``place`` ends in.
    """

    name: str
    files: tuple[Remote, ...]
    place: Path
    marks: tuple[str, ...]
    others: tuple[Path, ...] = ()
    archive: bool = False

    @property
    def title(self) -> str:
        """The name in the field's own spelling."""
        return DATA_SETS[self.name].title

    @property
    def own(self) -> str:
        """Name of the folder that keeps this set apart from the others."""
        return self.place.parts[0]

    def remedy(self, folder: Path, *, gone: bool = False) -> str:
        """What to do without a download, as the end of a sentence.

        Args:
            folder: Where data sets are.
            gone: Whether the addresses of the files lead nowhere, so that the authors' page is named instead.
        """
        if gone:
            addresses, archive = DATA_SETS[self.name].url, f"{self.files[0].name} from {DATA_SETS[self.name].url}"
        else:
            addresses = " and ".join(dict.fromkeys(f"{remote.url.rpartition('/')[0]}/" for remote in self.files))
            archive = self.files[0].url
        by_hand = (
            f"unpack {archive} into {folder / self.own}"
            if self.archive
            else f"put {', '.join(remote.name for remote in self.files)} from {addresses} into {folder / self.place}"
        )
        return f"set ODELIB_DATA to a folder that holds it, or {by_hand} by hand"


def data_folder() -> Path:
    """Return the folder for full data sets: ``$ODELIB_DATA``, else ``odelib`` in the user's cache folder."""
    named = os.environ.get("ODELIB_DATA")
    return Path(named).expanduser() if named else cache_folder()


def cache_folder() -> Path:
    """Return ``odelib`` in the user's cache folder: ``$XDG_CACHE_HOME``, else ``~/.cache``."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "odelib"


def find(source: Source, root: str | os.PathLike[str] | None = None) -> Path | None:
    """Return the folder with the files of a set, or None where there is none.

    Args:
        source: The set.
        root: Where to look. None: in ``$ODELIB_DATA`` if it is set, and then in the user's cache folder.
    """
    for folder in _folders(root):
        for place in (source.place, *source.others):
            # Not Path.is_file, which raises where a folder may not be looked into.
            if any(os.path.isfile(folder / place / mark) for mark in source.marks):
                return folder / place
    return None


def find_or_download(source: Source, root: str | os.PathLike[str] | None, download: bool) -> Path:
    """Return the folder that ``find`` finds, else that of a fresh download.

    Args:
        source: The set.
        root: Where to look and where to download to. None: as for ``find``; a download goes to ``data_folder()``.
        download: Whether an absent set is downloaded.

    Raises:
        DataError: Nothing was found, and the download is not allowed or fails.
    """
    folders = _folders(root)
    found = find(source, root)
    if found is None and not download:
        searched = " or ".join(map(str, folders))
        raise DataError(
            f"{source.title} is not in {searched} and downloading it was not allowed: {source.remedy(folders[0])}"
        )
    return found or _download(source, folders[0])


def _folders(root: str | os.PathLike[str] | None) -> tuple[Path, ...]:
    if root is not None:
        return (Path(root).expanduser(),)
    return tuple(dict.fromkeys((data_folder(), cache_folder())))


def _download(source: Source, folder: Path) -> Path:
    """Collect the files in a hidden folder beside the target, and move them there together once all are whole.

    An interruption at any moment so leaves nothing that could be taken for the data set, and the next call goes on
    with what has arrived. A lock makes a second process wait and then find what the first one has downloaded.
    """
    from filelock import FileLock, Timeout

    arriving, target = folder / f".{source.own}.download", folder / source.place
    try:
        arriving.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / f".{source.own}.lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            print(f"waiting for another process, which is downloading {source.title} into {folder}", file=sys.stderr)
            lock.acquire()
    except OSError as error:
        raise DataError(
            f"{source.title} is not in {folder} and cannot be downloaded into it ({error.strerror}): "
            + (_advice(error) if error.errno in FULL else "set ODELIB_DATA to a folder that can be written to")
        ) from error
    try:
        if find(source, folder) is None:
            arriving.mkdir(exist_ok=True)
            whole = _unpacked(source, arriving) if source.archive else _collected(source, arriving)
            target.parent.mkdir(parents=True, exist_ok=True)
            whole.rename(target)
            shutil.rmtree(arriving, ignore_errors=True)
    except (OSError, DamagedError, EOFError, HTTPException, tarfile.TarError) as error:
        _tidy(folder / f".{source.own}.lock", arriving)
        raise DataError(_failure(source, folder, error)) from error
    finally:
        lock.release()
    return target


def _tidy(lock: Path, arriving: Path) -> None:
    """After a failure leave nothing but what has arrived: those who look into the folder would wonder about the rest.

    The lock file goes while the lock is held, so that it is no other one's. Who waits for it notices, since filelock
    looks whether its file is still there.
    """
    with suppress(OSError):  # Windows removes no file that is open
        lock.unlink()
    with suppress(OSError):  # neither is empty if anything has arrived
        (arriving / "files").rmdir()
    with suppress(OSError):
        arriving.rmdir()


def _failure(source: Source, folder: Path, error: Exception) -> str:
    full = isinstance(error, OSError) and error.errno in FULL
    # Of several files it need not be the first one that a server does not give.
    address = error.filename if isinstance(error, HTTPError) else source.files[0].url
    said = (error.strerror if isinstance(error, OSError) and full else " ".join(str(error).split())) or ""
    remedy = "" if full else f", {source.remedy(folder, gone=getattr(error, 'code', None) in _GONE)}"
    return (
        f"{source.title} is not in {folder} and could not be downloaded from {address} "
        f"({said or type(error).__name__}): {_advice(error)}{remedy}"
    )


def _advice(error: Exception) -> str:
    if isinstance(error, OSError) and error.errno in FULL:
        return (
            "free some space there and try again, which goes on where this broke off, or set ODELIB_DATA to a folder "
            "on another disk"
        )
    reason = cause_of(error)
    if isinstance(reason, ssl.SSLCertVerificationError):
        return (
            "this machine does not trust the server's certificate, so set its clock right and give it the certificates "
            "of your proxy (SSL_CERT_FILE)"
        )
    if isinstance(reason, ssl.SSLError):
        return (
            "no secure connection to the server comes about, so check this machine's clock, its certificates "
            "(SSL_CERT_FILE) and your proxy (HTTPS_PROXY), then try again, which goes on where this broke off"
        )
    if isinstance(reason, socket.gaierror):
        return (
            "the server's name was not found, so check this machine's connection to the network, then try again, which "
            "goes on where this broke off"
        )
    return _answered(error.code) if isinstance(error, HTTPError) else "try again, which goes on where this broke off"


def _answered(code: int) -> str:
    """What to do after an answer that is no file."""
    if code in BUSY:
        return "the server is busy, so try again in some minutes, which goes on where this broke off"
    if code in _GONE:
        return "the server does not have it at this address any more, so install a newer odelib, which may know another"
    if code in (401, 403, 407, 451):
        return (
            "the server or a proxy does not let you have it, so check your proxy (HTTPS_PROXY) or use another network"
        )
    return "try again, which goes on where this broke off"


def _collected(source: Source, arriving: Path) -> Path:
    whole = arriving / "files"
    whole.mkdir(exist_ok=True)
    for remote in source.files:
        fetch(remote, whole)
    return whole


def _unpacked(source: Source, arriving: Path) -> Path:
    archive = fetch(source.files[0], arriving)
    into = arriving / "files"
    shutil.rmtree(into, ignore_errors=True)  # what an interrupted call has unpacked
    with tarfile.open(archive) as file:
        # Python 3.11.4 and later: nothing of an archive may leave the folder.
        file.extraction_filter = getattr(tarfile, "data_filter", lambda member, path: member)
        file.extractall(into)
    return into / source.place.name


def verified_content(name: str, folder: Path, file: str, sha256: str) -> bytes:
    """Read a file of a data set, as it is or compressed (``.gz``), and compare its content with a checksum.

    The content and not the file is compared, because one content has many compressed files: they carry a name and
    a time, and compressors differ.

    Args:
        name: The set's name in ``DATA_SETS``.
        folder: Holds the file.
        file: Name of the file, without ``.gz``.
        sha256: SHA-256 of the content, uncompressed.

    Raises:
        DataError: The file is absent, cannot be read, or is not the original one.
    """
    about = DATA_SETS[name]
    path = folder / file
    if not path.is_file():
        path = folder / f"{file}.gz"
    remedy = f"get it again from {about.url}"
    try:
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except FileNotFoundError as error:
        raise DataError(f"the {about.title} file {path} does not exist: {remedy}") from error
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"the {about.title} file {path} cannot be read ({error}): {remedy}") from error
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise DataError(
            f"the {about.title} file {path} is damaged or not the official one (SHA-256 of its contents "
            f"{found[:12]}..., expected {sha256[:12]}...): {remedy}"
        )
    return content
