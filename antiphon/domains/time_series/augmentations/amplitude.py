"""Amplitudes changed: factors per time step, example or channel, and smooth curves."""

from __future__ import annotations

from typing import Literal

from torch import Tensor

from antiphon.common.augment.base import Augmentation, Parameters, checked_number
from antiphon.common.random import KeyedRandom
from antiphon.domains.time_series.augmentations.splines import smooth_curve


class Scaling(Augmentation):
    """Multiply by factors from a normal distribution of `mean` and `std`.

    `per` says what gets a factor of its own: "time", each time step, shared by all channels (the weak view of DBPM, mean 1 and
    std 1.1, and of TS-TCC, mean 2 and std 1.1 for HAR); "channel", each channel; "example", each example.
    """

    def __init__(
        self, mean: float = 1.0, std: float = 0.1, *, per: Literal["time", "channel", "example"] = "example", p: float = 1.0
    ) -> None:
        super().__init__(p)
        if per not in ("time", "channel", "example"):
            raise ValueError(f"per must be 'time', 'channel' or 'example', got {per!r}")
        self.mean = mean
        self.std = checked_number("std", std, least=0.0)
        self.per = per

    def sample(self, random: KeyedRandom, signals: Tensor, lengths: Tensor) -> Parameters:
        """`factors` (B, 1, T), (B, C, 1) or (B, 1, 1)."""
        _, channels, size = signals.shape
        shape = {"time": (1, size), "channel": (channels, 1), "example": (1, 1)}[self.per]
        return {"factors": random.normal(*shape, mean=self.mean, std=self.std)}

    def apply(self, signals: Tensor, lengths: Tensor, parameters: Parameters) -> Tensor:
        """Signals (B, C, T) times the factors."""
        return signals * parameters["factors"].to(signals.dtype)


class MagnitudeWarp(Augmentation):
    """Multiply by a smooth random curve (Um et al. 2017): a cubic spline through `knots` + 2 factors from N(1, `std`^2).

    The knots are spread evenly over the example, its two ends included. Channels get curves of their own unless `per_channel`
    is False.
    """

    def __init__(self, std: float = 0.2, knots: int = 4, *, per_channel: bool = True, p: float = 1.0) -> None:
        super().__init__(p)
        self.std = checked_number("std", std, least=0.0)
        self.knots = int(checked_number("knots", knots, least=0))
        self.per_channel = per_channel

    def sample(self, random: KeyedRandom, signals: Tensor, lengths: Tensor) -> Parameters:
        """`factors` (B, 1 or C, knots + 2), at the knots."""
        return {"factors": random.normal(signals.shape[1] if self.per_channel else 1, self.knots + 2, mean=1.0, std=self.std)}

    def apply(self, signals: Tensor, lengths: Tensor, parameters: Parameters) -> Tensor:
        """Signals (B, C, T) times the curve."""
        return signals * smooth_curve(parameters["factors"].to(signals.dtype), lengths, signals.shape[-1])
