"""Speakers kept out of training, and the threshold that an encoder takes along."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import antiphon
from antiphon.common.data.audio_set import AudioSet
from antiphon.common.data.manifest import Manifest, Row, read_manifest
from antiphon.common.encoder import Encoder
from antiphon.common.evaluation.embedding import embed_recordings
from antiphon.common.evaluation.verification import AllPairs, equal_error_rate, fit_calibration, scoring_vectors
from antiphon.common.hub import save_encoder
from antiphon.domains.speaker_verification import calibration
from antiphon.domains.speaker_verification.calibration import (
    calibrate,
    calibration_of,
    held_out,
    speaker_names,
    without_dev_speakers,
)


@pytest.fixture(scope="module")
def data(voices_manifest: Path) -> AudioSet:
    return AudioSet.from_manifest(voices_manifest, sample_rate=8000, window=1600, name="voices")


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return antiphon.create_encoder(
        "spectral_statistics", sample_rate=8000, window=1600, fft_size=256, hop=80, mels=24, coefficients=13
    )


def with_rows(data: AudioSet, **changes: object) -> AudioSet:
    return replace(data, manifest=Manifest(tuple(replace(row, **changes) for row in data.manifest)))  # type: ignore[arg-type]


def test_who_speaks(data: AudioSet) -> None:
    assert speaker_names(data).tolist() == [row.speaker for row in data.manifest]  # type: ignore[union-attr]
    assert speaker_names(with_rows(data, speaker=None)) is None
    assert set(speaker_names(with_rows(data, speaker=None, labels=("anna",))).tolist()) == {"anna"}  # type: ignore[union-attr]
    assert set(speaker_names(with_rows(data, labels=("word",))).tolist()) == set(data.manifest.column("speaker"))  # type: ignore[union-attr]


def test_whole_speakers_are_held_out_and_the_rest_is_learnt_from(data: AudioSet) -> None:
    names = speaker_names(data)
    out = held_out(data, 0.25, 0)
    learnt = without_dev_speakers(data, share=0.25)
    assert len(set(names[out])) == 6 and not set(names[out]) & set(names[~out])
    assert set(speaker_names(learnt)) == set(names[~out]) and len(learnt) == 90
    classes, codes = np.unique(names, return_inverse=True)
    labelled = without_dev_speakers(replace(data, labels=codes, classes=tuple(classes.tolist())), share=0.25)
    assert len(labelled.classes) == 18 and np.array_equal(np.asarray(labelled.classes)[labelled.labels], names[~out])
    assert np.array_equal(held_out(data, 0.25, 0), out) and not np.array_equal(held_out(data, 0.25, 1), out)
    assert not held_out(data, 0.1, 0).any()  # two of 24 voices would make no threshold
    assert len(without_dev_speakers(with_rows(data, speaker=None), share=0.5)) == len(data)
    with pytest.raises(ValueError, match="share of speakers kept out of training is 1"):
        held_out(data, 1.0, 0)


def test_the_threshold_is_that_of_the_held_out_speakers(data: AudioSet, encoder: Encoder) -> None:
    found = calibrate(encoder, data, share=0.25)
    dev = data.subset(np.flatnonzero(held_out(data, 0.25, 0)))
    scores = AllPairs(scoring_vectors(embed_recordings(encoder, dev)), speaker_names(dev)).scores()
    expected = fit_calibration(scores, speakers=6, source="held-out training speakers of voices")
    assert {key: value for key, value in found.items() if key != "encoder"} == json.loads(json.dumps(expected.to_dict()))
    assert found["threshold"] == equal_error_rate(scores).threshold and found["targets"] == 60


def test_large_dev_sets_are_cut_evenly(data: AudioSet, encoder: Encoder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calibration, "MOST_RECORDINGS", 50)
    dev, _ = calibration.dev_set(encoder, data, dev=None, share=0.9, seed=0)
    assert dev is not None and len(dev) == 50
    assert set(np.unique(speaker_names(dev), return_counts=True)[1].tolist()) == {2, 3}  # of 22 speakers
    again, other = (calibration.dev_set(encoder, data, dev=None, share=0.9, seed=seed)[0] for seed in (0, 1))
    assert np.array_equal(again.rows, dev.rows) and not np.array_equal(other.rows, dev.rows)  # type: ignore[union-attr]


def test_it_travels_with_the_encoder_and_fits_no_other(data: AudioSet, encoder: Encoder, tmp_path: Path) -> None:
    save_encoder(encoder, tmp_path / "one", about={"calibration": calibrate(encoder, data, share=0.25)})
    loaded = antiphon.load_encoder(tmp_path / "one")
    found = calibration_of(loaded)
    assert found.calibration is not None and found.calibration.speakers == 6
    loaded.fit_standardization([0.1], [1.0])  # type: ignore[arg-type]
    assert calibration_of(loaded) == (None, "its calibration was learnt for other weights")
    assert calibration_of(encoder) == (None, "it was pretrained without a calibration")


def test_without_dev_speakers_it_says_why(data: AudioSet, encoder: Encoder) -> None:
    bare = with_rows(data, speaker=None)
    for source, share, reason in (
        (data, 0.0, "without keeping speakers out"),
        (data, 0.1, "24 speakers, 0.1 of which are too few"),
        (bare, 0.5, "no names of speakers"),
    ):
        with pytest.warns(UserWarning, match=reason):
            found = calibrate(encoder, source, share=share)
        assert set(found) == {"encoder", "missing"}
        fresh = antiphon.create_encoder(encoder.name, **encoder.config)
        fresh.about = {"calibration": found}
        assert reason in calibration_of(fresh).reason


def test_from_own_recordings(data: AudioSet, encoder: Encoder, voices_manifest: Path, tmp_path: Path) -> None:
    found = calibrate(encoder, data, dev=voices_manifest)
    assert (found["speakers"], found["source"]) == (24, "recordings of manifest")
    assert found["threshold"] == calibrate(encoder, data, dev=voices_manifest.parent)["threshold"]  # a folder a speaker
    rows = tuple(Row(row.path) for row in read_manifest(voices_manifest))
    Manifest(rows[:4]).write(tmp_path / "bare.csv")
    with pytest.raises(ValueError, match="bare does not say who speaks"):
        calibrate(encoder, data, dev=tmp_path / "bare.csv")
