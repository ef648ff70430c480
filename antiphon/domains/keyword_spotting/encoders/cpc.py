"""The encoder of contrastive predictive coding on raw speech: five convolutions, then a GRU that looks back."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

from torch import Tensor, nn

from antiphon.common.backbones.norms import ChannelLayerNorm
from antiphon.common.data.batch import length_mask
from antiphon.common.encoder import Encoder, InputSpec, Pooling
from antiphon.domains.keyword_spotting.encoders.features import SAMPLE_RATE

KERNELS, STRIDES, PADS = (10, 8, 4, 4, 4), (5, 4, 2, 2, 2), (3, 2, 1, 1, 1)
HOP = 160  # samples from frame to frame: the product of the strides


class CPCEncoder(Encoder):
    """Raw waves -> frames (B, T // 160, hidden_dim), 100 a second at 16 kHz, each of which has seen no later frame.

    Five convolutions (van den Oord et al., 2018) with the channel norm of Riviere et al. (2020): 1,317,120 weights at 256
    channels, 5,255,680 at 512. Norms over the channels of one frame leak nothing between frames or examples, as batch norm
    would. `frames` are the states of the GRU, which is what both papers evaluate; `stages` are (frames of the convolutions,
    states of the GRU).
    """

    def __init__(
        self,
        in_channels: int = 1,
        *,
        channels: int = 256,
        hidden_dim: int = 256,
        sample_rate: int = SAMPLE_RATE,
        pooling: Pooling = "mean",
    ) -> None:
        super().__init__(
            embedding_dim=hidden_dim,
            input_spec=InputSpec(channels=in_channels, sample_rate=sample_rate, min_length=HOP),
            config={
                "in_channels": in_channels,
                "channels": channels,
                "hidden_dim": hidden_dim,
                "sample_rate": sample_rate,
                "pooling": pooling,
            },
            pooling=pooling,
        )
        widths = [in_channels, *[channels] * len(KERNELS)]
        self.convolutions = nn.Sequential(
            *(
                nn.Sequential(nn.Conv1d(before, after, kernel, stride, pad), ChannelLayerNorm(after), nn.ReLU())
                for (before, after), kernel, stride, pad in zip(pairwise(widths), KERNELS, STRIDES, PADS, strict=True)
            )
        )
        self.summary = nn.GRU(channels, hidden_dim, batch_first=True)

    def stages(self, signals: Tensor, lengths: Tensor | None = None) -> list[Tensor]:
        """[z (B, T', channels), c (B, T', hidden_dim)] of standardised signals."""
        maps = signals.nan_to_num(nan=0.0)
        shorter = None if lengths is None or bool((lengths >= signals.shape[-1]).all()) else lengths
        if shorter is not None:
            maps = _inside(maps, shorter)
        for layer, kernel, stride, pad in zip(self.convolutions, KERNELS, STRIDES, PADS, strict=True):
            maps = layer(maps)
            if shorter is not None:  # the last frames look a little ahead, and shall find what is beyond the end of any wave
                shorter = ((shorter + 2 * pad - kernel) // stride + 1).clamp(min=1)
                maps = _inside(maps, shorter)
        local = maps.transpose(1, 2)
        return [local, self.summary(local)[0]]

    def encode(
        self,
        signals: Tensor,
        lengths: Tensor | None = None,
        *,
        mask: Tensor | None = None,
        context: Mapping[str, Any] | None = None,
    ) -> Tensor:
        """Standardised signals (B, C, T) -> frames (B, T // 160, hidden_dim)."""
        if mask is not None:
            raise ValueError("CPCEncoder cannot hide time stamps (mask): use views without a mask")
        return self.stages(signals, lengths)[1]

    def frame_lengths(self, lengths: Tensor, frames: int, samples: int) -> Tensor:
        """How many of `frames` lie inside each example, (B,) -> (B,), at least one."""
        return (lengths // HOP).clamp(1, frames)


def _inside(maps: Tensor, lengths: Tensor) -> Tensor:
    """Maps (B, C, T) with zeros beyond `lengths` (B,)."""
    return maps * length_mask(lengths, maps.shape[-1])[:, None]
