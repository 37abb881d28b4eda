"""What there is to know about a data set, in words, and whether it is on this machine."""

from odelib.data.cifar import cifar_source
from odelib.data.downloads import Source, data_folder, find
from odelib.data.fashion_mnist import fashion_mnist_source
from odelib.data.images import SUBSET_FILE
from odelib.data.sets import DATA_SETS
from odelib.data.text import CLINC150, TINY_SHAKESPEARE
from odelib.data.translation import MULTI30K
from odelib.names import choose


def source_of(name: str) -> Source | None:
    """Return where a data set comes from; None for the one that comes with the package.

    Args:
        name: A name in ``DATA_SETS``.

    Raises:
        ValueError: The name is unknown.
    """
    choose(name, DATA_SETS, "data set")
    if name == "fashion-mnist-subset":
        return None
    if name == "fashion-mnist":
        return fashion_mnist_source()
    texts = {source.name: source for source in (TINY_SHAKESPEARE, CLINC150, MULTI30K)}
    return texts.get(name) or cifar_source(name.removesuffix("-subset"))


def describe(name: str) -> str:
    """Tell what a data set is, its sizes, licence, citation and address, and where it is on this machine.

    Args:
        name: A name in ``DATA_SETS``.

    Returns:
        A line with its name and title, and an indented line for each thing to know.

    Raises:
        ValueError: The name is unknown.
    """
    source, about = source_of(name), DATA_SETS[name]
    lines = {
        "what": about.what,
        "sizes": about.sizes,
        "licence": about.licence,
        "citation": about.citation,
        "page": about.url,
        "address": "none: it comes with the package" if source is None else _address(source),
        "here": str(SUBSET_FILE) if source is None else _here(source),
    }
    return "\n".join([f"{name}: {about.title}", *(f"  {label:9} {text}" for label, text in lines.items())])


def _address(source: Source) -> str:
    first, *more = source.files
    if not more:
        return first.url
    return f"{first.url.rpartition('/')[0]}/ ({', '.join(remote.name for remote in source.files)})"


def _here(source: Source) -> str:
    found = find(source)
    return str(found) if found else f"absent; the first use downloads it into {data_folder() / source.place}"
