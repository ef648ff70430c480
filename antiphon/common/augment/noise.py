"""Noise of any colour, of a given deviation or at a given signal-to-noise ratio."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from antiphon.common.augment.base import Augmentation, Parameters, checked_interval, checked_number
from antiphon.common.data.batch import length_mask
from antiphon.common.random import KeyedRandom
from antiphon.common.signal.noise import COLOURS, add_at_snr, colour, colouring_half_width, deviation


def observed(signals: Tensor, lengths: Tensor) -> Tensor:
    """(B, C, T) bool: True where a sample lies inside its example and is not missing."""
    return length_mask(lengths, signals.shape[-1])[:, None] & ~signals.isnan()


class GaussianNoise(Augmentation):
    """Add white Gaussian noise of standard deviation `std`: a number, or a pair (low, high) to draw from for each example.

    In the unit of the signals; with `relative`, in standard deviations of the example itself, over all its channels and observed
    samples (CLMR's noise: ``std=(0.0001, 0.01), relative=True``).
    """

    def __init__(self, std: float | Sequence[float] = 0.1, *, relative: bool = False, p: float = 1.0) -> None:
        super().__init__(p)
        if isinstance(std, int | float):
            std = (checked_number("std", std, least=0.0),) * 2
        self.std = checked_interval("std", std, least=0.0)
        self.relative = relative

    def sample(self, random: KeyedRandom, signals: Tensor, lengths: Tensor) -> Parameters:
        """`noise` (B, C, T) of unit variance and `std` (B, 1, 1)."""
        low, high = self.std
        return {"noise": random.normal(*signals.shape[1:]), "std": random.uniform(1, 1, low=low, high=high)}

    def apply(self, signals: Tensor, lengths: Tensor, parameters: Parameters) -> Tensor:
        """Signals plus `std` times the noise."""
        std = parameters["std"].to(signals.dtype)
        if self.relative:
            std = std * deviation(signals, observed(signals, lengths))
        return signals + parameters["noise"].to(signals.dtype) * std


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
        noise, snr_db = parameters["noise"].to(signals.dtype), parameters["snr_db"].to(signals.dtype)
        return add_at_snr(signals, noise, snr_db, observed(signals, lengths))


class ColouredNoise(AdditiveNoise):
    """Add noise of a colour drawn from `colours`, at a signal-to-noise ratio drawn uniformly in decibels from `snr_db`.

    Power densities: white is flat, pink falls by 3.01 dB per octave and brown by 6.02, blue and violet rise as much; below
    `lowest_hz` all are about flat. What the ratio means, see `AdditiveNoise`.
    """

    def __init__(
        self,
        snr_db: Sequence[float] = (5.0, 20.0),
        *,
        sample_rate: float,
        colours: Sequence[str] = ("white", "pink", "brown", "blue", "violet"),
        lowest_hz: float = 30.0,
        p: float = 1.0,
    ) -> None:
        super().__init__(snr_db, p=p)
        unknown = [name for name in colours if name not in COLOURS]
        if unknown or not colours:
            raise ValueError(f"colours must be some of {', '.join(COLOURS)}, got {', '.join(unknown) or 'none'}")
        self.colours = tuple(colours)
        self._exponents = torch.tensor([COLOURS[name] for name in colours])
        checked_number("lowest_hz", lowest_hz, least=sample_rate / 1e5, most=sample_rate / 4)
        self._half_width = colouring_half_width(sample_rate, lowest_hz)

    def sample(self, random: KeyedRandom, signals: Tensor, lengths: Tensor) -> Parameters:
        """`snr_db` (B, 1, 1), `exponent` (B,) of the power density, and `white` noise, (B, C, T) and what its filter needs more."""
        low, high = self.snr_db
        channels, size = signals.shape[1:]
        return {
            "snr_db": random.uniform(1, 1, low=low, high=high),
            "exponent": self._exponents.to(signals.device)[random.integers(high=len(self._exponents))],
            "white": random.normal(channels, size + 2 * self._half_width),
        }

    def apply(self, signals: Tensor, lengths: Tensor, parameters: Parameters) -> Tensor:
        """Signals plus the coloured noise scaled to the ratio."""
        noise = colour(parameters["white"].to(signals.dtype), parameters["exponent"], half_width=self._half_width)
        return super().apply(signals, lengths, {**parameters, "noise": noise})
