"""Patches written field by field as their description says, and read back."""

import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile

from antiphon.common.data.open_data.gus_patch import Note, read_patch, write_note


def patch(*waveforms: tuple[bytes, int, float, int]) -> bytes:
    """A patch of (samples, rate, pitch in Hz, modes)."""
    out = b"GF1PATCH110\0" + b"ID#000002\0" + b"made here".ljust(60, b"\0") + struct.pack("<3B", 1, 14, 0)
    out += struct.pack("<HHI", len(waveforms), 127, 0) + bytes(36)
    out += struct.pack("<H", 0) + b"Flute".ljust(16, b"\0") + struct.pack("<IB", 0, 1) + bytes(40)
    out += struct.pack("<2BIB", 0, 0, 0, len(waveforms)) + bytes(40)
    for samples, rate, pitch, modes in waveforms:
        out += b"wave\0\0\0" + b"\0" + struct.pack("<3I", len(samples), 0, len(samples)) + struct.pack("<H", rate)
        out += struct.pack("<3I", 0, 0, round(pitch * 1000)) + struct.pack("<h", 0) + bytes(1 + 6 + 6 + 3 + 3)
        out += bytes([modes]) + struct.pack("<hH", 60, 1024) + bytes(36) + samples
    return out


def test_notes_with_their_rates_and_pitches() -> None:
    values = np.asarray([0, 1000, -32768, 32767], np.int16)
    content = patch((values.tobytes(), 22050, 440.0, 1), (values[:2].tobytes(), 44100, 261.626, 1 | 4 | 32))
    notes = read_patch(content)
    assert [(note.sample_rate, note.root_hz) for note in notes] == [(22050, 440.0), (44100, 261.626)]
    np.testing.assert_array_equal(notes[0].samples, values)
    np.testing.assert_array_equal(notes[1].samples, values[:2])


@pytest.mark.parametrize(
    ("stored", "modes"),
    [
        (np.asarray([32768, 32768 + 256, 0], "<u2"), 1 | 2),
        (np.asarray([0, 1, -128], np.int8), 0),
        (np.asarray([128, 129, 0], np.uint8), 2),
    ],
)
def test_unsigned_and_8_bit_samples_become_signed_16_bit(stored: np.ndarray, modes: int) -> None:
    note = read_patch(patch((stored.tobytes(), 8000, 100.0, modes)))[0]
    np.testing.assert_array_equal(note.samples, [0, 256, -32768])


@pytest.mark.parametrize("cut", [100, 200, 300, -1])
def test_a_patch_that_is_cut_off_is_refused(cut: int) -> None:
    with pytest.raises(ValueError, match="cut off"):
        read_patch(patch((bytes(50), 8000, 100.0, 1))[:cut])


def test_another_file_is_refused() -> None:
    with pytest.raises(ValueError, match="does not begin with GF1PATCH"):
        read_patch(b"RIFF".ljust(500, b"\0"))


def test_a_note_survives_as_wav(tmp_path: Path) -> None:
    values = np.random.default_rng(0).integers(-32768, 32767, 500).astype(np.int16)
    write_note(tmp_path / "instrument/00.wav", Note(values, 31571, 440.0))
    read, rate = soundfile.read(tmp_path / "instrument/00.wav", dtype="int16")
    assert rate == 31571
    np.testing.assert_array_equal(read, values)
