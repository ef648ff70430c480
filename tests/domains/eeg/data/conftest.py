"""EDF files made on the spot."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import edfio
import numpy as np
import pytest

WriteEDF = Callable[..., Path]


def waves(channels: int, size: int, rate: float = 128.0, seed: int = 0) -> np.ndarray:
    """Noise of 20 uV with a rhythm of another frequency in each channel."""
    random = np.random.default_rng(seed)
    times = np.arange(size) / rate
    rhythms = np.sin(2 * np.pi * (4 + np.arange(channels))[:, None] * times)
    return 20 * random.normal(size=(channels, size)) + 30 * rhythms


@pytest.fixture
def write_edf(tmp_path: Path) -> WriteEDF:
    """Writes signals (C, T) in microvolts with the patient's name in the header."""

    def write(
        name: str,
        signals: np.ndarray,
        names: Sequence[str],
        *,
        rate: float = 128.0,
        patient: str = "Ingeborg_Sorgenfrei",
        annotations: Sequence[tuple[float, str]] = (),
        unit: str = "uV",
        additional: Sequence[str] = (),
    ) -> Path:
        limit = max(1.0, float(np.ceil(np.abs(signals).max())))
        channels = [
            edfio.EdfSignal(row, rate, label=label, physical_dimension=unit, physical_range=(-limit, limit))
            for row, label in zip(signals, names, strict=True)
        ]
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        told = edfio.Patient(name=patient, code="K4711", additional=additional)
        marks = [edfio.EdfAnnotation(onset, None, text) for onset, text in annotations]
        edfio.Edf(channels, patient=told, annotations=marks or None).write(path)
        return path

    return write
