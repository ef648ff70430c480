"""Synthetic voices: pulses at a speaker's pitch through its three formants, moved a little in every clip."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
from scipy.signal import lfilter

RATE = 8000
LANGUAGES = ("en", "de", "fr")


def voice(speaker: int, clip: int, *, seconds: float = 0.6) -> np.ndarray:
    person, take = np.random.default_rng([7, speaker]), np.random.default_rng([8, speaker, clip])
    pitch_hz = person.uniform(90, 250) * take.uniform(0.95, 1.05)
    formants_hz = np.asarray([500.0, 1500.0, 2500.0]) * person.uniform(0.8, 1.2, 3) * take.uniform(0.95, 1.05, 3)
    size = round(RATE * seconds * take.uniform(0.7, 1.3))
    wave = np.diff(np.floor(np.arange(size) * pitch_hz / RATE), prepend=0) + 0.02 * take.normal(size=size)
    for formant_hz, width_hz in zip(formants_hz, (80, 120, 200), strict=True):
        radius = np.exp(-np.pi * width_hz / RATE)
        wave = lfilter([1], [1, -2 * radius * np.cos(2 * np.pi * formant_hz / RATE), radius**2], wave)
    return (0.3 * wave / np.abs(wave).max()).astype(np.float32)


def write_voices(folder: Path, *, speakers: int, clips: int) -> Path:
    """A folder a speaker and a manifest with speaker, gender and language; returns the manifest."""
    lines = ["path,speaker,gender,language"]
    for speaker in range(speakers):
        for clip in range(clips):
            path = folder / f"s{speaker:02}" / f"{clip}.wav"
            path.parent.mkdir(parents=True, exist_ok=True)
            soundfile.write(path, voice(speaker, clip), RATE)
            lines.append(f"{path.relative_to(folder)},s{speaker:02},{'fm'[speaker % 2]},{LANGUAGES[speaker % 3]}")
    (folder / "manifest.csv").write_text("\n".join(lines) + "\n")
    return folder / "manifest.csv"


@pytest.fixture(scope="session")
def voices_manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """24 speakers with 5 clips of about 0.6 s at 8 kHz."""
    return write_voices(tmp_path_factory.mktemp("voices"), speakers=24, clips=5)
