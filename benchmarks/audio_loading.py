"""Files per second of `read_audio` beside plain `soundfile.read`, and batches of an `AudioSet` beside the decoding they need.

    python benchmarks/audio_loading.py --quick        under a minute
    python benchmarks/audio_loading.py --full         about 6 minutes

The files are noise through a slow filter, written once to a temporary folder, so they come from the page cache: decoding is
measured, not the disk. Both readers take turns, file by file; a figure is the median over passes of the processor time on one core.
`soundfile.read` gives a (T, C) array of float32; `read_audio` a (C, T) tensor, after its checks.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import soundfile
import torch

from antiphon.common.data.audio_set import AudioSet
from antiphon.common.data.manifest import read_manifest
from antiphon.common.report import Table, terminal_table
from antiphon.common.signal.io import read_audio, write_audio

ENDINGS = ("wav", "flac", "ogg", "mp3")
RATE, WINDOW_S = 44_100, 2.678


def seconds(runs: dict[str, Callable[[], Any]], passes: int) -> dict[str, float]:
    """Median processor time of each, taking turns."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(passes):
        for name, run in runs.items():
            start = time.process_time()
            run()
            times[name].append(time.process_time() - start)
    return {name: median(values) for name, values in times.items()}


def make_files(folder: Path, ending: str, *, count: int, duration_s: float, channels: int) -> list[Path]:
    """Files of coloured noise."""
    generator = torch.Generator().manual_seed(0)
    files = [folder / f"{ending}-{channels}-{duration_s:g}s" / f"{number}.{ending}" for number in range(count)]
    files[0].parent.mkdir(exist_ok=True)
    for file in files:
        noise = torch.randn(channels, round(duration_s * RATE), generator=generator)
        write_audio(file, torch.nn.functional.avg_pool1d(noise, 9, 1, 4) * 0.3, RATE)
    return files


def reading(folder: Path, *, count: int, passes: int) -> Table:
    """Whole short files, and a window out of long ones."""
    rows = []
    for ending in ENDINGS:
        for duration_s, channels, start_s in ((3.0, 1, None), (10.0, 2, None), (180.0, 2, 100.0)):
            files = make_files(folder, ending, count=count if duration_s < 60 else 3, duration_s=duration_s, channels=channels)
            runs: dict[str, Callable[[], Any]] = {}
            for number, file in enumerate(files):
                if start_s is None:
                    runs[f"soundfile {number}"] = partial(soundfile.read, file, dtype="float32")
                    runs[f"antiphon {number}"] = partial(read_audio, file)
                else:
                    first, frames = round(start_s * RATE), round(WINDOW_S * RATE)
                    runs[f"soundfile {number}"] = partial(soundfile.read, file, start=first, frames=frames, dtype="float32")
                    runs[f"antiphon {number}"] = partial(read_audio, file, start_s=start_s, duration_s=WINDOW_S)
            times = seconds(runs, passes)
            plain, own = (median(value for name, value in times.items() if name.startswith(who)) for who in ("sound", "anti"))
            what = "whole" if start_s is None else f"{WINDOW_S:g} s from {start_s:g} s on"
            rows.append(
                [ending, f"{duration_s:g} s, {channels} ch", what, f"{1 / plain:.0f}", f"{1 / own:.0f}", f"{plain / own:.2f}"]
            )
    return Table(
        "Reading, files per second on one core", ["format", "files", "part", "soundfile.read", "read_audio", "ratio"], rows
    )


def batches(folder: Path, *, count: int, passes: int) -> Table:
    """Batches of 32 random windows at 22,050 Hz mono."""
    rows = []
    for ending in ENDINGS:
        files = make_files(folder, ending, count=count, duration_s=30.0, channels=2)
        for cache in (False, True):
            data = AudioSet.from_manifest(read_manifest(files[0].parent), sample_rate=22_050, window=59_049, cache=cache)
            index = torch.arange(32).numpy() % len(data)
            times = seconds({"batch": partial(data.batch, index)}, passes)
            rows.append([ending, "decoded before" if cache else "from the file", f"{32 / times['batch']:.0f}"])
    return Table(
        "AudioSet: windows per second on one core",
        ["format", "59,049 samples at 22,050 Hz mono, of 30 s at 44,100 Hz stereo", "windows a second"],
        rows,
    )


def main(*, quick: bool) -> None:
    """Print the tables."""
    from rich.console import Console

    torch.set_num_threads(1)
    console = Console(width=120)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        console.print(terminal_table(reading(folder, count=5 if quick else 20, passes=5 if quick else 25)))
        console.print(terminal_table(batches(folder, count=4 if quick else 16, passes=3 if quick else 15)))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--full", action="store_true")
    main(quick=not parser.parse_args().full)
