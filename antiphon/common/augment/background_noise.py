"""Recorded noise in the background."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from antiphon.common.augment.base import Parameters, checked_interval
from antiphon.common.augment.noise import AdditiveNoise
from antiphon.common.random import KeyedRandom
from antiphon.common.signal.noise_bank import NoiseBank


class BackgroundNoise(AdditiveNoise):
    """Add a random segment of a random recording of `bank`, at a signal-to-noise ratio drawn uniformly in decibels.

    `snr_db`: a pair (low, high) for all recordings alike, or one for each category to use: a category is then drawn first, each as
    likely as any other, and a recording of it second. MUSAN as in speaker recognition:
    ``{"speech": (13, 20), "noise": (0, 15), "music": (5, 15)}``. What the ratio means, see `AdditiveNoise`.
    """

    def __init__(
        self, bank: NoiseBank, snr_db: Sequence[float] | Mapping[str, Sequence[float]] = (5.0, 20.0), *, p: float = 1.0
    ) -> None:
        if isinstance(snr_db, Mapping):
            if not snr_db:
                raise ValueError(f"snr_db names no category: the noise bank has {', '.join(map(repr, bank.categories))}")
            choices = [(*checked_interval(f"snr_db of {name}", pair), bank.category_range(name)) for name, pair in snr_db.items()]
        else:
            choices = [(*checked_interval("snr_db", snr_db), range(len(bank)))]
        super().__init__((min(low for low, _, _ in choices), max(high for _, high, _ in choices)), p=p)
        self.bank = bank
        self._choices = torch.tensor([[low, high, part.start, part.stop] for low, high, part in choices])  # (categories, 4)

    def sample(self, random: KeyedRandom, signals: Tensor, lengths: Tensor) -> Parameters:
        """`snr_db` (B, 1, 1), `recording` (B,), and `noise` (B, C, T): its segments."""
        choices = self._choices.to(signals.device)[random.integers(high=len(self._choices))]  # (B, 4)
        low, high, first, beyond = choices.unbind(dim=1)
        recording = random.integers(low=first.long(), high=beyond.long())
        noise = self.bank.segments(recording, random.uniform(), lengths, channels=signals.shape[1], size=signals.shape[-1])
        snr_db = random.uniform(low=low, high=high)[:, None, None]
        return {"snr_db": snr_db, "recording": recording, "noise": noise}
