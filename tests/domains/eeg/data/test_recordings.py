"""Windows and trials of recordings that stay on disk."""

import tracemalloc
from pathlib import Path
from typing import Any

import mne
import numpy as np
import pytest

from antiphon.common.data.loader import KeyedLoader
from antiphon.common.data.manifest import Manifest, Row
from antiphon.common.encoder import InputSpec
from antiphon.domains.eeg.data.preparation import Preparation
from antiphon.domains.eeg.data.reading import RecordingError, open_recording, raw_from_array
from antiphon.domains.eeg.data.recordings import RecordingSet
from antiphon.domains.eeg.data.splits import split_in_time
from tests.domains.eeg.data.conftest import WriteEDF, waves

TEN_TWENTY = (
    "Fp1",
    "Fp2",
    "F7",
    "F3",
    "Fz",
    "F4",
    "F8",
    "T7",
    "C3",
    "Cz",
    "C4",
    "T8",
    "P7",
    "P3",
    "Pz",
    "P4",
    "P8",
    "O1",
    "O2",
    "A1",
    "A2",
)


@pytest.fixture
def manifest(write_edf: WriteEDF) -> Manifest:
    """Three recordings of 20 s of two subjects, with texts and labels."""
    rows = [
        Row(
            str(write_edf(f"{n}.edf", waves(3, 2560, seed=n), ("EEG C3-REF", "EEG CZ-REF", "EEG C4-REF"))),
            labels=("odd" if n % 2 else "even",),
            text=f"report {n}, calm, awake",
            extra={"subject": f"s{n // 2}", **({"age": str(30 + n)} if n else {})},
        )
        for n in range(3)
    ]
    return Manifest(tuple(rows), "three")


def test_random_windows_are_keyed_and_lie_in_the_recording(manifest: Manifest) -> None:
    data = RecordingSet.from_manifest(manifest, window_s=2.0, seed=3)
    batch = data.batch([2, 0], epoch=1)
    assert batch.signals.shape == (2, 3, 256) and batch.labels["label"].tolist() == [0, 0] and data.classes == ("even", "odd")
    assert batch.context["subject"].tolist() == [1, 0] and batch.context["recording"].tolist() == [2, 0]
    assert batch.groups is not None and batch.groups.tolist() == [1, 0]
    assert batch.texts == ["report 2, calm, awake", "report 0, calm, awake"]
    np.testing.assert_array_equal(data.batch([0], epoch=1).signals[0], batch.signals[1])
    assert not np.array_equal(data.batch([0], epoch=2).signals[0], batch.signals[1])
    whole = open_recording(manifest[2].path).read().astype(np.float32)
    window = batch.signals[0].numpy()
    assert any(np.array_equal(whole[:, start : start + 256], window) for start in range(2560 - 255))


def test_all_windows_with_a_hop_in_a_span(manifest: Manifest) -> None:
    data = RecordingSet.from_manifest(manifest, window_s=3.0, hop_s=2.0, span_s=(4.0, 18.0), windows="all")
    assert len(data) == 3 * 6 and data.starts[:6].tolist() == [512, 768, 1024, 1280, 1536, 1792]
    assert data.rows.tolist() == np.repeat([0, 1, 2], 6).tolist()
    assert data.input_spec.preparation == {"window_s": 3.0, "hop_s": 2.0} and data.input_spec.names == ("C3", "Cz", "C4")
    random = RecordingSet.from_manifest(manifest, window_s=3.0, hop_s=2.0, span_s=(4.0, 18.0))
    windows, owners = random.fixed_windows()
    assert owners.tolist() == data.rows.tolist() and windows.starts.tolist() == data.starts.tolist()
    signals, labels, groups = random.in_memory().to_arrays()
    np.testing.assert_array_equal(signals[7], data.batch([7]).signals[0])
    assert labels is not None and groups is not None and labels.tolist() == [0] * 6 + [1] * 6 + [0] * 6
    columns = random.in_memory().columns
    assert set(columns) == {"recording", "subject", "age"} and columns["age"].tolist() == [""] * 6 + ["31"] * 6 + ["32"] * 6


def test_sub_strings_are_keyed(manifest: Manifest) -> None:
    data = RecordingSet.from_manifest(manifest, window_s=2.0, substrings=True)
    parts = {data.batch([1], epoch=epoch).texts[0] for epoch in range(40)}
    assert parts == {"report 1", "calm", "awake", "report 1, calm", "calm, awake", "report 1, calm, awake"}
    assert data.batch([0, 1], epoch=5).texts[1] == data.batch([1], epoch=5).texts[0]


