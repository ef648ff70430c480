"""Which recordings of a manifest can be used, and an account of those that cannot."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from antiphon.common.data.manifest import Manifest, Row
from antiphon.common.distributed import is_first_process
from antiphon.common.signal.io import AudioError, AudioInfo, check_audio

OnError = Literal["raise", "quarantine"]
_END_SLACK_S = 0.05  # ends written with few decimals may lie a little behind the last sample


@dataclass(frozen=True)
class Quarantine:
    """The recordings that were left out of `total`: (path, reason) each. As text it is a counted list."""

    entries: tuple[tuple[str, str], ...] = ()
    total: int = 0

    def __len__(self) -> int:
        return len(self.entries)

    def __add__(self, later: Quarantine) -> Quarantine:
        """What was left out here, and then of the rest."""
        return Quarantine(self.entries + later.entries, self.total)

    def __str__(self) -> str:
        return self.summary()

    def summary(self, limit: int = 50) -> str:
        """How many of how many were left out, then up to `limit` of them, one a line, with the reason."""
        lines = [f"{len(self)} of {self.total} recordings left out"]
        lines += [f"  {path}: {reason}" for path, reason in self.entries[:limit]]
        if len(self) > limit:
            lines.append(f"  and {len(self) - limit} more")
        return "\n".join(lines)

    def kinds(self) -> str:
        """In one line: the most frequent kind of reason first, each kind with its count and an example."""
        kinds: dict[str, list[str]] = {}
        for path, reason in self.entries:
            kinds.setdefault(re.split("[:;]", reason)[0], []).append(f"{path} ({reason})")
        alike = sorted(kinds.values(), key=len, reverse=True)
        return "; ".join(f"{len(ones)} such as {ones[0]}" if len(ones) > 1 else ones[0] for ones in alike)

    def write(self, path: str | Path) -> None:
        """Write all of them, one a line: path, tab, reason."""
        Path(path).write_text("".join(f"{file}\t{reason}\n" for file, reason in self.entries), encoding="utf-8")


def check(manifest: Manifest, *, decode: bool = False, workers: int | None = None) -> tuple[Manifest, Quarantine]:
    """The usable rows of a manifest with `Row.info` filled in, and the others with the reason why they are not usable.

    Every file is opened once: its header and its last samples are read, or with `decode` all of it, which finds damage in the
    middle too. Rows that have `info` (from an earlier check, written to the manifest) are taken at their word. `workers` threads
    read at the same time; None: one a core.
    """
    paths = sorted({row.path for row in manifest.rows if row.info is None})
    known: dict[str, AudioInfo | AudioError] = {}
    with ThreadPoolExecutor(workers or os.cpu_count()) as pool:
        known = dict(zip(paths, pool.map(lambda path: _look(path, decode), paths, chunksize=1), strict=True))

    def inspect(row: Row) -> Row:
        found = row.info or known[row.path]
        if isinstance(found, AudioError):
            raise found
        if row.start_s >= found.duration_s or (row.end_s or 0.0) > found.duration_s + _END_SLACK_S:
            part = f"{row.start_s:g} s to {'the end' if row.end_s is None else f'{row.end_s:g} s'}"
            raise AudioError(row.path, f"the part from {part} is not within its {found.duration_s:g} s")
        return replace(row, info=found)

    return sift(manifest, inspect)


def _look(path: str, decode: bool) -> AudioInfo | AudioError:
    try:
        return check_audio(path, decode=decode)
    except AudioError as error:
        return error


def sift(manifest: Manifest, inspect: Callable[[Row], Row]) -> tuple[Manifest, Quarantine]:
    """The rows that `inspect` returns, and those for which it raises an AudioError."""
    kept: list[Row] = []
    refused: list[tuple[str, str]] = []
    for row in manifest.rows:
        try:
            kept.append(inspect(row))
        except AudioError as error:
            refused.append((error.path, error.reason))
    return replace(manifest, rows=tuple(kept)), Quarantine(tuple(refused), len(manifest))


def usable(
    manifest: Manifest, sample_rate: int, shortest: int, channels: int | None, *, on_error: OnError, decode: bool
) -> tuple[Manifest, Quarantine]:
    """The rows that pass `check`, have `channels` channels (None: any number) and last `shortest` samples at `sample_rate`.

    The others are printed with their reasons. With on_error="raise" only short ones are left out that way.

    Raises:
        ValueError: recordings that cannot be used (on_error="raise"), or none that can.
    """
    checked, unreadable = check(manifest, decode=decode)

    def fits(row: Row) -> Row:
        if channels is not None and row.info is not None and row.info.channels != channels:
            raise AudioError(row.path, f"has {row.info.channels} channel(s), {channels} are due: give channels='mono' to mix down")
        return row

    def long_enough(row: Row) -> Row:
        length = row.span(sample_rate)[1]
        if length < shortest:
            needed = f"at least {shortest / sample_rate:g} s are due" if shortest > 1 else "that is not one sample"
            raise AudioError(row.path, f"too short: {length / sample_rate:g} s, {needed}")
        return row

    kept, unfit = sift(checked, fits)
    bad = unreadable + unfit
    if bad and on_error == "raise":
        raise ValueError(
            f"{manifest.name}: {len(bad)} of {bad.total} recordings cannot be used: {bad.kinds()}. Repair or remove them, or set "
            "on_error='quarantine' to leave them out"
        )
    kept, too_short = sift(kept, long_enough)
    bad += too_short
    if not len(kept):
        raise ValueError(f"{manifest.name}: none of {bad.total} recordings can be used: {bad.kinds()}")
    tell(manifest.name, bad)
    return kept, bad


def tell(name: str, left_out: Quarantine) -> None:
    """Print what was left out of the set called `name`, if anything was; the first of several processes speaks for all."""
    if left_out and is_first_process():
        from rich.console import Console

        Console(stderr=True).print(f"{name}: {left_out}", markup=False, highlight=False, soft_wrap=True)
