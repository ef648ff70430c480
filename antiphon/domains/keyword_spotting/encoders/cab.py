"""The network of CAB-KWS (arXiv 2409.00356): compressed convolution, a small transformer, the last frames as a bottleneck."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from antiphon.common.data.batch import length_mask
from antiphon.common.encoder import InputSpec
from antiphon.common.windowed import Padding, WindowedEncoder, window_counts
from antiphon.domains.keyword_spotting.encoders.features import SAMPLE_RATE, SpeechMel

CHANNELS = 32
GROUPS = 8


class _SoftPool(nn.Module):
    """Every `size` neighbouring frames become one: their mean, weighted by a softmax of a linear score of each."""

    def __init__(self, dim: int, size: int) -> None:
        super().__init__()
        self.size = size
        self.score = nn.Linear(dim, 1)

    def forward(self, frames: Tensor) -> Tensor:
        """(N, F, D) -> (N, F / size, D); the last frame is repeated where they do not come out even."""
        frames = torch.cat((frames, frames[:, -1:].expand(-1, -frames.shape[1] % self.size, -1)), dim=1)
        groups = frames.unflatten(1, (-1, self.size))  # (N, F / size, size, D)
        return (self.score(groups).softmax(dim=2) * groups).sum(dim=2)


class _Residual(nn.Module):
    """Two 3 x 3 convolutions with group norm, and their input."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1),
            nn.GroupNorm(GROUPS, CHANNELS),
            nn.ReLU(),
            nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1),
            nn.GroupNorm(GROUPS, CHANNELS),
        )

    def forward(self, maps: Tensor) -> Tensor:
        return F.relu(maps + self.body(maps))


class CABEncoder(WindowedEncoder):
    """Windows of 1 s: `frames` are those of the transformer, `embed` is the bottleneck of `embedding_dim` (800).

    Two 3 x 3 convolutions of stride 2 and 32 channels on log-mel maps; attention soft-pooling over `pooled_frames` neighbours;
    `blocks` residual blocks with group norm; a transformer of `depth` layers on the frames, which with 40 bands have the
    paper's 320 dimensions (32 channels of 10 bands); the last `last_frames` of a window side by side into a fully connected
    bottleneck.

    So frames (B, windows * 13, 320), 80 ms each, keep their order and can be aligned; an embedding is the mean over the windows
    of a recording. The source leaves open, and here are: 2 frames pooled, 2 blocks, 8 groups, one attention score a frame,
    learned positions, feed-forward layers of 4 times the width, norm first, dropout 0.1.
    """

    def __init__(
        self,
        in_channels: int = 1,
        *,
        window: int = SAMPLE_RATE,
        sample_rate: int = SAMPLE_RATE,
        mels: int = 40,
        pooled_frames: int = 2,
        blocks: int = 2,
        depth: int = 2,
        heads: int = 4,
        last_frames: int = 2,
        embedding_dim: int = 800,
        dropout: float = 0.1,
        padding: Padding = "zeros",
    ) -> None:
        config = {
            "in_channels": in_channels,
            "window": window,
            "sample_rate": sample_rate,
            "mels": mels,
            "pooled_frames": pooled_frames,
            "blocks": blocks,
            "depth": depth,
            "heads": heads,
            "last_frames": last_frames,
            "embedding_dim": embedding_dim,
            "dropout": dropout,
            "padding": padding,
        }
        super().__init__(
            embedding_dim=embedding_dim,
            input_spec=InputSpec(channels=in_channels, sample_rate=sample_rate, window=window),
            config=config,
            padding=padding,
        )
        self.log_mel = SpeechMel(sample_rate, mels=mels)
        size = window // self.log_mel.spec.step + 1
        self.window_frames = -(-_halved(_halved(size)) // pooled_frames)
        if not 1 <= last_frames <= self.window_frames:
            raise ValueError(f"last_frames is {last_frames}, but a window of {window} samples has {self.window_frames} frames")
        self.frame_dim = CHANNELS * _halved(_halved(mels))
        if self.frame_dim % heads:
            raise ValueError(f"{mels} mel bands make frames of {self.frame_dim} dimensions, which {heads} heads do not divide")
        self.convolution = nn.Sequential(
            nn.Conv2d(in_channels, CHANNELS, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(CHANNELS, CHANNELS, 3, stride=2, padding=1),
            nn.ReLU(),
        )
        self.soft_pool = _SoftPool(self.frame_dim, pooled_frames)
        self.residual = nn.Sequential(*(_Residual() for _ in range(blocks)))
        self.positions = nn.Parameter(0.02 * torch.randn(self.window_frames, self.frame_dim))
        layer = nn.TransformerEncoderLayer(
            self.frame_dim, heads, 4 * self.frame_dim, dropout, activation="gelu", batch_first=True, norm_first=True
        )
        self.transformer = nn.TransformerEncoder(layer, depth, nn.LayerNorm(self.frame_dim), enable_nested_tensor=False)
        self.last_frames = last_frames
        self.bottleneck = nn.Linear(last_frames * self.frame_dim, embedding_dim)

    def encode_windows(self, windows: Tensor) -> Tensor:
        """Windows (N, C, window) -> frames (N, window_frames, frame_dim)."""
        maps = self.convolution(self.log_mel(windows))  # (N, 32, mels / 4, frames / 4)
        bands = maps.shape[2]
        frames = self.soft_pool(maps.flatten(1, 2).transpose(1, 2))
        maps = self.residual(frames.transpose(1, 2).unflatten(1, (CHANNELS, bands)))
        frames = maps.flatten(1, 2).transpose(1, 2)
        return self.transformer(frames + self.positions)

    def pool(self, frames: Tensor, lengths: Tensor | None = None, samples: int | None = None) -> Tensor:
        """Frames (B, windows * window_frames, frame_dim) -> (B, embedding_dim): the mean bottleneck of an example's windows."""
        windows = frames.unflatten(1, (-1, self.window_frames))  # (B, n, F, D)
        found = self.bottleneck(windows[:, :, -self.last_frames :].flatten(2))  # (B, n, embedding_dim)
        if lengths is None:
            return found.mean(dim=1)
        counts = window_counts(lengths, self.window).clamp(max=found.shape[1])
        return (found * length_mask(counts, found.shape[1])[..., None]).sum(dim=1) / counts[:, None]


def _halved(size: int) -> int:
    """What a convolution of kernel 3, stride 2 and padding 1 leaves of `size`."""
    return (size + 1) // 2
