"""Distortions without memory: each sample is changed by its own value alone.

They do not commute with gain, so each says what its level refers to.
"""

from __future__ import annotations

import torch
from torch import Tensor

_SILENT = 1e-30  # a peak below it is none: dividing by it must not overflow


def peak(waves: Tensor, known: Tensor | None = None) -> Tensor:
    """The largest magnitude of each example over all channels, (B, C, T) -> (B, 1, 1); `known` (B, C, T) bool: what counts."""
    magnitudes = waves.abs() if known is None else torch.where(known, waves.abs(), 0.0)
    return magnitudes.amax(dim=(1, 2), keepdim=True)


def clip_level(waves: Tensor, fraction: Tensor, known: Tensor, *, bins: int = 8192) -> Tensor:
    """The magnitude that a `fraction` (B,) of an example's known samples exceeds, (B, 1, 1).

    From a histogram with linear interpolation inside a bin: exact to 1 / bins of the peak (a batched sort takes far longer).
    """
    waves = waves.detach()
    highest = peak(waves, known)
    scaled = waves.abs() * (bins / highest.clamp(min=_SILENT))
    counts = torch.zeros(len(waves), bins, dtype=torch.int32, device=waves.device)
    counts.scatter_add_(1, scaled.nan_to_num(0.0).clamp(max=bins - 1).flatten(1).long(), known.flatten(1).to(torch.int32))
    below = counts.cumsum(dim=1)  # (B, bins) samples up to the upper edge of each bin
    wanted = ((1 - fraction.to(torch.float64)) * below[:, -1]).clamp(min=0)[:, None]
    edge = torch.searchsorted(below.to(torch.float64), wanted).clamp(max=bins - 1)
    inside = counts.gather(1, edge).clamp(min=1)
    share = ((wanted - (below.gather(1, edge) - inside)) / inside).clamp(0, 1)
    return (edge + share).to(waves.dtype)[..., None] * (highest / bins)


def clip(waves: Tensor, level: Tensor) -> Tensor:
    """Hard clipping at plus and minus `level` (B, 1, 1): (B, C, T) -> (B, C, T)."""
    return torch.maximum(torch.minimum(waves, level), -level)


def saturate(waves: Tensor, drive_db: Tensor, reference: Tensor) -> Tensor:
    """Soft clipping, ``r tanh(g x / r) / tanh(g)``: a signal that peaks at the reference r still does.

    Args:
        waves: (B, C, T).
        drive_db: (B,), g in decibels: the gain into the bend. About -20 is clean, 20 nearly square.
        reference: (B, 1, 1), usually the `peak`; a silent example stays silent.
    """
    gain = (10.0 ** (drive_db.to(waves.dtype) / 20.0))[:, None, None]
    reference = reference.clamp(min=_SILENT)
    return reference * torch.tanh(waves * (gain / reference)) / torch.tanh(gain)


def quantize(waves: Tensor, bits: Tensor, reference: Tensor | float = 1.0) -> Tensor:
    """Round to `bits` (B,) bits over -reference .. reference, (B, C, T) -> (B, C, T).

    Signal to quantisation noise of a full-scale sine: 6.02 bits + 1.76 dB. Gradients pass as if nothing were rounded.
    """
    step = reference * 2.0 ** (1 - bits.to(waves.dtype))[:, None, None]
    rounded = (waves / step).round().clamp(-(reference / step), reference / step - 1) * step
    return waves + (rounded - waves).detach()


def mu_law(waves: Tensor, bits: Tensor) -> Tensor:
    """Companded to `bits` (B,) bits and back (8: a G.711 telephone line), (B, C, T) of full scale 1; what exceeds it is clipped.

    Gradients pass as if nothing were rounded.
    """
    mu = (2.0 ** bits.to(waves.dtype) - 1)[:, None, None]
    scale = torch.log1p(mu)
    held = waves.clamp(-1, 1)
    companded = held.sign() * torch.log1p(mu * held.abs()) / scale  # -1 .. 1
    code = ((companded + 1) / 2 * mu + 0.5).floor()
    restored = code / mu * 2 - 1
    expanded = restored.sign() * torch.expm1(restored.abs() * scale) / mu
    return waves + (expanded - waves).detach()
