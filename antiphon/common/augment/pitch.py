"""Pitch and tempo changed independently, and speed, which changes both."""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor

from antiphon.common.augment.base import Augmentation, Parameters, checked_interval
from antiphon.common.random import KeyedRandom
from antiphon.common.signal.pitch import WIDEST, change_speed, pitch_shift, time_stretch, vocoder_window


class PitchShift(Augmentation):
    """Raise the pitch by a number of cents (1200 an octave) drawn uniformly from `cents`; the duration stays.

    The defaults are those of CLMR's code (Spijkervet & Burgoyne 2021).
    """

    def __init__(self, cents: Sequence[float] = (-700.0, 700.0), *, sample_rate: float, p: float = 1.0) -> None:
        super().__init__(p)
        self.cents = checked_interval("cents", cents, least=-2400.0, most=2400.0)
        self._window = vocoder_window(sample_rate)

    def sample(self, random: KeyedRandom, signals: Tensor, lengths: Tensor) -> Parameters:
        """`cents` (B,)."""
        return {"cents": random.uniform(low=self.cents[0], high=self.cents[1])}

    def apply(self, signals: Tensor, lengths: Tensor, parameters: Parameters) -> Tensor:
        """Every frequency times 2^(cents / 1200)."""
        return pitch_shift(signals, parameters["cents"], lengths=lengths, window=self._window)


class TimeStretch(Augmentation):
    """Make a signal `stretch` times as long, drawn uniformly, at the same pitch.

    Within its length, what no longer fits is cut and what is missing is silent.
    """

    def __init__(self, stretch: Sequence[float] = (0.8, 1.25), *, sample_rate: float, p: float = 1.0) -> None:
        super().__init__(p)
        self.stretch = checked_interval("stretch", stretch, least=1.0 / WIDEST, most=WIDEST)
        self._window = vocoder_window(sample_rate)

    def sample(self, random: KeyedRandom, signals: Tensor, lengths: Tensor) -> Parameters:
        """`stretch` (B,)."""
        return {"stretch": random.uniform(low=self.stretch[0], high=self.stretch[1])}

    def apply(self, signals: Tensor, lengths: Tensor, parameters: Parameters) -> Tensor:
        """What was at t is at `stretch` times t."""
        size = signals.shape[-1]
        return time_stretch(signals, parameters["stretch"], lengths=lengths, window=self._window, size=size)[0]


class SpeedChange(Augmentation):
    """Play a signal `speed` times as fast, drawn uniformly, pitch and all.

    Within its length, what no longer fits is cut and what is missing is silent.
    """

    def __init__(self, speed: Sequence[float] = (0.9, 1.1), *, p: float = 1.0) -> None:
        super().__init__(p)
        self.speed = checked_interval("speed", speed, least=1.0 / WIDEST, most=WIDEST)

    def sample(self, random: KeyedRandom, signals: Tensor, lengths: Tensor) -> Parameters:
        """`speed` (B,)."""
        return {"speed": random.uniform(low=self.speed[0], high=self.speed[1])}

    def apply(self, signals: Tensor, lengths: Tensor, parameters: Parameters) -> Tensor:
        """What was at t is at t / `speed`."""
        faster, _ = change_speed(signals, parameters["speed"], lengths=lengths)
        return F.pad(faster, (0, signals.shape[-1] - faster.shape[-1]))
