"""Fast ResNet-34: a thin residual network with squeeze and excitation, and self-attentive pooling."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from antiphon.common.data.batch import length_mask
from antiphon.domains.speaker_verification.encoders.base import SpeakerEncoder, he_weights
from antiphon.domains.speaker_verification.encoders.features import Scaling
from antiphon.domains.speaker_verification.encoders.masking import MaskedNorm, SpeakerNorm, SqueezeExcitation

BLOCKS = (3, 4, 6, 3)
STRIDES = (1, 2, 2, 1)
REDUCTION = 8  # of channels in squeeze and excitation


class _Block(nn.Module):
    """Two 3 x 3 convolutions, ReLU before the first norm, channels weighed, plus the input."""

    def __init__(self, in_channels: int, out_channels: int, stride: int, norm: SpeakerNorm) -> None:
        super().__init__()
        self.stride = stride
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, stride=stride, padding=1, bias=False)
        self.norm1 = MaskedNorm(norm, out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False)
        self.norm2 = MaskedNorm(norm, out_channels)
        self.excitation = SqueezeExcitation(out_channels, max(1, out_channels // REDUCTION))
        self.skip: nn.Conv2d | None = None
        if stride != 1 or in_channels != out_channels:
            self.skip = nn.Conv2d(in_channels, out_channels, 1, stride=stride, bias=False)
            self.skip_norm = MaskedNorm(norm, out_channels)

    def forward(self, maps: Tensor, lengths: Tensor | None) -> Tensor:
        shorter = None if lengths is None else -(-lengths // self.stride)
        hidden = self.norm1(F.relu_(self.conv1(maps)), shorter)
        hidden = self.norm2(self.conv2(hidden), shorter)
        passed = maps if self.skip is None else self.skip_norm(self.skip(maps), shorter)
        weights = self.excitation(hidden, shorter).to(hidden.dtype)
        return F.relu_(torch.addcmul(passed.to(hidden.dtype), hidden, weights))  # one pass over memory instead of two


class FastResNet34Encoder(SpeakerEncoder):
    """Fast ResNet-34 (Chung et al., Interspeech 2020, as sslsv trains it): 1,437,078 weights, embeddings of 512.

    A 7 x 7 convolution that halves frequency, norm, ReLU; stages of 3, 4, 6 and 3 residual blocks with `width` times 1, 2, 4 and 8
    channels, the second and third of which halve both axes. Frames (B, about T / 640, 8 `width`) at 16 kHz are means over
    frequency; self-attentive pooling weighs them by softmax over time of v . tanh(W x + b), and a linear map follows.

    Maps are in channels-last layout, which takes a CPU two thirds of the time.
    """

    def __init__(
        self,
        in_channels: int = 1,
        *,
        sample_rate: int = 16_000,
        mels: int = 40,
        scaling: Scaling = "bands",
        width: int = 16,
        embedding_dim: int = 512,
        norm: SpeakerNorm = "batch",
    ) -> None:
        config = {
            "in_channels": in_channels,
            "sample_rate": sample_rate,
            "mels": mels,
            "scaling": scaling,
            "width": width,
            "embedding_dim": embedding_dim,
            "norm": norm,
        }
        super().__init__(
            in_channels=in_channels, sample_rate=sample_rate, mels=mels, scaling=scaling, embedding_dim=embedding_dim, config=config
        )
        self.stem = nn.Conv2d(1, width, 7, stride=(2, 1), padding=3, bias=False)
        self.stem_norm = MaskedNorm(norm, width)
        self.blocks = nn.ModuleList()
        self.strides = [first if place == 0 else 1 for first, count in zip(STRIDES, BLOCKS, strict=True) for place in range(count)]
        widths = [width * 2**number for number, count in enumerate(BLOCKS) for _ in range(count)]
        channels = width
        for wide, stride in zip(widths, self.strides, strict=True):
            self.blocks.append(_Block(channels, wide, stride, norm))
            channels = wide
        self.attention = nn.Linear(channels, channels)
        self.relevance = nn.Linear(channels, 1, bias=False)
        self.project = nn.Linear(channels, embedding_dim)
        self.apply(he_weights)
        self.to(memory_format=torch.channels_last)

    def encode_features(self, maps: Tensor, lengths: Tensor | None) -> Tensor:
        """Features (B, 1, mels, F) -> frames (B, about F / 4, 8 `width`)."""
        maps = self.stem(maps.contiguous(memory_format=torch.channels_last))
        maps = F.relu_(self.stem_norm(maps, lengths))
        for block, stride in zip(self.blocks, self.strides, strict=True):
            maps = block(maps, lengths)
            lengths = None if lengths is None else -(-lengths // stride)
        return maps.mean(dim=2).transpose(1, 2)

    def shortened(self, lengths: Tensor) -> Tensor:
        """Each stride of 2 halves, upwards."""
        for stride in STRIDES:
            lengths = -(-lengths // stride)
        return lengths

    def pool_frames(self, frames: Tensor, lengths: Tensor | None) -> Tensor:
        """Frames (B, T', 8 `width`) -> embeddings (B, embedding_dim)."""
        scores = self.relevance(torch.tanh(self.attention(frames))).float()  # (B, T', 1)
        if lengths is not None:
            scores = scores.masked_fill(~length_mask(lengths, frames.shape[1])[..., None], -torch.inf)
        return self.project((frames * scores.softmax(dim=1).to(frames.dtype)).sum(dim=1))
