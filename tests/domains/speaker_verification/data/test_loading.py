"""Train and test never share a speaker; labels are speakers, each set's own."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from antiphon.domains.speaker_verification import load, read
from antiphon.domains.speaker_verification.encoders import FastResNet34Encoder

RATE = 8000


def people(folder: Path, names: str, clips: int = 3) -> Path:
    for person in names:
        for clip in range(clips):
            path = folder / person / f"{clip}.wav"
            path.parent.mkdir(parents=True, exist_ok=True)
            noise = np.random.default_rng([ord(person), clip]).normal(0, 0.1, RATE // 2)
            silence = np.zeros(RATE // 4)
            soundfile.write(path, np.concatenate((silence, noise, silence)).astype(np.float32), RATE)
    return folder


def test_whole_speakers_are_held_out(tmp_path: Path) -> None:
    train, test = load(people(tmp_path / "p", "abcdefghij"), test_share=0.3, duration_s=0.5)
    assert test is not None and train.sample_rate == 16_000
    assert not set(train.manifest.column("speaker")) & set(test.manifest.column("speaker"))
    assert len(train.classes) == 7 and len(test.classes) == 3 and not set(train.classes) & set(test.classes)
    assert train.labels is not None and sorted(set(train.labels.tolist())) == list(range(7))
    assert [train.classes[code] for code in train.labels.tolist()] == train.manifest.column("speaker")


def test_a_single_speaker_makes_no_trials_and_that_is_said_before_training(tmp_path: Path) -> None:
    folder = people(tmp_path / "p", "abcd")
    with pytest.raises(ValueError, match=r"the single speaker [abcd] is held out .*data\.test_share=0\.5"):
        load(folder, test_share=0.2, duration_s=0.5)
    assert load(folder, test_share=0, duration_s=0.5)[1] is None
    test = load(folder, test_share=0.5, duration_s=0.5)[1]
    assert test is not None and len(test.classes) == 2


def test_several_packages_and_a_voice_in_two_of_them(tmp_path: Path) -> None:
    roots = [people(tmp_path / "one", "ab"), people(tmp_path / "two", "cd")]
    train, test = load(roots, [people(tmp_path / "three", "ef")], duration_s=0.5)
    assert test is not None and train.classes == ("a", "b", "c", "d") and test.classes == ("e", "f")
    with pytest.raises(ValueError, match=r"share 1 speaker\(s\): b; split by speaker"):
        load(roots, people(tmp_path / "four", "bg"), duration_s=0.5)


def test_silence_and_bandwidth_are_evened_out_and_remembered(tmp_path: Path) -> None:
    folder = people(tmp_path / "p", "abcd")
    train, _ = load(folder, test_share=0, duration_s=1.0, trim_db=30.0, bandwidth_hz=2000.0, shortest_s=0.3)
    lengths = train.batch(np.arange(len(train))).lengths
    assert bool(((lengths > 0.5 * 16_000) & (lengths < 0.65 * 16_000)).all())  # half a second, 50 ms kept on either side
    spectrum = np.abs(np.fft.rfft(train.recording(0)[0].numpy()))
    frequency = np.fft.rfftfreq(train.recording(0).shape[1], 1 / 16_000)
    assert spectrum[frequency > 2100].max() < 0.01 * spectrum[frequency < 1800].max()
    assert train.input_spec is not None
    encoder = FastResNet34Encoder(width=4)
    encoder.describe_input(train.input_spec)
    own = read(folder / "a" / "0.wav", input_spec=encoder.input_spec)
    assert own.recording(0).shape == train.recording(0).shape
    np.testing.assert_allclose(own.recording(0).numpy(), train.recording(0).numpy(), atol=1e-6)


def test_recordings_without_speakers_can_be_learnt_from(tmp_path: Path) -> None:
    people(tmp_path, "a")
    train, test = load(tmp_path / "a", test_share=0.34, duration_s=0.5)
    assert test is not None and train.labels is None and test.labels is None and len(train) == 2


def test_labelled_sets_are_about_any_classes(tmp_path: Path) -> None:
    train, test = load(people(tmp_path / "p", "ab", clips=6), labelled=True, test_share=0.5, duration_s=0.5)
    assert test is not None and train.classes == test.classes == ("a", "b")
    assert train.labels is not None and sorted(set(train.labels.tolist())) == [0, 1]
