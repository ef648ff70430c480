"""White noise, of a given deviation or at a given signal-to-noise ratio."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from antiphon.common.augment.base import Augmentation, Parameters, checked_interval, checked_number
from antiphon.common.data.batch import length_mask
from antiphon.common.random import KeyedRandom


def observed(signals: Tensor, lengths: Tensor) -> Tensor:
    """(B, C, T) bool: True where a sample lies inside its example and is not missing."""
    return length_mask(lengths, signals.shape[-1])[:, None] & ~signals.isnan()


def mean_power(signals: Tensor, known: Tensor) -> Tensor:
    """Mean square of each example over the positions of `known`: two (B, C, T) -> (B, 1, 1); 0 where nothing is known."""
    total = torch.where(known, signals, 0.0).square().sum(dim=(1, 2), keepdim=True)
    return total / known.sum(dim=(1, 2), keepdim=True).clamp(min=1)


class GaussianNoise(Augmentation):
    """Add white Gaussian noise of standard deviation `std`, in the unit of the signals."""

    def __init__(self, std: float = 0.1, *, p: float = 1.0) -> None:
        super().__init__(p)
        self.std = checked_number("std", std, least=0.0)

    def sample(self, random: KeyedRandom, signals: Tensor, lengths: Tensor) -> Parameters:
        """`noise` (B, C, T) of unit variance."""
        return {"noise": random.normal(*signals.shape[1:])}

    def apply(self, signals: Tensor, lengths: Tensor, parameters: Parameters) -> Tensor:
        """Signals plus `std` times the noise."""
        return signals.add(parameters["noise"].to(signals.dtype), alpha=self.std)


class AdditiveNoise(Augmentation):
    """Add white Gaussian noise at a signal-to-noise ratio drawn uniformly in decibels from `snr_db`, one per example.

    The ratio is that of the mean squares over all channels and observed samples of the example, with the very noise that is added
    (not its expectation), so what one measures is what was drawn. A silent example stays silent.
    """

    def __init__(self, snr_db: Sequence[float] = (5.0, 20.0), *, p: float = 1.0) -> None:
        super().__init__(p)
        self.snr_db = checked_interval("snr_db", snr_db)

    def sample(self, random: KeyedRandom, signals: Tensor, lengths: Tensor) -> Parameters:
        """`snr_db` (B, 1, 1) and `noise` (B, C, T)."""
        low, high = self.snr_db
        return {"snr_db": random.uniform(1, 1, low=low, high=high), "noise": random.normal(*signals.shape[1:])}

    def apply(self, signals: Tensor, lengths: Tensor, parameters: Parameters) -> Tensor:
        """Signals plus noise scaled to the ratio."""
        known = observed(signals, lengths)
        noise = parameters["noise"].to(signals.dtype)
        ratio = mean_power(signals, known) / mean_power(noise, known).clamp(min=torch.finfo(signals.dtype).tiny)
        return signals + noise * (ratio.sqrt() * 10.0 ** (-parameters["snr_db"].to(signals.dtype) / 20.0))
