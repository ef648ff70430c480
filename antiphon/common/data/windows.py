"""Windows of equal length from recordings that are longer or shorter: every choice is declared."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from antiphon.common.encoder import Encoder
from antiphon.common.random import KeyedRandom

Windows = Literal["random", "centre", "all"]
Short = Literal["pad", "repeat", "skip"]
Partial = Literal["drop", "pad"]


def random_starts(lengths: Tensor, window: int, *, seed: int, epoch: int, index: Tensor) -> Tensor:
    """Where a random window of each recording begins, (B,) int64; `lengths` (B,) in samples, a short recording gives 0.

    Keyed on (seed, epoch, `index` (B,): the row in the data set), so it is the same whatever the batch, worker or rank.
    """
    draw = KeyedRandom.for_examples(seed, epoch, index).fold("window")
    return draw.integers(high=(lengths - window).clamp(min=0) + 1)


def centre_start(length: int, window: int) -> int:
    """Where the middle window of a recording begins; 0 in a short one."""
    return max(0, length - window) // 2


def tile_starts(length: int, window: int, *, hop: int | None = None, partial: Partial = "drop") -> NDArray[np.int64]:
    """Where windows `hop` samples apart begin (None: side by side), (n,), at least one.

    The samples behind the last whole window are left out (`partial="drop"`), or make one more, incomplete window ("pad").

    Raises:
        ValueError: a window or hop below 1.
    """
    hop = window if hop is None else hop
    if window < 1 or hop < 1:
        raise ValueError(f"window and hop must be at least 1 sample, got window={window} and hop={hop}")
    whole = max(0, (length - window) // hop + 1)
    rest = length > (whole - 1) * hop + window if whole else True
    return np.arange(max(1, whole + (rest and partial == "pad"))) * hop


def fit(waves: Tensor, window: int, *, short: Short = "pad") -> tuple[Tensor, int]:
    """Waves (C, T), T at least 1, as (C, window), and how many samples of that are signal.

    Longer waves are cut behind. Shorter ones are padded with zeros ("pad"; also "skip", which leaves it to the data set to have no
    short ones), or begin again until the window is full ("repeat").
    """
    size = waves.shape[-1]
    if size >= window:
        return waves[..., :window], window
    if short == "repeat":
        return waves.repeat(1, -(-window // size))[..., :window], window
    return torch.nn.functional.pad(waves, (0, window - size)), size


def embed_windows(
    encoder: Encoder,
    waves: Tensor | NDArray[np.float32],
    *,
    window: int | None = None,
    hop: int | None = None,
    partial: Partial = "drop",
    short: Short = "pad",
    batch_size: int = 64,
) -> NDArray[np.float32]:
    """Embeddings (n, D) of the windows of one recording (C, T), in their order; the same bits every time.

    Args:
        encoder: in whatever mode; embeds in evaluation mode without gradients.
        waves: at the encoder's sampling rate.
        window: in samples; None: the encoder's own (`input_spec.window`).
        hop: samples from one window to the next; None: side by side.
        partial: what becomes of the samples behind the last whole window, see `tile_starts`.
        short: what becomes of a recording shorter than one window: "pad", "repeat", or "skip", which raises.
        batch_size: windows at a time.

    Raises:
        ValueError: another shape, an encoder without a window where none is given, or a recording too short to "skip".
    """
    waves = torch.as_tensor(waves, dtype=torch.float32)
    if waves.ndim != 2 or 0 in waves.shape:
        raise ValueError(f"waves must be one recording (channels, time), got shape {tuple(waves.shape)}")
    window = encoder.input_spec.window if window is None else window
    if window is None:
        raise ValueError(f"{type(encoder).__name__} has no window of its own: give window= in samples")
    if waves.shape[1] < window and short == "skip":
        raise ValueError(f"the recording has {waves.shape[1]} samples, a window {window}: use short='pad' or 'repeat'")
    starts = tile_starts(waves.shape[1], window, hop=hop, partial=partial).tolist()
    parts = []
    for first in range(0, len(starts), batch_size):
        pieces = [fit(waves[:, start : start + window], window, short=short) for start in starts[first : first + batch_size]]
        signals = torch.stack([piece for piece, _ in pieces]).cpu().numpy()
        parts.append(encoder.embed(signals, np.asarray([size for _, size in pieces])))
    return np.concatenate(parts)


def tile_mean(encoder: Encoder, waves: Tensor | NDArray[np.float32], **options: object) -> NDArray[np.float32]:
    """The mean (D,) over `embed_windows`: one embedding for a recording of any length."""
    mean: NDArray[np.float32] = embed_windows(encoder, waves, **options).mean(axis=0)  # type: ignore[arg-type]
    return mean
