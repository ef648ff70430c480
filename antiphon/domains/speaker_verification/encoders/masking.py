"""Layers over maps (B, C, F, T) of utterances of different lengths: what lies behind an utterance stays 0 and counts nowhere.

`lengths` (B,) counts the frames inside each example; None means that all are as long as the batch, which costs nothing.
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from antiphon.common.backbones.norms import norm2d
from antiphon.common.data.batch import length_mask

SpeakerNorm = Literal["batch", "group"]


def hide(maps: Tensor, lengths: Tensor | None) -> Tensor:
    """Maps with zeros behind each example."""
    return maps if lengths is None else maps.masked_fill(~_inside(maps, lengths), 0.0)


def time_mean(maps: Tensor, lengths: Tensor | None) -> Tensor:
    """The mean over frequency and the frames inside of maps that are 0 outside: (B, C, F, T) -> (B, C)."""
    if lengths is None:
        return maps.mean(dim=(2, 3))
    return maps.sum(dim=(2, 3)) / (lengths * maps.shape[2])[:, None]


class MaskedNorm(nn.Module):
    """Batch or group norm whose statistics are those of the frames inside; behind each example its result is 0."""

    def __init__(self, norm: SpeakerNorm, channels: int) -> None:
        super().__init__()
        self.norm = norm2d(norm, channels)

    def forward(self, maps: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Maps (B, C, F, T) -> the same shape."""
        if lengths is None:
            return self.norm(maps)
        if isinstance(self.norm, nn.GroupNorm):
            return hide(_group_norm(maps, lengths, self.norm), lengths)
        if not self.training:
            return hide(self.norm(maps), lengths)
        inside = _inside(maps, lengths).expand(len(maps), 1, *maps.shape[2:])[:, 0]  # (B, F, T)
        channels_last = maps.movedim(1, -1)
        rows = self.norm(channels_last[inside][:, :, None, None])[..., 0, 0]  # (frames inside, C)
        return torch.zeros_like(channels_last).to(rows.dtype).masked_scatter(inside[..., None], rows).movedim(-1, 1)


class SqueezeExcitation(nn.Module):
    """A weight in (0, 1) for every channel from the means of all channels (Hu et al., CVPR 2018)."""

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.squeeze, self.excite = nn.Linear(channels, hidden), nn.Linear(hidden, channels)

    def forward(self, maps: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Maps (B, C, F, T) that are 0 outside -> weights (B, C, 1, 1)."""
        hidden = F.relu(self.squeeze(time_mean(maps, lengths)))
        return torch.sigmoid(self.excite(hidden))[:, :, None, None]


def _inside(maps: Tensor, lengths: Tensor) -> Tensor:
    return length_mask(lengths, maps.shape[-1])[:, None, None]


def _group_norm(maps: Tensor, lengths: Tensor, norm: nn.GroupNorm) -> Tensor:
    grouped = maps.float().unflatten(1, (norm.num_groups, -1))  # (B, G, C / G, F, T)
    inside = _inside(maps, lengths)[:, None]
    count = lengths.view(-1, 1, 1, 1, 1) * (grouped.shape[2] * grouped.shape[3])
    mean = grouped.masked_fill(~inside, 0.0).sum(dim=(2, 3, 4), keepdim=True) / count
    centred = (grouped - mean).masked_fill(~inside, 0.0)
    variance = centred.square().sum(dim=(2, 3, 4), keepdim=True) / count
    normed = (centred * (variance + norm.eps).rsqrt()).flatten(1, 2)
    return (normed * norm.weight[:, None, None] + norm.bias[:, None, None]).to(maps.dtype)
