"""Time rolled or reversed within each example."""

from __future__ import annotations

import torch
from torch import Tensor

from antiphon.common.augment.base import Augmentation, Parameters, checked_number
from antiphon.common.data.batch import length_mask
from antiphon.common.random import KeyedRandom


def take_times(signals: Tensor, times: Tensor) -> Tensor:
    """Signals (B, C, T) at the samples `times` (B, S) int64, the same for all channels: (B, C, S)."""
    return signals.gather(2, times[:, None].expand(-1, signals.shape[1], -1))  # expanded, not copied: one index for all channels


class TimeShift(Augmentation):
    """Roll each example along time, around its own end, by up to `fraction` of its length in either direction."""

    def __init__(self, fraction: float = 0.5, *, p: float = 1.0) -> None:
        super().__init__(p)
        self.fraction = checked_number("fraction", fraction, least=0.0, most=1.0)

    def sample(self, random: KeyedRandom, signals: Tensor, lengths: Tensor) -> Parameters:
        """`shift` (B,) int64 in samples: positive is later."""
        furthest = (lengths * self.fraction).floor().long()
        return {"shift": random.integers(low=-furthest, high=furthest + 1)}

    def apply(self, signals: Tensor, lengths: Tensor, parameters: Parameters) -> Tensor:
        """What was at sample t is at (t + shift) mod length."""
        times = torch.arange(signals.shape[-1], device=signals.device)
        return take_times(signals, (times - parameters["shift"][:, None]) % lengths[:, None].clamp(min=1))


class TimeReverse(Augmentation):
    """Play an example backwards; a coin by default."""

    def __init__(self, *, p: float = 0.5) -> None:
        super().__init__(p)

    def sample(self, random: KeyedRandom, signals: Tensor, lengths: Tensor) -> Parameters:
        """Nothing to draw but the coin `p`."""
        return {}

    def apply(self, signals: Tensor, lengths: Tensor, parameters: Parameters) -> Tensor:
        """What was at sample t is at length - 1 - t."""
        times = torch.arange(signals.shape[-1], device=signals.device)
        inside = length_mask(lengths, signals.shape[-1])
        return take_times(signals, torch.where(inside, lengths[:, None] - 1 - times, times))
