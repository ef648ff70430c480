"""Encoders that see windows of one size, and what becomes of longer and of shorter signals."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, Literal, get_args

import torch
from torch import Tensor

from antiphon.common.augment.shift import take_times
from antiphon.common.encoder import Encoder, InputSpec, Pooling

Padding = Literal["zeros", "repeat"]
WINDOWS_AT_A_TIME = 32  # outside training: an hour of music must not fill the memory


class WindowedEncoder(Encoder):
    """Base of encoders whose `encode_windows` sees windows of `input_spec.window` samples.

    A longer signal is cut into windows that touch and do not overlap; what is left behind the last whole one is dropped, as in the
    evaluation of CLMR, and the frames of all windows are pooled. A signal that is shorter than one window is filled up, with zeros
    or, with ``padding="repeat"``, by playing it again from its start. No window sees its neighbours, so a song embeds as its
    windows do, whatever it is batched with.
    """

    def __init__(
        self, *, embedding_dim: int, input_spec: InputSpec, config: Mapping[str, Any], padding: Padding, pooling: Pooling = "mean"
    ) -> None:
        if input_spec.window is None or input_spec.window < 1:
            raise ValueError(f"window is {input_spec.window}: give the number of samples that the encoder sees at a time")
        if padding not in get_args(Padding):
            raise ValueError(f"unknown padding {padding!r}: use one of {', '.join(get_args(Padding))}")
        super().__init__(embedding_dim=embedding_dim, input_spec=input_spec, config=config, pooling=pooling)
        self.window, self.padding = input_spec.window, padding

    @abstractmethod
    def encode_windows(self, windows: Tensor) -> Tensor:
        """Standardised windows (N, C, window) -> frames (N, F, D), the same F for all."""

    def encode(
        self,
        signals: Tensor,
        lengths: Tensor | None = None,
        *,
        mask: Tensor | None = None,
        context: Mapping[str, Any] | None = None,
    ) -> Tensor:
        """Standardised signals (B, C, T) -> frames (B, windows * F, D); those behind an example are 0."""
        if mask is not None:
            raise ValueError(f"{type(self).__name__} cannot hide time stamps (mask): use views without a mask")
        whole = signals.new_full((len(signals),), signals.shape[-1], dtype=torch.int64)
        lengths = whole if lengths is None else lengths
        windows, inside = split_windows(signals, lengths, self.window, padding=self.padding)
        kept = windows[inside]  # (N, C, window)
        parts = [kept] if self.training else kept.split(WINDOWS_AT_A_TIME)
        found = torch.cat([self.encode_windows(part) for part in parts])  # (N, F, D)
        frames = found.new_zeros(*inside.shape, *found.shape[1:])
        frames[inside] = found
        return frames.flatten(1, 2)

    def frame_lengths(self, lengths: Tensor, frames: int, samples: int) -> Tensor:
        """How many of `frames` belong to each example, (B,) -> (B,): those of its whole windows, at least one window's."""
        windows = max(1, samples // self.window)
        return window_counts(lengths, self.window) * (frames // windows)


def window_counts(lengths: Tensor, window: int) -> Tensor:
    """How many windows an example of `lengths` (B,) samples is seen as: the whole ones, at least one."""
    return (lengths // window).clamp(min=1)


def split_windows(signals: Tensor, lengths: Tensor, window: int, *, padding: Padding = "zeros") -> tuple[Tensor, Tensor]:
    """Cut signals (B, C, T) into windows (B, n, C, window), and say which are inside their example, (B, n) bool.

    What lies behind an example, and NaN, becomes 0 - or, with `padding` "repeat", an example shorter than a window starts anew.
    """
    size = max(1, signals.shape[-1] // window) * window
    times = torch.arange(size, device=signals.device).expand(len(signals), -1)
    outside = times >= lengths[:, None]
    if signals.shape[-1] < size:
        signals = torch.nn.functional.pad(signals, (0, size - signals.shape[-1]))
    signals = signals[..., :size]
    if padding == "repeat":
        again = lengths < window
        if bool(again.any()):
            signals = take_times(signals, torch.where(again[:, None], times % lengths[:, None].clamp(min=1), times))
            outside = outside & ~again[:, None]
    signals = signals.nan_to_num(nan=0.0).masked_fill(outside[:, None], 0.0)
    windows = signals.unflatten(-1, (-1, window)).transpose(1, 2)  # (B, n, C, window)
    count = windows.shape[1]
    inside = torch.arange(count, device=signals.device) < window_counts(lengths, window).clamp(max=count)[:, None]
    return windows, inside
