"""A whole set as embeddings, whether it lies in memory or on disk."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from antiphon.common.data.loader import BatchSource
from antiphon.common.encoder import Encoder


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
