"""Simulated recordings of many subjects that differ in what reports say of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from antiphon.common.data.manifest import Manifest, Row
from antiphon.common.random import shuffled
from antiphon.domains.eeg.data.reading import raw_from_array
from antiphon.domains.eeg.data.recordings import RecordingSet
from antiphon.domains.eeg.data.simulation.heads import (
    Floats,
    blinks,
    coloured_noise,
    electrode_pops,
    reach,
    rhythm,
    subject_mixing,
    unit_positions,
)
from antiphon.domains.eeg.data.simulation.reports import ATTRIBUTES, report

CHANNELS = ("Fp1", "Fp2", "F7", "F3", "Fz", "F4", "F8", "T7", "C3", "Cz", "C4", "T8", "P7", "P3", "Pz", "P4", "P8", "O1", "O2")
_ALPHA_UV = {"strong": 22.0, "weak": 6.0}
_SLOW_UV = {"no": 6.0, "yes": 24.0}
_BETA_UV = {"little": 2.0, "much": 8.0}
_QUIET = 0.5  # what is left of the amplitude on the quiet side


@dataclass(frozen=True, eq=False)
class SimulatedStudy:
    """Recordings in memory: `signals` (n, C, T) float32 in microvolts of electrodes `names` at `sample_rate` Hz.

    `attributes` has for each of `ATTRIBUTES` a word for every recording, `reports` says the same in prose, `subjects` whose they
    are.
    """

    signals: NDArray[np.float32]
    names: tuple[str, ...]
    sample_rate: float
    subjects: tuple[str, ...]
    attributes: dict[str, tuple[str, ...]]
    reports: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.signals)

    @property
    def columns(self) -> dict[str, tuple[str, ...]]:
        """What a manifest says of them."""
        return {"text": self.reports, "subject": self.subjects, **self.attributes}

    def recordings(self, rows: Sequence[int] | None = None, **options: Any) -> RecordingSet:
        """These recordings (None: all) as a set; `options` are those of `RecordingSet.from_manifest`."""
        chosen = range(len(self)) if rows is None else rows
        raws = [raw_from_array(self.signals[row], list(self.names), self.sample_rate, unit="uV") for row in chosen]
        columns = {name: [words[row] for row in chosen] for name, words in self.columns.items()}
        return RecordingSet.from_raws(raws, columns=columns, **options)

    def write(self, folder: str | Path, *, format: Literal["edf", "fif"] = "edf") -> Manifest:
        """Write one file a recording, and manifest.csv beside them."""
        import mne

        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        if format not in ("edf", "fif"):
            raise ValueError(f"unknown format {format!r}: use edf or fif")
        rows = []
        for number, signals in enumerate(self.signals):
            raw = raw_from_array(signals, list(self.names), self.sample_rate, unit="uV")
            path = folder / f"recording-{number:04d}{'.edf' if format == 'edf' else '_raw.fif'}"
            if format == "edf":
                mne.export.export_raw(path, raw, physical_range="channelwise", overwrite=True, verbose="ERROR")
            else:
                raw.save(path, overwrite=True, verbose="ERROR")
            told = {name: words[number] for name, words in self.columns.items() if name != "text"}
            rows.append(Row(str(path.absolute()), text=self.reports[number], extra=told))
        manifest = Manifest(tuple(rows), "simulated")
        manifest.write(folder / "manifest.csv")
        return manifest


def simulate_recordings(
    subjects: int = 20,
    recordings: int = 2,
    *,
    duration_s: float = 60.0,
    sample_rate: float = 100.0,
    names: Sequence[str] = CHANNELS,
    artefacts: bool = True,
    pops: int = 0,
    mixing: float = 0.2,
    seed: int = 0,
) -> SimulatedStudy:
    """Recordings whose attributes are drawn independently of each other and of the subject, each value equally often in the long
    run.

    Background noise (power as 1/f), a posterior rhythm around 10 Hz of the subject's own frequency, slow and fast waves, each of an
    amplitude that the attribute decides and 25 % of chance; one hemisphere halved where `side` says so; then the subject's own head
    (`mixing`: how much heads differ), blinks (`artefacts`), and `pops` jumps of an electrode by 5 mV. Recording r of subject s is
    the same whatever else is simulated with it.
    """
    made = [
        _one(
            np.random.default_rng([seed, subject, 1 + number]),
            np.random.default_rng([seed, subject, 0]),
            duration_s,
            sample_rate,
            tuple(names),
            artefacts,
            pops,
            mixing,
        )
        for subject in range(subjects)
        for number in range(recordings)
    ]
    return SimulatedStudy(
        signals=np.stack([signals for signals, _, _ in made]).astype(np.float32),
        names=tuple(names),
        sample_rate=sample_rate,
        subjects=tuple(f"s{subject:03d}" for subject in range(subjects) for _ in range(recordings)),
        attributes={name: tuple(words[name] for _, words, _ in made) for name in ATTRIBUTES},
        reports=tuple(text for _, _, text in made),
    )


def _one(
    random: np.random.Generator,
    head: np.random.Generator,
    duration_s: float,
    sample_rate: float,
    names: tuple[str, ...],
    artefacts: bool,
    pops: int,
    mixing: float,
) -> tuple[Floats, dict[str, str], str]:
    words = {name: str(random.choice(values)) for name, values in ATTRIBUTES.items()}
    size = round(duration_s * sample_rate)
    peak_hz = float(head.uniform(9.0, 11.0))
    own = subject_mixing(head, len(names), strength=mixing)

    def level(base_uv: float) -> float:
        return base_uv * float(np.exp(0.25 * random.normal()))

    posterior = reach(names, ("O1", "O2", "P3", "P4"), width=0.6)
    frontal = reach(names, ("F3", "F4"), width=0.6)
    everywhere = reach(names, ("F3", "F4", "C3", "C4", "P3", "P4"), width=0.8)
    brain = 6.0 * coloured_noise(random, (len(names), size))
    brain += level(_ALPHA_UV[words["alpha"]]) * posterior @ rhythm(random, (4, size), peak_hz - 1, peak_hz + 1, sample_rate) / 2
    brain += level(_SLOW_UV[words["slowing"]]) * everywhere @ rhythm(random, (6, size), 1.5, 7.0, sample_rate) / 2
    brain += level(_BETA_UV[words["beta"]]) * frontal @ rhythm(random, (2, size), 16.0, 28.0, sample_rate)
    brain *= _hemispheres(names, words["side"])[:, None]
    signals = own @ brain + random.normal(size=brain.shape)
    if artefacts:
        signals += blinks(random, names, size, sample_rate)
    if pops:
        signals += electrode_pops(random, len(names), size, count=pops)
    return signals, words, report(words, random)


def _hemispheres(names: tuple[str, ...], quiet: str) -> Floats:
    """(C,): the gain of each electrode where one side is too quiet; those in the middle lie between."""
    if quiet == "both":
        return np.ones(len(names))
    toward = unit_positions(names)[:, 0] * (-1.0 if quiet == "left" else 1.0)
    return 1.0 - (1.0 - _QUIET) * np.clip(0.5 + 2.0 * toward, 0.0, 1.0)


def load_simulated(
    subjects: int = 40,
    recordings: int = 2,
    *,
    duration_s: float = 60.0,
    sample_rate: float = 100.0,
    test_share: float = 0.3,
    artefacts: bool = True,
    pops: int = 0,
    mixing: float = 0.2,
    simulation_seed: int = 0,
    seed: int = 0,
    name: str = "simulated",
    **options: Any,
) -> tuple[RecordingSet, RecordingSet]:
    """Simulated recordings as a training and a test set of different subjects; `options` as in `RecordingSet.from_manifest`.

    The label is the column `slowing`, unless `label` names another of `ATTRIBUTES`. `simulation_seed` draws the recordings, `seed`
    the subjects that are held out and the windows.
    """
    study = simulate_recordings(
        subjects,
        recordings,
        duration_s=duration_s,
        sample_rate=sample_rate,
        artefacts=artefacts,
        pops=pops,
        mixing=mixing,
        seed=simulation_seed,
    )
    held = {f"s{one:03d}" for one in shuffled(subjects, seed, 0).tolist()[: max(1, round(test_share * subjects))]}
    options.setdefault("label", "slowing")
    options.setdefault("classes", ATTRIBUTES.get(options["label"]))
    parts: dict[str, list[int]] = {"train": [], "test": []}
    for row, subject in enumerate(study.subjects):
        parts["test" if subject in held else "train"].append(row)
    train, test = (study.recordings(rows, seed=seed, name=f"{name} {kind}", **options) for kind, rows in parts.items())
    return train, test
