from dataclasses import replace

import numpy as np
import pytest

from antiphon.domains.eeg.brain_speech import (
    Cut,
    Heard,
    Listening,
    SpeechSegments,
    cut_parts,
    listening_from_arrays,
    listening_from_trials,
)
from antiphon.domains.eeg.brain_speech.listening import StoredBrain
from antiphon.domains.eeg.brain_speech.segments import check_no_shared_sound

RATE, NAMES = 50.0, ["Fz", "C3", "Cz", "C4"]


def arrays(*, jump_uv: float = 0.0) -> Listening:
    """Two sounds of 30 s and three recordings; electrodes follow the first feature 160 ms later, with an offset of their own."""
    random = np.random.default_rng(0)
    sounds = [random.normal(size=(1500, 3)).astype(np.float32) for _ in range(2)]
    recordings, heard = [], []
    for number, sound in enumerate((0, 1, 0)):
        brain = 100.0 * np.arange(4)[:, None] + 0.1 * random.normal(size=(4, 2000))
        onset = 100 + 50 * number
        brain[:, onset + 8 : onset + 8 + 1500] += 5.0 * sounds[sound][:, 0]
        brain[1, 700:710] += jump_uv
        recordings.append(brain)
        heard.append(Heard(number, sound, onset / RATE, 30.0, np.arange(0.5, 29.0, 0.7) + 0.004 * number))
    return listening_from_arrays(recordings, ["b", "b", "a"], sounds, heard, sample_rate=RATE, names=NAMES)


CUT = Cut(segment_s=2.0, before_s=0.5, delay_s=0.16)


def parts(**options: object) -> tuple[SpeechSegments, SpeechSegments]:
    return cut_parts(arrays(), cut=CUT, **{"block_s": 5.0, **options})  # type: ignore[arg-type]


def test_what_a_batch_holds() -> None:
    train, _ = parts()
    batch = train.batch(np.asarray([0, 5, len(train) - 1]))
    assert batch.signals.shape == (3, 4, 92) and batch.labels["speech"].shape == (3, 92, 3)
    assert train.subject_names == ("a", "b") and train.subjects == 2 and train.features == 3
    assert batch.context["subject"].tolist() == [1, 1, 0] == train.groups[[0, 5, -1]].tolist()
    assert train.input_spec.preparation["delay_s"] == 0.16 and len(train.input_spec.positions or ()) == 4


@pytest.mark.parametrize("which", [0, 1])
def test_brain_and_speech_lie_side_by_side(which: int) -> None:
    """The response to a frame of speech stands in the very same frame of the signals."""
    data = parts()[which]
    batch = data.batch(np.arange(len(data)))
    speech = batch.labels["speech"][:, :, 0].numpy()
    brain = batch.signals[:, 2].numpy()
    offset = [np.corrcoef(np.roll(brain, shift, axis=1).ravel(), speech.ravel())[0, 1] for shift in range(-3, 4)]
    assert np.argmax(offset) == 3 and offset[3] > 0.95


def test_the_mean_before_the_onset_is_taken_off() -> None:
    """However large the offset of an electrode is; what is left is the median of such segments."""
    data = cut_parts(arrays(), cut=replace(CUT, delay_s=0.0), block_s=5.0)[0]
    rows = np.flatnonzero(data.recording == 0)
    middle, spread = data.scales[0]
    before = data.brain(rows)[..., :25].mean(axis=-1)
    np.testing.assert_allclose(before, np.broadcast_to(-middle / spread, before.shape), atol=1e-4)
    assert np.abs(before).max() < 0.5


def test_each_recording_is_scaled_by_itself() -> None:
    listening = arrays()
    values = [brain.read(0, brain.samples) for brain in listening.brains]
    larger = replace(listening, brains=(listening.brains[0], StoredBrain(50 * values[1]), listening.brains[2]))
    same, other = (cut_parts(one, cut=CUT, block_s=5.0)[0] for one in (listening, larger))
    np.testing.assert_allclose(same.brain(np.arange(len(same))), other.brain(np.arange(len(same))), atol=1e-4)
    spread = np.subtract(*np.quantile(same.brain(np.arange(len(same))), (0.75, 0.25), axis=(0, 2)))
    np.testing.assert_allclose(spread, 1.0, atol=0.1)


def test_scaled_and_clamped() -> None:
    for clamp in (20.0, None):
        train, test = cut_parts(arrays(jump_uv=1e5), cut=replace(CUT, clamp=clamp), block_s=5.0, at="grid")
        largest = max(float(part.batch(np.arange(len(part))).signals[:, :3].abs().max()) for part in (train, test))
        assert largest == 20.0 if clamp else largest > 1000


