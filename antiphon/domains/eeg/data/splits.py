"""Holding out a part of trials or recordings."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from antiphon.common.random import shuffled
from antiphon.domains.eeg.data.epochs import EpochSet
from antiphon.domains.eeg.data.recordings import DRAWN, RecordingSet


def chronological(labels: NDArray[np.int64] | None, owners: NDArray[np.int64], test_share: float) -> NDArray[np.bool_]:
    """Which examples, given in order of time, are learnt from, (n,): of each owner and class the first, rounded up to whole ones.

    As the protocol of motor imagery that trains on the first 80 % of each class's trials. Raises ValueError if nothing is left
    over.
    """
    kept = np.zeros(len(owners), bool)
    codes = np.zeros(len(owners), np.int64) if labels is None or labels.ndim > 1 else labels
    for owner in np.unique(owners):
        for code in np.unique(codes[owners == owner]):
            rows = np.flatnonzero((owners == owner) & (codes == code))
            kept[rows[: int(np.ceil((1 - test_share) * len(rows) - 1e-9))]] = True
    if kept.all():
        raise ValueError(f"test_share={test_share:g} of {len(owners)} trials leaves none to test on: raise it")
    return kept


def split_trials(data: EpochSet, test_share: float, *, by: str | None = None, seed: int = 0) -> tuple[EpochSet, EpochSet | None]:
    """Hold out a share of the trials: whole values of the column `by` (None: subject), drawn by `seed`; of a single one, the last.

    `by` "time" holds out the last trials of each class, of every recording or subject.

    Raises:
        ValueError: no such column, or nothing to hold out.
    """
    if not test_share:
        return data, None
    if by not in (None, "time") and by not in data.columns:
        raise ValueError(f"{data.name}: no column {by!r} among {', '.join(data.columns) or 'none'}")
    column = data.columns.get("subject" if by in (None, "time") else by)
    owners = np.zeros(len(data), np.int64) if column is None else np.unique(column, return_inverse=True)[1]
    count = int(owners.max()) + 1
    if by == "time" or count < 2:
        kept = chronological(data.labels, owners, test_share)
    else:
        held = shuffled(count, seed, 0).numpy()[: max(1, min(count - 1, round(test_share * count)))]
        kept = np.isin(owners, held, invert=True)
    parts = (np.flatnonzero(kept), np.flatnonzero(~kept))
    train, test = (
        data.subset(rows, name=f"{data.name} {kind}".strip()) for rows, kind in zip(parts, ("train", "test"), strict=True)
    )
    return train, test


def split_in_time(data: RecordingSet, test_share: float) -> tuple[RecordingSet, RecordingSet]:
    """Hold out the last part of every recording: the last trials of each class, or the windows behind a point in time.

    Raises:
        ValueError: no part of a recording is long enough.
    """
    if data.trials:
        kept = chronological(data.labels, data.rows, test_share)
        parts = (np.flatnonzero(kept), np.flatnonzero(~kept))
        names = [f"{data.name.removesuffix(' train')} {kind}" for kind in ("train", "test")]
        train, test = (data.subset(rows, name=name) for rows, name in zip(parts, names, strict=True))
        return train, test
    borders = [round(one.first + (1 - test_share) * (one.last - one.first)) for one in data.sources]
    early = tuple(replace(one, last=border) for one, border in zip(data.sources, borders, strict=True))
    late = tuple(replace(one, first=border) for one, border in zip(data.sources, borders, strict=True))
    if any(one.last - one.first < data.window for one in early + late):
        raise ValueError(
            f"{data.name}: {1 - test_share:g} and {test_share:g} of a recording are not both as long as a window of "
            f"{data.window} samples: give longer recordings, shorter windows, or another test_share"
        )
    name = data.name.removesuffix(" train")
    if (data.starts == DRAWN).all():
        return replace(data, sources=early, name=f"{name} train"), replace(data, sources=late, name=f"{name} test")
    ends = np.asarray(borders)[data.rows]
    before, behind = np.flatnonzero(data.starts + data.window <= ends), np.flatnonzero(data.starts >= ends)
    return data.subset(before, name=f"{name} train"), data.subset(behind, name=f"{name} test")
