"""Trials in memory, and their way to and from mne, moabb, braindecode and files."""

from pathlib import Path

import mne
import numpy as np
import pytest

from antiphon.common.encoder import InputSpec
from antiphon.domains.eeg.data.epoch_files import is_epoch_file, read_epochs, write_epochs
from antiphon.domains.eeg.data.epochs import EpochSet
from antiphon.domains.eeg.data.interchange import from_braindecode, from_moabb
from antiphon.domains.eeg.data.reading import RecordingError, open_recording, raw_from_array
from antiphon.domains.eeg.data.recordings import RecordingSet
from antiphon.domains.eeg.data.splits import split_trials
from tests.domains.eeg.data.conftest import waves

NAMES = ("T3", "C3", "Cz", "C4", "T4")


def trials(count: int = 12, *, unit: float = 1.0) -> EpochSet:
    return EpochSet.from_arrays(
        np.stack([waves(5, 100, seed=n) for n in range(count)]) * unit,
        ["left", "right"] * (count // 2),
        names=NAMES,
        sample_rate=128.0,
        texts=[f"text {n}" for n in range(count)],
        columns={"subject": np.arange(count) // 4},
        start_s=0.5,
        name="trials",
    )


def test_arrays_in_and_out() -> None:
    data = trials()
    assert data.input_spec.names == ("T7", "C3", "Cz", "C4", "T8") and data.input_spec.positions is not None
    np.testing.assert_allclose(trials(unit=1e-6).signals, data.signals, rtol=1e-5)
    batch = data.batch([5, 0])
    assert batch.texts == ["text 5", "text 0"] and batch.labels["label"].tolist() == [1, 0]
    assert batch.context["subject"].tolist() == [1, 0] and batch.lengths.tolist() == [100, 100]
    signals, labels, groups = data.to_arrays()
    assert (
        signals.shape == (12, 5, 100)
        and labels is not None
        and groups is not None
        and groups.tolist() == (np.arange(12) // 4).tolist()
    )
    part = data.subset([9, 3])
    assert part.texts == ("text 9", "text 3") and part.subjects is not None and part.subjects.tolist() == [2, 0]
    assert part.with_subjects(["2", "7"]).batch([0, 1]).context["subject"].tolist() == [0, 2]


def test_wrong_arrays() -> None:
    with pytest.raises(ValueError, match=r"signals must be \(n, 1 channels, time\)"):
        EpochSet.from_arrays(np.zeros((2, 3, 4)), names=["Cz"], sample_rate=1)
    with pytest.raises(ValueError, match="2 examples, but 3 labels"):
        EpochSet.from_arrays(np.ones((2, 1, 4)), [0, 1, 2], names=["Cz"], sample_rate=1)
    with pytest.raises(ValueError, match="NaN or infinite"):
        EpochSet.from_arrays(np.full((2, 1, 4), np.nan), names=["Cz"], sample_rate=1)
    with pytest.raises(ValueError, match=r"label\(s\) b are not among the classes a"):
        EpochSet.from_arrays(np.ones((2, 1, 4)), ["a", "b"], names=["Cz"], sample_rate=1, unit="uV", classes=["a"])


def test_mne_epochs_there_and_back() -> None:
    data = trials()
    epochs = data.to_epochs()
    assert epochs.tmin == 0.5 and epochs.event_id == {"left": 1, "right": 2} and epochs.get_montage() is not None
    again = EpochSet.from_epochs(epochs)
    np.testing.assert_allclose(again.signals, data.signals, rtol=1e-5)
    assert again.classes == data.classes and again.start_s == 0.5
    assert again.labels is not None and data.labels is not None and again.labels.tolist() == data.labels.tolist()
    assert again.columns["subject"].tolist() == data.columns["subject"].tolist()
    with pytest.raises(ValueError, match="the signals are in deviations, mne keeps volts"):
        data.aligned().to_epochs()


def test_epochs_have_the_channels_that_recordings_have() -> None:
    info = mne.create_info(["Cz", "Pz", "ECG EKG", "C3", "STI"], 100.0, ["eeg"] * 4 + ["stim"])
    info["bads"] = ["C3"]
    values = np.concatenate((waves(4, 200, 100.0), np.zeros((1, 200))))[None] * 1e-6
    epochs = mne.EpochsArray(np.repeat(values, 2, axis=0), info, verbose="ERROR")
    raw = mne.io.RawArray(values[0], info, verbose="ERROR")
    assert EpochSet.from_epochs(epochs).input_spec.names == open_recording(raw).names == ("Cz", "Pz")
    with pytest.raises(ValueError, match="no EEG channel among STI"):
        EpochSet.from_epochs(epochs.copy().pick(["STI"]))


def test_files_of_trials(tmp_path: Path) -> None:
    data = trials()
    write_epochs(data, tmp_path / "a.npz")
    again = read_epochs(tmp_path / "a.npz")
    np.testing.assert_array_equal(again.signals, data.signals)
    assert again.texts == data.texts and again.classes == data.classes and again.input_spec == data.input_spec
    data.to_epochs().save(tmp_path / "b-epo.fif", verbose="ERROR")
    np.testing.assert_allclose(read_epochs(tmp_path / "b-epo.fif").signals, data.signals, rtol=1e-4)
    assert is_epoch_file("x-epo.fif") and not is_epoch_file("x_raw.fif")
    np.savez(tmp_path / "c.npz", X=np.zeros(3))
    with pytest.raises(RecordingError, match="has no array 'signals': signals, names and sample_rate are due"):
        read_epochs(tmp_path / "c.npz")
    with pytest.raises(ValueError, match=r"in microvolts to \.npz, got a\.npy"):
        write_epochs(data, tmp_path / "a.npy")


def test_trials_are_fitted_to_an_encoder() -> None:
    data = trials()
    spec = InputSpec(channels=2, names=("C4", "C3"), sample_rate=128.0, preparation={"reference": "average", "align": True})
    made = data.fit_to(spec)
    assert made.input_spec.names == ("C4", "C3") and made.signals.shape == (12, 2, 100) and made.input_spec.unit == "deviations"
    np.testing.assert_allclose(made.signals.sum(axis=1), 0, atol=1e-3)  # referenced before it was whitened
    with pytest.raises(ValueError, match="missing: Oz"):
        data.fit_to(InputSpec(channels=2, names=("C3", "Oz")))
    with pytest.raises(ValueError, match=r"trials at 128 Hz, which cannot be filtered or resampled.* sample_rate 100"):
        data.fit_to(InputSpec(channels=5, sample_rate=100.0))
    with pytest.raises(ValueError, match="trials of 100 samples, 200 are due"):
        data.fit_to(InputSpec(channels=5, window=200))


def test_subjects_are_held_out_whole_and_time_in_order() -> None:
    data = trials()
    train, test = split_trials(data, 0.4, seed=1)
    assert test is not None and len(test) == 4 and not set(train.columns["subject"]) & set(test.columns["subject"])
    train, test = split_trials(data, 0.5, by="time")
    assert test is not None and train.texts == ("text 0", "text 1", "text 4", "text 5", "text 8", "text 9")
    with pytest.raises(ValueError, match="no column 'site' among subject"):
        split_trials(data, 0.5, by="site")
    with pytest.raises(ValueError, match="leaves none to test on"):
        split_trials(data.subset([0, 1]), 0.3, by="time")


def test_moabb() -> None:
    from moabb.datasets.fake import FakeDataset
    from moabb.paradigms import LeftRightImagery

    mne.set_log_level("ERROR")
    fake = FakeDataset(("left_hand", "right_hand"), n_sessions=1, n_runs=1, n_subjects=2, n_events=6, duration=30, seed=0)
    data = from_moabb(fake, LeftRightImagery(), [1, 2], unit="V")
    assert (
        data.classes == ("left_hand", "right_hand")
        and len(data) == len(data.columns["subject"])
        and data.input_spec.names == ("C3", "Cz", "C4")
    )
    assert set(data.columns["subject"]) == {"1", "2"} and data.groups is not None and len(set(data.groups.tolist())) == 2


def test_braindecode() -> None:
    from braindecode.datasets import BaseConcatDataset, RawDataset
    from braindecode.preprocessing import create_fixed_length_windows

    parts = [
        RawDataset(
            raw_from_array(waves(3, 1000, seed=n), ["C3", "Cz", "C4"], 100.0), {"subject": n, "sick": n % 2}, target_name="sick"
        )
        for n in range(2)
    ]
    whole = BaseConcatDataset(parts)
    recordings = from_braindecode(whole, window_s=2.0)
    assert isinstance(recordings, RecordingSet) and recordings.classes == ("0", "1") and len(recordings) == 2
    windows = create_fixed_length_windows(whole, window_size_samples=200, window_stride_samples=200, drop_last_window=True)
    found = from_braindecode(windows)
    assert isinstance(found, EpochSet) and found.signals.shape == (10, 3, 200)
    np.testing.assert_allclose(found.signals[7], waves(3, 1000, seed=1)[:, 400:600], rtol=1e-4)
    assert (
        found.labels is not None
        and found.labels.tolist() == [0] * 5 + [1] * 5
        and found.columns["subject"].tolist() == ["0"] * 5 + ["1"] * 5
    )
