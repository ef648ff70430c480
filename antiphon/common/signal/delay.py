"""Copies of a signal that arrive later, by a time of each example's own."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor


def delayed(waves: Tensor, delay: Tensor, *, longest: int) -> Tensor:
    """Each example later by its own time, silent before.

    Args:
        waves: (B, C, T).
        delay: (B,) int64, 0 .. longest samples.
        longest: the greatest delay that may occur, known without asking the device.
    """
    longest = min(longest, waves.shape[-1])
    shifted: Tensor = _Shift.apply(waves, delay.clamp(max=longest), longest)
    return shifted


def echo(waves: Tensor, delay: Tensor, level: Tensor | float, *, longest: int) -> Tensor:
    """(dry + level x delayed) / 2: an echo that cannot clip where `level` (a number or (B,)) is 1 or less; see `delayed`."""
    level = torch.as_tensor(level, dtype=waves.dtype, device=waves.device).reshape(-1, 1, 1)
    return (waves + level * delayed(waves, delay, longest=longest)) / 2


class _Shift(torch.autograd.Function):
    """A copy of one window per row: several times as fast as to gather every sample by its own index.

    With a backward of its own, an advance by the same time: autograd's would be as large as all the windows together.
    """

    @staticmethod
    def forward(ctx: Any, waves: Tensor, delay: Tensor, longest: int) -> Tensor:
        ctx.save_for_backward(delay)
        ctx.longest = longest
        return _windows(F.pad(waves, (longest, 0)), longest - delay, waves.shape[-1])

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        (delay,) = ctx.saved_tensors
        (gradient,) = gradients
        return _windows(F.pad(gradient, (0, ctx.longest)), delay, gradient.shape[-1]), None, None


def _windows(waves: Tensor, starts: Tensor, size: int) -> Tensor:
    """Waves (B, C, S) from `starts` (B,) on: (B, C, size)."""
    return waves.unfold(-1, size, 1)[torch.arange(len(waves), device=waves.device), :, starts]
