"""Copies of a signal that arrive later, by a time of each example's own."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def delayed(waves: Tensor, delay: Tensor, *, longest: int) -> Tensor:
    """Each example `delay` samples later, silent before.

    Args:
        waves: (B, C, T).
        delay: (B,) int64, 0 .. longest samples.
        longest: the greatest delay that may occur; known without asking the device.
    """
    padded = F.pad(waves, (longest, 0))
    starts = padded.unfold(-1, waves.shape[-1], 1)  # (B, C, longest + 1, T): a view, every window of the padded signal
    return starts[torch.arange(len(waves), device=waves.device), :, longest - delay]


def echo(waves: Tensor, delay: Tensor, level: Tensor | float, *, longest: int) -> Tensor:
    """(dry + level x delayed) / 2: an echo that cannot clip where `level` (a number or (B,)) is 1 or less; see `delayed`."""
    level = torch.as_tensor(level, dtype=waves.dtype, device=waves.device).reshape(-1, 1, 1)
    return (waves + level * delayed(waves, delay, longest=longest)) / 2
