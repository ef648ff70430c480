"""A plain stack of convolution blocks over time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from antiphon.common.backbones.norms import Norm, norm1d


@dataclass(frozen=True)
class ConvLayer:
    """One block: convolution (padded by half its kernel), norm, ReLU, max-pooling by `pool` (1: none), dropout."""

    channels: int
    kernel_size: int
    stride: int = 1
    pool: int = 2
    dropout: float = 0.0


class ConvStack(nn.Module):
    """Blocks after one another; `forward` returns the map of each, for objectives that look at every depth."""

    def __init__(self, in_channels: int, layers: Sequence[ConvLayer], *, norm: Norm = "batch") -> None:
        super().__init__()
        if not layers:
            raise ValueError("a ConvStack needs at least one ConvLayer")
        self.out_channels = layers[-1].channels
        widths = [in_channels, *(layer.channels for layer in layers)]
        self.blocks = nn.ModuleList(_block(width, layer, norm) for width, layer in zip(widths, layers, strict=False))

    def forward(self, signals: Tensor) -> list[Tensor]:
        """Signals (B, C, T) -> maps (B, C_k, T_k), one a block."""
        found = []
        for block in self.blocks:
            signals = block(signals)
            found.append(signals)
        return found


def _block(in_channels: int, layer: ConvLayer, norm: Norm) -> nn.Sequential:
    steps: list[nn.Module] = [
        nn.Conv1d(in_channels, layer.channels, layer.kernel_size, layer.stride, padding=layer.kernel_size // 2, bias=False),
        norm1d(norm, layer.channels),
        nn.ReLU(),
    ]
    if layer.pool > 1:
        steps.append(nn.MaxPool1d(layer.pool, padding=layer.pool // 2))
    if layer.dropout > 0:
        steps.append(nn.Dropout(layer.dropout))
    return nn.Sequential(*steps)