def test_workers_read_what_one_process_reads(manifest: Manifest) -> None:
    data = RecordingSet.from_manifest(manifest, window_s=2.0)
    alone, helped = ([batch.signals for batch in KeyedLoader(data, batch_size=3, steps=2, workers=n)] for n in (0, 2))
    assert all(np.array_equal(a, b) for a, b in zip(alone, helped, strict=True))


def test_unusable_files_are_listed_and_left_out(manifest: Manifest, write_edf: WriteEDF, capfd: pytest.CaptureFixture[str]) -> None:
    short = write_edf("short.edf", waves(3, 256), ("C3", "Cz", "C4"))
    (short.parent / "broken.edf").write_bytes(b"0" * 300)
    extra = (Row(str(short), labels=("odd",), extra={"subject": "x"}), Row(str(short.parent / "broken.edf"), labels=("odd",)))
    data = RecordingSet.from_manifest(Manifest((*manifest.rows, *extra), "five"), window_s=5.0)
    assert len(data) == 3 and len(data.quarantine) == 2
    told = capfd.readouterr().err
    assert (
        "2 of 5 recordings left out" in told and "too short: 2 s, 5 s are due" in told and "broken.edf: mne cannot read it" in told
    )
    with pytest.raises(RecordingError, match=r"short\.edf: too short"):
        RecordingSet.from_manifest(Manifest(extra[:1], "one"), window_s=5.0)


def test_channels_that_differ(manifest: Manifest, write_edf: WriteEDF, capfd: pytest.CaptureFixture[str]) -> None:
    odd = write_edf("odd.edf", waves(6, 2560), ("Fz", "C4", "C3", "P3", "Pz", "P4"))
    both = Manifest((manifest[0], Row(str(odd))), "both")
    with pytest.raises(ValueError, match=r"not have the same channels \(Cz, Fz, P3, P4, Pz in .*channels=.*data\.on_mismatch"):
        RecordingSet.from_manifest(both, label=None)
    shared = RecordingSet.from_manifest(both, label=None, on_mismatch="subset")
    assert shared.input_spec.names == ("C3", "C4")
    capfd.readouterr()
    wanted = RecordingSet.from_manifest(manifest, label=None).input_spec
    left_out = RecordingSet.from_manifest(both, label=None, wanted=wanted)
    assert len(left_out) == 1 and "1 of 3 channels are missing: Cz; it has Fz, C4" in capfd.readouterr().err
    filled = RecordingSet.from_manifest(both, label=None, wanted=wanted, on_mismatch="interpolate")
    assert "odd.edf: Cz interpolated" in capfd.readouterr().err
    middle = filled.batch([1]).signals[0, 1]
    assert middle.abs().sum() > 0 and filled.input_spec.names == ("C3", "Cz", "C4")
    empty = RecordingSet.from_manifest(
        both, label=None, wanted=wanted, on_mismatch="subset", preparation=Preparation(reference="average")
    )
    assert "odd.edf: without Cz" in capfd.readouterr().err
    signals = empty.batch([1]).signals[0]
    assert not signals[1].any() and float((signals[0] + signals[2]).abs().max()) < 1e-4  # the reference is that of the two


def test_rates_are_brought_to_one(manifest: Manifest, write_edf: WriteEDF) -> None:
    other = write_edf("fast.edf", waves(3, 5120, 256.0), ("C3", "Cz", "C4"), rate=256)
    both = Manifest((manifest[0], Row(str(other))), "both")
    with pytest.raises(ValueError, match="recordings at 128, 256 Hz: give a sample_rate"):
        RecordingSet.from_manifest(both, label=None)
    data = RecordingSet.from_manifest(both, label=None, preparation=Preparation(sample_rate=100), window_s=5.0)
    assert data.batch([0, 1]).signals.shape == (2, 3, 500) and data.input_spec.sample_rate == 100


