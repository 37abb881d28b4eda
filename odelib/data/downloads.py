"""Find the files of an image set in a folder, or download them into it: whole or not at all."""

import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from tarfile import TarError

from odelib.data.sets import IMAGE_SETS, DataError


@dataclass(frozen=True)
class Source:
    """Where the files of an image set come from and where they belong.

    Attributes:
        name: Its name in ``IMAGE_SETS``.
        files: URL and md5 sum of each file to download.
        place: Folder of the files, as torchvision lays them out.
        archive: Whether the one file is an archive that unpacks to ``place``.
    """

    name: str
    files: tuple[tuple[str, str], ...]
    place: Path
    archive: bool

    @property
    def title(self) -> str:
        """The name in the field's own spelling."""
        return IMAGE_SETS[self.name].title

    @property
    def own_folder(self) -> str:
        """Name of the folder that keeps this set apart from the others."""
        return self.name.replace("-", "_")

    def remedy(self, folder: Path) -> str:
        """What to do without a download, as the end of a sentence."""
        own = folder / self.own_folder
        url = self.files[0][0]
        by_hand = (
            f"unpack {url} into {own}"
            if self.archive
            else f"put the {len(self.files)} .gz files from {url.rpartition('/')[0]}/ into {own / self.place}"
        )
        return f"set ODELIB_DATA to a folder that holds it, or {by_hand} by hand"


def find_or_download(source: Source, folder: Path, found: Sequence[Path], download: bool) -> Path:
    """Return the folder that holds the files of a set: the first of ``found``, else a fresh download.

    Raises:
        DataError: Nothing was found, and the download is not allowed or fails.
    """
    if found:
        return found[0]
    if not download:
        raise DataError(
            f"{source.title} is not in {folder} and downloading it was not allowed: {source.remedy(folder)}"
        )
    return _download(source, folder)


def _download(source: Source, folder: Path) -> Path:
    """Download into a folder of its own beside the target, and move it there once it is whole.

    An interruption at any moment so leaves nothing that could be taken for the data set.
    """
    from torchvision.datasets import utils

    target = folder / source.own_folder / source.place
    try:
        folder.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(prefix=".download-", dir=folder))
    except OSError as error:
        raise DataError(
            f"{source.title} is not in {folder} and cannot be downloaded into it ({error.strerror}): "
            "set ODELIB_DATA to a folder that can be written to"
        ) from error
    try:
        for url, md5 in source.files:
            name = url.rpartition("/")[2]
            into = staging if source.archive else staging / source.place
            utils.download_url(url, str(into), name, md5)  # checks the md5 sum of what arrived
            if source.archive:
                utils.extract_archive(str(staging / name), str(staging))
        target.parent.mkdir(parents=True, exist_ok=True)
        (staging / source.place).rename(target)
    except (OSError, RuntimeError, EOFError, HTTPException, TarError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DataError(
            f"{source.title} is not in {folder} and could not be downloaded from {source.files[0][0]} "
            f"({reason}): {source.remedy(folder)}"
        ) from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return target
