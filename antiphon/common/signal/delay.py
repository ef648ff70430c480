"""Copies of a signal that arrive later, by a time of each example's own."""

from __future__ import annotations

import torch
from torch import Tensor


def delayed(waves: Tensor, delay: Tensor) -> Tensor:
    """Waves (B, C, T), each example `delay` (B,) int64 samples later (0 or more), silent before."""
    times = torch.arange(waves.shape[-1], device=waves.device) - delay[:, None]
    later = waves.gather(2, times.clamp(min=0)[:, None].expand(-1, waves.shape[1], -1))
    return later * (times >= 0)[:, None]


def echo(waves: Tensor, delay: Tensor, level: Tensor | float) -> Tensor:
    """(dry + level x delayed) / 2: an echo that cannot clip where `level` (a number or (B,)) is 1 or less; see `delayed`."""
    level = torch.as_tensor(level, dtype=waves.dtype, device=waves.device).reshape(-1, 1, 1)
    return (waves + level * delayed(waves, delay)) / 2
