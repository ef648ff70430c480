"""Windows of another size than the signals they come from."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from antiphon.common.augment.base import Augmentation, checked_number
from antiphon.common.augment.shift import take_times
from antiphon.common.data.batch import View
from antiphon.common.random import KeyedRandom


def take_windows(signals: Tensor, starts: Tensor, size: int) -> Tensor:
    """Signals (B, C, T) from `starts` (B,) int64 on, `size` samples each: (B, C, size). What lies outside 0 .. T-1 is zero."""
    times = starts[:, None] + torch.arange(size, device=signals.device)
    windows = take_times(signals, times.clamp(0, signals.shape[-1] - 1))
    return windows.masked_fill(((times < 0) | (times >= signals.shape[-1]))[:, None], 0.0)


def take_repeated(signals: Tensor, lengths: Tensor, starts: Tensor, size: int) -> Tensor:
    """Signals (B, C, T) from `starts` (B,) int64 on, `size` samples each: (B, C, size). They start again after `lengths` (B,)."""
    times = starts[:, None] + torch.arange(size, device=signals.device)
    return take_times(signals, times % lengths[:, None].clamp(min=1))


class CroppedViews:
    """One view per augmentation, each of its own random window of `samples` samples (COLA, music encoders).

    With ``same_window=True`` all views see the same window through different augmentations (CLMR). An example shorter than
    the window is taken whole and keeps its length; if the whole batch is shorter than the window, zeros are appended.
    """

    def __init__(self, samples: int, augmentations: Sequence[Augmentation], *, same_window: bool = False) -> None:
        self.samples = int(checked_number("samples", samples, least=1))
        self.augmentations = list(augmentations)
        self.same_window = same_window

    def __call__(self, signals: Tensor, lengths: Tensor, random: KeyedRandom) -> list[View]:
        """Signals (B, C, T) -> views of (B, C, samples), in order."""
        views = []
        for number, augmentation in enumerate(self.augmentations):
            stream = random.fold("view", number)
            place = random.fold("window", 0 if self.same_window else number)
            starts = place.integers(high=(lengths - self.samples).clamp(min=0) + 1)
            sizes = lengths.clamp(max=self.samples)
            views.append(View(augmentation(take_windows(signals, starts, self.samples), sizes, stream), sizes))
        return views
