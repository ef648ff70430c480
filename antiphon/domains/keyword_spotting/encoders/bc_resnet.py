"""BC-ResNet (Kim et al., Interspeech 2021): residual learning by broadcasting, for devices of little memory."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from antiphon.common.encoder import InputSpec
from antiphon.common.windowed import Padding, WindowedEncoder
from antiphon.domains.keyword_spotting.encoders.features import SAMPLE_RATE, SpeechMel

STAGES = ((2, 8, 1, 1), (2, 12, 2, 2), (4, 16, 2, 4), (4, 20, 1, 8))  # blocks, channels at width 1, stride over bands, dilation
SUB_BANDS = 5


class _SubSpectralNorm(nn.Module):
    """Batch norm with statistics and weights of its own for each of 5 parts of the frequency axis."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels * SUB_BANDS)

    def forward(self, maps: Tensor) -> Tensor:
        batch, channels, bands, frames = maps.shape
        parts = maps.reshape(batch, channels * SUB_BANDS, bands // SUB_BANDS, frames)
        return self.norm(parts).view(batch, channels, bands, frames)


class _Block(nn.Module):
    """A convolution over bands; on its mean over bands a dilated one over time, which is added back to every band."""

    def __init__(self, before: int, after: int, *, stride: int, dilation: int, dropout: float) -> None:
        super().__init__()
        self.kept = before == after and stride == 1
        change = [] if self.kept else [nn.Conv2d(before, after, 1, bias=False), nn.BatchNorm2d(after), nn.ReLU()]
        over_bands = nn.Conv2d(after, after, (3, 1), stride=(stride, 1), padding=(1, 0), groups=after, bias=False)
        self.bands = nn.Sequential(*change, over_bands, _SubSpectralNorm(after))
        self.times = nn.Sequential(
            nn.Conv2d(after, after, (1, 3), padding=(0, dilation), dilation=(1, dilation), groups=after, bias=False),
            nn.BatchNorm2d(after),
            nn.SiLU(),
            nn.Conv2d(after, after, 1, bias=False),
            nn.Dropout2d(dropout),
        )

    def forward(self, maps: Tensor) -> Tensor:
        """(N, C, bands, frames) -> (N, C', bands / stride, frames)."""
        hidden = self.bands(maps)
        found = hidden + self.times(hidden.mean(dim=2, keepdim=True))
        return F.relu(found + maps if self.kept else found)


class BCResNetEncoder(WindowedEncoder):
    """Windows of 1 s -> frames (B, windows * 101, 32 * width) every 10 ms, their mean as embedding.

    `width` 1 and 3 are the published BC-ResNet-1 and BC-ResNet-3 (up to 8). Their last convolution, to the classes, is the linear
    layer of a classifier. Log-mel maps of 40 bands; batch norm throughout, so examples of a training batch see each other.
    """

    def __init__(
        self,
        in_channels: int = 1,
        *,
        width: float = 1,
        window: int = SAMPLE_RATE,
        sample_rate: int = SAMPLE_RATE,
        dropout: float = 0.1,
        padding: Padding = "zeros",
    ) -> None:
        if width * 8 < 1 or width * 4 != round(width * 4):
            raise ValueError(f"width is {width}: use a multiple of 1/4, such as 1, 1.5, 2, 3, 6 or 8")
        widths = [round(width * channels) for _, channels, _, _ in STAGES]
        super().__init__(
            embedding_dim=round(width * 32),
            input_spec=InputSpec(channels=in_channels, sample_rate=sample_rate, window=window),
            config={
                "in_channels": in_channels,
                "width": width,
                "window": window,
                "sample_rate": sample_rate,
                "dropout": dropout,
                "padding": padding,
            },
            padding=padding,
        )
        self.log_mel = SpeechMel(sample_rate)
        stem = round(width * 16)
        layers: list[nn.Module] = [
            nn.Conv2d(in_channels, stem, 5, stride=(2, 1), padding=2, bias=False),
            nn.BatchNorm2d(stem),
            nn.ReLU(),
        ]
        before = stem
        for (count, _, stride, dilation), after in zip(STAGES, widths, strict=True):
            for number in range(count):
                layers.append(_Block(before, after, stride=1 if number else stride, dilation=dilation, dropout=dropout))
                before = after
        layers += [
            nn.Conv2d(before, before, 5, padding=(0, 2), groups=before, bias=False),  # of the 5 bands that are left, none
            nn.Conv2d(before, self.embedding_dim, 1, bias=False),
            nn.BatchNorm2d(self.embedding_dim),
            nn.ReLU(),
        ]
        self.body = nn.Sequential(*layers)

    def encode_windows(self, windows: Tensor) -> Tensor:
        """Windows (N, C, window) -> (N, frames, embedding_dim)."""
        return self.body(self.log_mel(windows)).squeeze(2).transpose(1, 2)
