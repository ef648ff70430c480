"""A stranger's EEG: folders, manifests, trials, splits that do not leak, encoders that say what they need."""

from pathlib import Path

import numpy as np
import pytest

from antiphon.common.data.manifest import Manifest, Row
from antiphon.common.encoder import InputSpec
from antiphon.domains.eeg import EpochSet, RecordingError, RecordingSet, load, read, write_epochs
from tests.domains.eeg.data.conftest import WriteEDF, waves

CHANNELS = ("EEG C3-REF", "EEG CZ-REF", "EEG C4-REF", "EEG PZ-REF")


@pytest.fixture
def folder(write_edf: WriteEDF, tmp_path: Path) -> Path:
    for number in range(6):
        kind = "fit" if number % 2 else "ill"
        write_edf(f"eeg/{kind}/{number}.edf", waves(4, 1280, seed=number), CHANNELS)
    return tmp_path / "eeg"


def test_a_folder_is_split_and_its_sub_folders_are_labels(folder: Path) -> None:
    train, test = load(folder, window_s=2.0, test_share=0.33)
    assert isinstance(train, RecordingSet) and test is not None and train.classes == test.classes == ("fit", "ill")
    assert (len(train), len(test)) == (4, 2) and sorted(test.labels.tolist()) == [0, 1]
    assert test.input_spec.names == ("C3", "Cz", "C4", "Pz") and load(folder, test_share=0, window_s=2.0)[1] is None


def test_subjects_stay_together(folder: Path, tmp_path: Path, write_edf: WriteEDF) -> None:
    files = sorted(folder.rglob("*.edf"))
    Manifest(tuple(Row(str(file), extra={"subject": f"s{n // 2}"}) for n, file in enumerate(files)), "m").write(tmp_path / "m.csv")
    train, test = load(tmp_path / "m.csv", window_s=2.0, test_share=0.33)
    assert not set(train.manifest.column("subject")) & set(test.manifest.column("subject")) and len(test) == 2
    assert set(train.subjects.tolist()) == {0, 1} and set(test.subjects.tolist()) == {2}  # no number stands for two subjects
    for number in range(4):
        write_edf(f"bids/sub-{number // 2}/eeg/run{number}.edf", waves(4, 1280, seed=number), CHANNELS)
    train, test = load(tmp_path / "bids", window_s=2.0, test_share=0.5)
    assert train.labels is None and {*train.manifest.column("subject"), *test.manifest.column("subject")} == {"0", "1"}
    assert len(set(test.manifest.column("subject"))) == 1


def test_the_split_column_and_leaks(folder: Path, tmp_path: Path) -> None:
    files = sorted(folder.rglob("*.edf"))
    rows = [Row(str(file), split="train" if n < 4 else "test", extra={"subject": str(n)}) for n, file in enumerate(files)]
    Manifest(tuple(rows), "m").write(tmp_path / "m.csv")
    train, test = load(tmp_path / "m.csv", window_s=2.0)
    assert (len(train), len(test)) == (4, 2)
    rows[-1] = Row(rows[-1].path, split="test", extra={"subject": "0"})
    Manifest(tuple(rows), "m").write(tmp_path / "leak.csv")
    with pytest.raises(ValueError, match=r"share 1 group\(s\): 0"):
        load(tmp_path / "leak.csv", window_s=2.0)


def test_one_recording_is_split_in_time(write_edf: WriteEDF) -> None:
    marks = [(float(n) + 0.5, "769" if n % 2 else "770") for n in range(9)]
    path = write_edf("a.edf", waves(2, 1280), ("C3", "C4"), annotations=marks)
    train, test = load(path, events={"769": "left", "770": "right"}, window_s=0.5, test_share=0.4, preparation={"align": True})
    assert isinstance(train, EpochSet) and isinstance(test, EpochSet) and (len(train), len(test)) == (6, 3)
    for part in (train, test):  # apart
        covariance = (part.signals @ part.signals.transpose(0, 2, 1) / part.signals.shape[2]).mean(axis=0)
        np.testing.assert_allclose(covariance, np.eye(2), atol=1e-4)
    early, late = load(path, window_s=2.0, test_share=0.4)
    assert early.sources[0].last == late.sources[0].first == 768
    both = load(path, window_s=2.0, test_share=0.4, by="time")
    assert both[1].sources[0].first == 768