def test_a_few_odd_recordings_do_not_stop_the_others(
    manifest: Manifest, write_edf: WriteEDF, capfd: pytest.CaptureFixture[str]
) -> None:
    bipolar = Row(str(write_edf("bipolar.edf", waves(4, 2560), ("C3-Cz", "Cz-C4", "F3-C3", "F4-C4"))))
    more = Row(str(write_edf("more.edf", waves(4, 2560), ("C4", "Cz", "C3", "Pz"))))
    mixed = Manifest((bipolar, *manifest, more), "mixed")
    data = RecordingSet.from_manifest(mixed, label=None)
    told = capfd.readouterr().err
    assert data.input_spec.names == ("C3", "Cz", "C4") and len(data) == 4
    assert "1 of 5 recordings left out" in told and "bipolar.edf: 3 of 3 channels are missing" in told
    assert "channels that only some recordings have are not read: Pz" in told
    data = RecordingSet.from_manifest(mixed, label=None, on_mismatch="interpolate")  # not those of the bipolar one
    assert data.input_spec.names == ("C4", "Cz", "C3", "Pz")
    with pytest.raises(ValueError, match=r"bipolar\.edf and the others have no channel in common .*data\.channels"):
        RecordingSet.from_manifest(mixed, label=None, on_mismatch="subset")


def test_the_most_frequent_reason_comes_first(manifest: Manifest) -> None:
    broken = Path(manifest[0].path).with_name("broken.edf")
    broken.write_bytes(b"0" * 300)
    wanted = InputSpec(channels=4, names=("C3", "Cz", "C4", "Fpz"))
    with pytest.raises(ValueError, match=r"none of 4 .*: 3 such as \S+0\.edf \(1 of 4 .* missing: Fpz.*; \S+broken\.edf"):
        RecordingSet.from_manifest(Manifest((Row(str(broken)), *manifest), "four"), label=None, wanted=wanted)


def test_wrong_words_are_no_faults_of_the_files(manifest: Manifest) -> None:
    with pytest.raises(ValueError, match="unknown on_mismatch 'interpolatee': use one of strict, subset, interpolate"):
        RecordingSet.from_manifest(manifest, on_mismatch="interpolatee")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="unknown windows 'every': use one of random, all"):
        RecordingSet.from_manifest(manifest, windows="every")  # type: ignore[arg-type]


def test_channels_that_are_flat(write_edf: WriteEDF, capfd: pytest.CaptureFixture[str]) -> None:
    signals = waves(3, 2560)
    signals[1] = 0
    path = write_edf("a.edf", signals, ("C3", "Cz", "C4"))
    assert len(RecordingSet.from_manifest(path)) == 1
    assert "a.edf: flat wherever it was looked at: Cz" in capfd.readouterr().err
    with pytest.raises(RecordingError, match="its channels Cz are flat"):
        RecordingSet.from_manifest(path, wanted=InputSpec(channels=1, names=("Cz",)))


def test_what_an_encoder_wants_is_how_its_signals_are_prepared(manifest: Manifest) -> None:
    wanted = InputSpec(channels=2, names=("C4", "C3"), sample_rate=64.0, preparation={"divide_by": 2.0, "window_s": 2.0})
    raws = [mne.io.read_raw_edf(row.path, verbose="ERROR") for row in manifest]
    for data in (
        RecordingSet.from_manifest(manifest, wanted=wanted, window_s=2.0, windows="all"),
        RecordingSet.from_raws(raws, wanted=wanted, window_s=2.0, windows="all"),
    ):
        assert data.input_spec.sample_rate == 64 and data.input_spec.unit == "2 uV"
        own = RecordingSet.from_manifest(
            manifest, wanted=wanted, preparation=Preparation(divide_by=2.0, sample_rate=64.0), window_s=2.0, windows="all"
        )
        np.testing.assert_allclose(data.batch([4]).signals, own.batch([4]).signals, atol=0.05)
    with pytest.raises(ValueError, match="three: recordings at 128 Hz, 64 Hz are due: give sample_rate=64 in the preparation"):
        RecordingSet.from_manifest(manifest, wanted=wanted, preparation=Preparation())


