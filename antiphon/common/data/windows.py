"""Windows of equal length from recordings that are longer or shorter: every choice is declared."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from antiphon.common.random import KeyedRandom

Windows = Literal["random", "centre", "all"]
Short = Literal["pad", "repeat", "skip"]
Partial = Literal["drop", "pad"]


def random_starts(lengths: Tensor, window: int, *, seed: int, epoch: int, index: Tensor) -> Tensor:
    """Where a random window of each recording begins, (B,) int64; `lengths` (B,) in samples, a short recording gives 0.

    Keyed on (seed, epoch, `index` (B,): the row in the data set), so it is the same whatever the batch, worker or rank.
    """
    draw = KeyedRandom.for_examples(seed, epoch, index).fold("window")
    return draw.integers(high=(lengths - window).clamp(min=0) + 1)


def centre_start(length: int, window: int) -> int:
    """Where the middle window of a recording begins; 0 in a short one."""
    return max(0, length - window) // 2


def tile_starts(length: int, window: int, *, hop: int | None = None, partial: Partial = "drop") -> NDArray[np.int64]:
    """Where windows `hop` samples apart begin (None: side by side), (n,), at least one.

    The samples behind the last whole window are left out (`partial="drop"`), or make one more, incomplete window ("pad").

    Raises:
        ValueError: a window or hop below 1.
    """
    hop = window if hop is None else hop
    if window < 1 or hop < 1:
        raise ValueError(f"window and hop must be at least 1 sample, got window={window} and hop={hop}")
    whole = max(0, (length - window) // hop + 1)
    rest = length > (whole - 1) * hop + window if whole else True
    return np.arange(max(1, whole + (rest and partial == "pad"))) * hop


def fit(waves: Tensor, window: int, *, short: Short = "pad") -> tuple[Tensor, int]:
    """Waves (C, T), T at least 1, as (C, window), and how many samples of that are signal.

    Longer waves are cut behind. Shorter ones are padded with zeros ("pad"; also "skip", which leaves it to the data set to have no
    short ones), or begin again until the window is full ("repeat").
    """
    size = waves.shape[-1]
    if size >= window:
        return waves[..., :window], window
    if short == "repeat":
        return waves.repeat(1, -(-window // size))[..., :window], window
    return torch.nn.functional.pad(waves, (0, window - size)), size
