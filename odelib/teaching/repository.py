"""``python -m odelib.teaching.repository URL``: give the book its repository's address, everywhere at once.

The address stands in ``pyproject.toml`` under ``[project.urls] Repository``. Wherever else the project names
it (first cells, Colab and Binder links, badges, citation, configuration) it is a copy, and this command renews
the copies.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

_ADDRESS = re.compile(r"https://github\.com/([A-Za-z0-9][A-Za-z0-9-]*)/([A-Za-z0-9._-]+)")
_SKIPPED = {"_build", "build", "dist", "node_modules", "__pycache__", "venv"}
_KEPT_DOT_FOLDERS = {".github", ".ci", ".binder"}


class AddressError(ValueError):
    """The new or the old address cannot be used; one sentence says why."""


def main(arguments: list[str] | None = None) -> int:
    """Command line: prints the files changed; returns 0, or 2 if the address or the folder cannot be used."""
    parser = argparse.ArgumentParser(
        prog="python -m odelib.teaching.repository", description="Set the address of the repository everywhere."
    )
    parser.add_argument("url", help="https://github.com/<owner>/<name>")
    parser.add_argument("--root", type=Path, default=Path(), help="top folder of the project (default: this one)")
    given = parser.parse_args(arguments)
    try:
        changed = set_address(given.url, given.root)
    except AddressError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    for path in changed:
        print(path)
    print(f"{len(changed)} files changed.")
    return 0


def set_address(url: str, root: Path) -> list[Path]:
    """Replace the project's address by ``url`` in every text file under ``root``.

    Args:
        url: ``https://github.com/<owner>/<name>``; Colab and Binder open repositories of that host.
        root: the folder with ``pyproject.toml``.

    Returns:
        The files changed, relative to ``root``.

    Raises:
        AddressError: ``url`` has another form, or ``root`` has no ``pyproject.toml`` with an address.
    """
    owner, name = _split(url.rstrip("/").removesuffix(".git"))
    old_owner, old_name = _split(_current(root))
    slug = re.compile(
        rf"(?<![\w.-])(?:{re.escape(old_owner)}/{re.escape(old_name)}"
        rf"|{re.escape(old_owner)}(?P<pages>\.github\.io)/{re.escape(old_name)})(?![\w-])"
    )
    changed = []
    for path in _text_files(root):
        try:
            text = path.read_bytes().decode()
        except UnicodeDecodeError:
            continue  # not a text file, so it names no address
        renewed = slug.sub(lambda match: f"{owner}{match['pages'] or ''}/{name}", text)
        if renewed != text:
            path.write_bytes(renewed.encode())
            changed.append(path.relative_to(root))
    return changed


def _split(url: str) -> tuple[str, str]:
    match = _ADDRESS.fullmatch(url)
    if match is None:
        raise AddressError(f"got {url!r}, expected https://github.com/<owner>/<name>: give the repository's address")
    return match[1], match[2]


def _current(root: Path) -> str:
    try:
        with (root / "pyproject.toml").open("rb") as file:
            return str(tomllib.load(file)["project"]["urls"]["Repository"])
    except (FileNotFoundError, KeyError):
        where = (root / "pyproject.toml").resolve()
        raise AddressError(f"{where} names no [project.urls] Repository: run this in the project's folder") from None


def _text_files(root: Path) -> Iterator[Path]:
    for folder, subfolders, files in os.walk(root):
        subfolders[:] = sorted(
            sub
            for sub in subfolders
            if sub not in _SKIPPED
            and not sub.endswith(".egg-info")
            and (not sub.startswith(".") or sub in _KEPT_DOT_FOLDERS)
        )
        yield from (Path(folder) / file for file in sorted(files) if not (Path(folder) / file).is_symlink())


if __name__ == "__main__":
    raise SystemExit(main())
