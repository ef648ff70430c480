"""Speakers that are kept out of training to learn a threshold from, and what a saved encoder takes along of it."""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from antiphon.common.data.audio_set import AudioSet
from antiphon.common.data.recordings import read_recordings
from antiphon.common.encoder import Encoder
from antiphon.common.evaluation.embedding import embed_recordings
from antiphon.common.evaluation.verification import AllPairs, Calibration, fit_calibration, scoring_vectors
from antiphon.common.evaluation.verification.calibration import DecideBy
from antiphon.common.fingerprint import fingerprint
from antiphon.common.random import shuffled

LEAST_SPEAKERS = 4  # fewer voices make no threshold
MOST_RECORDINGS = 2000  # two million pairs
ABOUT = "calibration"  # where a saved encoder keeps it


class FoundCalibration(NamedTuple):
    """What a saved encoder knows of thresholds: a `calibration`, or None and the `reason` why there is none."""

    calibration: Calibration | None
    reason: str


def speaker_names(data: AudioSet) -> NDArray[np.str_] | None:
    """Who speaks in each example (n,): the column `speaker` if every recording has it, else its single label; None: not known."""
    rows = [data.manifest.rows[row] for row in data.rows.tolist()]
    if all(row.speaker for row in rows):
        return np.asarray([row.speaker for row in rows])
    return np.asarray([row.labels[0] for row in rows]) if all(len(row.labels) == 1 for row in rows) else None


def held_out(data: AudioSet, share: float, seed: int) -> NDArray[np.bool_]:
    """Which examples (n,) belong to the `share` of the speakers that is kept out of training.

    None where speakers are not known, or where the share is fewer than four of them.

    Raises:
        ValueError: a share that is none.
    """
    if not 0 <= share < 1:
        raise ValueError(f"the share of speakers kept out of training is {share}: use a value from 0 to below 1, such as 0.1")
    names = speaker_names(data)
    known = np.unique(names) if names is not None else np.empty(0, np.str_)
    count = round(share * len(known))
    if names is None or count < LEAST_SPEAKERS:
        return np.zeros(len(data), np.bool_)
    return np.isin(names, known[shuffled(len(known), seed, 0).numpy()[:count]])


def without_dev_speakers(train: AudioSet, *, share: float = 0.1, seed: int = 0) -> AudioSet:
    """The training set without its dev speakers, which `calibrate` then learns a threshold from: a recipe's `training_set`.

    Its classes are those that are left: a classifier has no columns for speakers whom it never hears.
    """
    learnt = train.subset(np.flatnonzero(~held_out(train, share, seed)))
    if learnt.labels is None or learnt.labels.ndim > 1:
        return learnt
    left, labels = np.unique(learnt.labels, return_inverse=True)
    return replace(learnt, labels=labels.astype(np.int64), classes=tuple(learnt.classes[code] for code in left.tolist()))


def dev_set(encoder: Encoder, train: AudioSet, *, dev: str | Path | None, share: float, seed: int) -> tuple[AudioSet | None, str]:
    """What a threshold is learnt from, and what it is in words: the recordings of `dev`, or else the held-out part of `train`.

    At most 2,000 recordings, drawn by `seed`, about as many of each speaker. None where there is neither; the words then say why.
    """
    if dev is not None:
        data = read_recordings(dev, sample_rate=train.sample_rate, input_spec=encoder.input_spec)
        return at_most(data, MOST_RECORDINGS, seed), f"recordings of {data.name}"
    chosen = np.flatnonzero(held_out(train, share, seed))
    if len(chosen):
        return at_most(train.subset(chosen), MOST_RECORDINGS, seed), f"held-out training speakers of {train.name}"
    if not share:
        return None, "it was pretrained without keeping speakers out for it"
    names = speaker_names(train)
    known = "no names of speakers" if names is None else f"{len(np.unique(names))} speakers, {share:g} of which are too few"
    return None, f"its training set has {known}"


def at_most(data: AudioSet, count: int, seed: int) -> AudioSet:
    """All of a set, or the first recordings of each speaker in a drawn order, then the second ones, and so on."""
    names = speaker_names(data)
    if len(data) <= count or names is None:
        return data
    order = shuffled(len(data), seed, 2).numpy()
    codes = np.unique(names[order], return_inverse=True)[1]
    by_speaker = np.argsort(codes, kind="stable")
    firsts = np.searchsorted(codes[by_speaker], codes[by_speaker])
    turns = np.arange(len(data)) - firsts  # 0 for the first recording of each speaker
    return data.subset(np.sort(order[by_speaker][np.argsort(turns, kind="stable")][:count]))


def fit(encoder: Encoder, data: AudioSet, source: str, *, decide_by: DecideBy = "eer") -> Calibration:
    """A calibration from all pairs of the whole recordings of `data`.

    Raises:
        ValueError: speakers that are not known, or no two recordings of one.
    """
    names = speaker_names(data)
    if names is None:
        raise ValueError(f"{data.name} does not say who speaks: give a manifest with a column speaker, or a folder a speaker")
    scores = AllPairs(scoring_vectors(embed_recordings(encoder, data)), names).scores()
    return fit_calibration(scores, decide_by=decide_by, speakers=len(np.unique(names)), source=source)


def calibrate(
    encoder: Encoder,
    train: AudioSet,
    *,
    dev: str | Path | None = None,
    share: float = 0.0,
    decide_by: DecideBy = "eer",
    seed: int = 0,
) -> dict[str, Any]:
    """What a saved encoder takes along for `antiphon verify`: a recipe's `calibration`.

    Learnt from whole recordings, all pairs of them, of `dev` (a folder a speaker, or a manifest), or of the `share` of the training
    speakers that `without_dev_speakers` kept out of training. Where there is neither, the dictionary says why, and a warning does.
    """
    data, source = dev_set(encoder, train, dev=dev, share=share, seed=seed)
    if data is None:
        warnings.warn(f"the encoder gets no decision threshold: {source}", stacklevel=2)
        return {"encoder": fingerprint(encoder), "missing": source}
    return {"encoder": fingerprint(encoder), **fit(encoder, data, source, decide_by=decide_by).to_dict()}


def calibration_of(encoder: Encoder) -> FoundCalibration:
    """What was saved with an encoder; a calibration of other weights (before fine-tuning, say) does not count."""
    saved = encoder.about.get(ABOUT)
    if not saved:
        return FoundCalibration(None, "it was pretrained without a calibration")
    if saved["encoder"] != fingerprint(encoder):
        return FoundCalibration(None, "its calibration was learnt for other weights")
    if "missing" in saved:
        return FoundCalibration(None, saved["missing"])
    return FoundCalibration(Calibration.from_dict(saved), "")
