"""Loudness and polarity."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from torch import Tensor

from antiphon.common.augment.base import Augmentation, Parameters, checked_interval, checked_number
from antiphon.common.random import KeyedRandom


class Gain(Augmentation):
    """Multiply by a gain drawn uniformly in decibels from `gain_db`, one per example or one per channel.

    With `limit` the result is clipped at plus and minus that (1: the full scale of audio files, as torchaudio's `Vol` does it).
    """

    def __init__(
        self,
        gain_db: Sequence[float] = (-6.0, 6.0),
        *,
        per: Literal["example", "channel"] = "example",
        limit: float | None = None,
        p: float = 1.0,
    ) -> None:
        super().__init__(p)
        self.limit = None if limit is None else checked_number("limit", limit, least=0.0)
        self.gain_db = checked_interval("gain_db", gain_db)
        if per not in ("example", "channel"):
            raise ValueError(f"per must be 'example' or 'channel', got {per!r}")
        self.per = per

    def sample(self, random: KeyedRandom, signals: Tensor, lengths: Tensor) -> Parameters:
        """`gain_db` (B, 1, 1), or (B, C, 1) per channel."""
        low, high = self.gain_db
        return {"gain_db": random.uniform(signals.shape[1] if self.per == "channel" else 1, 1, low=low, high=high)}

    def apply(self, signals: Tensor, lengths: Tensor, parameters: Parameters) -> Tensor:
        """Signals (B, C, T) times 10^(gain_db / 20), clipped at the limit."""
        louder = signals * (10.0 ** (parameters["gain_db"].to(signals.dtype) / 20.0))
        return louder if self.limit is None else louder.clamp(-self.limit, self.limit)


class PolarityInversion(Augmentation):
    """Negate the signals of an example; a coin by default. Avoid it where the sign carries the class."""

    def __init__(self, *, p: float = 0.5) -> None:
        super().__init__(p)

    def sample(self, random: KeyedRandom, signals: Tensor, lengths: Tensor) -> Parameters:
        """Nothing to draw but the coin `p`."""
        return {}

    def apply(self, signals: Tensor, lengths: Tensor, parameters: Parameters) -> Tensor:
        """Minus the signals."""
        return -signals
