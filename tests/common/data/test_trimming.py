"""Rows that begin and end where there is sound."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from antiphon.common.data.manifest import Manifest, Row
from antiphon.common.data.recordings import load_recordings, read_recordings
from antiphon.common.data.trimming import trim_silence
from antiphon.common.encoder import InputSpec
from antiphon.common.signal.io import AudioError

RATE = 8000


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two recordings with silence around half a second of noise, one that is silent, one of 0.2 s."""
    random, folder = np.random.default_rng(0), tmp_path / "set"
    folder.mkdir()
    for name, (before, sound, behind) in {"a": (0.5, 0.5, 0.2), "b": (0.2, 0.5, 1.0), "short": (0.3, 0.05, 0.3)}.items():
        parts = [np.zeros(round(RATE * before)), random.normal(0, 0.1, round(RATE * sound)), np.zeros(round(RATE * behind))]
        soundfile.write(folder / f"{name}.wav", np.concatenate(parts).astype(np.float32), RATE)
    soundfile.write(folder / "silent.wav", np.zeros(RATE, np.float32), RATE)
    return folder


def test_bounds_lie_where_the_sound_does_within_the_part_that_counts(folder: Path) -> None:
    rows = (Row(str(folder / "a.wav")), Row(str(folder / "a.wav"), start_s=0.7, end_s=1.1), Row(str(folder / "silent.wav")))
    kept, silent = trim_silence(Manifest((*rows, Row(str(folder / "none.wav")))))
    first, second = kept
    assert (first.start_s, first.end_s) == (pytest.approx(0.45, abs=0.02), pytest.approx(1.05, abs=0.02))
    assert (second.start_s, second.end_s) == (pytest.approx(0.7), pytest.approx(1.05, abs=0.02))
    assert silent.entries[0][1].startswith("silent") and len(silent) == 2


def test_a_trimmed_set_lists_what_is_silent_or_too_short(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    options = {"layouts": {}, "sample_rate": RATE, "duration_s": 1.0, "test_share": 0.0}
    train, _ = load_recordings(folder, trim_db=40.0, shortest_s=0.3, **options)  # type: ignore[arg-type]
    assert [Path(row.path).stem for row in train.manifest] == ["a", "b"]
    told = capfd.readouterr().err
    assert "silent.wav: silent" in told and "short.wav: too short: 0.1" in told
    assert len(train.quarantine) == 2 and train.quarantine.total == 4
    assert train.batch([0, 1]).lengths.tolist() == [pytest.approx(0.6 * RATE, abs=200)] * 2
    plain, _ = load_recordings(folder, **options)  # type: ignore[arg-type]
    assert len(plain) == 4 and plain.input_spec is None


def test_reading_repeats_what_the_encoder_learnt_from(folder: Path) -> None:
    spec = InputSpec(channels=1, sample_rate=RATE, preparation={"trim_db": 40.0, "bandwidth_hz": 1000.0})
    one = read_recordings(folder / "a.wav", sample_rate=RATE, input_spec=spec)
    assert one.recording(0).shape[1] == pytest.approx(0.6 * RATE, abs=200) and one.bandwidth_hz == 1000.0
    assert len(read_recordings(folder, sample_rate=RATE, input_spec=spec).quarantine) == 1
    with pytest.raises(AudioError, match="silent"):
        read_recordings(folder / "silent.wav", sample_rate=RATE, input_spec=spec)
