"""What is done to signals, against closed forms and against the libraries whose recipes these are."""

import numpy as np
import pytest

from antiphon.domains.eeg.data.preprocessing import (
    average_reference,
    band_pass,
    baseline,
    euclidean_alignment,
    exponential_moving_standardize,
    online_euclidean_alignment,
    robust_scale,
    robust_statistics,
)

RANDOM = np.random.default_rng(0)


def test_average_reference_leaves_empty_channels_out() -> None:
    signals = RANDOM.normal(5, 1, (3, 50))
    np.testing.assert_allclose(average_reference(signals).mean(axis=0), 0, atol=1e-12)
    signals[1] = 0
    made = average_reference(signals, np.asarray([True, False, True]))
    assert not made[1].any()
    np.testing.assert_allclose(made[[0, 2]].mean(axis=0), 0, atol=1e-12)


def test_baseline() -> None:
    trials = RANDOM.normal(3, 1, (2, 3, 40))
    np.testing.assert_allclose(baseline(trials, 10)[..., :10].mean(axis=-1), 0, atol=1e-12)
    with pytest.raises(ValueError, match="baseline must have 1 to 40 samples, got 41"):
        baseline(trials, 41)


def test_band_pass_is_that_of_mne() -> None:
    times = np.arange(2000) / 200
    signals = np.stack([np.sin(2 * np.pi * 3 * times), np.sin(2 * np.pi * 20 * times)])
    made = band_pass(signals, 8, 32, 200.0)[:, 400:-400]
    assert np.abs(made[0]).max() < 0.01 and abs(made[1].std() - 0.5**0.5) < 0.01


def test_robust_scaling_is_not_moved_by_artefacts() -> None:
    signals = RANDOM.normal(2, 3, (2, 10_000))
    signals[0, :50] = 1e6
    made = robust_scale(signals)
    assert made.max() == 20 and abs(np.median(made[0])) < 1e-6
    assert abs(np.subtract(*np.quantile(made[0], (0.75, 0.25))) - 1) < 0.01
    other = robust_scale(signals[:, 100:200], robust_statistics(signals))
    np.testing.assert_allclose(other, made[:, 100:200])
    assert np.isfinite(robust_scale(np.ones((1, 10)))).all()


def test_moving_standardisation_is_that_of_braindecode() -> None:
    from braindecode.preprocessing import exponential_moving_standardize as reference

    signals = RANDOM.normal(4, 3, (3, 3000)).cumsum(axis=1)
    for init in (1000, None):
        np.testing.assert_allclose(
            exponential_moving_standardize(signals, init_samples=init), reference(signals, init_block_size=init), atol=1e-8
        )


def test_alignment_makes_every_subject_white_on_average() -> None:
    mixing = RANDOM.normal(size=(2, 4, 4))
    trials = np.concatenate([mix @ RANDOM.normal(size=(30, 4, 200)) for mix in mixing])
    subjects = np.repeat(["b", "a"], 30)
    made = euclidean_alignment(trials, subjects)
    for rows in (slice(30), slice(30, 60)):
        covariance = (made[rows] @ made[rows].transpose(0, 2, 1) / 200).mean(axis=0)
        np.testing.assert_allclose(covariance, np.eye(4), atol=1e-8)
    np.testing.assert_allclose(made[:30], euclidean_alignment(trials[:30]))
    with pytest.raises(ValueError, match="expected trials"):
        euclidean_alignment(trials[0])


def test_alignment_stands_a_channel_that_depends_on_the_others() -> None:
    trials = RANDOM.normal(size=(20, 4, 100))
    made = euclidean_alignment(trials - trials.mean(axis=1, keepdims=True))
    assert np.isfinite(made).all() and np.abs(made).max() < 10


def test_online_alignment_sees_no_later_trial_and_ends_where_the_other_does() -> None:
    trials = RANDOM.normal(size=(12, 3, 100)) * np.asarray([1, 5, 20])[:, None]
    made = online_euclidean_alignment(trials)
    np.testing.assert_allclose(made[-1], euclidean_alignment(trials)[-1])
    np.testing.assert_allclose(made[:5], online_euclidean_alignment(trials[:5]))
    np.testing.assert_allclose(online_euclidean_alignment(trials[4:], before=trials[:4]), made[4:])
