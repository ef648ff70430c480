"""What is done to series before they are learnt from: scale and sections."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from antiphon.common.data.loader import BatchSource
from antiphon.domains.time_series.data import storage
from antiphon.domains.time_series.data.series_set import TimeSeriesSet
from antiphon.domains.time_series.data.storage import allocate

Scaling = Literal["auto", "none", "channel", "global"]
_VALUES = 1 << 24  # numbers looked at together, where series are so long that it is fewer of them than `storage.CHUNK`
_MEAN_TOLERANCE, _STD_TOLERANCE = 0.05, 0.1  # the archive's z-scores used either divisor, n or n - 1, and few digits


def standardization(train: BatchSource, scaling: Scaling = "auto") -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Mean and standard deviation (C,) each, from the training series alone, to hand to `Encoder.fit_standardization`.

    Of a set that draws windows of recordings (EEG), from those that it draws first.

    `"channel"`: of each channel over all series and times (TS2Vec for the UEA archive). `"global"`: one number each for all
    channels, which keeps their amplitudes comparable. `"none"`: 0 and 1. `"auto"`: `"channel"` for multivariate sets; a univariate
    set is left as it is if its series are z-scored one by one already, as most of the UCR archive is; else it gets `"global"`.
    (TS2Vec keeps a list of names for that; looking at the data serves sets that are on no list.)

    Missing values do not count. A standard deviation of 0 becomes 1.
    """
    if scaling not in get_args(Scaling):
        raise ValueError(f"scaling must be one of {get_args(Scaling)}, got {scaling!r}")
    channels = train.batch(np.zeros(1, np.int64)).signals.shape[1]
    if scaling == "auto":
        scaling = "channel" if channels > 1 else "none" if _already_standardized(train) else "global"
    if scaling == "none":
        return np.zeros(channels, np.float32), np.ones(channels, np.float32)
    axes = (0, 2) if scaling == "channel" else (0, 1, 2)
    count, total = np.zeros(channels), np.zeros(channels)
    for series in _values(train):
        count += (~np.isnan(series)).sum(axis=axes)
        total += np.nansum(series, axis=axes, dtype=np.float64)
    mean = total / np.maximum(count, 1)
    squares = np.zeros(channels)  # a second pass: the difference of two large sums would lose the digits that matter
    for series in _values(train):
        squares += np.nansum((series - mean[:, None]) ** 2, axis=axes, dtype=np.float64)
    std = np.sqrt(squares / np.maximum(count, 1))
    return mean.astype(np.float32), np.where(std > 0, std, 1.0).astype(np.float32)


def _values(data: BatchSource) -> Iterator[NDArray[np.float32]]:
    """The series (n, C, T) of a set, some at a time, with NaN behind the end of each."""
    step = max(1, min(storage.CHUNK, _VALUES // data.batch(np.zeros(1, np.int64)).signals.numel()))
    for start in range(0, len(data), step):
        batch = data.batch(np.arange(start, min(start + step, len(data))))
        inside = np.arange(batch.signals.shape[2]) < batch.lengths.numpy()[:, None, None]
        yield np.where(inside, batch.signals.numpy(), np.float32(np.nan))


def _already_standardized(data: BatchSource) -> bool:
    """Whether nine of ten series have mean 0 and deviation 1, or are constant."""
    fits = 0
    for series in _values(data):
        mean, std = np.nanmean(series, axis=(1, 2), dtype=np.float64), np.nanstd(series, axis=(1, 2), dtype=np.float64)
        fits += int(((np.abs(mean) < _MEAN_TOLERANCE) & ((np.abs(std - 1) < _STD_TOLERANCE) | (std == 0))).sum())
    return fits >= 0.9 * len(data)


def split_long(
    signals: NDArray[Any], lengths: NDArray[np.int64], *, max_length: int = 3000
) -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.int64]]:
    """Cut series longer than `max_length` into equal sections, as TS2Vec does before training.

    A series of `length` samples gives ceil(length / max_length) sections, the last of which may be a little shorter. (TS2Vec's code
    rounds down, so its sections may be nearly twice as long as the limit.) Sections without any value are left out.

    Returns:
        Sections (m, C, longest) padded behind with NaN, their lengths (m,), and the row (m,) that each comes from.
    """
    if max_length < 1:
        raise ValueError(f"max_length must be at least 1, got {max_length}")
    pieces = []
    for row, length in enumerate(lengths.tolist()):
        section = -(-length // -(-length // max_length))
        for start in range(0, length, section):
            end = min(start + section, length)
            if not np.isnan(signals[row, :, start:end]).all():
                pieces.append((row, start, end))
    sections = allocate((len(pieces), signals.shape[1], max(end - start for _, start, end in pieces)))
    for out, (row, start, end) in zip(sections, pieces, strict=True):
        out[:, : end - start] = signals[row, :, start:end]
        out[:, end - start :] = np.nan
    table = np.asarray(pieces, np.int64)
    return sections, table[:, 2] - table[:, 1], table[:, 0]


def sections(train: BatchSource, *, max_length: int = 3000) -> BatchSource:
    """The training set as TS2Vec learns from it: series longer than `max_length` cut into sections that keep label and group.

    A set of another domain (EEG) has windows of the length that was asked for, and stays as it is.
    """
    if not isinstance(train, TimeSeriesSet) or int(train.lengths.max()) <= max_length:
        return train
    signals, lengths, parents = split_long(train.signals, train.lengths, max_length=max_length)
    return replace(train.subset(parents), signals=signals, lengths=lengths)
