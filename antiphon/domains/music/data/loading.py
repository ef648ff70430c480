"""Recordings of music as a train and a test set: somebody's folder, a manifest, a public collection, an open set by name."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from antiphon.common.data.audio_set import AudioSet
from antiphon.common.data.recordings import load_recordings, read_recordings
from antiphon.common.encoder import InputSpec
from antiphon.domains.music.data.collections import COLLECTIONS

SAMPLE_RATE = 22_050


def load(
    root: str | Path | Sequence[str | Path] | None,
    test: str | Path | Sequence[str | Path] | None = None,
    *,
    sample_rate: int = SAMPLE_RATE,
    **options: Any,
) -> tuple[AudioSet, AudioSet | None]:
    """A training and a test set of music; see `antiphon.common.data.recordings.load_recordings` for the `options`.

    `layout` may be magnatagatune, gtzan, mtg_jamendo or fma.
    """
    return load_recordings(root, test, layouts=COLLECTIONS, sample_rate=sample_rate, **options)


def read(path: str | Path, *, input_spec: InputSpec | None = None) -> AudioSet:
    """One audio file, or all of a folder or manifest, to be embedded; see `antiphon.common.data.recordings.read_recordings`."""
    return read_recordings(path, sample_rate=SAMPLE_RATE, input_spec=input_spec)
