"""Windows: where they lie, what completes a short one, and what a recording becomes."""

import numpy as np
import pytest
import torch

from antiphon.common.data.windows import Partial, centre_start, fit, random_starts, tile_starts


def starts(rows: list[int], epoch: int = 0, seed: int = 0, length: int = 1000) -> list[int]:
    lengths = torch.full((len(rows),), length)
    return random_starts(lengths, 100, seed=seed, epoch=epoch, index=torch.tensor(rows)).tolist()


def test_random_windows_depend_on_seed_epoch_and_row_alone() -> None:
    together = starts([4, 9, 2])
    assert together == [starts([row])[0] for row in (4, 9, 2)]
    assert together != starts([4, 9, 2], epoch=1) and together != starts([4, 9, 2], seed=1)


def test_random_windows_reach_every_place_and_stay_inside() -> None:
    drawn = starts(list(range(3000)), length=105)
    assert sorted(set(drawn)) == [0, 1, 2, 3, 4, 5]
    assert np.bincount(drawn).min() > 400
    assert starts([0, 1], length=100) == starts([0, 1], length=7) == [0, 0]


@pytest.mark.parametrize(
    ("length", "hop", "partial", "expected"),
    [
        (30, None, "drop", [0, 10, 20]),
        (30, None, "pad", [0, 10, 20]),
        (34, None, "drop", [0, 10, 20]),
        (34, None, "pad", [0, 10, 20, 30]),
        (4, None, "drop", [0]),
        (4, None, "pad", [0]),
        (22, 5, "drop", [0, 5, 10]),
        (22, 5, "pad", [0, 5, 10, 15]),
        (20, 5, "pad", [0, 5, 10]),
    ],
)
def test_tiles(length: int, hop: int | None, partial: Partial, expected: list[int]) -> None:
    assert tile_starts(length, 10, hop=hop, partial=partial).tolist() == expected


def test_centre() -> None:
    assert [centre_start(length, 10) for length in (4, 10, 11, 30)] == [0, 0, 0, 10]


def test_short_ones_are_padded_or_repeated_and_long_ones_cut() -> None:
    waves = torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    padded, size = fit(waves, 5)
    assert (padded.tolist(), size) == ([[1, 2, 3, 0, 0], [4, 5, 6, 0, 0]], 3)
    repeated, size = fit(waves, 7, short="repeat")
    assert (repeated.tolist(), size) == ([[1, 2, 3, 1, 2, 3, 1], [4, 5, 6, 4, 5, 6, 4]], 7)
    cut, size = fit(waves, 2)
    assert (cut.tolist(), size) == ([[1, 2], [4, 5]], 2)


def test_a_window_of_no_samples_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1 sample"):
        tile_starts(10, 0)
