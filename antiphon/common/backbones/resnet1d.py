"""One-dimensional residual networks (He et al., CVPR 2016, over time)."""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from antiphon.common.backbones.norms import Norm, norm1d


class ResidualBlock1d(nn.Module):
    """Two convolutions of kernel 3 with normalisation, plus the input; a 1x1 convolution where width or stride change."""

    def __init__(self, in_channels: int, out_channels: int, *, stride: int = 1, norm: Norm = "batch") -> None:
        super().__init__()
        self.conv1 = nn.Conv1d(in_channels, out_channels, 3, stride=stride, padding=1, bias=False)
        self.norm1 = norm1d(norm, out_channels)
        self.conv2 = nn.Conv1d(out_channels, out_channels, 3, padding=1, bias=False)
        self.norm2 = norm1d(norm, out_channels)
        self.skip: nn.Module = nn.Identity()
        if stride != 1 or in_channels != out_channels:
            self.skip = nn.Sequential(
                nn.Conv1d(in_channels, out_channels, 1, stride=stride, bias=False), norm1d(norm, out_channels)
            )

    def forward(self, maps: Tensor) -> Tensor:
        """Maps (B, C, T) -> (B, C', ceil(T / stride))."""
        hidden = F.relu(self.norm1(self.conv1(maps)))
        return F.relu(self.norm2(self.conv2(hidden)) + self.skip(maps))


class ResNet1d(nn.Module):
    """A stem (convolution, norm, ReLU; no max-pooling) and stages of residual blocks.

    `blocks` says how many blocks each stage has: (3, 4, 6, 3) is ResNet-34, (2, 2, 2, 2) ResNet-18. Stage k has `width` * 2^k
    channels; every stage after the first halves the time axis.
    """

    def __init__(
        self,
        in_channels: int,
        *,
        blocks: Sequence[int] = (3, 4, 6, 3),
        width: int = 64,
        stem_kernel: int = 7,
        norm: Norm = "batch",
    ) -> None:
        super().__init__()
        if not blocks or min(blocks) < 1:
            raise ValueError(f"blocks counts the blocks of each stage, at least one each, got {tuple(blocks)}: e.g. (3, 4, 6, 3)")
        if stem_kernel % 2 == 0:
            raise ValueError(f"stem_kernel must be odd so that the stem keeps the length, got {stem_kernel}")
        self.stem = nn.Sequential(
            nn.Conv1d(in_channels, width, stem_kernel, padding=stem_kernel // 2, bias=False), norm1d(norm, width), nn.ReLU()
        )
        self.stages = nn.ModuleList()
        self.out_channels = width
        for number, count in enumerate(blocks):
            channels = width * 2**number
            stage = [ResidualBlock1d(self.out_channels, channels, stride=1 if number == 0 else 2, norm=norm)]
            stage += [ResidualBlock1d(channels, channels, norm=norm) for _ in range(count - 1)]
            self.stages.append(nn.Sequential(*stage))
            self.out_channels = channels

    def forward(self, signals: Tensor) -> list[Tensor]:
        """Signals (B, C, T) -> the map of every stage, each (B, width * 2^k, ceil(T / 2^k))."""
        maps, found = self.stem(signals), []
        for stage in self.stages:
            maps = stage(maps)
            found.append(maps)
        return found
