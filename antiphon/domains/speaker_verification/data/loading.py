"""Recordings of speakers as a train and a test set that share no speaker."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from antiphon.common.data.audio_set import AudioSet
from antiphon.common.data.recordings import load_recordings, read_recordings
from antiphon.common.data.splits import check_disjoint
from antiphon.common.encoder import InputSpec
from antiphon.domains.speaker_verification.data.layouts import LAYOUTS, speakers

SAMPLE_RATE = 16_000
Root = str | Path


def load(
    root: Root | Sequence[Root] | None,
    test: Root | Sequence[Root] | None = None,
    *,
    sample_rate: int = SAMPLE_RATE,
    label: str | None = None,
    labelled: bool = False,
    **options: Any,
) -> tuple[AudioSet, AudioSet | None]:
    """A training and a test set of speech; see `antiphon.common.data.recordings.load_recordings` for the `options`.

    Labels are speakers. Train and test never share one: without official parts, and without `test`, whole speakers are held out.
    To hold out whole packages, since one voice may sit in two of them, name them in `test`. Where the speakers of some recordings
    are not known, see `antiphon.domains.speaker_verification.data.layouts.speakers`.

    With `labelled` (probes and fine-tuning) the labels are any classes, and speakers are not told apart: a folder a class.

    Args:
        root: folders, manifests or open sets, one or several; VoxCeleb and CN-Celeb are recognised by their folders.
        test: the same.
        sample_rate: in Hz.
        label: the column of labels; None: speaker, or "label" with `labelled`.
        labelled: see above.
        options: see above.

    Raises:
        ValueError: what `load_recordings` raises, a speaker in both sets, or a single one held out, which makes no trials.
    """
    if labelled:
        return load_recordings(
            root, test, layouts=LAYOUTS, sample_rate=sample_rate, label=label or "label", labelled=True, **options
        )
    layouts = {"auto": speakers, **LAYOUTS}
    train, held_out = load_recordings(root, test, layouts=layouts, sample_rate=sample_rate, label=label or "speaker", **options)
    if held_out is None:
        return train, None
    if all(row.speaker for part in (train, held_out) for row in part.manifest):
        check_disjoint(train.manifest, held_out.manifest, by="speaker")
    train, held_out = _own_classes(train), _own_classes(held_out)
    if test is None and len(held_out.classes) == 1:
        raise ValueError(
            f"the single speaker {held_out.classes[0]} is held out for the trials, which need two or more: give "
            "data.test_share=0.5, recordings of others in data.test, or data.test_share=0 to train without trials"
        )
    return train, held_out


def _own_classes(data: AudioSet) -> AudioSet:
    """With codes for the labels that occur in it, and no others: a classifier of speakers has no place for test speakers."""
    if data.labels is None:
        return data
    present, codes = np.unique(data.labels, return_inverse=True)
    return replace(data, labels=codes.astype(np.int64), classes=tuple(data.classes[code] for code in present.tolist()))


def read(path: Root, *, input_spec: InputSpec | None = None) -> AudioSet:
    """One audio file, or all of a folder or manifest, to be embedded; see `antiphon.common.data.recordings.read_recordings`."""
    return read_recordings(path, sample_rate=SAMPLE_RATE, input_spec=input_spec)
