"""Arrays that stay in memory while they are small and go to a temporary file when they are not."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

MEMORY_LIMIT = 1 << 30  # bytes an array may take before it is kept in a file
CHUNK = 1024  # series looked at together


def is_large(size: int) -> bool:
    """Whether `size` bytes belong in a file."""
    return size > MEMORY_LIMIT


def allocate(shape: Sequence[int]) -> NDArray[np.float32]:
    """An uninitialised float32 array; beyond `MEMORY_LIMIT` a memory map of a file that vanishes with the process."""
    if not is_large(4 * int(np.prod(shape, dtype=np.int64))):
        return np.empty(shape, np.float32)
    with tempfile.TemporaryFile() as file:
        return np.memmap(file, np.float32, "w+", shape=tuple(shape))


def take_rows(signals: NDArray[Any], rows: NDArray[np.int64]) -> NDArray[Any]:
    """``signals[rows]``; a view where the rows are consecutive, in a file where the result is large."""
    if len(rows) and np.array_equal(rows, np.arange(rows[0], rows[0] + len(rows))):
        return signals[rows[0] : rows[0] + len(rows)]
    taken = allocate((len(rows), *signals.shape[1:]))
    for start in range(0, len(rows), CHUNK):
        taken[start : start + CHUNK] = signals[rows[start : start + CHUNK]]
    return taken


def chunks(signals: NDArray[Any]) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """(first row, series as float32) through the whole array."""
    for start in range(0, len(signals), CHUNK):
        yield start, np.asarray(signals[start : start + CHUNK], np.float32)


def stack_series(series: Iterable[tuple[str, NDArray[Any]]]) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Stack series that come one after the other, each a name for errors and values (C, time).

    Returns them as (n, C, longest), padded behind with NaN, and their lengths (n,). What has come waits in memory until
    `MEMORY_LIMIT`, then in a temporary file.
    """
    lengths: list[int] = []
    channels = 0
    with tempfile.SpooledTemporaryFile(max_size=MEMORY_LIMIT) as waiting:
        for name, values in series:
            if values.shape[1] == 0:
                raise ValueError(f"{name} has no time stamps: remove it")
            if lengths and values.shape[0] != channels:
                raise ValueError(f"{name} has {values.shape[0]} channels, those before it {channels}: all series need the same")
            channels = values.shape[0]
            lengths.append(values.shape[1])
            waiting.write(np.ascontiguousarray(values, np.float32).tobytes())
        stacked = allocate((len(lengths), channels, max(lengths, default=0)))
        waiting.seek(0)
        for out, length in zip(stacked, lengths, strict=True):
            out[:, :length] = np.frombuffer(waiting.read(4 * channels * length), np.float32).reshape(channels, length)
            out[:, length:] = np.nan
    return stacked, np.asarray(lengths, np.int64)
