"""A residual network over time whose frames stand for short sounds, in order: what words are compared by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from antiphon.common.backbones.norms import norm1d
from antiphon.common.data.batch import length_mask
from antiphon.common.encoder import Encoder, InputSpec, Pooling
from antiphon.domains.keyword_spotting.encoders.features import SAMPLE_RATE, SpeechMel

KERNEL = 5


class AlignedFramesEncoder(Encoder):
    """Waves of any length -> frames (B, about T / 320, width), one every 20 ms; the mean over time as embedding.

    Each band of the log-mel map is centred over the recording, which takes microphone, room and part of the voice away. Then a
    convolution of stride 2 and a residual one for each of `dilations`, with norms within a frame: a frame sees its surroundings
    (with the default dilations 0.08 s to either side), and what lies behind a recording changes nothing inside.
    """

    def __init__(
        self,
        in_channels: int = 1,
        *,
        width: int = 192,
        dilations: Sequence[int] = (1,),
        sample_rate: int = SAMPLE_RATE,
        mels: int = 40,
        pooling: Pooling = "mean",
    ) -> None:
        log_mel = SpeechMel(sample_rate, mels=mels)
        super().__init__(
            embedding_dim=width,
            input_spec=InputSpec(channels=in_channels, sample_rate=sample_rate, min_length=log_mel.spec.step),
            config={
                "in_channels": in_channels,
                "width": width,
                "dilations": list(dilations),
                "sample_rate": sample_rate,
                "mels": mels,
                "pooling": pooling,
            },
            pooling=pooling,
        )
        self.log_mel = log_mel
        self.stem = nn.Conv1d(in_channels * mels, width, KERNEL, stride=2, padding=KERNEL // 2)
        self.blocks = nn.ModuleList(
            nn.Sequential(
                norm1d("layer", width), nn.GELU(), nn.Conv1d(width, width, KERNEL, padding=KERNEL // 2 * step, dilation=step)
            )
            for step in dilations
        )

    def encode(
        self,
        signals: Tensor,
        lengths: Tensor | None = None,
        *,
        mask: Tensor | None = None,
        context: Mapping[str, Any] | None = None,
    ) -> Tensor:
        """Standardised signals (B, C, T) -> frames (B, (T // 160 + 2) // 2, width)."""
        if mask is not None:
            raise ValueError("AlignedFramesEncoder cannot hide time stamps (mask): use views without a mask")
        signals, size = signals.nan_to_num(nan=0.0), signals.shape[-1]
        if lengths is None:
            lengths = torch.full((signals.shape[0],), size, device=signals.device)
        signals = signals.masked_fill(~length_mask(lengths, size)[:, None], 0.0)
        maps = self.log_mel(signals).flatten(1, 2)  # (B, C * mels, F)
        counts = lengths // self.log_mel.spec.step + 1
        inside = length_mask(counts, maps.shape[2])[:, None]
        mean = (maps * inside).sum(dim=2, keepdim=True) / counts[:, None, None]
        hidden = self.stem(((maps - mean) * inside).to(self.stem.weight.dtype))
        inside = length_mask(_halved(counts), hidden.shape[2])[:, None]
        hidden = hidden * inside
        for block in self.blocks:
            hidden = hidden + block(hidden) * inside
        return hidden.transpose(1, 2)

    def frame_lengths(self, lengths: Tensor, frames: int, samples: int) -> Tensor:
        """How many of `frames` lie inside each example, (B,) -> (B,)."""
        return _halved(lengths // self.log_mel.spec.step + 1).clamp(1, frames)


def _halved(count: Tensor) -> Tensor:
    return (count + 1) // 2
