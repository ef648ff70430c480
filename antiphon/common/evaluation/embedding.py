"""A whole set as embeddings, whether it lies in memory or on disk."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from antiphon.common.data.loader import BatchSource
from antiphon.common.data.windows import fit
from antiphon.common.encoder import Encoder

if TYPE_CHECKING:
    from antiphon.common.data.audio_set import AudioSet


def embed_examples(encoder: Encoder, data: BatchSource, *, batch_size: int = 64) -> NDArray[np.float32]:
    """One embedding for each example as `data.batch` gives it in epoch 0, (n, D); `batch_size` of them are read at a time."""
    parts = []
    for start in range(0, len(data), batch_size):
        batch = data.batch(np.arange(start, min(start + batch_size, len(data))))
        parts.append(encoder.embed(batch.signals.numpy(), batch.lengths.numpy(), context=batch.context or None))
    return np.concatenate(parts)


def mean_by_owner(rows: NDArray[np.floating], owners: NDArray[np.int64]) -> NDArray[np.float64]:
    """Average the rows (N, K) of each owner 0 .. n - 1, each of which has at least one (the windows of a track): (n, K)."""
    sums = np.zeros((int(owners.max()) + 1, rows.shape[1]), np.float64)
    np.add.at(sums, owners, rows)
    return sums / np.bincount(owners)[:, None]


def embed_set(encoder: Encoder, data: BatchSource, *, batch_size: int = 64) -> NDArray[np.float32]:
    """One embedding for each example of a set, (n, D), the same bits every time.

    A set that holds `signals` (n, C, T) and `lengths` in memory is embedded from there. Any other is read `batch_size` examples at
    a time; where it has `fixed_windows` (an `AudioSet`), these stand for the examples: an example of several windows is the mean of
    their embeddings.
    """
    held: Any = data
    if hasattr(held, "signals"):
        return encoder.embed(held.signals, held.lengths)
    if not hasattr(held, "fixed_windows"):
        return embed_examples(encoder, data, batch_size=batch_size)
    windows, owners = held.fixed_windows()
    embeddings = embed_examples(encoder, windows, batch_size=batch_size)
    return embeddings if len(windows) == len(data) else mean_by_owner(embeddings, owners).astype(np.float32)


def embed_recordings(encoder: Encoder, data: AudioSet, *, batch_s: float = 120.0) -> NDArray[np.float32]:
    """One embedding for the whole recording of each example, whatever its window, (n, D).

    Recordings are read in order of their length, and so many at a time as are `batch_s` seconds with their padding, at least one.
    One that is shorter than the encoder can see is followed by silence.
    """
    embeddings = np.empty((len(data), encoder.embedding_dim), np.float32)
    lengths = recording_lengths(data)
    for examples in _batches_by_length(lengths, int(batch_s * data.sample_rate)):
        size = max(int(lengths[examples].max()), encoder.input_spec.min_length)
        waves = [fit(data.recording(row), size)[0] for row in data.rows[examples].tolist()]
        sizes = lengths[examples].clip(encoder.input_spec.min_length)
        embeddings[examples] = encoder.embed(torch.stack(waves).numpy(), sizes)
    return embeddings


def recording_lengths(data: AudioSet) -> NDArray[np.int64]:
    """Samples (n,) of the whole recording of each example."""
    return np.asarray([data.manifest.rows[row].span(data.sample_rate)[1] for row in data.rows.tolist()], np.int64)


def _batches_by_length(lengths: NDArray[np.int64], samples: int) -> Iterator[NDArray[np.int64]]:
    """Examples, the longest first (so that memory runs out at once if at all), `samples` with padding at a time."""
    order = np.argsort(-lengths, kind="stable")
    start = 0
    while start < len(order):
        size = max(1, samples // max(1, int(lengths[order[start]])))
        yield order[start : start + size]
        start += size


def embed_crops(
    encoder: Encoder, data: AudioSet, *, crops: int = 10, crop_s: float = 4.0, batch_size: int = 8
) -> NDArray[np.float32]:
    """Embeddings (n, crops, D) of evenly spaced crops of each example's recording, from its beginning to its end.

    A recording shorter than `crop_s` seconds begins again until a crop is full. `batch_size` recordings are read at a time.

    Raises:
        ValueError: fewer than one crop, or no length.
    """
    size = round(crop_s * data.sample_rate)
    if crops < 1 or size < 1:
        raise ValueError(f"need at least one crop of at least one sample, got crops={crops} of {crop_s} s")
    lengths = recording_lengths(data)
    parts = []
    for start in range(0, len(data), batch_size):
        waves = []
        for example in range(start, min(start + batch_size, len(data))):
            recording = data.recording(int(data.rows[example]))
            places = np.linspace(0, max(0, lengths[example] - size), crops).astype(np.int64).tolist()
            waves += [fit(recording[:, place:], size, short="repeat")[0] for place in places]
        parts.append(encoder.embed(torch.stack(waves).numpy()).reshape(-1, crops, encoder.embedding_dim))
    return np.concatenate(parts)