def test_no_sound_is_in_both_parts_whoever_heard_it() -> None:
    for seed in range(3):
        for at in ("words", "grid"):
            train, test = parts(seed=seed, at=at)
            frames = train.size - train.shift
            pieces = [
                {(s, f + k) for s, f in zip(x.sound, x.speech_start, strict=True) for k in range(frames)} for x in (train, test)
            ]
            assert not pieces[0] & pieces[1]
            assert set(train.recording) == {0, 1, 2} and set(test.recording) <= {0, 1, 2}


def test_a_leak_is_refused() -> None:
    train, _ = parts()
    with pytest.raises(ValueError, match=r"share sound \d at .* s: cut both from the same blocks"):
        check_no_shared_sound(train, parts(seed=1)[1])


def test_valid_and_test_are_different_parts() -> None:
    valid, test = parts(part="valid", at="grid")[1], parts(at="grid")[1]
    check_no_shared_sound(valid, test)


def test_one_piece_of_sound_is_one_candidate() -> None:
    """Recordings 0 and 2 heard sound 0 on clocks that are 8 ms apart."""
    _, test = parts(seed=2)
    rows = [np.flatnonzero(test.segment == test.segment[row]) for row in test.candidates()]
    shared = [row for row in rows if len(row) > 1]
    assert shared and len(test.candidates()) == len(set(test.segment.tolist())) < len(test)
    for row in shared:
        assert len(set(test.speech_start[row].tolist())) == 1 and sorted(test.recording[row].tolist()) == [0, 2]
        np.testing.assert_array_equal(test.speech(row)[0], test.speech(row)[1])


def test_features_are_standardised_by_the_training_part_alone() -> None:
    listening = arrays()
    train, test = cut_parts(listening, cut=CUT, block_s=5.0)
    assert abs(float(train.speech(np.arange(len(train))).mean())) < 0.05
    assert float(train.speech(np.arange(len(train))).std()) == pytest.approx(1.0, abs=0.05)
    assert (test.speech_mean, test.speech_std) == (train.speech_mean, train.speech_std)
    loud = replace(listening, sounds=tuple(one.copy() for one in listening.sounds))
    for sound, start in zip(test.sound, test.speech_start, strict=True):
        loud.sounds[sound][start : start + 92] += 1000
    again, _ = cut_parts(loud, cut=CUT, block_s=5.0)
    assert (again.speech_mean, again.speech_std) == (train.speech_mean, train.speech_std)


def test_trials_as_they_are() -> None:
    random = np.random.default_rng(0)
    brain, speech = random.normal(size=(40, 4, 100)), random.normal(size=(20, 3, 100))
    subject, segment = np.repeat(["x", "y"], 20), np.tile(np.arange(20), 2)
    listening = listening_from_trials(brain, subject, speech, segment, sample_rate=RATE, names=NAMES)
    train, test = cut_parts(listening, cut=Cut(segment_s=2.0), at="grid")
    assert (len(train), len(test), len(test.candidates())) == (28, 8, 4)
    batch = train.batch(np.arange(28))
    for row in range(28):
        frames = train.speech_mean + train.speech_std * batch.labels["speech"][row].numpy()
        heard = train.sound[row]
        np.testing.assert_allclose(frames, speech[heard].T[:92], atol=1e-4)  # 8 samples are 150 ms
        own = brain[(subject == train.subject_names[batch.groups[row]]) & (segment == heard)][0]
        np.testing.assert_allclose(np.corrcoef(batch.signals[row, 0], own[0, 8:])[0, 1], 1.0, atol=1e-5)
    with pytest.raises(ValueError, match="must agree in T"):
        listening_from_trials(brain, subject, speech[..., :50], segment, sample_rate=RATE)
    with pytest.raises(ValueError, match=r"must be \(40,\)"):
        listening_from_trials(brain, subject[:3], speech, segment, sample_rate=RATE)


def test_arrays_that_do_not_fit() -> None:
    good = {"recordings": [np.ones((4, 100))], "subjects": ["a"], "sounds": [np.ones((50, 2))], "heard": [], "sample_rate": RATE}
    for wrong, message in (
        ({"recordings": [np.ones((4, 100)), np.ones((3, 100))], "subjects": ["a", "a"]}, "the same channels"),
        ({"subjects": []}, "1 recordings have 0 subjects"),
        ({"sounds": [np.ones(50)]}, r"sounds must be \(frames, features\)"),
        ({"names": ["Cz"]}, "4 channels, 1 are named"),
        ({"heard": [Heard(0, 3, 0.0, 1.0, np.empty(0))]}, "names none of 1 recordings and 1 sounds"),
    ):
        with pytest.raises(ValueError, match=message):
            listening_from_arrays(**{**good, **wrong})
    silent = listening_from_arrays(**{**good, "heard": [Heard(0, 0, 0.0, 1.0, np.empty(0))], "sounds": [np.ones((50, 2))]})
    with pytest.raises(ValueError, match="features of the training sounds do not vary"):
        cut_parts(silent, cut=Cut(segment_s=0.2, before_s=0.1, delay_s=0.0), block_s=0.3, at="grid")
