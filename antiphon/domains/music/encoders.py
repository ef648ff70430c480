"""Encoders of music: SampleCNN on raw waves (CLMR), a residual network on log-mel maps, and statistics that nobody trained."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn

from antiphon.common.backbones.norms import norm2d
from antiphon.common.backbones.resnet2d import ResNet2d
from antiphon.common.encoder import InputSpec
from antiphon.common.signal.spectral import LogMel, MelSpec, mfcc
from antiphon.common.windowed import Padding, WindowedEncoder

MusicNorm = Literal["batch", "group"]
_NARROWEST = 5  # 3^5 samples: the blocks that are never left out


class SampleCNNEncoder(WindowedEncoder):
    """SampleCNN (Lee et al., SMC 2017) as CLMR uses it: 3^k raw samples become one vector of 512.

    A convolution of kernel and stride 3 to 128 channels; k - 1 blocks of convolution (kernel 3), norm, max-pooling by 3 and ReLU;
    one more convolution of 512 channels. The blocks have 128, 128, 256, ..., 256, 512 channels; a smaller window than 3^10 leaves
    out blocks of 256 to 256 channels, one for each power of three, and a larger one adds such blocks. At `window` 59,049 = 3^10 it
    has CLMR's 2,368,512 weights (2.68 s at 22,050 Hz).

    Pooling comes before the ReLU, which gives the same values for a third of the work. The layers are two-dimensional with a height
    of 1, in channels-last layout: in one dimension a CPU takes 1.4 times as long for them, 1.8 times in bfloat16.
    """

    def __init__(
        self,
        in_channels: int = 1,
        *,
        window: int = 59_049,
        sample_rate: int = 22_050,
        padding: Padding = "zeros",
        norm: MusicNorm = "batch",
    ) -> None:
        power = _power_of_three(window)
        config = {"in_channels": in_channels, "window": window, "sample_rate": sample_rate, "padding": padding, "norm": norm}
        super().__init__(
            embedding_dim=512,
            input_spec=InputSpec(channels=in_channels, sample_rate=sample_rate, window=window),
            config=config,
            padding=padding,
        )
        widths = [128, 128, 128, *[256] * (power - _NARROWEST + 1), 512]
        blocks = [_block(before, after, norm, pool=3) for before, after in pairwise(widths)]
        stem = nn.Sequential(nn.Conv2d(in_channels, 128, (1, 3), stride=(1, 3)), norm2d(norm, 128), nn.ReLU())
        self.body = nn.Sequential(stem, *blocks, _block(512, 512, norm, pool=1)).to(memory_format=torch.channels_last)
        self.body.apply(_he_weights)

    def encode_windows(self, windows: Tensor) -> Tensor:
        """Windows (N, C, 3^k) -> (N, 1, 512)."""
        maps = self.body(windows[:, :, None].contiguous(memory_format=torch.channels_last))  # (N, 512, 1, 1)
        return maps.flatten(1)[:, None]


def _power_of_three(window: int) -> int:
    power, size = 0, 1
    while size < window:
        power, size = power + 1, size * 3
    if size != window or power < _NARROWEST:
        raise ValueError(f"SampleCNN halves by thirds: window must be 3^k with k of {_NARROWEST} or more, got {window}: use 59049")
    return power


def _he_weights(module: nn.Module) -> None:
    """He's initial weights, without which ten layers leave nothing of a wave until the norms have seen some."""
    if isinstance(module, nn.Conv2d):
        nn.init.kaiming_uniform_(module.weight, nonlinearity="relu")
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def _block(in_channels: int, out_channels: int, norm: MusicNorm, *, pool: int) -> nn.Sequential:
    layers: list[nn.Module] = [nn.Conv2d(in_channels, out_channels, (1, 3), padding=(0, 1)), norm2d(norm, out_channels)]
    if pool > 1:
        layers.append(nn.MaxPool2d((1, pool)))
    return nn.Sequential(*layers, nn.ReLU())


