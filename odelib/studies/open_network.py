"""Networks and the tasks they are measured by, found by name or path."""

from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from jaxtyping import Int64
from torch import Tensor, nn

from odelib.data import (
    NETWORKS,
    CharacterData,
    DataError,
    Vocabulary,
    load_clinc150,
    load_reactions,
    load_tiny_shakespeare,
    network_folder,
)
from odelib.models import CausalLM, Encoder, load_network
from odelib.studies.networks import HiddenTokens, NextTokens, Requests, Task

TOKENIZER = "tokenizer.json"


def open_network(network: str) -> tuple[nn.Module, Path]:
    """Load a network by its name in `odelib.data.NETWORKS`, or from a folder of your own; and say where it lies.

    Raises:
        DataError: It is not installed, or there is no such folder.
        ValueError: It cannot be loaded.
    """
    folder = network_folder(network)
    return load_network(folder, NETWORKS[network].model_type if network in NETWORKS else None), folder


def open_task(
    network: str,
    model: nn.Module,
    folder: Path,
    data: str | None = None,
    items: int | None = None,
    train: int | None = None,
) -> Task:
    """Make the task that a network is measured by.

    Args:
        network: Its name, or its folder.
        model: The network.
        folder: Where it lies.
        data: "clinc150", "reactions", "tiny-shakespeare", or a file with a text in each line; None: what is known of
            the network.
        items: How many test items, drawn with a fixed seed; None: all.
        train: Of "clinc150": how many training requests of each intent the readings are fitted to; None: all.

    Raises:
        DataError: The data are absent, or none for this network.
        ValueError: No data were named, and none are known of the network; or `train` came where nothing is fitted.
    """
    named = data or (NETWORKS[network].data if network in NETWORKS else None)
    if named is None:
        raise ValueError(f"what {network} is to be measured on is not known: name data, {', '.join(_DATA)} or a file")
    if isinstance(model, CausalLM):
        return NextTokens(model, _numbers(model, folder, named), items)
    if not isinstance(model, Encoder):
        raise DataError(f"a {type(model).__name__} is not measured by texts: take an encoder or a decoder")
    vocabulary = Vocabulary.of(folder)
    if len(vocabulary.tokens) > model.config.vocab_size:
        raise DataError(
            f"the vocabulary in {folder} has {len(vocabulary.tokens)} tokens, and the network has "
            f"{model.config.vocab_size}: take the one that came with the weights"
        )
    if train is not None and named != "clinc150":
        raise ValueError(f"train={train} came, but nothing is fitted on {named}: leave it out")
    if named == "clinc150":
        return Requests(model, vocabulary, load_clinc150(), items, train)
    return HiddenTokens(model, vocabulary, _texts(named), items)


def _numbers(model: CausalLM, folder: Path, data: str) -> Int64[Tensor, " length"]:
    """A text as a decoder's tokens: by its own tokenizer, or character by character where it has none."""
    if (folder / TOKENIZER).is_file():
        return _cut(model, folder / TOKENIZER, "\n".join(_texts(data)))
    if data != "tiny-shakespeare" or model.config.vocab_size != (own := load_tiny_shakespeare()).vocabulary.size:
        raise DataError(
            f"this decoder has {model.config.vocab_size} tokens, and {folder} has no {TOKENIZER} that says which: put "
            "its tokenizer there, or measure one of characters on tiny-shakespeare"
        )
    return own.test


def _cut(model: CausalLM, path: Path, text: str) -> Int64[Tensor, " length"]:
    try:
        from tokenizers import Tokenizer
    except ImportError as error:
        raise DataError(f"{path} is read by the library tokenizers: pip install tokenizers") from error
    try:
        numbers = torch.tensor(Tokenizer.from_file(str(path)).encode(text, add_special_tokens=False).ids)
    except Exception as error:  # the library raises nothing narrower
        raise DataError(f"{path} cannot be read ({error}): take the tokenizer that came with the weights") from error
    if len(numbers) and int(numbers.max()) >= model.config.vocab_size:
        raise DataError(
            f"{path} makes tokens up to {int(numbers.max())}, and the network has {model.config.vocab_size}: take the "
            "tokenizer that came with the weights"
        )
    return numbers


def _texts(data: str) -> Sequence[str]:
    return _DATA[data]() if data in _DATA else _lines(data)


def _shakespeare(data: CharacterData) -> list[str]:
    return [line for line in data.vocabulary.decode(data.test).splitlines() if line]


def _lines(path: str) -> tuple[str, ...]:
    try:
        lines = Path(path).read_text(encoding="utf-8").split("\n")  # splitlines also cuts at Unicode's other line ends
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(
            f"the data {path!r} are neither of {', '.join(_DATA)} nor a file of texts ({error}): name one of them"
        ) from error
    return tuple(line for line in lines if line.strip())


_DATA: dict[str, Callable[[], Sequence[str]]] = {
    "clinc150": lambda: load_clinc150().test_texts,
    "reactions": load_reactions,
    "tiny-shakespeare": lambda: _shakespeare(load_tiny_shakespeare()),
}
