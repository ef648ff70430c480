"""librosa's tonal features find the note that was played."""

from __future__ import annotations

import pytest
import torch

from antiphon.common.signal.tonal import chroma, constant_q

pytest.importorskip("librosa")
RATE = 22_050


def notes(*frequencies_hz: float) -> torch.Tensor:
    times = torch.arange(RATE) / RATE
    return torch.stack([torch.sin(2 * torch.pi * hz * times) for hz in frequencies_hz])[:, None]


def test_the_note_is_in_its_bin_and_its_pitch_class() -> None:
    waves = notes(220.0, 261.626)  # A3 and C4
    spectra = constant_q(waves, sample_rate=RATE)
    assert spectra.shape == (2, 1, 84, 44) and spectra.dtype == torch.float32
    assert spectra.mean(dim=-1).argmax(dim=-1).flatten().tolist() == [33, 36]  # semitones above C1
    classes = chroma(waves, sample_rate=RATE)
    assert classes.shape == (2, 1, 12, 44)
    assert classes.mean(dim=-1).argmax(dim=-1).flatten().tolist() == [9, 0]
