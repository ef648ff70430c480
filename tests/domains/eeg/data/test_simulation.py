"""Simulated EEG has the causes that it says it has, and the same seed gives the same numbers."""

from pathlib import Path

import numpy as np
import pytest
from scipy.signal import welch
from sklearn.metrics import roc_auc_score

from antiphon.domains.eeg.data.loading import load
from antiphon.domains.eeg.data.simulation import (
    ATTRIBUTES,
    PHRASES,
    PROMPTS,
    load_simulated,
    simulate_motor_imagery,
    simulate_recordings,
    simulate_speech,
)
from antiphon.domains.eeg.data.simulation.heads import coloured_noise, rhythm

LONG = {"duration_s": 20.0, "sample_rate": 100.0}


def power(signals: np.ndarray, rate: float, low_hz: float, high_hz: float) -> np.ndarray:
    """Log power (n, C) in a band."""
    frequencies, density = welch(signals, rate, nperseg=int(rate))
    return np.log(density[..., (frequencies >= low_hz) & (frequencies <= high_hz)].mean(axis=-1))


def test_attributes_are_in_the_signals_and_in_the_reports() -> None:
    study = simulate_recordings(30, 2, **LONG, seed=1)
    spots = [list(study.names).index(name) for name in ("O1", "O2", "Cz", "F3", "F4", "C3", "P3", "C4", "P4")]
    alpha = power(study.signals, 100, 8, 12)[:, spots[:2]].mean(axis=1)
    slow = power(study.signals, 100, 2, 7)[:, [spots[2], spots[5], spots[7]]].mean(axis=1)
    fast = power(study.signals, 100, 16, 28)[:, spots[3:5]].mean(axis=1)
    for name, value, found in (("alpha", "strong", alpha), ("slowing", "yes", slow), ("beta", "much", fast)):
        assert roc_auc_score(np.asarray(study.attributes[name]) == value, found) > 0.9
    whole = power(study.signals, 100, 1, 40)
    left_quiet = whole[:, spots[7:]].mean(axis=1) - whole[:, spots[5:7]].mean(axis=1)
    side = np.asarray(study.attributes["side"])
    assert left_quiet[side == "left"].min() > left_quiet[side == "both"].mean() > left_quiet[side == "right"].max()
    for number, text in enumerate(study.reports):
        assert all(any(phrase in text for phrase in PHRASES[name][study.attributes[name][number]]) for name in ATTRIBUTES)


def test_prompts_are_in_no_report() -> None:
    phrases = [phrase for values in PHRASES.values() for many in values.values() for phrase in many]
    prompts = [prompt for values in PROMPTS.values() for many in values.values() for prompt in many]
    assert not [prompt for prompt in prompts if any(prompt in phrase or phrase in prompt for phrase in phrases)]
    assert {name: set(values) for name, values in PROMPTS.items()} == {name: set(values) for name, values in ATTRIBUTES.items()}


def test_the_same_seed_gives_the_same_numbers_whatever_else_is_made() -> None:
    few, many = simulate_recordings(2, 1, **LONG, seed=3), simulate_recordings(3, 2, **LONG, seed=3)
    np.testing.assert_array_equal(few.signals[1], many.signals[2])
    assert few.reports[1] == many.reports[2]
    assert not np.array_equal(simulate_recordings(1, 1, **LONG, seed=4).signals[0], few.signals[0])


def test_pops_and_blinks() -> None:
    clean = simulate_recordings(1, 1, **LONG, artefacts=False)
    assert np.abs(simulate_recordings(1, 1, **LONG, pops=2).signals).max() > 3000 > np.abs(clean.signals).max()
    front = list(clean.names).index("Fp1")
    assert np.abs(simulate_recordings(1, 1, **LONG).signals[0, front]).max() > 1.3 * np.abs(clean.signals[0, front]).max()


