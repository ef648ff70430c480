"""Recordings per second out of shards beside the same recordings as loose files: whole recordings, in an epoch's order.

    python benchmarks/shards.py --quick        about a minute
    python benchmarks/shards.py --full         about 10 minutes

The recordings are noise through a slow filter, written once to a temporary folder. "warm" comes from the page cache, so it shows
what finding and opening cost beside decoding; "cold" begins with the files' pages dropped from the cache (their inodes stay in it,
which favours loose files). All readers take turns; a figure is the median over passes. The reader is an AudioSet's `batch`, 32 at a
time; "by shard" is a ShardSet's order.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import get_args

import torch

from antiphon.common.data.audio_set import AudioSet
from antiphon.common.data.loader import KeyedLoader
from antiphon.common.data.manifest import Manifest, Row, read_manifest
from antiphon.common.data.shards import Format, ShardSet, pack
from antiphon.common.report import Table, terminal_table
from antiphon.common.signal.io import write_audio

RATE = 22_050


def make_files(folder: Path, ending: str, *, count: int, duration_s: float) -> Manifest:
    """Files of coloured noise, 1000 in a folder."""
    generator = torch.Generator().manual_seed(0)
    rows = []
    for number in range(count):
        path = folder / str(number // 1000) / f"{number}.{ending}"
        path.parent.mkdir(parents=True, exist_ok=True)
        noise = torch.randn(1, round(duration_s * RATE), generator=generator)
        write_audio(path, torch.nn.functional.avg_pool1d(noise, 9, 1, 4) * 0.3, RATE)
        rows.append(Row(str(path)))
    return Manifest(tuple(rows))


def forget(folder: Path) -> None:
    """Drop the pages of every file below `folder` from the cache."""
    os.sync()
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def pass_time(data: AudioSet, epoch: int) -> float:
    """Seconds for one epoch, from its first request on."""
    loader = KeyedLoader(data, batch_size=32, steps=len(data) // 32, seed=epoch)
    start = time.perf_counter()
    for _ in loader:
        pass
    return time.perf_counter() - start


def measure(folder: Path, ending: str, *, count: int, duration_s: float, passes: int) -> tuple[list[list[str]], list[list[str]]]:
    """Rows of the two tables: reading and packing."""
    loose = make_files(folder / "loose", ending, count=count, duration_s=duration_s)
    manifests, packing = {"loose files": (folder / "loose", loose)}, []
    for format in get_args(Format):
        target, start = folder / format, time.perf_counter()
        pack(loose, target, shard_size_mb=32, format=format)
        size = sum(path.stat().st_size for path in target.iterdir()) / 1e6
        packing.append([ending, f"{duration_s:g} s", format, f"{count / (time.perf_counter() - start):.0f}", f"{size:.1f}"])
        manifests[f"shards, {format}"] = (target, read_manifest(target / "manifest.csv"))
    window = round(duration_s * RATE)
    sets = {
        name: (where, AudioSet.from_manifest(rows, sample_rate=RATE, window=window)) for name, (where, rows) in manifests.items()
    }
    where, rows = manifests["shards, copy"]
    sets["shards, copy, by shard"] = (where, ShardSet.from_manifest(rows, sample_rate=RATE, window=window))
    times: dict[tuple[str, bool], list[float]] = {(name, cold): [] for name in sets for cold in (False, True)}
    for epoch in range(passes):
        for cold in (False, True):
            for name, (where, data) in sets.items():
                if cold:
                    forget(where)
                times[name, cold].append(pass_time(data, epoch))
    reading = []
    for name in sets:
        cells = [ending, f"{duration_s:g} s", name]
        for cold in (False, True):
            ratios = [plain / own for plain, own in zip(times["loose files", cold], times[name, cold], strict=True)]
            cells += [f"{count // 32 * 32 / median(times[name, cold]):.0f}", f"{median(ratios):.2f}"]
        reading.append(cells)
    return reading, packing


def main(*, quick: bool) -> None:
    """Print the tables."""
    from rich.console import Console

    torch.set_num_threads(1)
    console = Console(width=120)
    reading: list[list[str]] = []
    packing: list[list[str]] = []
    for ending in ("wav", "ogg"):
        for duration_s, count in ((1.0, 640 if quick else 6400), (10.0, 128 if quick else 1280)):
            with tempfile.TemporaryDirectory() as scratch:
                rows, packed = measure(Path(scratch), ending, count=count, duration_s=duration_s, passes=3 if quick else 9)
            reading += rows
            packing += packed
    columns = ["files", "length", "read from", "warm, a second", "ratio", "cold, a second", "ratio"]
    console.print(terminal_table(Table("Recordings per second, one process", columns, reading)))
    console.print(terminal_table(Table("Packing", ["files", "length", "format", "recordings a second", "MB"], packing)))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--full", action="store_true")
    main(quick=not parser.parse_args().full)
