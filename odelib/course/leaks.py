"""Find in what students get what they must not: lines of solutions and of hidden tests, and the secret."""

import base64
import binascii
import hashlib
import html
import io
import json
import re
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from odelib.course.masters import Master, lines_of

_DEEP = 5
"""How many times one thing may lie packed in another, zip in zip or base64 in base64."""


def find_leaks(folder: str | Path, masters: Iterable[Master], secret: bytes | None) -> list[str]:
    """Look through every file of a folder, those in zips too.

    Args:
        folder: What students get.
        masters: The assignments; a line of one is looked for in the files of all.
        secret: It must not occur, neither as it is nor in hexadecimal, base64 or a common hash.

    Returns:
        A sentence for each leak; none, if there is none.
    """
    masters = list(masters)
    lines = {line for master in masters for line in master.kept}
    kept = sorted(line for line in lines if not any(line in master.seen for master in masters))
    forms = _forms(secret) if secret else []
    found: list[str] = []
    for path in sorted(Path(folder).rglob("*")):
        if path.is_file():
            for where, text in _texts(str(path.relative_to(folder)), path.read_bytes(), 0):
                found += _leaks(where, text, kept, forms)
    return list(dict.fromkeys(found))


def _forms(secret: bytes) -> list[str]:
    plain = secret.decode("latin-1")
    coded = [base64.b64encode(secret).decode().rstrip("="), base64.urlsafe_b64encode(secret).decode().rstrip("=")]
    hashes = [hashlib.new(name, secret).hexdigest() for name in ("md5", "sha1", "sha256", "sha512")]
    return [plain, secret.decode("utf-8", "replace"), secret.hex(), *coded, *hashes]


def _leaks(where: str, text: str, kept: Sequence[str], forms: Sequence[str]) -> Iterator[str]:
    even = " ".join(text.split())
    low = even.lower()
    for line in kept:
        if line in even:
            yield f"{where} has {line!r} of a solution or a hidden test"
    if any(form in text or form.lower() in low for form in forms):
        yield f"{where} has the secret"


def _texts(where: str, data: bytes, depth: int) -> Iterator[tuple[str, str]]:
    """Every reading of some bytes: as text, as what a notebook, a page or a zip holds, and unpacked."""
    if depth > _DEEP:
        return
    if zipfile.is_zipfile(io.BytesIO(data)):
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            yield where, archive.comment.decode("latin-1") + "\n".join(archive.namelist())
            for name in archive.namelist():
                yield from _texts(f"{where}/{name}", archive.read(name), depth + 1)
        return
    text = data.decode("utf-8", "replace")
    yield where, text
    yield where, html.unescape(re.sub(r"<[^>]*>", "", text))
    for packed in re.findall(r"[A-Za-z0-9+/_-]{24,}={0,2}", text):
        for plain in _unpacked(packed):
            yield from _texts(where, plain, depth + 1)
    try:
        strings = list(_strings(json.loads(text)))
    except ValueError:
        return
    for string in strings:
        yield from _texts(where, string.encode("utf-8", "replace"), depth + 1)
    yield where, "\n".join(strings)


def _strings(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, part in value.items():
            yield str(key)
            yield from _strings(part)
    elif isinstance(value, list):
        if value and all(isinstance(part, str) for part in value):
            yield "".join(value)
        for part in value:
            yield from _strings(part)


def _unpacked(packed: str) -> Iterator[bytes]:
    """What hexadecimal or base64 may stand for, if it is text."""
    for decode in (
        binascii.unhexlify,
        lambda text: base64.urlsafe_b64decode(text.replace("+", "-").replace("/", "_") + "=="),
    ):
        try:
            plain = decode(packed)
        except ValueError:
            continue
        if len(lines_of(plain.decode("ascii", "replace"))) and plain.isascii():
            yield plain
