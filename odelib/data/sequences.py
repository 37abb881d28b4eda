"""Sequences of unequal length as batches, and a long sequence as windows."""

from collections.abc import Sequence

import torch
from jaxtyping import Int64
from torch import Tensor

from odelib.data.tokens import PAD


def pad(sequences: Sequence[Sequence[int]], value: int = PAD) -> Int64[Tensor, "batch longest"]:
    """Fill up sequences at the end with ``value`` to the length of the longest, and to 1 at least."""
    longest = max((len(sequence) for sequence in sequences), default=0) or 1
    rows = [[*sequence, *[value] * (longest - len(sequence))] for sequence in sequences]
    return torch.tensor(rows, dtype=torch.int64).reshape(len(sequences), longest)


def buckets(
    lengths: Int64[Tensor, "items sides"], batch_size: int, generator: torch.Generator | None = None
) -> list[Int64[Tensor, " batch"]]:
    """Put items of equal or nearly equal length into the same batch, so that little is padding.

    The items are sorted by the length of their first side, then by that of the second, and so on, and cut into
    batches. Items of the same lengths come in random order, and so do the batches.

    Args:
        lengths: Lengths of each item; a pair of sentences has two sides.
        batch_size: Items in each batch; the last of the sorted ones may be fewer.
        generator: A CPU generator; it advances. None: in the order of the lengths, and nothing is drawn.

    Returns:
        The items of each batch, as indices; each item is in one batch. The number of batches depends on nothing but
        the number of items.

    Raises:
        ValueError: ``batch_size`` is less than 1.
    """
    if batch_size < 1:
        raise ValueError(f"batch_size is {batch_size}, expected at least 1")
    count, sides = lengths.shape
    order = torch.arange(count) if generator is None else torch.randperm(count, generator=generator)
    for side in reversed(range(sides)):
        order = order[torch.argsort(lengths[order, side], stable=True)]
    batches = list(torch.split(order, batch_size)) if count else []
    if generator is None:
        return batches
    return [batches[i] for i in torch.randperm(len(batches), generator=generator).tolist()]


def windows(
    sequence: Int64[Tensor, " length"], width: int, offset: int = 0
) -> tuple[Int64[Tensor, "windows width"], Int64[Tensor, "windows width"]]:
    """Cut a long sequence into consecutive windows, and give for each place in them the element that follows it.

    Args:
        sequence: The whole sequence.
        width: Elements in a window.
        offset: Where the first window begins; what is before it is left out, as is the rest at the end.

    Returns:
        Windows, and the same moved on by one.

    Raises:
        ValueError: The sequence is too short for one window, or ``width`` or ``offset`` is out of range.
    """
    if width < 1 or offset < 0:
        raise ValueError(f"width is {width} and offset is {offset}, expected at least 1 and at least 0")
    count = (len(sequence) - offset - 1) // width
    if count < 1:
        raise ValueError(
            f"a sequence of {len(sequence)} has no window of {width} and one element after it from {offset} on: "
            f"choose width at most {max(len(sequence) - offset - 1, 0)}"
        )
    inputs = sequence[offset : offset + count * width]
    targets = sequence[offset + 1 : offset + count * width + 1]
    return inputs.view(count, width), targets.view(count, width)
