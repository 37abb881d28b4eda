"""Image and text sets: what there is, loading with verification, and the steps from raw data to batches."""

from odelib.data.augment import Rows, augment, normalise
from odelib.data.augment_strongly import erase, mix, rand_augment
from odelib.data.downloads import data_folder
from odelib.data.images import load_images
from odelib.data.load import is_own, load_data
from odelib.data.networks import NETWORKS, Network, find_network, install_networks, load_reactions, network_folder
from odelib.data.own import load_folder, load_table, load_text
from odelib.data.processors import Data, Processor, checksum, processor_of
from odelib.data.sequences import buckets, pad, windows
from odelib.data.sets import DATA_SETS, IMAGE_SETS, TEXT_SETS, DataError, DataSet, ImageData
from odelib.data.text import CharacterData, IntentData, load_clinc150, load_tiny_shakespeare
from odelib.data.tokens import END, PAD, START, Characters, Subwords, kept_subwords
from odelib.data.translation import Bleu, TranslationData, bleu, bleu_counts, bleu_from, load_multi30k
from odelib.data.vocabulary import Vocabulary

__all__ = [
    "DATA_SETS",
    "END",
    "IMAGE_SETS",
    "NETWORKS",
    "PAD",
    "START",
    "TEXT_SETS",
    "Bleu",
    "CharacterData",
    "Characters",
    "Data",
    "DataError",
    "DataSet",
    "ImageData",
    "IntentData",
    "Network",
    "Processor",
    "Rows",
    "Subwords",
    "TranslationData",
    "Vocabulary",
    "augment",
    "bleu",
    "bleu_counts",
    "bleu_from",
    "buckets",
    "checksum",
    "data_folder",
    "erase",
    "find_network",
    "install_networks",
    "is_own",
    "kept_subwords",
    "load_clinc150",
    "load_data",
    "load_folder",
    "load_images",
    "load_multi30k",
    "load_reactions",
    "load_table",
    "load_text",
    "load_tiny_shakespeare",
    "mix",
    "network_folder",
    "normalise",
    "pad",
    "processor_of",
    "rand_augment",
    "windows",
]
