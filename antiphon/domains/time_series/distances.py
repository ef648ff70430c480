"""Distances between whole series, as SoftCLT's instance weights need them (Lee et al., ICLR 2024).

DTW is computed by `antiphon.domains.time_series.dtw`, cosine by scikit-learn, Euclidean by SciPy, every other metric by aeon under
aeon's name.
"""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from antiphon.domains.time_series.dtw import available_cores, dtw_distances

POINTWISE = ("cosine", "euclidean", "squared", "manhattan", "minkowski")  # time stamp against time stamp: padding counts as zero
_SYMBOLIC = ("sax", "paa_sax", "sfa", "dft_sfa")  # aeon's bounds between symbol sequences, which take no raw series
RANGE_EPSILON = 1e-6


def metric_names() -> tuple[str, ...]:
    """The metrics that `pairwise_distances` offers."""
    from aeon.distances import get_distance_function_names

    names = set(get_distance_function_names()) - set(_SYMBOLIC)
    return tuple(sorted(names | {"cosine"}))


def prepare_for_distances(
    signals: NDArray[Any], *, lengths: NDArray[np.int64] | None = None, metric: str = "dtw"
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """SoftCLT's preparation: each series, channel by channel, to [0, 1]; missing values removed.

    For metrics that warp, a time stamp at which every channel is missing is dropped and the series closes up; for the pointwise
    metrics it stays, as zero. A single missing value beside present ones becomes zero.

    Args:
        signals: (N, C, T); NaN is missing, and so is everything beyond `lengths`.
        lengths: (N,); all T by default.
        metric: decides whether time stamps are dropped.

    Returns:
        Series (N, C, T) float64, zero beyond their lengths, and lengths (N,).

    Raises:
        ValueError: a series without any value, an infinite value, or an array that is not (N, C, T).
    """
    signals = np.asarray(signals)
    if signals.ndim != 3:
        raise ValueError(f"signals must be (series, channels, time), got shape {signals.shape}: add the channels with X[:, None]")
    values = signals.astype(np.float64)
    time = np.arange(values.shape[2])
    if lengths is not None:
        values[np.broadcast_to(time >= np.asarray(lengths)[:, None, None], values.shape)] = np.nan
    infinite = np.flatnonzero(np.isinf(values).any(axis=(1, 2)))
    if len(infinite):
        raise ValueError(f"series {infinite[0]} has an infinite value: replace it by NaN or a number")
    missing = np.isnan(values)
    empty = np.flatnonzero(missing.all(axis=(1, 2)))
    if len(empty):
        raise ValueError(f"series {empty[0]} has no value at all ({len(empty)} such series): remove it")
    low = np.where(missing, np.inf, values).min(axis=2, keepdims=True)
    high = np.where(missing, -np.inf, values).max(axis=2, keepdims=True)
    low, high = np.where(np.isinf(low), 0.0, low), np.where(np.isinf(high), 0.0, high)  # a channel that is missing throughout
    values = np.where(missing, 0.0, (values - low) / (high - low + RANGE_EPSILON))
    if metric in POINTWISE:
        return values, np.full(len(values), values.shape[2], np.int64)
    present = ~missing.all(axis=1)
    sizes = present.sum(axis=1)
    order = np.argsort(~present, axis=1, kind="stable")  # the time stamps that stay, in their order, come first
    values = np.take_along_axis(values, order[:, None], axis=2)
    return np.where(time < sizes[:, None, None], values, 0.0), sizes


def pairwise_distances(
    signals: NDArray[Any],
    *,
    metric: str = "dtw",
    lengths: NDArray[np.int64] | None = None,
    window: float | None = None,
    landmarks: NDArray[np.int64] | None = None,
    options: Mapping[str, Any] | None = None,
    jobs: int | None = None,
    out: NDArray[Any] | None = None,
) -> NDArray[Any]:
    """Distances between all series, (N, N), or from all to some of them, (N, K).

    `metric="dtw"` is the square root of the least summed squared cost, as in SoftCLT; aeon's own ``dtw`` is its square. Every other
    elastic metric is aeon's number unchanged. Euclidean and cosine compare the zero-padded series flattened over channels and time.

    Args:
        signals: (N, C, T) without NaN inside `lengths` (see `prepare_for_distances`).
        metric: a name from `metric_names()`.
        lengths: (N,) samples of each series; all T by default.
        window: Sakoe-Chiba band as a share of the length, for the metrics that know one.
        landmarks: (K,) rows of `signals` to measure the distance to.
        options: further arguments of aeon's metric (``{"c": 0.5}`` for msm).
        jobs: threads; None: all cores.
        out: an array to write into, (N, N) or (N, K).

    Raises:
        ValueError: unknown metric, NaN in a series, or a window that the metric does not know.
    """
    sizes = np.full(len(signals), signals.shape[-1], np.int64) if lengths is None else np.asarray(lengths, np.int64)
    _check(signals, sizes)
    if metric == "dtw" and not options and (window is None or len(np.unique(sizes)) <= 1):
        return dtw_distances(signals, lengths=sizes, window=window, landmarks=landmarks, jobs=jobs, out=out)
    result = _library_distances(signals, sizes, metric, window, landmarks, dict(options or {}), available_cores(jobs))
    if out is None:
        return result
    out[:] = result
    return out


def _check(signals: NDArray[Any], lengths: NDArray[np.int64]) -> None:
    if signals.ndim != 3 or len(signals) == 0 or lengths.shape != (len(signals),):
        raise ValueError(f"expected signals (series, channels, time) and a length each, got {signals.shape} and {lengths.shape}")
    if not 0 < lengths.min() <= lengths.max() <= signals.shape[2]:
        raise ValueError(f"lengths must be in [1, {signals.shape[2]}], got {lengths.min()} to {lengths.max()}")
    outside = np.arange(signals.shape[2]) >= lengths[:, None]
    bad = np.flatnonzero(~(np.isfinite(signals).all(axis=1) | outside).all(axis=1))
    if len(bad):
        raise ValueError(f"series {bad[0]} has NaN or infinite values: call prepare_for_distances first")


def _library_distances(
    signals: NDArray[Any],
    lengths: NDArray[np.int64],
    metric: str,
    window: float | None,
    landmarks: NDArray[np.int64] | None,
    options: dict[str, Any],
    jobs: int,
) -> NDArray[np.float64]:
    if metric not in metric_names():
        close = difflib.get_close_matches(metric, metric_names(), n=3)
        remedy = f"did you mean {' or '.join(close)}?" if close else f"choose one of {', '.join(metric_names())}"
        raise ValueError(f"unknown metric {metric!r}: {remedy}")
    if metric in POINTWISE:
        signals = np.where(np.arange(signals.shape[2]) < lengths[:, None, None], signals, 0.0)
    if metric == "euclidean" and not options and window is None:
        from scipy.spatial.distance import cdist

        flat = signals.reshape(len(signals), -1)
        return np.asarray(cdist(flat, flat if landmarks is None else flat[landmarks]))
    if metric == "cosine":
        from sklearn.metrics.pairwise import cosine_distances

        flat = signals.reshape(len(signals), -1)
        return np.asarray(cosine_distances(flat, flat if landmarks is None else flat[landmarks]))
    from aeon.distances import get_pairwise_distance_function

    function = get_pairwise_distance_function(metric)
    if window is not None:
        if "window" not in inspect.signature(function).parameters:
            raise ValueError(f"metric {metric!r} knows no window, got window={window}: pass window=None")
        options["window"] = window
    ragged = metric not in POINTWISE and len(np.unique(lengths)) > 1
    if ragged and metric == "shift_scale":
        raise ValueError("metric 'shift_scale' needs series of one length: choose another metric or resample the series")
    series: Any = np.ascontiguousarray(signals, dtype=np.float64)
    if ragged:
        series = [np.ascontiguousarray(one[:, :length]) for one, length in zip(series, lengths, strict=True)]
    elif metric not in POINTWISE:
        series = np.ascontiguousarray(series[..., : lengths[0]])
    others = None if landmarks is None else [series[row] for row in landmarks] if ragged else series[landmarks]
    distances = np.asarray(function(series, others, n_jobs=jobs, **options), dtype=np.float64)
    return np.sqrt(distances) if metric == "dtw" else distances


def shorten(signals: NDArray[Any], lengths: NDArray[np.int64], *, points: int) -> NDArray[np.float64]:
    """Series as `points` averages over equal shares of their own length: (N, C, T) -> (N, C, points)."""
    sums = np.concatenate([np.zeros((*signals.shape[:2], 1)), np.cumsum(signals, axis=2, dtype=np.float64)], axis=2)
    edges = np.linspace(0.0, lengths, points + 1, axis=1)[:, None]  # (N, 1, points + 1)
    whole = np.minimum(np.floor(edges).astype(np.int64), lengths[:, None, None] - 1)
    left = np.take_along_axis(sums, np.broadcast_to(whole, (*sums.shape[:2], points + 1)), axis=2)
    right = np.take_along_axis(sums, np.broadcast_to(whole + 1, (*sums.shape[:2], points + 1)), axis=2)
    return np.diff(left + (edges - whole) * (right - left), axis=2) / np.diff(edges, axis=2)


def banded_dtw(
    signals: NDArray[Any],
    *,
    lengths: NDArray[np.int64],
    points: int = 128,
    window: float = 0.5,
    jobs: int | None = None,
    out: NDArray[Any] | None = None,
) -> NDArray[Any]:
    """DTW inside a band, on series shortened to at most `points` averages, in the unit of the exact distance: (N, N).

    A warping path is about as long as the longer series, so a distance on `points` averages is multiplied by the root of
    ``max(length, length') / points``. Narrow bands look cheap and are costly: at a tenth of the length the order of the distances
    is lost on real data, at a half it is kept.
    """
    points = min(points, int(lengths.max()))
    distances = dtw_distances(shorten(signals, lengths, points=points), window=window, jobs=jobs, out=out)
    for row, length in enumerate(lengths):
        distances[row] *= np.sqrt(np.maximum(length, lengths) / points)
    return distances


def between_landmarks(first: NDArray[Any], second: NDArray[Any]) -> NDArray[Any]:
    """Distances guessed from distances to common landmarks: (A, K), (B, K) -> (A, B).

    If distances obeyed the triangle inequality, a distance would lie between the largest difference and the smallest sum over the
    landmarks; the middle of the two is taken. (DTW does not quite obey it: hence `approximation_error`.)
    """
    lower = np.zeros((len(first), len(second)), first.dtype)
    upper = np.full_like(lower, np.inf)
    for a, b in zip(first.T, second.T, strict=True):
        np.maximum(lower, np.abs(a[:, None] - b), out=lower)
        np.minimum(upper, a[:, None] + b, out=upper)
    return (lower + upper) / 2


@dataclass(frozen=True)
class ApproximationError:
    """How far approximate normalised distances are from exact ones, off the diagonal: rank correlation, largest and mean error."""

    spearman: float
    max_abs: float
    mean_abs: float

    def __str__(self) -> str:
        return f"Spearman {self.spearman:.3f}, largest error {self.max_abs:.3f}, mean error {self.mean_abs:.3f}"


def approximation_error(approximate: NDArray[Any], exact: NDArray[Any]) -> ApproximationError:
    """Compare two (N, N) matrices of normalised distances, N > 2."""
    from scipy.stats import spearmanr

    if approximate.shape != exact.shape or len(exact) < 3:
        raise ValueError(f"compare two matrices of one shape (N, N), N > 2, got {approximate.shape} and {exact.shape}")
    pairs = ~np.eye(len(exact), dtype=bool)
    guess, truth = approximate[pairs].astype(np.float64), exact[pairs].astype(np.float64)
    error = np.abs(guess - truth)
    return ApproximationError(float(spearmanr(guess, truth).statistic), float(error.max()), float(error.mean()))
