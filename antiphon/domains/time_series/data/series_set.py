"""A set of time series with what is known about them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from antiphon.common.data.batch import SignalBatch
from antiphon.domains.time_series.data.storage import chunks, take_rows


@dataclass(frozen=True, eq=False)
class TimeSeriesSet:
    """Time series in one array.

    `signals` (n, C, T), float32 or a memory map of any number type; NaN is missing, also behind the end of a shorter series.
    `lengths` (n,) int64. `labels` (n,) int64 in order of `classes`, or None. `groups` (n,) int64: the subject, machine or
    recording that a series comes from, or None.
    """

    signals: NDArray[Any]
    lengths: NDArray[np.int64]
    labels: NDArray[np.int64] | None = None
    classes: tuple[str, ...] = ()
    name: str = ""
    groups: NDArray[np.int64] | None = None

    @classmethod
    def from_arrays(
        cls,
        signals: NDArray[Any],
        labels: ArrayLike | None = None,
        *,
        lengths: ArrayLike | None = None,
        groups: ArrayLike | None = None,
        name: str = "",
    ) -> Self:
        """A set from (n, C, T), or (n, T) for univariate series; labels and groups may be numbers or words.

        Without `lengths` a series ends with its last value. A memory map stays one.

        Raises:
            ValueError: no series, another shape, a series without any value, an infinite value, or arrays of different size.
        """
        what = name or "signals"
        signals = signals[:, None] if signals.ndim == 2 else signals
        if signals.ndim != 3 or signals.size == 0:
            raise ValueError(f"{what}: expected series (n, channels, time) with something in them, got shape {signals.shape}")
        if signals.dtype.kind not in "fiub":
            raise ValueError(f"{what}: expected numbers, got {signals.dtype}")
        if not isinstance(signals, np.memmap):
            signals = np.ascontiguousarray(signals, np.float32)
        last_values = _scan(signals, what)
        sizes = last_values if lengths is None else np.asarray(lengths, np.int64)
        codes, names = (None, ()) if labels is None else encode(labels)
        group_codes = None if groups is None else encode(groups)[0]
        for field, values in (("lengths", sizes), ("labels", codes), ("groups", group_codes)):
            if values is not None and values.shape != (len(signals),):
                raise ValueError(f"{what}: {len(signals)} series, but {field} of shape {values.shape}")
        if not 0 < sizes.min() <= sizes.max() <= signals.shape[2]:
            raise ValueError(f"{what}: lengths must be in [1, {signals.shape[2]}], got {sizes.min()} to {sizes.max()}")
        return cls(signals, sizes, codes, names, name, group_codes)

    def __len__(self) -> int:
        return len(self.signals)

    @property
    def channels(self) -> int:
        """How many channels each series has."""
        return self.signals.shape[1]

    def batch(self, index: ArrayLike, *, epoch: int = 0) -> SignalBatch:
        """The series in rows `index` (B,) as float32 tensors; only these rows are read from a memory map."""
        rows = np.asarray(index, np.int64)
        return SignalBatch(
            signals=torch.from_numpy(np.array(self.signals[rows], np.float32)),
            lengths=torch.from_numpy(self.lengths[rows]),
            index=torch.from_numpy(rows),
            labels={} if self.labels is None else {"label": torch.from_numpy(self.labels[rows])},
            groups=None if self.groups is None else torch.from_numpy(self.groups[rows]),
        )

    def subset(self, rows: ArrayLike, *, name: str | None = None) -> TimeSeriesSet:
        """The series in `rows`, with the same classes."""
        rows = np.asarray(rows, np.int64)
        return replace(
            self,
            signals=take_rows(self.signals, rows),
            lengths=self.lengths[rows],
            labels=None if self.labels is None else self.labels[rows],
            groups=None if self.groups is None else self.groups[rows],
            name=self.name if name is None else name,
        )


def _scan(signals: NDArray[Any], name: str) -> NDArray[np.int64]:
    """The length of each series: where its last value stands. One pass, some series at a time."""
    sizes = np.empty(len(signals), np.int64)
    for start, series in chunks(signals):
        infinite = np.flatnonzero(np.isinf(series).any(axis=(1, 2)))
        if len(infinite):
            raise ValueError(f"{name}: series {start + infinite[0]} has an infinite value: replace it by NaN or a number")
        present = np.logical_not(np.isnan(series).all(axis=1))
        empty = np.flatnonzero(np.logical_not(present.any(axis=1)))
        if len(empty):
            raise ValueError(f"{name}: series {start + empty[0]} is NaN everywhere: remove it")
        sizes[start : start + len(series)] = series.shape[2] - present[:, ::-1].argmax(axis=1)
    return sizes


def _plain(label: Any) -> str:
    """A label as text, whole numbers without a decimal point, so that 1, 1.0 and "1" are one class."""
    text = str(label.decode() if isinstance(label, bytes) else label).strip()
    try:
        number = float(text)
    except ValueError:
        return text
    if np.isnan(number):
        raise ValueError("a label is missing (NaN): give every series a label, or none")
    return f"{number:.0f}" if number == int(number) else text


def _order(name: str) -> tuple[int, float, str]:
    """Numbers in their order, then words in theirs."""
    try:
        return 0, float(name), name
    except ValueError:
        return 1, 0.0, name


def encode(labels: ArrayLike, classes: Sequence[str] = ()) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """Labels of any kind as int64 codes (n,) and the sorted names that they stand for."""
    texts = [_plain(label) for label in np.asarray(labels).tolist()]
    names = tuple(sorted({*texts, *classes}, key=_order))
    code = {name: number for number, name in enumerate(names)}
    return np.asarray([code[text] for text in texts], np.int64), names


def same_classes(*sets: TimeSeriesSet) -> list[TimeSeriesSet]:
    """The sets with their labels numbered alike, over the union of their classes."""
    names = tuple(sorted({name for one in sets for name in one.classes}, key=_order))
    code = {name: number for number, name in enumerate(names)}
    renumbered = []
    for one in sets:
        table = np.asarray([code[name] for name in one.classes], np.int64)
        renumbered.append(one if one.labels is None else replace(one, labels=table[one.labels], classes=names))
    return renumbered


def check_labels(data: TimeSeriesSet) -> NDArray[np.int64]:
    """The labels of a set that is to be classified.

    Raises:
        ValueError: no labels, or a single class.
    """
    name = data.name or "the set"
    if data.labels is None:
        raise ValueError(f"{name} has no labels: a probe needs them (y in .npz, labels.csv in a folder of CSV files)")
    present = np.unique(data.labels)
    if len(present) < 2:
        raise ValueError(f"{name} has only the class {data.classes[present[0]]!r}: a probe needs at least two")
    return data.labels
