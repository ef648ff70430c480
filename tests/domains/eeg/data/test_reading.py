"""Files become anonymous recordings in microvolts; whose head it was is told to nobody."""

import pickle
from pathlib import Path

import edfio
import mne
import numpy as np
import pytest

from antiphon.domains.eeg.data.reading import RecordingError, array_scale, open_recording, raw_from_array
from tests.domains.eeg.data.conftest import WriteEDF, waves

NAMES = ("EEG FP1-REF", "EEG T3-REF", "EEG CZ-REF", "EEG O2-REF")
SECRET = ("ingeborg", "sorgenfrei", "k4711")


def test_an_edf_lazily_in_microvolts(write_edf: WriteEDF) -> None:
    signals = waves(4, 1280)
    path = write_edf("a.edf", signals, NAMES, annotations=[(1.0, "left"), (3.5, "right")])
    found = open_recording(path)
    assert found.names == ("Fp1", "T7", "Cz", "O2") and found.sample_rate == 128 and found.samples == 1280
    assert found.positions is not None and found.note == ""
    np.testing.assert_allclose(found.read(100, 200), signals[:, 100:200], atol=0.01)
    np.testing.assert_allclose(found.read(5, 9, picks=np.asarray([2])), signals[2:3, 5:9], atol=0.01)
    onsets, words = found.events()
    assert onsets.tolist() == [128, 448] and words == ("left", "right")


def test_the_subject_is_nowhere(write_edf: WriteEDF, capfd: pytest.CaptureFixture[str]) -> None:
    path = write_edf("a.edf", waves(4, 1280), NAMES)
    assert b"Sorgenfrei" in path.read_bytes()[:256]
    found = open_recording(path)
    told = [repr(found), pickle.dumps(found).decode("latin-1"), str(vars(found._raw)), "".join(capfd.readouterr())]
    assert not [word for word in SECRET for text in told if word in text.lower()]


@pytest.mark.parametrize("cut", [20, 250, 300, 900])
def test_errors_and_causes_do_not_name_the_subject(write_edf: WriteEDF, cut: int) -> None:
    path = write_edf("a.edf", waves(4, 1280), NAMES)
    content = bytearray(path.read_bytes())
    content[168:176], content[cut : cut + 8] = b"Sorgenfr", b"\xff" * 8  # the start date holds a part of the name
    path.write_bytes(content[:1200])
    with pytest.raises(RecordingError) as caught:
        open_recording(path)
    chain = [caught.value, caught.value.__cause__, None if caught.value.__suppress_context__ else caught.value.__context__]
    assert not [word for word in SECRET for error in chain if word in str(error).lower()]
    assert pickle.loads(pickle.dumps(caught.value)).reason == caught.value.reason


def test_microvolts_that_are_called_volts(write_edf: WriteEDF) -> None:
    signals = waves(2, 1280)
    path = write_edf("lie.edf", signals, ("C3", "C4"), unit="V")
    found = open_recording(path)
    assert "said to be volts" in found.note and found.uv_per_value == 1
    np.testing.assert_allclose(found.read(0, 50), signals[:, :50], atol=0.01)
    assert open_recording(path, unit="uV").note == "" and open_recording(path, unit="V").uv_per_value == 1e6


def test_an_implausible_unit_is_refused_until_it_is_confirmed(write_edf: WriteEDF) -> None:
    path = write_edf("small.edf", waves(2, 1280) * 1e-4, ("C3", "C4"))
    with pytest.raises(RecordingError, match=r"deviate by 0\.00\d+ uV, EEG by 0\.1 to 1000: if the file is right, say unit='V'"):
        open_recording(path)
    assert open_recording(path, unit="V").uv_per_value == 1e6
    with pytest.raises(RecordingError, match="every channel is flat"):
        open_recording(write_edf("flat.edf", np.zeros((2, 1280)), ("C3", "C4")))
    with pytest.raises(ValueError, match="unknown unit 'nV'"):
        open_recording(path, unit="nV")  # type: ignore[arg-type]


def test_flat_channels_are_named_whatever_the_unit(write_edf: WriteEDF) -> None:
    signals = waves(3, 1280)
    signals[1] = 0
    path = write_edf("a.edf", signals, ("C3", "F3", "C4"))
    for unit in ("auto", "V"):
        found = open_recording(path, unit=unit)  # type: ignore[arg-type]
        assert found.flat == ("F3",) and found.note == "flat wherever it was looked at: F3"
    with pytest.raises(RecordingError, match="every channel is flat"):
        open_recording(write_edf("none.edf", np.zeros((2, 1280)), ("C3", "C4")), unit="V")


