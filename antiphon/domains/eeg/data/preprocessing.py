"""What is done to EEG before a network sees it: functions on arrays (..., C, T) or (n, C, T), in the unit they come in."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

IQR_FLOOR = 1e-12  # below it a channel does not vary, and is only centred


def average_reference(signals: NDArray[Any], present: NDArray[np.bool_] | None = None) -> NDArray[Any]:
    """Take the mean over channels off (..., C, T). Channels that are not `present` (C,) neither count nor change."""
    if present is None or present.all():
        return signals - signals.mean(axis=-2, keepdims=True)
    mean = signals[..., present, :].mean(axis=-2, keepdims=True)
    return np.where(present[:, None], signals - mean, signals)


def baseline(trials: NDArray[Any], samples: int) -> NDArray[Any]:
    """Take the mean of the first `samples` off each channel of each trial (..., C, T)."""
    if not 0 < samples <= trials.shape[-1]:
        raise ValueError(f"the baseline must have 1 to {trials.shape[-1]} samples, got {samples}")
    return trials - trials[..., :samples].mean(axis=-1, keepdims=True)


def band_pass(signals: NDArray[Any], low_hz: float | None, high_hz: float | None, sample_rate: float) -> NDArray[np.float64]:
    """Zero-phase FIR filter of mne (firwin, Hamming) on continuous signals (C, T); None: no lower or upper edge."""
    import mne

    return np.asarray(mne.filter.filter_data(np.asarray(signals, np.float64), sample_rate, low_hz, high_hz, verbose="ERROR"))


def robust_statistics(signals: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Median and interquartile range (25 to 75 %) of each channel of (C, T), each (C,)."""
    low, middle, high = np.quantile(np.asarray(signals, np.float64), (0.25, 0.5, 0.75), axis=-1)
    return middle, high - low


def robust_scale(
    signals: NDArray[Any],
    statistics: tuple[NDArray[np.float64], NDArray[np.float64]] | None = None,
    *,
    clamp: float | None = 20.0,
) -> NDArray[Any]:
    """(x - median) / interquartile range of each channel of (..., C, T), then cut off at +-`clamp`.

    Défossez et al. (Nature Machine Intelligence 2023), whose ablation loses nearly everything without the clamp. `statistics` come
    from `robust_statistics` of training data; None: of these signals, which must then be (C, T).
    """
    centre, spread = robust_statistics(signals) if statistics is None else statistics
    scaled = (signals - centre[:, None]) / np.where(spread > IQR_FLOOR, spread, 1.0)[:, None]
    return scaled if clamp is None else scaled.clip(-clamp, clamp)


def exponential_moving_standardize(
    signals: NDArray[Any], *, factor_new: float = 1e-3, init_samples: int | None = 1000, eps: float = 1e-4
) -> NDArray[np.float64]:
    """Standardise continuous signals (C, T) by exponentially weighted running mean and variance, as braindecode does.

    The first `init_samples` are standardised by their own mean and deviation.
    """
    from scipy.signal import lfilter

    signals = np.asarray(signals, np.float64)
    weights = -np.expm1(np.arange(1, signals.shape[-1] + 1) * np.log1p(-factor_new))  # of all samples so far, times the factor

    def running_mean(values: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(lfilter([factor_new], [1.0, factor_new - 1.0], values, axis=-1)) / weights

    centred = signals - running_mean(signals)
    scaled = centred / np.maximum(eps, np.sqrt(running_mean(centred**2)))
    if init_samples:
        first = signals[..., :init_samples]
        scaled[..., :init_samples] = (first - first.mean(axis=-1, keepdims=True)) / np.maximum(
            eps, first.std(axis=-1, keepdims=True)
        )
    return scaled


def euclidean_alignment(trials: NDArray[Any], subjects: ArrayLike | None = None) -> NDArray[Any]:
    """Whiten trials (n, C, T) by the mean covariance of the trials of their subject (n,), whose mean then is the identity.

    X <- R^(-1/2) X (He & Wu, IEEE TBME 2020). No labels are used, but all trials given are: align train and test apart.

    Raises:
        ValueError: another shape.
    """
    _check_trials(trials)
    aligned = np.empty_like(trials)
    codes = np.zeros(len(trials), np.int64) if subjects is None else np.unique(subjects, return_inverse=True)[1]
    for code in range(codes.max() + 1):
        rows = codes == code
        aligned[rows] = _inverse_root(_covariances(trials[rows]).mean(axis=0)).astype(trials.dtype) @ trials[rows]
    return aligned


def online_euclidean_alignment(trials: NDArray[Any], *, before: NDArray[Any] | None = None) -> NDArray[Any]:
    """Whiten each trial of a subject (n, C, T) by the mean covariance of the trials up to it, as a running system could.

    `before` (m, C, T) are earlier trials that count but are not returned.
    """
    _check_trials(trials)
    earlier = np.empty((0, trials.shape[1], trials.shape[1])) if before is None else _covariances(before)
    sums = earlier.sum(axis=0) + np.cumsum(_covariances(trials), axis=0)
    means = sums / (len(earlier) + np.arange(1, len(trials) + 1))[:, None, None]
    return np.stack([_inverse_root(mean).astype(trials.dtype) @ trial for mean, trial in zip(means, trials, strict=True)])


def _check_trials(trials: NDArray[Any]) -> None:
    if trials.ndim != 3 or not len(trials):
        raise ValueError(f"expected trials (n, channels, time), got shape {trials.shape}")


def _covariances(trials: NDArray[Any]) -> NDArray[np.float64]:
    values = np.asarray(trials, np.float64)
    return values @ values.transpose(0, 2, 1) / values.shape[-1]


def _inverse_root(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """R^(-1/2); directions in which nothing varies (an average reference leaves one) are left out instead of blown up."""
    values, vectors = np.linalg.eigh(matrix)
    roots = np.where(values > values[-1] * 1e-10, np.maximum(values, 1e-300) ** -0.5, 0.0)
    return (vectors * roots) @ vectors.T