def test_trials_are_read_from_files(tmp_path: Path) -> None:
    data = EpochSet.from_arrays(
        np.stack([waves(2, 64, seed=n) for n in range(8)]),
        ["a", "b"] * 4,
        names=["C3", "C4"],
        sample_rate=64,
        columns={"subject": [0, 0, 1, 1, 2, 2, 3, 3]},
    )
    write_epochs(data, tmp_path / "x.npz")
    train, test = load(tmp_path / "x.npz", test_share=0.25, labelled=True)
    assert isinstance(test, EpochSet) and (len(train), len(test)) == (6, 2)
    write_epochs(data.subset([1, 3]), tmp_path / "y.npz")
    _, other = load(tmp_path / "x.npz", tmp_path / "y.npz", channels=["C4"], preparation={"divide_by": 2.0})
    assert other.labels.tolist() == [1, 1] and other.classes == ("a", "b")  # one class alone would be number 0
    np.testing.assert_allclose(other.signals[:, 0], data.signals[[1, 3], 1] / 2)
    with pytest.raises(ValueError, match="cannot be filtered or resampled"):
        load(tmp_path / "x.npz", preparation={"band_hz": [8.0, 30.0]})


def test_an_encoder_says_channels_rate_window_and_preparation(
    folder: Path, write_edf: WriteEDF, capfd: pytest.CaptureFixture[str]
) -> None:
    spec = InputSpec(
        channels=2,
        names=("C4", "C3"),
        sample_rate=64.0,
        window=96,
        preparation={"reference": "average", "clip_uv": 50.0, "hop_s": 1.0},
    )
    train, test = load(folder, input_spec=spec, labelled=True, seed=1)
    assert train.batch([0]).signals.shape == (1, 2, 96) and test.input_spec.names == ("C4", "C3")
    one = read(folder / "fit" / "1.edf", input_spec=spec)
    windows, owners = one.fixed_windows()
    assert len(one) == 1 and len(windows) == 9 and owners.tolist() == [0] * 9 and one.input_spec.preparation["clip_uv"] == 50
    assert len(read(folder, input_spec=spec)) == 6
    stranger = write_edf("stranger.edf", waves(3, 1280), ("Fz", "C3", "O1"))
    with pytest.raises(RecordingError, match=r"stranger\.edf: 1 of 2 channels are missing: C4; it has Fz, C3, O1.*on_mismatch"):
        read(stranger, input_spec=spec)
    capfd.readouterr()
    signals = read(stranger, input_spec=spec, on_mismatch="subset").batch([0]).signals[0]
    assert not signals[0].any() and "stranger.edf: without C4" in capfd.readouterr().err


def test_wrong_words(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no recordings given: data\.root=FOLDER"):
        load(None)
    with pytest.raises(FileNotFoundError, match="no folder, manifest or open set 'biosik'"):
        load("biosik")
    with pytest.raises(ValueError, match="unknown layout 'tuab': use auto, tuh_abnormal"):
        load(folder, layout="tuab")
    with pytest.raises(RecordingError, match="no such file"):
        read(tmp_path / "gone.edf")
    (tmp_path / "nothing").mkdir()
    with pytest.raises(ValueError, match=r"holds no recordings of EEG \(\.edf, \.bdf"):
        load(tmp_path / "nothing")
    aligned = InputSpec(channels=4, preparation={"align": True})
    with pytest.raises(ValueError, match="expects aligned trials"):
        read(folder / "fit" / "1.edf", input_spec=aligned)