@pytest.mark.parametrize("suffix", ["edf", "bdf"])
def test_a_file_that_was_cut_off_says_how_much_is_there(tmp_path: Path, suffix: str) -> None:
    make, signal = (edfio.Edf, edfio.EdfSignal) if suffix == "edf" else (edfio.Bdf, edfio.BdfSignal)
    signals = [
        signal(row, 128.0, label=label, physical_dimension="uV", physical_range=(-200, 200))
        for row, label in zip(waves(2, 1280), ("C3", "C4"), strict=True)
    ]
    path = tmp_path / f"a.{suffix}"
    make(signals).write(path)
    assert open_recording(path).note == ""
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    found = open_recording(path)
    assert found.samples == 4 * 128 and found.note == "it was cut off: only 4 s of 10 s are there"
    path.write_bytes(content[:800])  # the header, and not one whole record
    with pytest.raises(RecordingError):
        open_recording(path)


def test_electrodes_are_told_from_the_rest(write_edf: WriteEDF) -> None:
    named = open_recording(write_edf("a.edf", waves(4, 640), ("EEG C3-REF", "EEG C4-REF", "EKG", "IBI")))
    assert named.names == ("C3", "C4")
    unnamed = open_recording(write_edf("b.edf", waves(3, 640), ("Channel 1", "Channel 2", "Channel 3")))
    assert unnamed.names == ("Channel 1", "Channel 2", "Channel 3") and unnamed.positions is None


def test_files_that_are_none(tmp_path: Path) -> None:
    (tmp_path / "empty.edf").touch()
    (tmp_path / "a.txt").write_text("x")
    for name, reason in (("gone.edf", "no such file"), ("empty.edf", "the file is empty"), ("a.txt", "no recording of EEG by its")):
        with pytest.raises(RecordingError, match=reason):
            open_recording(tmp_path / name)


def test_fif_and_raw_objects(tmp_path: Path) -> None:
    signals = waves(3, 2000)
    raw = raw_from_array(signals, ["T3", "Cz", "odd"], 100.0)
    raw.info["subject_info"] = {"last_name": "Sorgenfrei"}
    raw.info["bads"] = ["Cz"]
    found = open_recording(raw)
    assert found.names == ("T7",) and raw.info["subject_info"]["last_name"] == "Sorgenfrei"  # the user's object is left alone
    raw.info["bads"] = []
    raw.save(tmp_path / "x_raw.fif", verbose="ERROR")
    saved = open_recording(tmp_path / "x_raw.fif")
    assert saved.names == ("T7", "Cz") and "Sorgenfrei" not in str(vars(saved._raw))
    np.testing.assert_allclose(saved.read(10, 20), signals[:2, 10:20], atol=1e-3)


def test_trigger_channels_are_events() -> None:
    info = mne.create_info(["Cz", "Pz", "STI"], 100.0, ["eeg", "eeg", "stim"])
    values = np.concatenate((waves(2, 500) * 1e-6, np.zeros((1, 500))))
    values[2, [100, 300]] = 7, 9
    onsets, words = open_recording(mne.io.RawArray(values, info, verbose="ERROR")).events()
    assert onsets.tolist() == [100, 300] and words == ("7", "9")


def test_annotations_that_are_no_utf8(write_edf: WriteEDF) -> None:
    path = write_edf("a.edf", waves(2, 1280), ("C3", "C4"), annotations=[(1.0, "xx left"), (2.0, "right")])
    path.write_bytes(path.read_bytes().replace(b"xx left", b"\xe4\xf6 left"))
    assert open_recording(path).events()[1] == ("äö left", "right")


def test_nan_is_not_passed_on() -> None:
    values = waves(2, 500)
    raw = raw_from_array(values, ["Cz", "Pz"], 100.0)
    raw._data[0, 250] = np.nan
    with pytest.raises(RecordingError, match="holds NaN or infinite values"):
        open_recording(raw, unit="V").read(200, 300)


def test_arrays_say_their_unit_by_their_deviation() -> None:
    values = waves(2, 500)
    assert array_scale(values) == 1 and array_scale(values * 1e-6) == 1e6 and array_scale(values, "V") == 1e6
    with pytest.raises(ValueError, match="say unit='uV', 'mV' or 'V'"):
        array_scale(values * 1e3)
