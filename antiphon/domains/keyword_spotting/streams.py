"""A long recording as a stream: blocks of samples, sliding windows, frames of an encoder. Memory does not grow with its length."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple, Protocol, runtime_checkable

import torch
from torch import Tensor

from antiphon.common.encoder import Encoder
from antiphon.common.signal.io import audio_info, read_audio
from antiphon.common.signal.resample import resampled_length

BLOCK_S = 10.0
_CONTEXT_S = 2.0  # what an encoder that takes any length sees around its frames at a time
_AT_A_TIME = 32  # windows


def read_blocks(path: str | Path, *, sample_rate: int, mono: bool, block_s: float = BLOCK_S) -> Iterator[Tensor]:
    """The waves (C, n) of a file at `sample_rate`, `block_s` seconds at a time; together what `read_audio` reads at once.

    Raises:
        AudioError: a file that is no audio, or damage, when its place is reached.
    """
    info = audio_info(path)
    total, size = resampled_length(info.frames, info.sample_rate, sample_rate), round(block_s * sample_rate)
    for start in range(0, total, size):
        part = {"start_s": start / sample_rate, "duration_s": min(size, total - start) / sample_rate}
        yield read_audio(path, sample_rate=sample_rate, mono=mono, **part)[0]


def sliding_windows(blocks: Iterable[Tensor], *, size: int, hop: int) -> Iterator[tuple[int, Tensor]]:
    """Windows (n, C, size), `hop` <= `size` samples apart, of blocks (C, any number), and the sample where the first begins.

    The last one is filled up with zeros, so that every sample is in a window.
    """
    start, held = 0, None
    for block in blocks:
        held = block if held is None else torch.cat((held, block), dim=-1)
        count = (held.shape[-1] - size) // hop + 1
        if count >= 1:
            yield start, held.unfold(-1, size, hop).transpose(0, 1)
            start, held = start + count * hop, held[..., count * hop :]
    if held is not None and (start == 0 or held.shape[-1] > size - hop):
        yield start, torch.nn.functional.pad(held, (0, size - held.shape[-1]))[None]


@runtime_checkable
class StreamingEncoder(Protocol):
    """An encoder that takes a signal in pieces; see `TCResNetEncoder`."""

    samples_per_frame: int

    def start(self, batch_size: int = 1) -> Any:
        """The state of streams that begin."""

    def step(self, chunk: Tensor, state: Any) -> tuple[Tensor, Any]:
        """The next samples (B, C, t) -> the frames (B, n, D) that they complete, and the new state."""


class FrameGrid(NamedTuple):
    """How an encoder's frames lie in time: one for every `period` samples.

    Of a `StreamingEncoder` that is all. Another sees windows of `window` samples, of whose frames `kept` from `first` on are used:
    the middle half, which has seen what is around it.
    """

    period: float
    window: int = 0
    first: int = 0
    kept: int = 0


@torch.no_grad()
def frame_grid(encoder: Encoder) -> FrameGrid:
    """The grid of `encoder`'s frames, found by asking it for some."""
    if isinstance(encoder, StreamingEncoder):
        return FrameGrid(float(encoder.samples_per_frame))
    spec = encoder.input_spec
    window = spec.window or max(round(_CONTEXT_S * float(spec.sample_rate or 1)), spec.min_length)
    once, twice = (encoder.frames(encoder.input_mean.new_zeros(1, spec.channels, times * window)).shape[1] for times in (1, 2))
    kept = max(1, once // 2)
    hop = round(kept * window / (twice - once))  # whole samples, or an hour of windows would run out of step
    return FrameGrid(hop / kept, window, (once - kept) // 2, kept)


@torch.no_grad()
def stream_frames(encoder: Encoder, blocks: Iterable[Tensor], grid: FrameGrid) -> Iterator[Tensor]:
    """Frames (n, D), on the CPU, of blocks of raw samples (C, any number): frame j stands for j * period to (j + 1) * period.

    An encoder that streams gives those that are complete; of another, the last ones may reach beyond the end, into silence.
    """
    device = encoder.input_mean.device
    if isinstance(encoder, StreamingEncoder):
        state = encoder.start()
        for block in blocks:
            frames, state = encoder.step(block[None].to(device), state)
            yield frames[0].cpu()
        return
    hop, lead = round(grid.kept * grid.period), round(grid.first * grid.period)
    silence = torch.zeros(encoder.input_spec.channels, grid.window)
    around = chain((silence[:, :lead],), blocks, (silence[:, : grid.window - lead - hop],))  # what first and last frames see beyond
    for _, windows in sliding_windows(around, size=grid.window, hop=hop):
        for part in windows.split(_AT_A_TIME):
            yield encoder.frames(part.to(device))[:, grid.first : grid.first + grid.kept].flatten(0, 1).cpu()


@torch.no_grad()
def stream_embeddings(encoder: Encoder, blocks: Iterable[Tensor], *, size: int, hop: int) -> Iterator[tuple[int, Tensor]]:
    """Embeddings (n, D), on the CPU, of windows of `size` samples, `hop` apart, and the sample where the first of them begins."""
    for start, windows in sliding_windows(blocks, size=size, hop=hop):
        for number, part in enumerate(windows.split(_AT_A_TIME)):
            yield start + number * _AT_A_TIME * hop, encoder.embed(part.to(encoder.input_mean.device)).cpu()


def frames_in(samples: int, grid: FrameGrid) -> int:
    """How many frames begin inside a signal of `samples` samples."""
    return math.ceil(samples / grid.period)
