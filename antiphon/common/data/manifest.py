"""Manifests: which recordings there are, which part of each counts, and what is known about it."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, overload

import numpy as np
from numpy.typing import ArrayLike

from antiphon.common.signal.io import AUDIO_SUFFIXES, AudioInfo
from antiphon.common.signal.resample import resampled_length

_INFO = ("sample_rate", "channels", "frames")
_TEXTS = ("text", "speaker", "group", "split")
_COLUMNS = ("path", "start_s", "end_s", "label", "labels", *_TEXTS, *_INFO)


@dataclass(frozen=True, slots=True)
class Row:
    """One recording, or a part of one.

    `path` of the file; the part from `start_s` to `end_s` in seconds (None: to the end). `labels`: none, one, or several. `text`: a
    caption or transcript. `speaker`, `group` (artist, track, session: what must not be torn apart by a split), `split` (a part that
    the source declares: train, valid, test). `extra`: any further columns. `info`: what the file's header says, where
    `antiphon.common.data.quarantine.check` has read it.

    Raises:
        ValueError: no path, no stretch of time between `start_s` and `end_s`, or a label that is empty or contains "|".
    """

    path: str
    start_s: float = 0.0
    end_s: float | None = None
    labels: tuple[str, ...] = ()
    text: str | None = None
    speaker: str | None = None
    group: str | None = None
    split: str | None = None
    extra: Mapping[str, str] = field(default_factory=dict)
    info: AudioInfo | None = None

    def __post_init__(self) -> None:
        if not self.path:
            raise ValueError("path is empty")
        if self.start_s < 0 or (self.end_s is not None and not self.end_s > self.start_s):
            raise ValueError(f"no part of {self.path} lies between start_s={self.start_s:g} and end_s={self.end_s}")
        for label in self.labels:
            if not label or "|" in label:
                raise ValueError(f"the label {label!r} of {self.path} is empty or contains '|', which separates labels: rename it")

    def value(self, column: str) -> str | None:
        """What stands in `column`: path, label, text, speaker, group, split, or a further column; None where it is empty.

        "label" is the row's single label.

        Raises:
            ValueError: "label" of a row with several labels.
        """
        if column == "label":
            if len(self.labels) > 1:
                raise ValueError(f"{self.path} has {len(self.labels)} labels ({', '.join(self.labels)}): expected at most one")
            return self.labels[0] if self.labels else None
        if column == "path" or column in _TEXTS:
            found: str | None = getattr(self, column)
            return found
        return self.extra.get(column)

    def span(self, sample_rate: int) -> tuple[int, int]:
        """Where the part begins in its file, and how long it is, in samples at `sample_rate`.

        Raises:
            ValueError: a row without `info`.
        """
        if self.info is None:
            raise ValueError(f"{self.path} was not checked: pass its manifest through antiphon.common.data.quarantine.check")
        total, start = resampled_length(self.info.frames, self.info.sample_rate, sample_rate), round(self.start_s * sample_rate)
        return start, (total if self.end_s is None else min(total, round(self.end_s * sample_rate))) - start


@dataclass(frozen=True, eq=False)
class Manifest:
    """A table of recordings, in a fixed order. `name` is what it is called in messages."""

    rows: tuple[Row, ...]
    name: str = "manifest"

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[Row]:
        return iter(self.rows)

    @overload
    def __getitem__(self, item: int) -> Row: ...
    @overload
    def __getitem__(self, item: slice) -> Manifest: ...
    def __getitem__(self, item: int | slice) -> Row | Manifest:
        return self.rows[item] if isinstance(item, int) else replace(self, rows=self.rows[item])

    def take(self, rows: ArrayLike, *, name: str | None = None) -> Manifest:
        """The rows with these numbers, in this order."""
        chosen = tuple(self.rows[row] for row in np.asarray(rows, np.int64).tolist())
        return Manifest(chosen, self.name if name is None else name)

    def filter(self, keep: Callable[[Row], bool] | None = None, **columns: str | Collection[str]) -> Manifest:
        """The rows for which `keep` is true and whose columns have these values: ``filter(split="train", speaker={"a", "b"})``.

        `label` holds where it is one of the row's labels.

        Raises:
            ValueError: nothing is left.
        """
        wanted = {name: {value} if isinstance(value, str) else set(value) for name, value in columns.items()}

        def fits(row: Row) -> bool:
            matches = (
                bool(values & set(row.labels)) if name == "label" else row.value(name) in values for name, values in wanted.items()
            )
            return all(matches) and (keep is None or keep(row))

        rows = tuple(row for row in self.rows if fits(row))
        if not rows:
            asked = ", ".join(f"{name} in {sorted(values)}" for name, values in wanted.items()) or "keep(row)"
            raise ValueError(f"{self.name}: none of {len(self)} rows has {asked}")
        return replace(self, rows=rows)

    def column(self, name: str) -> list[str | None]:
        """`Row.value` of every row."""
        return [row.value(name) for row in self.rows]

    @property
    def classes(self) -> tuple[str, ...]:
        """Every label that occurs, sorted (numbers by size)."""
        return sorted_names(label for row in self.rows for label in row.labels)

    def write(self, path: str | Path) -> None:
        """Write as .csv or .jsonl; files below the folder of `path` are named relative to it, so that the folder can be moved."""
        path = Path(path)
        if path.suffix not in (".csv", ".jsonl"):
            raise ValueError(f"cannot write {path.name}: a manifest ends in .csv or .jsonl")
        path.parent.mkdir(parents=True, exist_ok=True)
        records = [_record(row, path.parent.resolve()) for row in self.rows]
        with path.open("w", newline="", encoding="utf-8") as file:
            if path.suffix == ".jsonl":
                file.writelines(json.dumps(record, ensure_ascii=False) + "\n" for record in records)
                return
            present = {key for record in records for key in record} | {"path"}
            names = [name for name in _COLUMNS if name in present]
            writer = csv.DictWriter(file, [*names, *sorted(present.difference(names))])
            writer.writeheader()
            writer.writerows(
                {**record, "labels": "|".join(record["labels"])} if "labels" in record else record for record in records
            )


def _record(row: Row, base: Path) -> dict[str, Any]:
    """A row as JSON holds it, without what is empty."""
    path = Path(row.path).absolute()
    record: dict[str, Any] = {
        "path": path.relative_to(base).as_posix() if path.is_relative_to(base) else str(path),
        "start_s": row.start_s or None,
        "end_s": row.end_s,
        "labels": list(row.labels) or None,
        **{name: row.value(name) for name in _TEXTS},
        **({} if row.info is None else asdict(row.info)),
        **row.extra,
    }
    return {name: value for name, value in record.items() if value is not None}


def _row(record: Mapping[str, Any], base: Path) -> Row:
    """A row of a file in `base`; every value may be a string, an empty one is missing."""
    given = {name: value for name, value in record.items() if value not in (None, "", [])}
    if "path" not in given:
        raise ValueError("path is empty" if "path" in record else f"no column 'path' among {', '.join(record)}")
    labels = given.get("labels", given.get("label", ()))
    if "label" in given and "labels" in given:
        raise ValueError("both 'label' and 'labels' are given: use one")
    info = [_number(name, given[name]) for name in _INFO if name in given]
    return Row(
        path=str((base / Path(str(given["path"])).expanduser()).absolute()),
        start_s=_number("start_s", given.get("start_s", 0.0)),
        end_s=None if "end_s" not in given else _number("end_s", given["end_s"]),
        labels=tuple(str(label).strip() for label in (labels if isinstance(labels, list | tuple) else str(labels).split("|"))),
        **{name: str(given[name]) for name in _TEXTS if name in given},
        extra={name: str(value) for name, value in given.items() if name not in _COLUMNS},
        info=AudioInfo(*map(int, info)) if len(info) == len(_INFO) else None,
    )


def _number(name: str, value: Any) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        raise ValueError(f"{name} is {value!r}: expected a number")
    return number


def read_manifest(
    path: str | Path, *, labelled: bool | None = None, suffixes: tuple[str, ...] = AUDIO_SUFFIXES, what: str = "audio files"
) -> Manifest:
    """A manifest from a .csv or .jsonl file, or made of the audio files in a folder.

    Columns (or keys): `path`, against the folder of the manifest where it is relative; optionally `start_s`, `end_s`, `label` or
    `labels` (several are separated by "|", in JSON also a list), `text`, `speaker`, `group`, `split`, and `sample_rate`,
    `channels`, `frames` as `Manifest.write` leaves them; any other column is kept in `Row.extra`.

    A folder that `antiphon data pack` wrote (index.json beside manifest.csv) has its manifest. Any other folder is searched with
    all its sub-folders, in order of the paths; hidden files and those that do not end in one of `suffixes` (`what` they are, in
    messages) are left out. Where every file lies in a sub-folder of it, the name of that is the label (`labelled` False: not; True:
    insist on it).

    Raises:
        FileNotFoundError: nothing at `path`.
        ValueError: another ending, no rows, or a line that makes no row, with its number.
    """
    path = Path(path).expanduser()
    if path.is_dir():
        packed = (path / "index.json").is_file() and (path / "manifest.csv").is_file()
        if packed:
            return replace(read_manifest(path / "manifest.csv"), name=path.name)
        return _read_folder(path, labelled, suffixes, what)
    if not path.exists():
        raise FileNotFoundError(f"no manifest or folder {str(path)!r}")
    readers = {".csv": _csv_records, ".jsonl": _json_records}
    if path.suffix.lower() not in readers:
        raise ValueError(f"cannot read {path.name} as a manifest: give a .csv or .jsonl file, or a folder of {what}")
    base, rows = path.parent.absolute(), []
    with path.open(newline="", encoding="utf-8-sig") as file:
        try:
            for line, record in readers[path.suffix.lower()](file):
                try:
                    rows.append(_row(record, base))
                except ValueError as error:
                    raise ValueError(f"line {line}: {error}") from error
        except UnicodeDecodeError as error:
            raise ValueError(f"{path} is no UTF-8 text: {error}") from error
        except (ValueError, csv.Error) as error:
            raise ValueError(f"{path}, {error}") from error
    if not rows:
        raise ValueError(f"{path} lists no recordings")
    return Manifest(tuple(rows), path.stem)


def _csv_records(file: Iterable[str]) -> Iterator[tuple[int, dict[str, Any]]]:
    reader = csv.DictReader(file, skipinitialspace=True)
    for record in reader:
        surplus = record.pop(None, None)
        if surplus:
            raise ValueError(f"line {reader.line_num}: {len(surplus)} cells more than the header has; quote those with commas")
        yield reader.line_num, record


def _json_records(file: Iterable[str]) -> Iterator[tuple[int, dict[str, Any]]]:
    for line, text in enumerate(file, 1):
        if text.strip():
            try:
                record = json.loads(text)
            except json.JSONDecodeError as error:
                raise ValueError(f"line {line}: no JSON ({error})") from error
            if not isinstance(record, dict):
                raise ValueError(f"line {line}: expected a JSON object, got {text.strip()[:40]!r}")
            yield line, record


def _read_folder(folder: Path, labelled: bool | None, suffixes: tuple[str, ...], what: str) -> Manifest:
    found = [path.relative_to(folder) for path in folder.rglob("*") if path.name.lower().endswith(suffixes) and path.is_file()]
    files = sorted(path for path in found if not any(part.startswith(".") for part in path.parts))
    if not files:
        raise ValueError(f"{folder} holds no {what} ({', '.join(suffixes)})")
    loose = next((path for path in files if len(path.parts) == 1), None)
    if labelled and loose is not None:
        raise ValueError(f"{loose.name} lies in {folder} itself, so it has no label: put each file into a sub-folder, one a class")
    labelled = loose is None if labelled is None else labelled
    base = folder.absolute()
    rows = tuple(Row(str(base / path), labels=(path.parts[0],) if labelled else ()) for path in files)
    return Manifest(rows, folder.absolute().name)


def sorted_names(names: Iterable[str]) -> tuple[str, ...]:
    """The different names among these: numbers by size, then words."""

    def order(name: str) -> tuple[bool, float, str]:
        try:
            return False, float(name), name
        except ValueError:
            return True, 0.0, name

    return tuple(sorted(set(names), key=order))
