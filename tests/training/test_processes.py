"""How processes share a batch: every row is computed once, and as it would be in the whole batch."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from odelib.data import ImageData
from odelib.layers.drops import draw_keep, rows_of_batch
from odelib.training import Batch, Runtime, TrainConfig
from odelib.training.processes import Processes, launched
from odelib.training.tasks import TrainingSet

CPU = Runtime.choose("cpu")
STRONG = {"rand_augment": 9, "erasing": 0.5, "mixup": 0.8, "cutmix": 1.0}


class OneOf(Processes):
    """A process that waits for no other."""

    def __init__(self, rank: int, count: int) -> None:
        self.rank, self.world_size = rank, count


@given(st.integers(1, 40), st.integers(1, 6), st.integers(1, 7))
def test_every_row_counts_in_one_process(rows: int, pieces: int, count: int) -> None:
    parts = [OneOf(rank, count).parts(rows, pieces) for rank in range(count)]
    assert {len(each) for each in parts} == {min(pieces, rows)}
    assert all(part.begin <= part.first < part.last <= part.end for each in parts for part in each)
    counted = [row for each in parts for part in each if part.weight for row in range(part.first, part.last)]
    assert sorted(counted) == list(range(rows))
    for same_piece in zip(*parts, strict=True):
        assert len({(part.begin, part.end) for part in same_piece}) == 1
        sizes = [(part.last - part.first) * part.weight for part in same_piece]
        assert max(sizes) - min(sizes) <= 1


@pytest.mark.parametrize("count", [2, 3, 11])
@pytest.mark.parametrize("recipe", [{}, STRONG, {**STRONG, "accumulate": 3}, {"erasing": 1.0, "accumulate": 64}])
def test_each_process_makes_its_rows_of_the_same_images(
    data: ImageData, config: TrainConfig, recipe: dict[str, float], count: int
) -> None:
    config = replace(config, **recipe)
    alone = list(TrainingSet(data, config, CPU).epoch(1))
    for rank in range(count):
        processes = OneOf(rank, count)
        training = TrainingSet(data, config, replace(CPU, processes=processes))
        for (images, labels), (mine, wanted) in zip(alone, training.epoch(1), strict=True):
            rows = processes.rows(len(images), config.accumulate)
            torch.testing.assert_close(mine, images[rows])
            torch.testing.assert_close(wanted, labels[rows])


def test_a_batch_is_cut_whether_it_is_whole_or_not() -> None:
    x, y = torch.arange(7), torch.arange(7) + 10
    processes = OneOf(1, 2)
    rows = processes.rows(7, 2)
    whole, cut = Batch((x,), y, 7), Batch((x[rows],), y[rows], 7, whole=7)
    for batch in (whole, cut):
        pieces = [(inputs.tolist(), targets.tolist()) for (inputs,), targets, _ in batch.pieces(processes, 2)]
        assert pieces == [([2, 3], [12, 13]), ([6], [16])]


def test_dropout_of_some_rows_is_that_of_the_whole_batch() -> None:
    state = torch.zeros(9, 4, 5)
    torch.manual_seed(0)
    whole, after = draw_keep(state, 0.3), torch.get_rng_state()
    for first, last in ((0, 5), (5, 9), (8, 9)):
        torch.manual_seed(0)
        with rows_of_batch(first, last, 9):
            assert torch.equal(draw_keep(state[first:last], 0.3), whole[first:last])
        assert torch.equal(torch.get_rng_state(), after)
    torch.manual_seed(0)
    assert torch.equal(draw_keep(state, 0.3), whole)  # the context is over


def test_rows_that_are_not_those_at_hand_are_refused() -> None:
    with rows_of_batch(2, 5, 9), pytest.raises(ValueError, match="a state of 4 rows came where rows 2 to 5"):
        draw_keep(torch.zeros(4, 1, 1), 0.5)


def test_without_a_launcher_there_is_one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RANK", raising=False)
    monkeypatch.setenv("WORLD_SIZE", "4")  # set by some schedulers for every job
    assert launched() == 1
    assert Runtime.choose("cpu").processes.world_size == 1


def test_accelerate_is_asked_for_where_it_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setitem(__import__("sys").modules, "odelib.training.distributed", None)
    with pytest.raises(ValueError, match=r"training in 2 processes needs .* pip install '\.\[distributed\]'"):
        Runtime.choose("cpu")


@pytest.mark.parametrize(
    ("devices", "name", "wanted"), [(2, "auto", "cuda:1"), (2, "cuda", "cuda:1"), (1, "cuda", None)]
)
def test_each_process_takes_a_device_of_its_own(
    monkeypatch: pytest.MonkeyPatch, devices: int, name: str, wanted: str | None
) -> None:
    from odelib.training import runtime

    for key, value in {"RANK": "1", "LOCAL_RANK": "1", "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"}.items():
        monkeypatch.setenv(key, value)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: devices)
    if wanted:
        assert runtime._find_device(name) == torch.device(wanted)
    else:
        with pytest.raises(ValueError, match="2 processes were started on a machine with 1 CUDA devices"):
            runtime._find_device(name)
