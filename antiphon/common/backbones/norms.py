"""Normalisation of maps (B, C, T) and (B, C, F, T) by name."""

from __future__ import annotations

import math
from typing import Literal, get_args

from torch import Tensor, nn

Norm = Literal["batch", "group", "layer"]


class ChannelLayerNorm(nn.LayerNorm):
    """Layer norm over the channels of each frame of maps (B, C, T): no frame sees another, so padding changes nothing inside."""

    def forward(self, input: Tensor) -> Tensor:
        """Maps (B, C, T) -> (B, C, T)."""
        return super().forward(input.transpose(1, 2)).transpose(1, 2)


def norm1d(norm: Norm, channels: int) -> nn.Module:
    """The normalisation `norm` for maps (B, channels, T).

    "batch": over batch and time. "group": 8 groups of channels, over time (fewer groups where 8 does not divide the channels).
    "layer": over the channels of each frame. Raises ValueError for another name.
    """
    if norm == "batch":
        return nn.BatchNorm1d(channels)
    if norm == "group":
        return nn.GroupNorm(math.gcd(channels, 8), channels)
    if norm == "layer":
        return ChannelLayerNorm(channels)
    raise ValueError(f"unknown norm {norm!r}: use one of {', '.join(get_args(Norm))}")


def norm2d(norm: Norm, channels: int) -> nn.Module:
    """The normalisation `norm` for maps (B, channels, F, T): "batch" over batch, F and T; "group" as in `norm1d`, over F and T.

    Raises ValueError for another name.
    """
    if norm == "batch":
        return nn.BatchNorm2d(channels)
    if norm == "group":
        return nn.GroupNorm(math.gcd(channels, 8), channels)
    raise ValueError(f"unknown norm {norm!r} for two-dimensional maps: use batch or group")