def test_trials_follow_their_events(write_edf: WriteEDF, capfd: pytest.CaptureFixture[str]) -> None:
    marks = [(2.0, "L"), (5.0, "R"), (6.0, "other"), (8.0, "L"), (19.5, "R")]
    path = write_edf("a.edf", waves(2, 2560), ("C3", "C4"), annotations=marks)
    manifest = Manifest((Row(str(path)),), "one")
    data = RecordingSet.from_manifest(manifest, events={"L": "left", "R": "right"}, start_s=-0.5, window_s=2.0)
    assert data.starts.tolist() == [192, 576, 960] and data.labels is not None and data.labels.tolist() == [0, 1, 0]
    assert data.classes == ("left", "right")
    told = capfd.readouterr().err
    assert "1 of 4 trials left out" in told and "a.edf: the trial R at 19.500 s is not whole" in told
    np.testing.assert_allclose(data.batch([1]).signals[0], open_recording(path).read(576, 832), rtol=1e-6)
    assert data.input_spec.preparation["events"] == {"L": "left", "R": "right"}
    path = write_edf("codes.edf", waves(2, 2560), ("C3", "C4"), annotations=[(2.0, "769")])
    codes: Any = {769: 1}  # as a command line gives them
    assert RecordingSet.from_manifest(path, events=codes, window_s=2.0).classes == ("1",)
    with pytest.raises(ValueError, match=r"no whole trial after X in 1 recordings; they have L, R, other"):
        RecordingSet.from_manifest(manifest, events=["X"])
    train, test = split_in_time(data, 0.5)
    assert train.starts.tolist() == [192, 576] and test.starts.tolist() == [960]  # the first half of each class, rounded up


def test_time_is_split_for_windows(manifest: Manifest) -> None:
    data = RecordingSet.from_manifest(manifest, window_s=2.0)
    train, test = split_in_time(data, 0.3)
    assert all(one.last == two.first == 1792 for one, two in zip(train.sources, test.sources, strict=True))
    fixed = RecordingSet.from_manifest(manifest, window_s=2.0, hop_s=1.0, windows="all")
    early, late = split_in_time(fixed, 0.3)
    assert (early.starts + 256).max() <= 1792 <= late.starts.min() and len(early) + len(late) < len(fixed)
    with pytest.raises(ValueError, match="not both as long as a window"):
        split_in_time(data, 0.05)


def test_robust_scaling_per_recording_and_the_clamp() -> None:
    signals = np.stack([waves(2, 4000, 100.0, seed=n) * (1 + 9 * n) + 500 * n for n in range(2)])
    signals[0, 0, 2000] = 1e5
    raws = [raw_from_array(one, ["C3", "C4"], 100.0, unit="uV") for one in signals]
    steps = Preparation(robust=True, clamp=20.0, baseline_s=0.5)
    data = RecordingSet.from_raws(raws, window_s=40.0, windows="all", preparation=steps, columns={"label": ["a", "b"]})
    made = data.batch([0, 1]).signals
    assert made.max() == 20 and data.input_spec.unit == "deviations" and data.classes == ("a", "b")
    spread = np.subtract(*np.quantile(made.numpy(), (0.75, 0.25), axis=-1))
    np.testing.assert_allclose(spread, 1, atol=0.15)
    np.testing.assert_allclose(np.median(made, axis=-1), 0, atol=0.5)  # the offset of 500 uV went with the baseline, and once only


def test_twenty_minutes_of_21_channels_do_not_fill_the_memory(write_edf: WriteEDF) -> None:
    size = 20 * 60 * 128
    path = write_edf("long.edf", np.random.default_rng(0).normal(0, 20, (21, size)), TEN_TWENTY)
    assert path.stat().st_size > 6e6
    steps = Preparation(clip_uv=800, reference="average", divide_by=30, sample_rate=100)
    manifest = Manifest((Row(str(path)),), "long")
    RecordingSet.from_manifest(manifest, preparation=steps, window_s=12.0).batch([0])  # imports are not the recording's
    tracemalloc.start()
    data = RecordingSet.from_manifest(manifest, preparation=steps, window_s=12.0)
    windows, _ = data.fixed_windows()
    total = sum(float(windows.batch([number]).signals.abs().sum()) for number in range(0, len(windows), 5))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(windows) == 100 and total > 0
    assert peak < 3e6, f"{peak / 1e6:.1f} MB"  # the recording as mne would hold it has 26 MB


def test_texts_of_a_folder_come_from_its_manifest(write_edf: WriteEDF, tmp_path: Path) -> None:
    path = write_edf("a.edf", waves(2, 2560), ("C3", "C4"))
    Manifest((Row(str(path), text="calm", extra={"subject": "x"}),), "m").write(tmp_path / "m.csv")
    assert RecordingSet.from_manifest(tmp_path / "m.csv").batch([0]).texts == ["calm"]
