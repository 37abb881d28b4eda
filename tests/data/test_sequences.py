"""Padding, buckets of equal lengths, and windows over a long sequence."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from odelib.data import buckets, pad, windows

sequences = st.lists(st.lists(st.integers(0, 99), max_size=7), max_size=6)


@given(sequences, st.integers(-1, 1))
def test_pad_adds_at_the_end_only(rows: list[list[int]], value: int) -> None:
    padded = pad(rows, value)
    assert padded.dtype == torch.int64
    assert padded.shape == (len(rows), max([1, *map(len, rows)]))
    for row, sequence in zip(padded.tolist(), rows, strict=True):
        assert row == sequence + [value] * (padded.shape[1] - len(sequence))


pairs = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=40)


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@given(pairs, st.integers(1, 8), st.one_of(st.none(), st.integers(0, 99)))
def test_each_item_is_in_one_batch(lengths: list[tuple[int, int]], batch_size: int, seed: int | None) -> None:
    table = torch.tensor(lengths, dtype=torch.int64).reshape(-1, 2)
    batches = buckets(table, batch_size, None if seed is None else seeded(seed))
    assert sorted(int(i) for batch in batches for i in batch) == list(range(len(lengths)))
    assert sorted(map(len, batches), reverse=True)[:-1] == [batch_size] * (len(batches) - 1)
    # Batches do not overlap: sorted by their shortest item, each ends before the next one begins.
    spans = sorted([sorted(lengths[i] for i in batch.tolist()) for batch in batches])
    flat = [item for span in spans for item in span]
    assert flat == sorted(lengths)


def test_little_is_padding() -> None:
    lengths = torch.randint(5, 40, (2000, 1), generator=seeded(0))
    longest = sum(len(batch) * int(lengths[batch].max()) for batch in buckets(lengths, 64, seeded(1)))
    assert longest < 1.03 * lengths.sum()
    in_order = sum(len(batch) * int(batch.max()) for batch in lengths.split(64))
    assert in_order > 1.6 * lengths.sum()


def test_seed_decides_and_the_generator_advances() -> None:
    lengths = torch.randint(5, 9, (500, 2), generator=seeded(0))
    generator = seeded(1)
    first, second = (torch.cat(buckets(lengths, 10, generator)) for _ in range(2))
    assert torch.equal(first, torch.cat(buckets(lengths, 10, seeded(1))))
    assert not torch.equal(first, second)
    assert torch.equal(torch.cat(buckets(lengths, 10)), torch.cat(buckets(lengths, 10)))


def test_items_of_equal_lengths_change_their_company() -> None:
    lengths = torch.ones(100, 1, dtype=torch.int64)
    a, b = (buckets(lengths, 10, seeded(seed)) for seed in (1, 2))
    assert {frozenset(batch.tolist()) for batch in a}.isdisjoint(frozenset(batch.tolist()) for batch in b)


def test_a_batch_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="batch_size is 0, expected at least 1"):
        buckets(torch.ones(3, 1, dtype=torch.int64), 0)


@given(st.integers(0, 60), st.integers(1, 9), st.integers(0, 12))
def test_windows_are_consecutive_and_followed_by_the_next_element(length: int, width: int, offset: int) -> None:
    sequence = torch.arange(length)
    if length - offset - 1 < width:
        with pytest.raises(ValueError, match=rf"a sequence of {length} has no window of {width}"):
            windows(sequence, width, offset)
        return
    inputs, targets = windows(sequence, width, offset)
    assert inputs.flatten().tolist() == list(range(offset, offset + inputs.numel()))
    assert torch.equal(targets, inputs + 1)
    assert inputs.shape[1] == width
    left = length - offset - 1 - inputs.numel()
    assert 0 <= left < width


@pytest.mark.parametrize(("width", "offset"), [(0, 0), (3, -1)])
def test_windows_out_of_range_are_refused(width: int, offset: int) -> None:
    with pytest.raises(ValueError, match=f"width is {width} and offset is {offset}"):
        windows(torch.arange(9), width, offset)