class LogMelEncoder(WindowedEncoder):
    """A small 2-D ResNet on log-mel spectrograms: frames (B, about window / (16 * hop) a window, `embedding_dim`).

    Decibels down to 80 below the loudest point of a window, in float32 also where the network runs in half precision; then each
    window's map is centred and scaled to a deviation of 1, so loudness does not count. Mean over frequency, then a linear map.
    """

    def __init__(
        self,
        in_channels: int = 1,
        *,
        window: int = 59_049,
        sample_rate: int = 22_050,
        mels: int = 64,
        fft_size: int = 1024,
        hop: int = 512,
        blocks: Sequence[int] = (1, 1, 1, 1),
        width: int = 32,
        embedding_dim: int = 512,
        padding: Padding = "zeros",
        norm: MusicNorm = "batch",
    ) -> None:
        config = {
            "in_channels": in_channels,
            "window": window,
            "sample_rate": sample_rate,
            "mels": mels,
            "fft_size": fft_size,
            "hop": hop,
            "blocks": list(blocks),
            "width": width,
            "embedding_dim": embedding_dim,
            "padding": padding,
            "norm": norm,
        }
        super().__init__(
            embedding_dim=embedding_dim,
            input_spec=InputSpec(channels=in_channels, sample_rate=sample_rate, window=window),
            config=config,
            padding=padding,
        )
        self.log_mel = LogMel(_mel_spec(sample_rate, mels, fft_size, hop))
        self.body = ResNet2d(in_channels, blocks=blocks, width=width, stem_stride=2, norm=norm)
        self.project = nn.Linear(self.body.out_channels, embedding_dim)

    def features(self, windows: Tensor) -> Tensor:
        """Log-mel maps of windows (N, C, T), each centred and scaled: (N, C, mels, frames) in float32."""
        maps = self.log_mel(windows)
        spread = maps.std(dim=(1, 2, 3), keepdim=True)
        return (maps - maps.mean(dim=(1, 2, 3), keepdim=True)) / (spread + 1e-3)

    def encode_windows(self, windows: Tensor) -> Tensor:
        """Windows (N, C, window) -> (N, F, D)."""
        maps = self.body(self.features(windows))[-1]  # (N, D', mels / 16, F)
        return self.project(maps.mean(dim=2).transpose(1, 2))


class SpectralStatisticsEncoder(WindowedEncoder):
    """Mean and standard deviation over time of MFCCs or log-mel bands, (N, 2 * `coefficients`): nothing here is trained.

    What a learnt encoder has to beat. A recording shorter than a window is repeated by default: silence behind it would count.
    """

    def __init__(
        self,
        in_channels: int = 1,
        *,
        kind: Literal["mfcc", "log_mel"] = "mfcc",
        coefficients: int = 20,
        window: int = 59_049,
        sample_rate: int = 22_050,
        mels: int = 64,
        fft_size: int = 1024,
        hop: int = 256,
        padding: Padding = "repeat",
    ) -> None:
        if kind not in ("mfcc", "log_mel"):
            raise ValueError(f"unknown kind {kind!r} of statistics: use mfcc or log_mel")
        config = {
            "in_channels": in_channels,
            "kind": kind,
            "coefficients": coefficients,
            "window": window,
            "sample_rate": sample_rate,
            "mels": mels,
            "fft_size": fft_size,
            "hop": hop,
            "padding": padding,
        }
        super().__init__(
            embedding_dim=2 * in_channels * (coefficients if kind == "mfcc" else mels),
            input_spec=InputSpec(channels=in_channels, sample_rate=sample_rate, window=window),
            config=config,
            padding=padding,
        )
        self.log_mel = LogMel(_mel_spec(sample_rate, mels, fft_size, hop))
        self.kind, self.coefficients = kind, coefficients

    def encode_windows(self, windows: Tensor) -> Tensor:
        """Windows (N, C, window) -> (N, 1, D)."""
        maps = mfcc(windows, self.log_mel.spec, coefficients=self.coefficients) if self.kind == "mfcc" else self.log_mel(windows)
        return torch.cat((maps.mean(dim=-1), maps.std(dim=-1)), dim=1).flatten(1)[:, None]


def _mel_spec(sample_rate: int, mels: int, fft_size: int, hop: int) -> MelSpec:
    return MelSpec(sample_rate=sample_rate, bands=mels, n_fft=fft_size, hop=hop, top_db=80.0)
