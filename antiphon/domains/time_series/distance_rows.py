"""SoftCLT's normalised distances, served a batch at a time from a file that is computed once."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from antiphon.common.random import shuffled
from antiphon.domains.time_series.distances import (
    ApproximationError,
    approximation_error,
    banded_dtw,
    between_landmarks,
    pairwise_distances,
    prepare_for_distances,
)

Scaling = Literal["global", "columns"]
Approximation = Literal["banded", "landmarks"]
_FORMAT = 1  # part of every cache key: raise it when the numbers change
_CHUNK = 4096  # series, or rows of the matrix, handled at once
_log = logging.getLogger(__name__)


class DistanceRows(ABC):
    """Normalised distances between training series: call it with the batch's rows, (B,) -> (B, B) float32 on the same device.

    The smallest distance of any pair is 0, as is a series' distance to itself. `scaling="global"` divides by the range of the whole
    matrix and is symmetric; `"columns"` divides each column by its own range, as SoftCLT's released code does.
    """

    def __init__(self, count: int, least: float, column_max: NDArray[Any], scaling: Scaling) -> None:
        if scaling not in get_args(Scaling):
            raise ValueError(f"scaling must be one of {get_args(Scaling)}, got {scaling!r}")
        spread = np.asarray(column_max, np.float64) - least
        self.scaling = scaling
        self._count = count
        self._least = least
        self._range = spread if scaling == "columns" else np.full(count, spread.max(initial=0.0))
        self._range[~(self._range > 0)] = 1.0  # all distances equal, or a single series

    def __len__(self) -> int:
        return self._count

    @abstractmethod
    def raw(self, rows: NDArray[np.int64]) -> NDArray[Any]:
        """Distances in their own unit between `rows`, (B, B)."""

    def of(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Normalised distances between `rows` of the training set, (B,) -> (B, B)."""
        if len(rows) and not 0 <= rows.min() <= rows.max() < self._count:
            raise ValueError(
                f"distances cover {self._count} series, got row {rows.max() if rows.min() >= 0 else rows.min()}: "
                "compute them on the set that the batches come from"
            )
        distances = np.clip((self.raw(rows) - self._least) / self._range[rows], 0.0, 1.0)
        distances[rows[:, None] == rows] = 0.0
        return distances.astype(np.float32)

    def __call__(self, index: Tensor) -> Tensor:
        """Normalised distances between the rows `index` (B,) of the training set, (B, B) on its device."""
        return torch.from_numpy(self.of(index.detach().cpu().numpy())).to(index.device)


class MatrixRows(DistanceRows):
    """Rows of a distance matrix (N, N): an array, or the path of a .npy file, of which only the rows asked for are read."""

    def __init__(self, matrix: NDArray[Any] | str | Path, *, scaling: Scaling = "global") -> None:
        self._path = Path(matrix) if isinstance(matrix, str | Path) else None
        self._matrix = np.load(self._path, mmap_mode="r") if self._path else np.asarray(matrix)
        if self._matrix.ndim != 2 or self._matrix.shape[0] != self._matrix.shape[1]:
            raise ValueError(f"a distance matrix is square, got shape {self._matrix.shape}")
        least, column_max = _statistics(self._matrix)
        super().__init__(len(self._matrix), least, column_max, scaling)

    def raw(self, rows: NDArray[np.int64]) -> NDArray[Any]:
        """Distances in their own unit between `rows`, (B, B)."""
        return np.asarray(self._matrix[np.ix_(rows, rows)], np.float64)

    def __getstate__(self) -> dict[str, Any]:
        """A worker process opens the file again instead of receiving its contents."""
        return {**self.__dict__, "_matrix": None} if self._path else self.__dict__

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Open the file again."""
        self.__dict__.update(state)
        if self._path:
            self._matrix = np.load(self._path, mmap_mode="r")


class LandmarkRows(DistanceRows):
    """Distances guessed from the distances `profile` (N, K) of all series to K landmarks, the rows `landmarks` (K,) of the set.

    The range that normalises them is that of the profile, whose distances are exact.
    """

    def __init__(self, profile: NDArray[Any], landmarks: NDArray[np.int64], *, scaling: Scaling = "global") -> None:
        self._profile = np.asarray(profile)
        others = self._profile.astype(np.float64)
        own = (landmarks, np.arange(len(landmarks)))
        others[own] = np.inf
        least = float(others.min())
        others[own] = least
        super().__init__(len(others), least, others.max(axis=1), scaling)

    def raw(self, rows: NDArray[np.int64]) -> NDArray[Any]:
        """Distances in their own unit between `rows`, (B, B)."""
        profile = np.asarray(self._profile[rows], np.float64)
        return between_landmarks(profile, profile)


def _statistics(matrix: NDArray[Any]) -> tuple[float, NDArray[np.float64]]:
    """The smallest entry off the diagonal, and each column's largest, reading some rows at a time."""
    count = len(matrix)
    least, column_max = np.inf, np.full(count, -np.inf)
    for start in range(0, count, _CHUNK):
        rows = np.array(matrix[start : start + _CHUNK], np.float64)
        diagonal = (np.arange(len(rows)), np.arange(start, start + len(rows)))
        rows[diagonal] = np.inf
        least = min(least, float(rows.min()))
        rows[diagonal] = -np.inf
        np.maximum(column_max, rows.max(axis=0), out=column_max)
    return (least, column_max) if count > 1 else (0.0, np.zeros(count))


