"""Recordings of listeners in BIDS: which sound began when, and when words were spoken in it."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from antiphon.common.signal.io import AUDIO_SUFFIXES
from antiphon.domains.eeg.data.reading import SUFFIXES, RecordingError, quiet

if TYPE_CHECKING:
    from mne.io import BaseRaw


@dataclass(frozen=True, eq=False)
class Played:
    """A sound in a recording: `file` began at `onset_s` of it, and was heard until `stop_s` of it at most; `words_s` of it too."""

    file: Path
    onset_s: float
    stop_s: float
    words_s: NDArray[np.float64]


def find_recordings(root: str | Path, *, tasks: Sequence[str] | None = None) -> list[Any]:
    """The EEG recordings below a BIDS root as `mne_bids.BIDSPath`, in order of their names.

    Raises:
        FileNotFoundError: no such folder, or none of EEG in it.
    """
    try:
        from mne_bids import find_matching_paths
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(f"BIDS needs {error.name}: pip install 'antiphon[eeg]'", name=error.name) from error
    folder = Path(root).expanduser()
    if not folder.is_dir():
        raise FileNotFoundError(f"no folder {folder}: give the root of a BIDS data set")
    with quiet(folder):
        found = find_matching_paths(folder, tasks=None if tasks is None else list(tasks), datatypes="eeg", suffixes="eeg")
    paths = [path for path in found if str(path.fpath).lower().endswith(SUFFIXES)]
    if not paths:
        told = "" if tasks is None else f" of the task(s) {', '.join(tasks)}"
        raise FileNotFoundError(f"{folder} holds no EEG{told} in BIDS (sub-*/eeg/*_eeg{', *_eeg'.join(SUFFIXES[:3])} ...)")
    return sorted(paths, key=lambda path: str(path.fpath))


def open_raw(path: Any) -> BaseRaw:
    """The recording with what its sidecars say of channels and electrodes; samples stay on disk.

    Raises:
        RecordingError: mne-bids or mne cannot read it.
    """
    from mne_bids import read_raw_bids

    with quiet(path.fpath):
        raw = read_raw_bids(path, verbose="ERROR")
        raw.anonymize(verbose="ERROR")
    return raw


def read_played(path: Any, *, word_event: str = "word") -> list[Played]:
    """What was heard in a recording, by its events.tsv, in order of time.

    A row whose `stim_file` is a sound (below `stimuli/` of the data set) and whose `trial_type` is not `word_event` says that the
    sound begins; it is heard until the next one. Rows of the type `word_event` are words of the sound that was heard last.

    Raises:
        RecordingError: no events.tsv, columns missing, no sound, or an onset that is no number.
    """
    rows = _events(path)
    sounds: list[tuple[Path, float]] = []
    words: list[float] = []
    for row in rows:
        try:
            onset_s = float(row["onset"])
        except ValueError:
            raise RecordingError(path.fpath, f"its events.tsv has the onset {row['onset']!r}: seconds are due") from None
        name = row.get("stim_file") or "n/a"
        if row.get("trial_type") == word_event:
            words.append(onset_s)
        elif name.lower().endswith(AUDIO_SUFFIXES):
            sounds.append((Path(path.root) / "stimuli" / name.removeprefix("stimuli/"), onset_s))
    if not sounds:
        raise RecordingError(
            path.fpath, f"its events.tsv names no sound: a row with a stim_file ({', '.join(AUDIO_SUFFIXES[:3])}) is due"
        )
    sounds.sort(key=lambda sound: sound[1])
    spoken = np.sort(np.asarray(words, np.float64))
    ends = [onset_s for _, onset_s in sounds[1:]] + [np.inf]
    return [
        Played(file, onset_s, end_s - onset_s, spoken[(spoken >= onset_s) & (spoken < end_s)] - onset_s)
        for (file, onset_s), end_s in zip(sounds, ends, strict=True)
    ]


def _events(path: Any) -> list[dict[str, str]]:
    with quiet(path.fpath):
        file = path.find_matching_sidecar(suffix="events", extension=".tsv", on_error="ignore")
    if file is None:
        raise RecordingError(path.fpath, "it has no events.tsv")
    with Path(file).open(newline="", encoding="utf-8-sig") as lines:
        reader = csv.DictReader(lines, delimiter="\t")
        if not {"onset", "stim_file"} <= set(reader.fieldnames or ()):
            raise RecordingError(
                path.fpath, f"its events.tsv has no column onset or stim_file, but {', '.join(reader.fieldnames or ())}"
            )
        return list(reader)
