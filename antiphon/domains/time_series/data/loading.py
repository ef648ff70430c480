"""Any data a recipe is given, as a train and a test set."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from antiphon.common.random import shuffled
from antiphon.domains.time_series.data.archive import load_aeon
from antiphon.domains.time_series.data.files import read
from antiphon.domains.time_series.data.series_set import TimeSeriesSet, check_labels, same_classes


def load(
    data: str | Path,
    test: str | Path | None = None,
    *,
    test_share: float = 0.3,
    seed: int = 0,
    labelled: bool = False,
    name: str = "",
) -> tuple[TimeSeriesSet, TimeSeriesSet | None]:
    """A training set, and a test set or None.

    `data` is a file or folder for `read`, `test` another. Without `test`, `data` may be the name of a UCR or UEA set, or a folder
    that holds both parts: `train` and `test` (folders, or files of one format), or `<name>_TRAIN.ts` (or .tsv) and its TEST file.
    Otherwise `split` holds out `test_share` of the series; a share of 0 holds out none, and the test set is None.

    Args:
        data: path or name.
        test: path.
        test_share: see above.
        seed: draws the series that are held out.
        labelled: insist on labels, of two classes at least in the training set.
        name: what the set is called in messages and reports; by default the name of the file.

    Raises:
        ValueError: what the readers raise, parts that do not fit each other, or labels missing where `labelled`.
        FileNotFoundError: a path that does not exist.
    """
    train, held_out = _parts(Path(data).expanduser(), test, test_share, seed)
    if name:
        train = replace(train, name=f"{name} train")
        held_out = None if held_out is None else replace(held_out, name=f"{name} test")
    if labelled:
        check_labels(train)
        if held_out is not None and held_out.labels is None:
            raise ValueError(f"{held_out.name} has no labels, {train.name} has: both need them")
    return train, held_out


def _parts(path: Path, test: str | Path | None, test_share: float, seed: int) -> tuple[TimeSeriesSet, TimeSeriesSet | None]:
    if test is not None:
        return _pair(path, Path(test).expanduser())
    if path.exists():
        official = _official_parts(path) if path.is_dir() else None
        if official:
            return _pair(*official)
        whole = read(path)
        return split(whole, test_share=test_share, seed=seed) if test_share else (whole, None)
    if path.suffix or len(path.parts) > 1:  # the name of a set has neither
        raise FileNotFoundError(f"no file or folder {str(path)!r}")
    return load_aeon(str(path))


def _pair(train: Path, test: Path) -> tuple[TimeSeriesSet, TimeSeriesSet]:
    first, second = same_classes(read(train), read(test))
    if first.channels != second.channels:
        raise ValueError(f"{train} has {first.channels} channels, {test} has {second.channels}: they need the same")
    return first, second


def _official_parts(folder: Path) -> tuple[Path, Path] | None:
    """The train and test files of a folder that holds a split set."""
    if (folder / "train").is_dir() and (folder / "test").is_dir():
        return folder / "train", folder / "test"
    pairs = [
        (train, train.with_name(name))
        for train in sorted(folder.iterdir())
        for name in (train.name.replace("_TRAIN.", "_TEST."), train.name.replace("train.", "test."))
        if name != train.name and (folder / name).exists()
    ]
    exact = [pair for pair in pairs if pair[0].stem in (f"{folder.name}_TRAIN", "train")]  # not the equal-length edition beside it
    return next(iter(exact or pairs), None)


def split(data: TimeSeriesSet, *, test_share: float = 0.3, seed: int = 0) -> tuple[TimeSeriesSet, TimeSeriesSet]:
    """Train and test set by chance: whole groups where there are groups, else the same share of every class, else of all series.

    Raises:
        ValueError: a share outside (0, 1), or nothing left on one side.
    """
    if not 0 < test_share < 1:
        raise ValueError(f"test_share must lie between 0 and 1, got {test_share}")
    if data.groups is not None:
        names = np.unique(data.groups)
        test = np.isin(data.groups, names[_chosen(len(names), test_share, seed, 0)])
    else:
        test = np.zeros(len(data), bool)
        classes = np.zeros(len(data), np.int64) if data.labels is None else data.labels
        for label in np.unique(classes):
            rows = np.flatnonzero(classes == label)
            test[rows[_chosen(len(rows), test_share, seed, int(label))]] = True
    if test.all() or not test.any():
        unit = "series" if data.groups is None else "groups"
        raise ValueError(f"{data.name or 'the set'} has too few {unit} to hold out a share of {test_share}: pass a test set")
    return (
        data.subset(np.flatnonzero(~test), name=f"{data.name} train".strip()),
        data.subset(np.flatnonzero(test), name=f"{data.name} test".strip()),
    )


def _chosen(count: int, share: float, seed: int, key: int) -> NDArray[np.int64]:
    """Round(share * count) of `count` items; one item alone stays on the train side."""
    amount = min(max(round(share * count), 1), count - 1)
    return shuffled(count, seed, key)[:amount].numpy()
