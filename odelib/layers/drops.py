"""What dropout and stochastic depth draw, so that a batch that processes share among them drops what it would alone."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import Tensor

# A plain variable and no context variable: with a GPU, backward passes run in a thread of their own, and replayed
# steps draw there again.
_rows: tuple[int, int, int] | None = None


@contextmanager
def rows_of_batch(first: int, last: int, of: int) -> Iterator[None]:
    """Let what is drawn in the block be that of a whole batch, of which the tensors at hand are some rows.

    Processes in equal random states then drop what one process with the whole batch would drop, and stay in equal
    states. The price is that each draws for all rows.

    Args:
        first: The first row at hand.
        last: The one after the last row at hand.
        of: Rows of the whole batch.
    """
    global _rows
    before, _rows = _rows, (first, last, of)
    try:
        yield
    finally:
        _rows = before


def draw_keep(like: Tensor, rate: float) -> Tensor:
    """Return a mask of the shape of ``like``: 0 with probability ``rate``, else 1 / (1 - rate).

    Raises:
        ValueError: It has another number of rows than ``rows_of_batch`` said.
    """
    first, last, of = _rows or (0, len(like), len(like))
    if len(like) != last - first:
        raise ValueError(f"a state of {len(like)} rows came where rows {first} to {last} of a batch are computed")
    whole = like.new_empty((of, *like.shape[1:])).bernoulli_(1.0 - rate)
    return whole[first:last].div_(1.0 - rate)
