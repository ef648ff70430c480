"""The loader: shuffled, resumable inside an epoch, the same on any number of ranks and workers."""

from itertools import chain

import numpy as np
import pytest
import torch

from antiphon.common.data.batch import SignalBatch
from antiphon.common.data.loader import KeyedLoader


class Rows:
    """Example i is the constant i."""

    def __init__(self, count: int) -> None:
        self.count = count

    def __len__(self) -> int:
        return self.count

    def batch(self, index: np.ndarray, *, epoch: int = 0) -> SignalBatch:
        rows = torch.as_tensor(index)
        return SignalBatch(rows[:, None, None].float().expand(-1, 1, 3).clone(), torch.full_like(rows, 3), rows)


def drawn(loader: KeyedLoader) -> list[list[int]]:
    return [batch.index.tolist() for batch in loader]


def test_an_epoch_visits_everything_once_and_epochs_differ() -> None:
    batches = drawn(KeyedLoader(Rows(12), batch_size=4, steps=6))
    first, second = list(chain(*batches[:3])), list(chain(*batches[3:]))
    assert sorted(first) == sorted(second) == list(range(12))
    assert first != second != list(range(12))


def test_drop_last_and_a_set_smaller_than_a_batch() -> None:
    assert [len(rows) for rows in drawn(KeyedLoader(Rows(10), batch_size=4, steps=4))] == [4, 4, 4, 4]
    assert [len(rows) for rows in drawn(KeyedLoader(Rows(10), batch_size=4, steps=4, drop_last=False))] == [4, 4, 2, 4]
    assert [len(rows) for rows in drawn(KeyedLoader(Rows(3), batch_size=8, steps=2))] == [3, 3]
    assert [len(rows) for rows in drawn(KeyedLoader(Rows(9), batch_size=4, steps=3, drop_last=False))] == [4, 4, 4]


def test_epoch_and_step_travel_with_the_batch() -> None:
    places = [(batch.epoch, batch.step) for batch in KeyedLoader(Rows(8), batch_size=4, steps=5)]
    assert places == [(0, 0), (0, 1), (1, 2), (1, 3), (2, 4)]


@pytest.mark.parametrize("stop", [1, 3, 4, 7])
def test_a_loader_continues_where_another_stopped(stop: int) -> None:
    whole = drawn(KeyedLoader(Rows(11), batch_size=3, steps=9, seed=5))
    first = KeyedLoader(Rows(11), batch_size=3, steps=9, seed=5)
    iterator = iter(first)
    begun = [next(iterator).index.tolist() for _ in range(stop)]
    second = KeyedLoader(Rows(11), batch_size=3, steps=9, seed=5)
    second.load_state_dict(first.state_dict())
    assert begun + drawn(second) == whole


@pytest.mark.parametrize("world_size", [2, 3])
def test_ranks_together_see_what_one_process_sees(world_size: int) -> None:
    whole = drawn(KeyedLoader(Rows(14), batch_size=6, steps=5, drop_last=False))
    parts = [
        drawn(KeyedLoader(Rows(14), batch_size=6, steps=5, drop_last=False, rank=rank, world_size=world_size))
        for rank in range(world_size)
    ]
    assert [list(chain(*step)) for step in zip(*parts, strict=True)] == whole


def test_workers_change_nothing_and_position_counts_what_was_consumed() -> None:
    alone = drawn(KeyedLoader(Rows(9), batch_size=3, steps=5))
    loader = KeyedLoader(Rows(9), batch_size=3, steps=5, workers=2)
    iterator = iter(loader)
    assert next(iterator).index.tolist() == alone[0]
    assert loader.state_dict() == {"position": 1}  # although the workers have fetched ahead
    assert [batch.index.tolist() for batch in iterator] == alone[1:]


def test_bad_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match="empty"):
        KeyedLoader(Rows(0), batch_size=2, steps=1)
    with pytest.raises(ValueError, match="batch_size=1 is smaller than the number of processes"):
        KeyedLoader(Rows(4), batch_size=1, steps=1, world_size=2)
