"""Two-dimensional residual networks (He et al., CVPR 2016) for maps of frequency by time."""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from antiphon.common.backbones.norms import Norm, norm2d


class ResidualBlock2d(nn.Module):
    """Two 3 x 3 convolutions with normalisation, plus the input; a 1 x 1 convolution where width or stride change."""

    def __init__(self, in_channels: int, out_channels: int, *, stride: int = 1, norm: Norm = "batch") -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, stride=stride, padding=1, bias=False)
        self.norm1 = norm2d(norm, out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False)
        self.norm2 = norm2d(norm, out_channels)
        self.skip: nn.Module = nn.Identity()
        if stride != 1 or in_channels != out_channels:
            self.skip = nn.Sequential(
                nn.Conv2d(in_channels, out_channels, 1, stride=stride, bias=False), norm2d(norm, out_channels)
            )

    def forward(self, maps: Tensor) -> Tensor:
        """Maps (B, C, F, T) -> (B, C', ceil(F / stride), ceil(T / stride))."""
        hidden = F.relu(self.norm1(self.conv1(maps)))
        return F.relu(self.norm2(self.conv2(hidden)) + self.skip(maps))


class ResNet2d(nn.Module):
    """A stem (3 x 3 convolution of stride `stem_stride`, norm, ReLU) and stages of residual blocks.

    `blocks` says how many blocks each stage has: (3, 4, 6, 3) is ResNet-34, (2, 2, 2, 2) ResNet-18. Stage k has `width` * 2^k
    channels; every stage after the first halves both axes.
    """

    def __init__(
        self,
        in_channels: int,
        *,
        blocks: Sequence[int] = (2, 2, 2, 2),
        width: int = 64,
        stem_stride: int = 1,
        norm: Norm = "batch",
    ) -> None:
        super().__init__()
        if not blocks or min(blocks) < 1:
            raise ValueError(f"blocks counts the blocks of each stage, at least one each, got {tuple(blocks)}: e.g. (2, 2, 2, 2)")
        self.stem = nn.Sequential(
            nn.Conv2d(in_channels, width, 3, stride=stem_stride, padding=1, bias=False), norm2d(norm, width), nn.ReLU()
        )
        self.stages = nn.ModuleList()
        self.out_channels = width
        for number, count in enumerate(blocks):
            channels = width * 2**number
            stage = [ResidualBlock2d(self.out_channels, channels, stride=1 if number == 0 else 2, norm=norm)]
            stage += [ResidualBlock2d(channels, channels, norm=norm) for _ in range(count - 1)]
            self.stages.append(nn.Sequential(*stage))
            self.out_channels = channels

    def forward(self, maps: Tensor) -> list[Tensor]:
        """Maps (B, C, F, T) -> the map of every stage, (B, width * 2^k, F_k, T_k), both axes halved from stage to stage."""
        maps, found = self.stem(maps), []
        for stage in self.stages:
            maps = stage(maps)
            found.append(maps)
        return found
