"""MVCNet's two branches: IFNet's convolutions, and a transformer whose tokens are electrodes; alone, and both in one encoder."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import conv1d

from antiphon.common.backbones.norms import Norm, norm1d
from antiphon.common.encoder import InputSpec
from antiphon.common.signal.filters import fir_filter
from antiphon.common.windowed import Padding, WindowedEncoder

KERNEL = 63


class TemporalFilter(nn.Module):
    """One filter of `KERNEL` taps for each map: (B, width, T) -> (B, width, T), zeros beyond the ends.

    By the FFT: on a CPU that takes a third to a half of the time of a depth-wise convolution.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(width, KERNEL))

    def forward(self, maps: Tensor) -> Tensor:
        """Filtered maps, in float32 also under autocast."""
        if torch.compiler.is_compiling():  # ONNX cannot multiply spectra
            return conv1d(maps.float(), self.weight.float().flip(-1)[:, None], padding=KERNEL // 2, groups=len(self.weight))
        return fir_filter(maps.float(), self.weight.float()[None], centre=KERNEL // 2)


class IFNetBranch(nn.Module):
    """IFNet of one frequency band: signals (B, C, T) -> maps (B, width, T // pool).

    A spatial filter (all channels to `width`), norm, a temporal filter of 63 samples for each map, norm, GELU, average pooling over
    `pool` samples, dropout. Weights begin with a deviation of 0.01.
    """

    def __init__(self, in_channels: int, *, width: int = 64, pool: int = 125, dropout: float = 0.5, norm: Norm = "batch") -> None:
        super().__init__()
        spatial, temporal = nn.Conv1d(in_channels, width, 1, bias=False), TemporalFilter(width)
        for layer in (spatial, temporal):
            nn.init.trunc_normal_(layer.weight, std=0.01)
        self.layers = nn.Sequential(
            spatial, norm1d(norm, width), temporal, norm1d(norm, width), nn.GELU(), nn.AvgPool1d(pool), nn.Dropout(dropout)
        )

    def forward(self, signals: Tensor) -> Tensor:
        """(B, C, T) -> (B, width, T // pool)."""
        maps: Tensor = self.layers(signals)
        return maps


class ElectrodeTransformer(nn.Module):
    """One transformer layer whose tokens are electrodes and whose features are time samples: (B, C, T) -> (B, out_dim).

    Without positional code, as published: an electrode is known by its place in what is flattened afterwards. A projector follows:
    linear to 4 `out_dim`, layer norm, ReLU, linear, tanh. Its first map has 4 C `samples` `out_dim` weights: 46 million for 22
    channels of 1000 samples. So signals are resampled to `samples` first, by cutting their spectrum: 256 samples of 4 s keep all
    below 32 Hz. None takes all samples.
    """

    def __init__(
        self,
        in_channels: int,
        window: int,
        out_dim: int,
        *,
        samples: int | None = None,
        heads: int = 2,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        kept = window if samples is None else min(samples, window)
        self.samples = kept - kept % heads  # an odd last sample is left out, as in the authors' code
        if self.samples < heads:
            raise ValueError(f"{self.samples} samples cannot be shared among {heads} heads: use longer windows")
        self.resampled = samples is not None and samples < window
        self.layer = nn.TransformerEncoderLayer(self.samples, heads, 2 * self.samples, dropout, batch_first=True)
        self.project = nn.Sequential(
            nn.Linear(in_channels * self.samples, 4 * out_dim),
            nn.LayerNorm(4 * out_dim),
            nn.ReLU(),
            nn.Linear(4 * out_dim, out_dim),
            nn.Tanh(),
        )

    def forward(self, signals: Tensor) -> Tensor:
        """(B, C, window) -> (B, out_dim)."""
        tokens = resample_by_spectrum(signals, self.samples) if self.resampled else signals[..., : self.samples]
        features: Tensor = self.project(self.layer(tokens).flatten(1))
        return features


def resample_by_spectrum(signals: Tensor, samples: int) -> Tensor:
    """Signals (B, C, T) at `samples` <= T samples, without what lies above their Nyquist frequency: (B, C, samples)."""
    size = signals.shape[-1]
    spectrum = torch.fft.rfft(signals.float())[..., : samples // 2 + 1]
    return (torch.fft.irfft(spectrum, n=samples) * (samples / size)).to(signals.dtype)


class IFNetEncoder(WindowedEncoder):
    """MVCNet's convolutional branch (IFNet, Wang et al., 2023, with one band): windows (B, C, window) -> 64 * (window // pool).

    Embeddings are the flattened maps: when something happens within a window counts. The published pooling is over 125 samples of
    250 Hz; it shrinks to the window where that is shorter. `norm` group or layer keeps examples apart.
    """

    def __init__(
        self,
        in_channels: int,
        window: int,
        *,
        sample_rate: float | None = None,
        width: int = 64,
        pool: int = 125,
        dropout: float = 0.5,
        padding: Padding = "zeros",
        norm: Norm = "batch",
    ) -> None:
        if window < 1 or pool < 1:
            raise ValueError(f"window is {window} and pool {pool}: both are numbers of samples, at least 1")
        pool = min(pool, window)
        config = {
            "in_channels": in_channels,
            "window": window,
            "sample_rate": sample_rate,
            "width": width,
            "pool": pool,
            "dropout": dropout,
            "padding": padding,
            "norm": norm,
        }
        super().__init__(
            embedding_dim=width * (window // pool),
            input_spec=InputSpec(channels=in_channels, sample_rate=sample_rate, window=window),
            config=config,
            padding=padding,
        )
        self.branch = IFNetBranch(in_channels, width=width, pool=pool, dropout=dropout, norm=norm)

    def encode_windows(self, windows: Tensor) -> Tensor:
        """Standardised windows (N, C, window) -> (N, 1, D)."""
        return self.branch(windows).flatten(1)[:, None]


class MVCNetEncoder(IFNetEncoder):
    """Both branches of MVCNet, their features side by side: (B, 2 F), convolutional ones first.

    The paper speaks of fused representations; the released code classifies by the convolutional branch alone, which is
    `IFNetEncoder`. Give this encoder to the recipe (encoder=mvcnet) for the fusion.
    """

    def __init__(
        self,
        in_channels: int,
        window: int,
        *,
        sample_rate: float | None = None,
        width: int = 64,
        pool: int = 125,
        samples: int | None = None,
        dropout: float = 0.5,
        padding: Padding = "zeros",
        norm: Norm = "batch",
    ) -> None:
        super().__init__(
            in_channels, window, sample_rate=sample_rate, width=width, pool=pool, dropout=dropout, padding=padding, norm=norm
        )
        self.config["samples"] = samples
        self.transformer = ElectrodeTransformer(in_channels, window, self.embedding_dim, samples=samples)
        self.embedding_dim *= 2

    def encode_windows(self, windows: Tensor) -> Tensor:
        """Standardised windows (N, C, window) -> (N, 1, 2 F)."""
        return torch.cat((super().encode_windows(windows), self.transformer(windows)[:, None]), dim=2)