def cache_folder() -> Path:
    """Where distances are kept: `$ANTIPHON_CACHE/distances`, or `~/.cache/antiphon/distances`."""
    return Path(os.environ.get("ANTIPHON_CACHE") or "~/.cache/antiphon").expanduser() / "distances"


def _content_key(signals: NDArray[Any], lengths: NDArray[np.int64] | None, settings: Mapping[str, Any]) -> str:
    digest = hashlib.blake2b(digest_size=16)
    described = {**settings, "format": _FORMAT, "shape": signals.shape, "dtype": str(signals.dtype)}
    digest.update(json.dumps(described, default=repr).encode())
    for start in range(0, len(signals), _CHUNK):
        digest.update(np.ascontiguousarray(signals[start : start + _CHUNK]).tobytes())
    digest.update(b"" if lengths is None else np.asarray(lengths, np.int64).tobytes())
    return digest.hexdigest()


def _cached(path: Path, shape: tuple[int, int], compute: Callable[[NDArray[np.float32]], Any]) -> Path:
    """`path`, after `compute` has filled a memory-mapped float32 array of `shape` there. Nobody ever sees half a file."""
    if path.exists():
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, unfinished = tempfile.mkstemp(dir=path.parent, suffix=".unfinished")
    os.close(handle)
    try:
        array = np.lib.format.open_memmap(unfinished, mode="w+", dtype=np.float32, shape=shape)
        compute(array)
        array.flush()
        os.replace(unfinished, path)
    finally:
        Path(unfinished).unlink(missing_ok=True)
    return path


def soft_distances(
    signals: NDArray[Any],
    *,
    lengths: NDArray[np.int64] | None = None,
    metric: str = "dtw",
    window: float | None = None,
    options: Mapping[str, Any] | None = None,
    scaling: Scaling = "global",
    exact_limit: int = 4000,
    approximation: Approximation | None = None,
    points: int = 128,
    landmarks: int = 64,
    seed: int = 0,
    jobs: int | None = None,
    cache: Path | str | None = None,
) -> DistanceRows:
    """SoftCLT's distances over a training set: prepared, computed or found in the cache, normalised, served by the batch.

    Processes that start together each compute a missing file; in a multi-process run let the first one call this before the others.

    Args:
        signals: (N, C, T), NaN where missing.
        lengths: (N,); all T by default.
        metric: a name from `metric_names()`.
        window: band as a share of the length.
        options: further arguments of aeon's metric.
        scaling: see `DistanceRows`.
        exact_limit: the largest N for which all distances are computed exactly.
        approximation: what to do beyond it, and only there. `"banded"` (DTW only): a band of `window` (0.5 by default) on series
            shortened to `points` averages; N * N float32 on disk. `"landmarks"`: exact distances to `landmarks` series drawn by
            `seed`, the rest guessed from them for each batch; N * K float32. The error on 200 series is measured and logged.
        points: see `approximation`.
        landmarks: see `approximation`.
        seed: draws the landmarks.
        jobs: threads; None: all cores.
        cache: folder of the files; None: `cache_folder()`.

    Raises:
        ValueError: N beyond `exact_limit` and no approximation named, or one that does not exist or does not fit the metric.
    """
    count = len(signals)
    approximation = _needed(approximation, count, exact_limit, metric)
    settings: dict[str, Any] = {"metric": metric, "window": window, "options": sorted((options or {}).items())}
    settings |= {"approximation": approximation}
    settings |= {"banded": {"points": points}, "landmarks": {"landmarks": landmarks, "seed": seed}}.get(approximation or "", {})
    folder = cache_folder() if cache is None else Path(cache).expanduser()
    path = folder / f"{metric}-{approximation or 'exact'}-{count}-{_content_key(signals, lengths, settings)}.npy"
    chosen = np.sort(shuffled(count, seed, 0)[:landmarks].numpy())

    def compute(out: NDArray[np.float32]) -> None:
        common: dict[str, Any] = {"jobs": jobs, "out": out}
        if approximation == "landmarks":
            _landmark_profile(signals, lengths, chosen, metric=metric, window=window, options=options, **common)
            return
        series, sizes = prepare_for_distances(signals, lengths=lengths, metric=metric)
        if approximation == "banded":
            banded_dtw(series, lengths=sizes, points=points, window=0.5 if window is None else window, **common)
        else:
            pairwise_distances(series, metric=metric, lengths=sizes, window=window, options=options, **common)

    fresh = not path.exists()
    by_landmarks = approximation == "landmarks"
    _cached(path, (count, len(chosen) if by_landmarks else count), compute)
    rows = LandmarkRows(np.load(path), chosen, scaling=scaling) if by_landmarks else MatrixRows(path, scaling=scaling)
    if approximation and fresh:
        error = measured_error(rows, signals, lengths=lengths, metric=metric, window=window, options=options, seed=seed, jobs=jobs)
        _log.info("approximate distances (%s) between %d series; on a sample against exact ones: %s", approximation, count, error)
    return rows