@pytest.mark.parametrize("kind", ["edf", "fif"])
def test_files_are_what_was_simulated(tmp_path: Path, kind: str) -> None:
    study = simulate_recordings(2, 1, duration_s=10.0)
    study.write(tmp_path / "study", format=kind)
    train, test = load(tmp_path / "study" / "manifest.csv", label="beta", window_s=10.0, windows="all", test_share=0.5)
    made = np.concatenate([train.batch([0]).signals, test.batch([0]).signals])
    texts = [train.batch([0]).texts[0], test.batch([0]).texts[0]]
    order = [study.reports.index(text) for text in texts]
    np.testing.assert_allclose(made, study.signals[order], atol=0.05)
    with pytest.raises(ValueError, match="unknown format 'set'"):
        study.write(tmp_path, format="set")  # type: ignore[arg-type]


def test_the_sets_of_a_recipe() -> None:
    train, test = load_simulated(6, 2, duration_s=10.0, window_s=4.0, test_share=0.3)
    assert (len(train), len(test)) == (8, 4) and train.classes == test.classes == ("no", "yes")
    assert not set(train.manifest.column("subject")) & set(test.manifest.column("subject"))
    batch = train.batch([0, 1])
    assert batch.signals.shape == (2, 19, 400) and batch.texts and train.input_spec.unit == "uV"


def test_imagined_hands_quieten_the_other_side() -> None:
    data = simulate_motor_imagery(2, 60, mixing=0.1)
    assert data.signals.shape == (120, 22, 384) and data.labels is not None and data.labels.tolist().count(0) == 60
    names = list(data.input_spec.names or ())
    mu = power(data.signals, 128, 8, 13)
    left_louder = mu[:, names.index("C3")] - mu[:, names.index("C4")]
    assert roc_auc_score(data.labels == 0, left_louder) > 0.9
    none = simulate_motor_imagery(2, 60, desynchronisation=0.0)
    mu = power(none.signals, 128, 8, 13)
    assert 0.3 < roc_auc_score(none.labels == 0, mu[:, names.index("C3")] - mu[:, names.index("C4")]) < 0.7


def test_speech_is_in_the_brain_later_and_in_each_head_otherwise() -> None:
    data = simulate_speech(2, 40, noise=0.3, delay_s=0.125)
    assert data.brain.shape == (80, 19, 192) and data.speech.shape == (40, 16, 192)
    heard = data.speech[data.segment]

    def fit(rows: np.ndarray, lag: int) -> np.ndarray:
        past = heard[rows][..., : 192 - lag].transpose(0, 2, 1).reshape(-1, 16)
        now = data.brain[rows][..., lag:].transpose(0, 2, 1).reshape(-1, 19)
        weights = np.linalg.lstsq(past, now, rcond=None)[0]
        return weights, 1 - ((now - past @ weights) ** 2).sum() / ((now - now.mean(axis=0)) ** 2).sum()

    first, second = data.subject == 0, data.subject == 1
    weights, explained = fit(first, 8)
    assert explained > 0.8 > 0.5 > fit(first, 0)[1]
    other = fit(second, 8)[0]
    assert abs(np.corrcoef(weights.ravel(), other.ravel())[0, 1]) < 0.5
    assert np.abs(simulate_speech(1, 20, pops=0.5).brain).max() > 10_000


def test_noise_and_rhythms() -> None:
    random = np.random.default_rng(0)
    noise = coloured_noise(random, (20, 4096))
    frequencies, density = welch(noise, 1.0, nperseg=512)
    slope = np.polyfit(np.log(frequencies[2:-2]), np.log(density.mean(axis=0)[2:-2]), 1)[0]
    assert abs(slope + 1) < 0.1 and abs(noise.std() - 1) < 1e-6
    tone = rhythm(random, (5, 1000), 9, 11, 100.0)
    assert power(tone, 100, 9, 11).min() > power(tone, 100, 20, 40).max() + 5
    with pytest.raises(ValueError, match="hold no rhythm of 1 to 2 Hz"):
        rhythm(random, (10,), 1, 2, 100.0)
