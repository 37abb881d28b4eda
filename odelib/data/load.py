"""Load what a run learns from, by the name of a data set or by the path of your own."""

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from odelib.data.images import load_images
from odelib.data.own import held_out, load_folder, load_table, load_text
from odelib.data.processors import Data
from odelib.data.sets import DATA_SETS, IMAGE_SETS, ImageData
from odelib.data.text import load_clinc150, load_tiny_shakespeare
from odelib.data.translation import load_multi30k
from odelib.names import choose


def is_own(data: str) -> bool:
    """Whether ``data`` is a path of your own data and no name of a set; a name wins over a folder of that name.

    A file of another kind counts too, since the sentence that refuses it tells more than that no set is called so.
    """
    path = Path(data)
    return data not in DATA_SETS and (path.suffix.lower() in (".csv", ".txt") or "/" in data or os.path.exists(path))


def load_data(data: str, *, resolution: int | None = None, skip_bad: bool = False, validation: float = 0.0) -> Data:
    """Load a data set.

    Args:
        data: A name in ``DATA_SETS``, a folder of pictures, a table.csv or a book.txt.
        resolution: Side of your own pictures, in pixels.
        skip_bad: Leave out pictures that cannot be read.
        validation: Share of the training images of a named set that is kept for validation.

    Raises:
        ValueError: The name is unknown, the resolution too small, or the share is asked of data with a validation
            split of their own.
        DataError: The data are absent and cannot be downloaded, or damaged.
    """
    if not is_own(data) and choose(data, DATA_SETS, "data set") in IMAGE_SETS:
        return with_validation(load_images(data), validation)
    if validation:
        raise ValueError(f"validation is {validation:g}, but {data} has a validation split of its own: leave it out")
    if not is_own(data):
        return _TEXTS[data]()
    path = Path(data).expanduser()
    readers: dict[str, Callable[[Path], Data]] = {".csv": load_table, ".txt": load_text}
    read = readers.get(path.suffix.lower())
    return load_folder(path, resolution, skip_bad=skip_bad) if read is None else read(path)


_TEXTS: dict[str, Callable[[], Data]] = {
    "tiny-shakespeare": load_tiny_shakespeare,
    "clinc150": load_clinc150,
    "multi30k": load_multi30k,
}


def with_validation(data: ImageData, share: float) -> ImageData:
    """Move a share of the training images into a validation split; 0: none."""
    if not share:
        return data
    kept, held = held_out(len(data.train_labels), share)
    return replace(
        data,
        train_images=data.train_images[kept],
        train_labels=data.train_labels[kept],
        validation_images=data.train_images[held],
        validation_labels=data.train_labels[held],
    )