def _needed(approximation: Approximation | None, count: int, exact_limit: int, metric: str) -> Approximation | None:
    """The approximation to use for `count` series: none up to the limit, the one that was named beyond it."""
    if count < 2:
        raise ValueError(f"distances need at least 2 series, got {count}")
    if approximation not in (None, *get_args(Approximation)):
        raise ValueError(f"approximation must be one of {get_args(Approximation)} or None, got {approximation!r}")
    if approximation == "banded" and metric != "dtw":
        raise ValueError(f"approximation 'banded' is for metric 'dtw', got {metric!r}: use approximation='landmarks'")
    if count > exact_limit and approximation is None:
        raise ValueError(
            f"{count} series are more than exact_limit={exact_limit}: pass approximation='banded' (shortened series) or "
            "approximation='landmarks' (N x K distances), or raise exact_limit"
        )
    return approximation if count > exact_limit else None


def _landmark_profile(
    signals: NDArray[Any],
    lengths: NDArray[np.int64] | None,
    landmarks: NDArray[np.int64],
    *,
    out: NDArray[Any],
    metric: str,
    **settings: Any,
) -> None:
    """Fill `out` (N, K) with distances to the rows `landmarks`, a few thousand series at a time."""
    sizes = np.full(len(signals), signals.shape[-1], np.int64) if lengths is None else lengths
    for start in range(0, len(signals), _CHUNK):
        rows = np.concatenate([landmarks, np.arange(start, min(start + _CHUNK, len(signals)))])
        series, prepared = prepare_for_distances(signals[rows], lengths=sizes[rows], metric=metric)
        first = np.arange(len(landmarks))
        distances = pairwise_distances(series, metric=metric, lengths=prepared, landmarks=first, **settings)
        out[start : start + _CHUNK] = distances[len(landmarks) :]


def measured_error(
    rows: DistanceRows,
    signals: NDArray[Any],
    *,
    lengths: NDArray[np.int64] | None = None,
    metric: str = "dtw",
    sample: int = 200,
    seed: int = 0,
    **settings: Any,
) -> ApproximationError:
    """The error of `rows` against exact distances between `sample` series drawn by `seed`, both normalised over that sample."""
    chosen = np.sort(shuffled(len(signals), seed, 1)[:sample].numpy())
    sizes = None if lengths is None else np.asarray(lengths)[chosen]
    series, prepared = prepare_for_distances(signals[chosen], lengths=sizes, metric=metric)
    exact = pairwise_distances(series, metric=metric, lengths=prepared, **settings)
    every = np.arange(len(chosen))
    return approximation_error(MatrixRows(rows.raw(chosen)).of(every), MatrixRows(exact).of(every))
