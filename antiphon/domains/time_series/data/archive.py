"""The UCR and UEA archives through aeon."""

from __future__ import annotations

import difflib
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from antiphon.domains.time_series.data.series_set import TimeSeriesSet, same_classes
from antiphon.domains.time_series.data.storage import stack_series


def bundled_names() -> tuple[str, ...]:
    """The classification sets inside aeon's wheel, which need no network."""
    import aeon.datasets

    folder = Path(aeon.datasets.__file__).parent / "data"
    names = sorted(path.name for path in folder.iterdir() if path.is_dir())
    return tuple(name for name in names if _has_classes(folder / name / f"{name}_TRAIN.ts"))


def _has_classes(path: Path) -> bool:
    if not path.exists():
        return False
    with path.open(encoding="utf-8", errors="replace") as file:
        return any(line.lower().startswith("@classlabel true") for line in _header(file))


def _header(lines: Iterable[str]) -> Iterable[str]:
    for line in lines:
        if line.lower().startswith("@data"):
            return
        yield line


def stacked(series: Any, name: str) -> tuple[NDArray[np.float32], NDArray[np.int64] | None]:
    """A collection of aeon's, array or list of (C, time), as (n, C, longest) padded behind with NaN, and lengths if they differ."""
    if isinstance(series, np.ndarray):
        return np.asarray(series, np.float32), None
    return stack_series((f"{name}: series {row}", one) for row, one in enumerate(series))


def _part(name: str, part: str) -> TimeSeriesSet:
    from aeon.datasets import load_classification

    try:
        series, labels = load_classification(name, split=part)[:2]
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise ValueError(
            f"could not download {name!r} ({error}): connect to the network, pass the path of its files, "
            f"or use a set that needs no download: {', '.join(bundled_names())}"
        ) from error
    signals, lengths = stacked(series, name)
    return TimeSeriesSet.from_arrays(signals, labels, lengths=lengths, name=f"{name} {part}")


def load_aeon(name: str) -> tuple[TimeSeriesSet, TimeSeriesSet]:
    """The official train and test set of a UCR or UEA problem, for example "GunPoint".

    What aeon's wheel contains is read from there; the rest aeon downloads once. Series of different length are padded behind with
    NaN; missing values stay NaN. Labels are numbered over both sets together.

    Raises:
        ValueError: a name that aeon does not know, or a download that failed.
    """
    from aeon.datasets.tsc_datasets import tsc_zenodo
    from aeon.datasets.tser_datasets import tsr_zenodo

    bundled = bundled_names()
    known = {*bundled, *tsc_zenodo}
    if name not in known:
        if name in tsr_zenodo:
            raise ValueError(
                f"{name!r} is a regression set: its labels are numbers, not classes; read its .ts files by path, without labels"
            )
        close = difflib.get_close_matches(name, known, n=3)
        raise ValueError(
            f"{name!r} is neither a path nor a UCR/UEA set that aeon knows"
            + (f": did you mean {' or '.join(close)}?" if close else f": without a network there are {', '.join(bundled)}")
        )
    train, test = same_classes(_part(name, "train"), _part(name, "test"))
    return train, test
