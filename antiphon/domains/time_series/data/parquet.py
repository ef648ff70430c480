"""Series from Parquet, a piece of the file at a time."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from antiphon.domains.time_series.data.storage import stack_series

_NOT_CHANNELS = ("series", "time", "label", "group")


def read_parquet(path: Path) -> dict[str, Any]:
    """Arrays for `TimeSeriesSet.from_arrays` from a long or a wide table (see `read`)."""
    try:
        from pyarrow.parquet import ParquetFile
    except ImportError as error:
        raise ValueError(f"reading {path.name} needs pyarrow: pip install pyarrow") from error

    file = ParquetFile(path)
    names = file.schema_arrow.names
    # pandas stores row numbers beside the columns when they are not simply 0, 1, 2, ...
    channels = [name for name in names if name not in _NOT_CHANNELS and not name.startswith("__index_level_")]
    if not channels or not file.metadata.num_rows:
        raise ValueError(f"{path} has {file.metadata.num_rows} lines and the columns {', '.join(names)}: no values to read")
    words = [name for name in channels if not _numeric(file.schema_arrow.field(name).type)]
    if words:
        raise ValueError(f"{path}: column {words[0]!r} is not numeric: remove it, or name it 'series', 'time', 'label' or 'group'")
    known: dict[str, list[Any]] = {name: [] for name in ("label", "group") if name in names}
    signals, _ = stack_series((_long if "series" in names else _wide)(file, channels, known, path))
    return {"signals": signals, "labels": known.get("label"), "groups": known.get("group")}


def _numeric(kind: Any) -> bool:
    import pyarrow

    return any(test(kind) for test in (pyarrow.types.is_floating, pyarrow.types.is_integer, pyarrow.types.is_boolean))


def _columns(batch: Any, names: list[str]) -> NDArray[np.float32]:
    """Columns as (C, lines) float32; a null is NaN."""
    return np.stack([batch.column(name).to_numpy(zero_copy_only=False).astype(np.float32) for name in names])


def _wide(file: Any, channels: list[str], known: dict[str, list[Any]], path: Path) -> Iterator[tuple[str, NDArray[np.float32]]]:
    """One univariate series a line."""
    for batch in file.iter_batches():
        for name, values in known.items():
            values.extend(batch.column(name).to_pylist())
        for series in _columns(batch, channels).T:
            yield str(path), series[None]


def _long(file: Any, channels: list[str], known: dict[str, list[Any]], path: Path) -> Iterator[tuple[str, NDArray[np.float32]]]:
    """The series of a long table; the last one of a piece of the file may go on in the next."""
    finished: set[Any] = set()
    current: Any = None
    pieces: list[NDArray[np.float32]] = []
    for name, values, first in _runs(file, channels, path):
        if pieces and name != current:
            yield f"{path}: series {current!r}", np.concatenate(pieces, axis=1)
            finished.add(current)
            pieces = []
        if name in finished:
            raise ValueError(f"{path}: series {name!r} comes in two places: sort the file by series and time")
        if not pieces:
            for column, found in known.items():
                found.append(first[column].as_py())
        current = name
        pieces.append(values)
    yield f"{path}: series {current!r}", np.concatenate(pieces, axis=1)


def _runs(file: Any, channels: list[str], path: Path) -> Iterator[tuple[Any, NDArray[np.float32], dict[str, Any]]]:
    """Neighbouring lines of one series: its name, values (C, lines), and the first of the lines. Time must not run backwards."""
    before: tuple[Any, Any] = (None, None)
    for batch in file.iter_batches():
        names = batch.column("series").to_pylist()
        times = batch.column("time").to_pylist() if "time" in batch.schema.names else [0] * len(names)
        values = _columns(batch, channels)
        for name, time in zip(names, times, strict=True):
            if name == before[0] and time < before[1]:
                raise ValueError(f"{path}: series {name!r} is not in order of time: sort the file by series and time")
            before = name, time
        starts = [0, *(row for row in range(1, len(names)) if names[row] != names[row - 1]), len(names)]
        for start, end in pairwise(starts):
            yield names[start], values[:, start:end], {column: batch.column(column)[start] for column in batch.schema.names}
