"""Dynamic time warping between all series of a set, sixteen pairs at a time.

The recurrence ``D[i, j] = cost(i, j) + min(D[i-1, j-1], D[i-1, j], D[i, j-1])`` (Sakoe & Chiba, 1978) is a chain of dependent
additions, so one pair alone leaves a core idle most of the time. Here 16 candidate series lie interleaved in memory and go through
the recurrence of one query together, one pair a vector lane, and four time stamps of the query advance at once, so the row above is
read and written once for four. All arithmetic is float64.

Importing this module imports numba. The compiled kernel is kept on disk: only the first use on a machine waits a second for it.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

LANES = 16  # candidates a pass: with 8 the additions' latency shows, with 64 the rows leave the nearest cache
ROWS = 4  # time stamps of the query a pass; `_warp` spells them out


@njit(cache=True, nogil=True, fastmath={"contract"}, error_model="numpy")
def _warp(
    queries: NDArray[np.float64],
    lengths: NDArray[np.int64],
    candidates: NDArray[np.float64],
    ends: NDArray[np.int64],
    radius: int,
    squared: NDArray[np.float64],
) -> None:
    """Squared DTW of every query to 16 candidates.

    `queries` (Q, C, T) start with infinities: ``-length % 4`` of them, so that `lengths` (Q,), which count them, are multiples of
    four. Such a row keeps the initial condition: all its cells are infinite but the one before the first column.
    `candidates` (T', C, 16) end at `ends` (16,); cells beyond are computed and never looked at. A cell further than `radius`
    from the diagonal costs infinity. Result in `squared` (Q, 16).
    """
    size, channels = candidates.shape[:2]
    above = np.empty((size + 1, LANES))  # the row of D above the four that are being computed
    # Nine vectors in one array, which shows the compiler that they do not overlap: the diagonal neighbour of the first row,
    # the left neighbours of the four rows, the cost of channels 1, 2, ... in the four rows.
    state = np.zeros(9 * LANES)
    for query in range(queries.shape[0]):
        x = queries[query]
        padding = 0
        while x[0, padding] == np.inf:
            padding += 1
        above[:] = np.inf
        above[0] = 0.0
        for top in range(0, lengths[query], ROWS):
            first = max(0, top - padding - radius)
            for lane in range(LANES):
                state[lane] = above[first, lane]
                for r in range(ROWS):
                    state[(r + 1) * LANES + lane] = 0.0 if first == 0 and top + r < padding else np.inf
                if first == 0:
                    above[0, lane] = state[ROWS * LANES + lane]
            for t in range(first, min(size, top - padding + ROWS + radius)):
                if channels > 1:
                    state[5 * LANES :] = 0.0
                for c in range(1, channels):
                    x0, x1, x2, x3 = x[c, top], x[c, top + 1], x[c, top + 2], x[c, top + 3]
                    for lane in range(LANES):
                        y = candidates[t, c, lane]
                        state[5 * LANES + lane] += (x0 - y) * (x0 - y)
                        state[6 * LANES + lane] += (x1 - y) * (x1 - y)
                        state[7 * LANES + lane] += (x2 - y) * (x2 - y)
                        state[8 * LANES + lane] += (x3 - y) * (x3 - y)
                offset = top - padding - t
                x0 = x[0, top] if abs(offset) <= radius else np.inf
                x1 = x[0, top + 1] if abs(offset + 1) <= radius else np.inf
                x2 = x[0, top + 2] if abs(offset + 2) <= radius else np.inf
                x3 = x[0, top + 3] if abs(offset + 3) <= radius else np.inf
                for lane in range(LANES):
                    y = candidates[t, 0, lane]
                    up = above[t + 1, lane]
                    left0, left1 = state[LANES + lane], state[2 * LANES + lane]
                    left2, left3 = state[3 * LANES + lane], state[4 * LANES + lane]
                    least = state[lane]
                    state[lane] = up
                    least = up if up < least else least
                    least = left0 if left0 < least else least
                    cell0 = (x0 - y) * (x0 - y) + state[5 * LANES + lane] + least
                    least = cell0 if cell0 < left0 else left0
                    least = left1 if left1 < least else least
                    cell1 = (x1 - y) * (x1 - y) + state[6 * LANES + lane] + least
                    least = cell1 if cell1 < left1 else left1
                    least = left2 if left2 < least else least
                    cell2 = (x2 - y) * (x2 - y) + state[7 * LANES + lane] + least
                    least = cell2 if cell2 < left2 else left2
                    least = left3 if left3 < least else least
                    cell3 = (x3 - y) * (x3 - y) + state[8 * LANES + lane] + least
                    state[LANES + lane], state[2 * LANES + lane] = cell0, cell1
                    state[3 * LANES + lane], state[4 * LANES + lane] = cell2, cell3
                    above[t + 1, lane] = cell3
        for lane in range(LANES):
            squared[query, lane] = above[ends[lane], lane]


def available_cores(jobs: int | None = None) -> int:
    """`jobs`, or the number of cores that this process may use."""
    if jobs is not None and jobs < 1:
        raise ValueError(f"jobs must be at least 1 (or None for all cores), got {jobs}")
    return jobs or (len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)


def _padded_queries(signals: NDArray[Any], lengths: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Series moved behind the infinities that `_warp` wants, and their lengths with these."""
    padding = -lengths % ROWS
    queries = np.full((*signals.shape[:2], signals.shape[2] + ROWS - 1), np.inf)
    for amount in range(ROWS):
        rows = padding == amount
        queries[rows, :, amount : amount + signals.shape[2]] = signals[rows]
    return queries, lengths + padding


def _interleaved(signals: NDArray[Any], lengths: NDArray[np.int64]) -> NDArray[np.float64]:
    """At most 16 series (k, C, T) as (longest, C, 16)."""
    longest = int(lengths.max())
    lanes = np.zeros((longest, signals.shape[1], LANES))
    inside = np.arange(longest) < lengths[:, None, None]
    lanes[..., : len(signals)] = np.where(inside, signals[..., :longest], 0.0).transpose(2, 1, 0)
    return lanes


def dtw_distances(
    signals: NDArray[Any],
    *,
    lengths: NDArray[np.int64] | None = None,
    window: float | None = None,
    landmarks: NDArray[np.int64] | None = None,
    jobs: int | None = None,
    out: NDArray[Any] | None = None,
) -> NDArray[Any]:
    """DTW, the square root of the least summed squared cost, between all series.

    Several channels are warped together (dependent DTW: the cost of two time stamps is summed over channels).

    Args:
        signals: (N, C, T), finite inside `lengths`.
        lengths: (N,) samples of each series; all T by default.
        window: half-width of a Sakoe-Chiba band as a share of the length, in [0, 1]; None: no band. Needs equal lengths.
        landmarks: rows of `signals`; with them the result is (N, K), from every series to each landmark.
        jobs: threads; None: all cores.
        out: where to write, any float array of the result's shape (a memory map, say).

    Returns:
        (N, N), symmetric with zeros on the diagonal, or (N, K); float64 unless `out` is given.

    Raises:
        ValueError: a band with series of different lengths, or outside [0, 1].
    """
    count, _, size = signals.shape
    sizes = np.full(count, size, np.int64) if lengths is None else np.asarray(lengths, np.int64)
    if window is not None and not 0 <= window <= 1:
        raise ValueError(f"window must be a share of the length in [0, 1], got {window}")
    if window is not None and len(np.unique(sizes)) > 1:
        raise ValueError(f"a window here needs series of one length, got {sizes.min()} to {sizes.max()} samples: pass window=None")
    radius = size + ROWS if window is None else int(window * sizes[0])
    order = np.argsort(sizes, kind="stable")  # lanes of like length waste nothing
    candidates = order if landmarks is None else np.asarray(landmarks, np.int64)
    result = np.empty((count, len(candidates))) if out is None else out
    queries, query_lengths = _padded_queries(signals[order], sizes[order])

    def fill(start: int) -> None:
        chosen = candidates[start : start + LANES]
        last = start + len(chosen) if landmarks is None else count  # half of a symmetric matrix is enough
        ends = np.ones(LANES, np.int64)
        ends[: len(chosen)] = sizes[chosen]
        squared = np.empty((last, LANES))
        _warp(queries[:last], query_lengths[:last], _interleaved(signals[chosen], sizes[chosen]), ends, radius, squared)
        block = np.sqrt(squared[:, : len(chosen)])
        if landmarks is None:
            result[np.ix_(order[:last], chosen)] = block
            result[np.ix_(chosen, order[:last])] = block.T
        else:
            result[order, start : start + len(chosen)] = block

    with ThreadPoolExecutor(available_cores(jobs)) as pool:
        # The longest blocks first, so that no thread is left alone with one at the end.
        list(pool.map(fill, reversed(range(0, len(candidates), LANES))))
    return result
