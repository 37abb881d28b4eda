"""Image sets: what there is, loading with verification, normalisation and augmentation."""

from odelib.data.augment import augment, normalise
from odelib.data.images import data_folder, load_images
from odelib.data.sets import IMAGE_SETS, DataError, ImageData, ImageSet

__all__ = [
    "IMAGE_SETS",
    "DataError",
    "ImageData",
    "ImageSet",
    "augment",
    "data_folder",
    "load_images",
    "normalise",
]
