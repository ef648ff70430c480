"""Series from files: .npz, .npy, .ts, .tsv, Parquet and folders of CSV files."""

from __future__ import annotations

import csv
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from antiphon.domains.time_series.data.archive import stacked
from antiphon.domains.time_series.data.parquet import read_parquet
from antiphon.domains.time_series.data.series_set import TimeSeriesSet
from antiphon.domains.time_series.data.storage import is_large, stack_series

TIME_COLUMNS = ("time", "timestamp", "date", "t")
_NPZ_KEYS = {"signals": ("X", "x", "signals"), "labels": ("y", "labels"), "lengths": ("lengths",), "groups": ("groups",)}


def read(path: str | Path) -> TimeSeriesSet:
    """Series from a file or folder.

    * ``.npz``: `X`, `x` or `signals`, (n, C, T) or (n, T); optional `y` or `labels`, `lengths`, `groups`.
    * ``.npy``: one array of these shapes, memory-mapped, never read whole. Optional neighbours `<name>_labels.npy` and
      `<name>_groups.npy`. Large sets belong in this format.
    * ``.ts``: aeon's and sktime's format.
    * ``.tsv``: the UCR archive's: a series a line, its label first, tabs between, NaN behind shorter series.
    * a folder of ``.csv``: a series a file, a time stamp a line, a channel a column; a header is optional, a column named time,
      timestamp, date or t is left out. Labels from `labels.csv` (file,label and optionally group) or from sub-folders, one a class.
    * ``.parquet``: columns `series`, `time`, channels..., optionally `label` and `group`, the lines of a series together in order
      of time; or without `series`: a univariate series a line, a time stamp a column, optionally `label` and `group`.

    CSV and Parquet are read piece by piece, and go to a temporary file where the set is larger than a gigabyte. Arrays of that size
    in an uncompressed ``.npz`` are memory-mapped.

    Raises:
        FileNotFoundError: nothing at `path`.
        ValueError: another format, an empty file, or series that `TimeSeriesSet.from_arrays` refuses.
    """
    path = Path(path).expanduser()
    if not path.exists():
        raise FileNotFoundError(f"no file or folder {str(path)!r}")
    readers: dict[str, Callable[[Path], dict[str, Any]]] = {
        ".npz": _read_npz,
        ".npy": _read_npy,
        ".ts": _read_ts,
        ".tsv": _read_tsv,
        ".parquet": read_parquet,
    }
    reader = _read_csv_folder if path.is_dir() else readers.get(path.suffix.lower())
    if reader is None:
        raise ValueError(f"cannot read {path.name!r}: use {', '.join(readers)} or a folder of .csv files")
    if path.is_file() and path.stat().st_size == 0:
        raise ValueError(f"{path} is empty")
    try:
        arrays = reader(path)
    except Exception as error:  # each format's library has exceptions of its own for a damaged file, and few name it
        if isinstance(error, ModuleNotFoundError) or path.name in str(error):
            raise
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(f"cannot read {path}: {reason}; is it damaged, or in another format than its ending says?") from error
    return TimeSeriesSet.from_arrays(**arrays, name=path.stem)


def _read_npz(path: Path) -> dict[str, Any]:
    with np.load(path) as archive:
        found = {name: next((key for key in keys if key in archive), None) for name, keys in _NPZ_KEYS.items()}
        if found["signals"] is None:
            keys = ", ".join(_NPZ_KEYS["signals"])
            raise ValueError(f"{path} has the arrays {', '.join(archive.files)}: name the series one of {keys}")
        return {name: _member(path, archive, key) for name, key in found.items() if key is not None}


def _member(path: Path, archive: Any, key: str) -> NDArray[Any]:
    """One array of an .npz file; a large one that is not compressed is mapped where it lies in the file."""
    entry = archive.zip.getinfo(f"{key}.npy")
    if entry.compress_type != zipfile.ZIP_STORED or not is_large(entry.file_size):
        return np.asarray(archive[key])
    with path.open("rb") as file:
        file.seek(entry.header_offset + 26)  # the zip entry's own header ends with the sizes of its name and its extra field
        file.seek(sum(struct.unpack("<HH", file.read(4))), 1)
        version = np.lib.format.read_magic(file)
        read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, by_columns, dtype = read_header(file)
        return np.memmap(path, dtype, "r", offset=file.tell(), shape=shape, order="F" if by_columns else "C")


def _read_npy(path: Path) -> dict[str, Any]:
    neighbours = {what: path.with_name(f"{path.stem}_{what}.npy") for what in ("labels", "groups")}
    extra = {what: np.load(file) for what, file in neighbours.items() if file.exists()}
    return {"signals": np.load(path, mmap_mode="r"), **extra}


def _read_ts(path: Path) -> dict[str, Any]:
    from aeon.datasets import load_from_ts_file

    series, labels, header = load_from_ts_file(str(path), return_meta_data=True)
    signals, lengths = stacked(series, path.name)
    return {"signals": signals, "lengths": lengths, "labels": labels if header["classlabel"] else None}


def _read_tsv(path: Path) -> dict[str, Any]:
    import pandas

    table = pandas.read_csv(path, sep="\t", header=None)
    return {"signals": table.iloc[:, 1:].to_numpy(np.float32), "labels": table.iloc[:, 0].to_numpy()}


def _is_number(text: str) -> bool:
    try:
        float(text or "nan")
    except ValueError:
        return False
    return True


def _read_csv_series(path: Path) -> NDArray[np.float32]:
    """One CSV file as (C, time)."""
    import pandas

    if path.stat().st_size == 0:
        raise ValueError(f"{path} is empty")
    with path.open(newline="", encoding="utf-8") as file:
        first = next(csv.reader(file))
    header = not all(_is_number(cell) for cell in first)
    table = pandas.read_csv(path, header=0 if header else None)
    table = table.drop(columns=[name for name in table.columns if str(name).strip().lower() in TIME_COLUMNS])
    words = [str(name) for name, kind in table.dtypes.items() if kind.kind not in "fiub"]
    if words:
        raise ValueError(f"{path}: column {words[0]!r} is not numeric: remove it, or name it 'time' if it holds time stamps")
    return table.to_numpy(np.float32).T


def _read_csv_folder(folder: Path) -> dict[str, Any]:
    listing = folder / "labels.csv"
    labels: list[str] | None = None
    groups: list[str] | None = None
    if listing.exists():
        rows = _listing(listing)
        files = [folder / row["file"] for row in rows]
        missing = [file for file in files if not file.exists()]
        if missing:
            raise FileNotFoundError(f"{listing} names {missing[0].name!r}, which is not in {folder}")
        labels = [row["label"] for row in rows]
        if "group" in rows[0]:
            groups = [row["group"] for row in rows]
    else:
        files = sorted(folder.glob("*.csv")) or sorted(folder.glob("*/*.csv"))
        if files and files[0].parent != folder:
            labels = [file.parent.name for file in files]
    if not files:
        raise ValueError(f"{folder} has no .csv file, neither in it nor one folder below")
    signals, _ = stack_series((str(file), _read_csv_series(file)) for file in files)
    return {"signals": signals, "labels": labels, "groups": groups}


def _listing(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    if not rows or not {"file", "label"} <= rows[0].keys():
        raise ValueError(f"{path} must have the columns file,label (and optionally group) and a line for each series")
    return rows
