"""Gravis Ultrasound patches (.pat): recorded notes of one instrument, each with its rate and pitch.

The layout follows the Gravis developers' description of version 1.10: a header of 129 bytes, then instruments of 63, layers of 47
and waveforms of 96 bytes, all little-endian, each waveform followed by its samples.
"""

from __future__ import annotations

import struct
import wave
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

_HEADER = struct.Struct("<12s10s60s3B2HI36x")  # magic, id, description, instruments, voices, channels, waveforms, volume, size
_INSTRUMENT = struct.Struct("<H16sIB40x")  # number, name, size, layers
_LAYER = struct.Struct("<2BIB40x")  # duplicate, number, size, waveforms
_WAVEFORM = struct.Struct("<7sB3IH3IhB6s6s3s3sBhH36x")  # name, ..., size, loop, rate, low, high and root pitch, ..., modes
_16_BIT, _UNSIGNED = 1, 2


@dataclass(frozen=True)
class Note:
    """One waveform of a patch: `samples` (frames,) int16, `sample_rate` in Hz, `root_hz` the pitch it was recorded at."""

    samples: NDArray[np.int16]
    sample_rate: int
    root_hz: float


def read_patch(content: bytes) -> list[Note]:
    """The notes of a GUS patch, in its order.

    Raises:
        ValueError: no patch, or one that is cut off.
    """
    try:
        magic, _, _, instruments, *_ = _HEADER.unpack_from(content)
        if not magic.startswith(b"GF1PATCH"):
            raise ValueError("no GUS patch: it does not begin with GF1PATCH")
        place, notes = _HEADER.size, []
        for _ in range(instruments):
            layers = _INSTRUMENT.unpack_from(content, place)[3]
            place += _INSTRUMENT.size
            for _ in range(layers):
                count = _LAYER.unpack_from(content, place)[3]
                place += _LAYER.size
                for _ in range(count):
                    note, place = _note(content, place)
                    notes.append(note)
    except struct.error as error:
        raise ValueError("the GUS patch is cut off") from error
    return notes


def _note(content: bytes, place: int) -> tuple[Note, int]:
    """The waveform at `place`, and where the next one begins."""
    fields = _WAVEFORM.unpack_from(content, place)
    size, rate, root_millihertz, modes = fields[2], fields[5], fields[8], fields[15]
    place += _WAVEFORM.size
    raw = content[place : place + size]
    if len(raw) < size:
        raise ValueError("the GUS patch is cut off")
    if modes & _16_BIT:
        samples = np.frombuffer(raw[: size // 2 * 2], "<u2" if modes & _UNSIGNED else "<i2")
        offset = 1 << 15
    else:
        samples = np.frombuffer(raw, np.uint8 if modes & _UNSIGNED else np.int8)
        offset = 1 << 7
    wide = samples.astype(np.int32) - (offset if modes & _UNSIGNED else 0)
    return Note((wide if modes & _16_BIT else wide << 8).astype(np.int16), rate, root_millihertz / 1000), place + size


def write_note(path: Path, note: Note) -> None:
    """Write a note as a mono 16-bit WAV file at its own rate."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(note.sample_rate)
        file.writeframes(note.samples.astype("<i2").tobytes())
