"""The layout of TUH Abnormal, its reports as text, and its preparation against the recipe step by step."""

from pathlib import Path

import numpy as np
import pytest

from antiphon.domains.eeg.data import tuh
from antiphon.domains.eeg.data.loading import load
from antiphon.domains.eeg.data.reading import open_recording
from tests.domains.eeg.data.conftest import WriteEDF, waves

REPORT = """CLINICAL HISTORY:  A 45 year old woman with
spells.
MEDICATIONS: Keppra, Aspirin
IMPRESSION:   Normal EEG.
Heart Rate: 72
NOTE:
"""


@pytest.fixture
def corpus(write_edf: WriteEDF, tmp_path: Path) -> Path:
    names = [f"EEG {name.upper()}-REF" for name in (*tuh.CHANNELS, "EKG1")]
    places = {
        "train/normal/01_tcp_ar/aaaaaaab_s001_t000.edf": ["Age:45"],
        "train/abnormal/01_tcp_ar/aaaaaaac_s002_t001.edf": ["Age:71"],
        "eval/normal/01_tcp_ar/007/00000768/s003_2012_04_06/00000768_s003_2012_04_06_t000.edf": [],
    }
    for number, (place, facts) in enumerate(places.items()):
        write_edf(f"edf/{place}", waves(22, 64 * 200, 64.0, seed=number) * 3, names, rate=64, additional=facts)
    (tmp_path / "edf/train/normal/01_tcp_ar/aaaaaaab_s001.txt").write_text(REPORT)
    return tmp_path


def test_the_layout_and_its_labels(corpus: Path) -> None:
    found = tuh.tuh_abnormal(corpus)
    assert sorted(found.column("label")) == ["abnormal", "normal", "normal"]
    by_subject = {row.extra["subject"]: row for row in found}
    well, ill, old = by_subject["aaaaaaab"], by_subject["aaaaaaac"], by_subject["00000768"]
    assert (well.split, ill.split, old.split) == ("train", "train", "test") and old.extra["session"] == "s003"
    assert well.extra["age"] == "45" and well.extra["under_50"] == "True" and ill.extra["under_50"] == "False"
    assert well.extra["medication"] == "True" and "medication" not in ill.extra and ill.extra["pathological"] == "True"
    assert not any("Sorgenfrei" in str(row) for row in found)


def test_sections_in_the_published_order_and_labels_only_if_asked_for(corpus: Path) -> None:
    text = next(row.text for row in tuh.tuh_abnormal(corpus) if row.text)
    story = "CLINICAL HISTORY: A 45 year old woman with spells., MEDICATIONS: Keppra, Aspirin"
    assert text == f"IMPRESSION: Normal EEG., {story}, HEART RATE: 72, "
    rows = tuh.tuh_abnormal(corpus, labels_in_text=True, sections=["MEDICATIONS"])
    told = next(row.text for row in rows if row.extra["subject"] == "aaaaaaab")
    assert told == "age: 45, pathological: False, MEDICATIONS: Keppra, Aspirin, "
    assert len(tuh.FACTS) + len(tuh.SECTIONS) == 19
    with pytest.raises(ValueError, match="no section of the reports is called HISTORY"):
        tuh.tuh_abnormal(corpus, sections=["HISTORY"])


def test_reports_from_a_table(corpus: Path) -> None:
    table = corpus / "reports.csv"
    table.write_text(
        'SUBJECT,SESSION,IMPRESSION,NOTE\n00000768,s003_2012_04_06,"Abnormal, on depakote",\n'
        "00000768,s001_2011_01_01,Old,\naaaaaaac,,Slow,\n"
    )
    found = {row.extra["subject"]: row for row in tuh.tuh_abnormal(corpus, reports=table)}
    assert found["00000768"].text == "IMPRESSION: Abnormal, on depakote, " and found["00000768"].extra["medication"] == "True"
    assert found["aaaaaaac"].text == "IMPRESSION: Slow, " and found["aaaaaaab"].text is None
    (corpus / "bad.csv").write_text("A,B\n1,2\n")
    with pytest.raises(ValueError, match="needs the columns SUBJECT"):
        tuh.tuh_abnormal(corpus, reports=corpus / "bad.csv")


def test_gender_from_the_header(tmp_path: Path) -> None:
    for line, expected in (("00000768 F 01-JAN-1970 00000768 Age:42", {"age": "42", "gender": "F"}), ("X X X X", {})):
        (tmp_path / "a.edf").write_bytes(b"0       " + line.encode().ljust(80) + b" " * 200)
        assert tuh.header_facts(tmp_path / "a.edf") == expected


def test_the_recipe_step_by_step(corpus: Path) -> None:
    train, test = load(
        corpus,
        layout="tuh_abnormal",
        channels=tuh.CHANNELS,
        preparation=tuh.PREPARATION,
        window_s=tuh.WINDOW_S,
        hop_s=tuh.HOP_S,
        span_s=tuh.SPAN_S,
        windows="all",
    )
    assert (len(train), len(test)) == (2 * 21, 21) and train.batch([0]).signals.shape == (1, 21, 1200)
    assert np.diff(train.starts[:21]).tolist() == [519] * 20 and train.starts[0] == 6000
    assert train.input_spec.unit == "30 uV" and train.input_spec.names[-4:] == ("T7", "T8", "P7", "P8")
    recording = open_recording(train.manifest[0].path)
    order = np.asarray([recording.names.index(name) for name in train.input_spec.names])
    values = recording.read(picks=order)[:, : 180 * 64].clip(-800, 800)
    values = (values - values.mean(axis=0)) / 30
    spectrum = np.fft.rfft(values, axis=1)  # band-limited to 32 Hz already, so resampling to 100 Hz only adds samples
    exact = np.fft.irfft(spectrum, n=18_000, axis=1) * (18_000 / values.shape[1])
    found = train.batch([3]).signals[0].numpy()
    begin = 6000 + 3 * 519
    slow = np.fft.rfftfreq(1200, 1 / 100) < 25
    difference = np.fft.rfft(found - exact[:, begin : begin + 1200], axis=1)[:, slow]
    assert np.abs(difference).max() < 0.02 * np.abs(np.fft.rfft(found, axis=1)[:, slow]).max()
