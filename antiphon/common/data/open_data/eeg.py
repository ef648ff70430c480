"""EEG as packages carry it, without the names of those who were recorded."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from antiphon.common.data.manifest import Row

_GDF_PATIENT = slice(8, 88)  # bytes of a GDF 1 header
_TEXTS = {
    "audio/left": "a tone in the left ear",
    "audio/right": "a tone in the right ear",
    "visual/left": "a checkerboard in the left half of the visual field",
    "visual/right": "a checkerboard in the right half of the visual field",
}


def read_biosig(folder: Path) -> Iterator[Row]:
    """The recording of 40 trials of motor imagery, in which the header's line on the patient is overwritten.

    Annotations 769 and 770 are the cues left and right.
    """
    path = folder / "sample.gdf"
    content = bytearray(path.read_bytes())
    if content[:4] != b"GDF " or content[4:5] != b"1":
        raise ValueError(f"{path.name} is no GDF 1 file: its package has changed")
    content[_GDF_PATIENT] = b"X X".ljust(80)
    path.write_bytes(content)
    yield Row(str(path), extra={"subject": "biosig"})


def read_neurokit_erp(folder: Path) -> Iterator[Row]:
    """One .npz with all trials: `signals` (288, 10, 91) in microvolts from -0.1 s on, `labels` the condition, `texts` in words."""
    with (folder / "data.csv").open(newline="", encoding="utf-8") as file:
        header, *lines = csv.reader(file)
    first = header.index("Time") + 1
    trial = np.asarray([int(line[header.index("Label")]) for line in lines])
    starts = np.flatnonzero(np.diff(trial, prepend=-1))
    samples = len(lines) // len(starts)
    times = np.asarray([float(line[first - 1]) for line in lines[:samples]])
    values = np.asarray([line[first:] for line in lines], np.float64).reshape(len(starts), samples, len(header) - first)
    labels = [lines[start][header.index("Condition")] for start in starts.tolist()]
    path = folder / "epochs.npz"
    np.savez(
        path,
        signals=(values.transpose(0, 2, 1) * 1e6).astype(np.float32),
        names=np.asarray(header[first:]),
        labels=np.asarray(labels),
        texts=np.asarray([_TEXTS[label] for label in labels]),
        sample_rate=round((samples - 1) / (times[-1] - times[0]), 3),
        start_s=round(float(times[0]), 4),
    )
    yield Row(str(path), extra={"subject": "mne-sample"})
