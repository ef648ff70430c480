"""A small causal encoder for devices: temporal convolutions on log-mel frames, after TC-ResNet (Choi et al., Interspeech 2019)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, Literal, NamedTuple, cast

import torch
from torch import Tensor, nn

from antiphon.common.backbones.norms import norm1d
from antiphon.common.data.batch import length_mask
from antiphon.common.encoder import Encoder, InputSpec, Pooling
from antiphon.common.signal.spectral import MelSpec
from antiphon.domains.keyword_spotting.encoders.causal import CausalConv1d, CausalLogMel

CausalNorm = Literal["batch", "layer"]
BlockPast = tuple[Tensor, Tensor, Tensor]


class StreamState(NamedTuple):
    """What an encoder remembers of a stream: the last samples (B, C, n), and the last inputs of each convolution."""

    samples: Tensor
    stem: Tensor
    blocks: tuple[BlockPast, ...]


class _Block(nn.Module):
    """Two convolutions of kernel 9, the first of stride 2, and a pointwise one around them."""

    def __init__(self, in_channels: int, out_channels: int, norm: CausalNorm) -> None:
        super().__init__()
        self.conv1 = CausalConv1d(in_channels, out_channels, 9, stride=2)
        self.conv2 = CausalConv1d(out_channels, out_channels, 9)
        self.skip = CausalConv1d(in_channels, out_channels, 1, stride=2)
        self.norm1, self.norm2, self.norm3 = (norm1d(norm, out_channels) for _ in range(3))

    def forward(self, maps: Tensor) -> Tensor:
        hidden = self.conv2(torch.relu(self.norm1(self.conv1(maps))))
        return torch.relu(self.norm2(hidden) + torch.relu(self.norm3(self.skip(maps))))

    def start(self, batch_size: int) -> BlockPast:
        return self.conv1.start(batch_size), self.conv2.start(batch_size), self.skip.start(batch_size)

    def step(self, maps: Tensor, past: BlockPast) -> tuple[Tensor, BlockPast]:
        hidden, past1 = self.conv1.step(maps, past[0])
        hidden, past2 = self.conv2.step(torch.relu(self.norm1(hidden)), past[1])
        skipped, past3 = self.skip.step(maps, past[2])
        return torch.relu(self.norm2(hidden) + torch.relu(self.norm3(skipped))), (past1, past2, past3)


class TCResNetEncoder(Encoder):
    """A stem of kernel 3 and residual blocks that halve time: frames (B, T // samples_per_frame, channels[-1]), mean over time.

    The widths of TC-ResNet8 by default (65 thousand weights); `channels` of (24, 36, 48, 72) is its wide form. Two things differ
    from the paper, both so that it can run on a stream. Everything is causal: frame j is complete with sample
    (j + 1) * samples_per_frame (80 ms), and a frame looks back over 171 log-mel frames and no further. And bands are normalised by
    statistics of training (norm "batch") or within their frame ("layer", which takes loudness out), never over a recording.

    `step` takes a stream in chunks of any size, in evaluation mode, and gives the frames of the whole::

        state = encoder.start()
        for chunk in microphone:  # (1, 1, any number of samples)
            frames, state = encoder.step(chunk, state)  # (1, as many as are complete, D)
    """

    def __init__(
        self,
        in_channels: int = 1,
        *,
        sample_rate: int = 16_000,
        mels: int = 40,
        fft_size: int = 512,
        frame_size: int = 480,
        hop: int = 160,
        channels: Sequence[int] = (16, 24, 32, 48),
        norm: CausalNorm = "batch",
        pooling: Pooling = "mean",
    ) -> None:
        if len(channels) < 2:
            raise ValueError(f"channels holds the width of the stem and of one block at least, got {tuple(channels)}")
        if norm not in ("batch", "layer"):
            raise ValueError(f"unknown norm {norm!r}: a causal encoder takes batch or layer")
        config = {
            "in_channels": in_channels,
            "sample_rate": sample_rate,
            "mels": mels,
            "fft_size": fft_size,
            "frame_size": frame_size,
            "hop": hop,
            "channels": list(channels),
            "norm": norm,
            "pooling": pooling,
        }
        self.samples_per_frame = hop * 2 ** (len(channels) - 1)
        super().__init__(
            embedding_dim=channels[-1],
            input_spec=InputSpec(channels=in_channels, sample_rate=sample_rate, min_length=self.samples_per_frame),
            config=config,
            pooling=pooling,
        )
        spec = MelSpec(sample_rate=sample_rate, bands=mels, n_fft=fft_size, window_size=frame_size, hop=hop, floor=1e-6)
        self.log_mel = CausalLogMel(spec)
        self.input_norm = norm1d(norm, in_channels * mels)
        self.stem = CausalConv1d(in_channels * mels, channels[0], 3)
        self.stem_norm = norm1d(norm, channels[0])
        self.blocks = nn.ModuleList(_Block(before, after, norm) for before, after in pairwise(channels))

    def start(self, batch_size: int = 1) -> StreamState:
        """The state of streams that begin, with silence before them."""
        blocks = tuple(block.start(batch_size) for block in self._steps())
        return StreamState(self.log_mel.start(batch_size, self.input_spec.channels), self.stem.start(batch_size), blocks)

    @torch.no_grad()
    def step(self, chunk: Tensor, state: StreamState) -> tuple[Tensor, StreamState]:
        """The next raw samples (B, C, t) of a stream, t from 0 on -> the frames (B, n, D) that they complete, and the new state.

        Without gradients: a stream would keep them all.

        Raises:
            ValueError: training mode, where frames would depend on the chunk, or another number of streams or channels.
        """
        if self.training:
            raise ValueError("a stream needs the encoder in evaluation mode: call encoder.eval()")
        if chunk.shape[:-1] != state.samples.shape[:-1]:
            expected = ", ".join(map(str, state.samples.shape[:-1]))
            raise ValueError(f"chunk must be ({expected}, samples) as the stream began, got shape {tuple(chunk.shape)}")
        waves = self.standardize(chunk).nan_to_num(nan=0.0)
        features, samples = self.log_mel.step(waves, state.samples)
        maps, stem = self.stem.step(self.input_norm(features.flatten(1, 2)), state.stem)
        maps, pasts = torch.relu(self.stem_norm(maps)), []
        for block, past in zip(self._steps(), state.blocks, strict=True):
            maps, past = block.step(maps, past)
            pasts.append(past)
        return maps.transpose(1, 2), StreamState(samples, stem, tuple(pasts))

    def encode(
        self,
        signals: Tensor,
        lengths: Tensor | None = None,
        *,
        mask: Tensor | None = None,
        context: Mapping[str, Any] | None = None,
    ) -> Tensor:
        """Standardised signals (B, C, T) -> frames (B, T // samples_per_frame, D)."""
        if mask is not None:
            raise ValueError("TCResNetEncoder cannot hide time stamps (mask): use views without a mask")
        signals = signals.nan_to_num(nan=0.0)
        if lengths is not None:
            signals = signals.masked_fill(~length_mask(lengths, signals.shape[-1])[:, None], 0.0)
        maps = torch.relu(self.stem_norm(self.stem(self.input_norm(self.log_mel(signals).flatten(1, 2)))))
        for block in self.blocks:
            maps = block(maps)
        return maps.transpose(1, 2)

    def _steps(self) -> list[_Block]:
        return cast(list[_Block], list(self.blocks))

    def frame_lengths(self, lengths: Tensor, frames: int, samples: int) -> Tensor:
        """How many of `frames` end inside each example, (B,) -> (B,), at least one."""
        return (lengths // self.samples_per_frame).clamp(1, frames)
