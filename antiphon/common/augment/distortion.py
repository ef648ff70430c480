"""Distortions: clipped, overdriven, coarsely quantised. Each depends on the level, so none commutes with a gain."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from antiphon.common.augment.base import Augmentation, Parameters, checked_interval
from antiphon.common.augment.noise import observed
from antiphon.common.random import KeyedRandom
from antiphon.common.signal.distortion import clip, clip_level, mu_law, peak, quantize, saturate


class Clipping(Augmentation):
    """Clip each example at the magnitude that a share of its samples exceeds; the share is drawn uniformly from `fraction`."""

    def __init__(self, fraction: Sequence[float] = (0.0, 0.1), *, p: float = 1.0) -> None:
        super().__init__(p)
        self.fraction = checked_interval("fraction", fraction, least=0.0, most=1.0)

    def sample(self, random: KeyedRandom, signals: Tensor, lengths: Tensor) -> Parameters:
        """`fraction` (B,)."""
        return {"fraction": random.uniform(low=self.fraction[0], high=self.fraction[1])}

    def apply(self, signals: Tensor, lengths: Tensor, parameters: Parameters) -> Tensor:
        """Signals between plus and minus the level."""
        return clip(signals, clip_level(signals, parameters["fraction"], observed(signals, lengths)))


class Saturation(Augmentation):
    """Overdrive: a hyperbolic tangent that keeps the peak of each example, driven by `drive_db` decibels drawn uniformly.

    At -10 dB it is hardly heard, at 20 dB a sine is nearly a square wave.
    """

    def __init__(self, drive_db: Sequence[float] = (-10.0, 15.0), *, p: float = 1.0) -> None:
        super().__init__(p)
        self.drive_db = checked_interval("drive_db", drive_db, least=-60.0, most=60.0)

    def sample(self, random: KeyedRandom, signals: Tensor, lengths: Tensor) -> Parameters:
        """`drive_db` (B,)."""
        return {"drive_db": random.uniform(low=self.drive_db[0], high=self.drive_db[1])}

    def apply(self, signals: Tensor, lengths: Tensor, parameters: Parameters) -> Tensor:
        """Signals bent around their peak."""
        return saturate(signals, parameters["drive_db"], peak(signals, observed(signals, lengths)))


class BitDepth(Augmentation):
    """Round to fewer bits, drawn uniformly from the whole numbers of `bits`.

    The bits span -1 .. 1, the full scale of audio files (what exceeds it is clipped), or with `mu_law` are companded first, as on a
    telephone line of 8 bits. Gradients pass as if nothing were rounded.
    """

    def __init__(self, bits: Sequence[int] = (5, 12), *, mu_law: bool = False, p: float = 1.0) -> None:
        super().__init__(p)
        low, high = checked_interval("bits", bits, least=1, most=24)
        self.bits, self.mu_law = (int(low), int(high)), mu_law

    def sample(self, random: KeyedRandom, signals: Tensor, lengths: Tensor) -> Parameters:
        """`bits` (B,) int64."""
        return {"bits": random.integers(low=self.bits[0], high=self.bits[1] + 1)}

    def apply(self, signals: Tensor, lengths: Tensor, parameters: Parameters) -> Tensor:
        """Signals rounded."""
        return (mu_law if self.mu_law else quantize)(signals, parameters["bits"])
