"""A whole set as embeddings, whether it lies in memory or on disk."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from antiphon.common.data.loader import BatchSource
from antiphon.common.encoder import Encoder


def embed_set(encoder: Encoder, data: BatchSource, *, batch_size: int = 64) -> NDArray[np.float32]:
    """One embedding for each example of a set, (n, D), the same bits every time.

    A set that holds `signals` (n, C, T) and `lengths` in memory is embedded from there. Any other is read `batch_size` examples at
    a time; where it has `fixed_windows` (an `AudioSet`), these stand for the examples: an example of several windows is the mean of
    their embeddings.
    """
    held: Any = data
    if hasattr(held, "signals"):
        return encoder.embed(held.signals, held.lengths)
    windows, owners = held.fixed_windows() if hasattr(held, "fixed_windows") else (data, np.arange(len(data)))
    parts = []
    for start in range(0, len(windows), batch_size):
        batch = windows.batch(np.arange(start, min(start + batch_size, len(windows))))
        parts.append(encoder.embed(batch.signals.numpy(), batch.lengths.numpy(), context=batch.context or None))
    embeddings: NDArray[np.float32] = np.concatenate(parts)
    if len(windows) == len(data):
        return embeddings
    sums = np.zeros((len(data), embeddings.shape[1]), np.float64)
    np.add.at(sums, owners, embeddings)
    return (sums / np.bincount(owners, minlength=len(data))[:, None]).astype(np.float32)
