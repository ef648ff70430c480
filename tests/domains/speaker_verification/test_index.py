"""The index of voices: what goes in comes out, nothing is half written, and another encoder is refused."""

from pathlib import Path

import numpy as np
import pytest

import antiphon
from antiphon.common.encoder import Encoder
from antiphon.domains.speaker_verification import index as index_module
from antiphon.domains.speaker_verification.index import SpeakerIndex


@pytest.fixture
def encoder() -> Encoder:
    return antiphon.create_encoder("spectral_statistics", sample_rate=8000, coefficients=2)


@pytest.fixture
def index(encoder: Encoder) -> SpeakerIndex:
    return SpeakerIndex.empty(encoder).enrol(np.eye(3, 4), ["ben", "anna", "anna"], ["1.wav", "2.wav", "3.wav"])


def test_round_trip(index: SpeakerIndex, encoder: Encoder, tmp_path: Path) -> None:
    index.write(tmp_path / "deep" / "people.npz")
    read = SpeakerIndex.read(tmp_path / "deep" / "people.npz")
    assert np.array_equal(read.vectors, index.vectors) and read.names == ("anna", "ben")
    assert read.speakers.tolist() == ["ben", "anna", "anna"] and read.paths.tolist() == ["1.wav", "2.wav", "3.wav"]
    read.check(encoder)
    assert [entry.name for entry in (tmp_path / "deep").iterdir()] == ["people.npz"]


def test_the_score_is_the_mean_over_what_was_enrolled(index: SpeakerIndex) -> None:
    query = np.asarray([[0.1, 0.2, 0.6, 0.0]], np.float32)
    assert index.scores(query) == pytest.approx(np.asarray([[0.4, 0.1]]))


def test_a_file_that_is_enrolled_again_takes_its_own_place(index: SpeakerIndex) -> None:
    again = index.enrol([[0.0, 0.0, 0.0, 1.0]], ["anna"], ["2.wav"])
    assert again.speakers.tolist() == ["ben", "anna", "anna"] and again.paths.tolist() == ["1.wav", "3.wav", "2.wav"]
    twice = index.enrol([[0.0, 0.0, 0.0, 1.0], [0.0, 0.0, 1.0, 0.0]], ["dora", "dora"], ["4.wav", "4.wav"])
    assert twice.speakers.tolist().count("dora") == 1 and twice.vectors[-1].tolist() == [0.0, 0.0, 1.0, 0.0]
    assert again.enrol([[1.0, 0.0, 0.0, 0.0]], ["carla"], ["2.wav"]).names == ("anna", "ben", "carla")


def test_a_stop_while_writing_leaves_the_old_file(index: SpeakerIndex, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "people.npz"
    index.write(path)
    before = path.read_bytes()

    def stopped(file, **arrays) -> None:
        file.write(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(index_module.np, "savez", stopped)
    with pytest.raises(KeyboardInterrupt):
        index.enrol(np.ones((1, 4)), ["dora"], ["4.wav"]).write(path)
    assert path.read_bytes() == before and [entry.name for entry in tmp_path.iterdir()] == ["people.npz"]


def test_other_encoders_are_refused(index: SpeakerIndex) -> None:
    other = antiphon.create_encoder("spectral_statistics", sample_rate=8000, coefficients=3)
    with pytest.raises(ValueError, match=r"another encoder \(spectral_statistics .*\"coefficients\": 2"):
        index.check(other)
    moved = antiphon.create_encoder("spectral_statistics", sample_rate=8000, coefficients=2)
    moved.fit_standardization([1.0], [1.0])  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="same architecture with other weights"):
        index.check(moved)


def test_files_that_are_no_index(index: SpeakerIndex, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "text.npz").write_text("hello")
    np.savez(tmp_path / "other.npz", a=np.ones(3))
    np.savez(tmp_path / "pickled.npz", about=np.asarray({"format": 1}, dtype=object))
    index.write(tmp_path / "cut.npz")
    (tmp_path / "cut.npz").write_bytes((tmp_path / "cut.npz").read_bytes()[:-40])
    monkeypatch.setattr(index_module, "FORMAT", 2)
    index.write(tmp_path / "later.npz")
    monkeypatch.undo()
    for name in ("text", "other", "pickled", "cut", "later"):
        with pytest.raises(ValueError, match=f"{name}.npz is no speaker index that could be read"):
            SpeakerIndex.read(tmp_path / f"{name}.npz")
    with pytest.raises(FileNotFoundError, match=r"no speaker index .*none\.npz.*antiphon enroll"):
        SpeakerIndex.read(tmp_path / "none.npz")
