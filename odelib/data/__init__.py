"""Image sets: what there is, loading with verification, normalisation and augmentation."""

from odelib.data.augment import augment, normalise
from odelib.data.downloads import data_folder
from odelib.data.images import load_images
from odelib.data.sets import DATA_SETS, IMAGE_SETS, TEXT_SETS, DataError, DataSet, ImageData

__all__ = [
    "DATA_SETS",
    "IMAGE_SETS",
    "TEXT_SETS",
    "DataError",
    "DataSet",
    "ImageData",
    "augment",
    "data_folder",
    "load_images",
    "normalise",
]
