"""Where in a stream of frames does a short sequence of frames occur? Dynamic time warping with a free start and a free end."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray


class SubsequenceDTW:
    """Aligns a query (m, D) with every stretch of a stream of frames that comes in pieces, in memory that does not grow.

    Each frame of the query meets one of the stream at the cost of 1 - their cosine. A step goes on by (1, 1), (1, 2) or (2, 1)
    frames of query and stream, a step over two frames of the query counting twice; so every alignment has the same weight m,
    whatever its length, and a word is found at half to double its speed (Sakoe & Chiba's slopes; Müller, Information Retrieval for
    Music and Motion, 2007). Cells that a step jumps over cost nothing.

    Raises:
        ValueError: a query of fewer than 2 frames, or one that is not (m, D).
    """

    def __init__(self, query: NDArray[np.floating]) -> None:
        if query.ndim != 2 or len(query) < 2:
            raise ValueError(f"a query must be (frames, dimensions) with 2 frames or more, got shape {query.shape}")
        self.query = _unit(query)
        self._totals = np.full((2, len(query)), np.inf)  # of the last two frames of the stream
        self._starts = np.zeros((2, len(query)), np.int64)
        self._time = 0

    def update(self, frames: NDArray[np.floating]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """The next frames (n, D) -> for each, as the end of an alignment: the score, and the frame of the stream where it begins.

        The score (n,) is the mean cosine along the best alignment, between -1 and 1; -inf where none can end yet.
        """
        costs = 1.0 - _unit(frames) @ self.query.T
        scores, starts = np.empty(len(frames)), np.empty(len(frames), np.int64)
        _advance(costs, self._totals, self._starts, self._time, scores, starts)
        self._time += len(frames)
        return 1.0 - scores / len(self.query), starts


def _unit(frames: NDArray[np.floating]) -> NDArray[np.float64]:
    """Rows of length 1; a row of zeros stays, and has cosine 0 with all."""
    wide = frames.astype(np.float64)
    return wide / np.maximum(np.linalg.norm(wide, axis=1, keepdims=True), 1e-12)


@njit(cache=True, nogil=True)
def _advance(
    costs: NDArray[np.float64],
    totals: NDArray[np.float64],
    starts: NDArray[np.int64],
    time: int,
    found: NDArray[np.float64],
    begun: NDArray[np.int64],
) -> None:
    """One column a frame: `costs` (n, m); `totals` and `starts` (2, m) of the last two columns, which are brought up to date."""
    size = costs.shape[1]
    column, first = np.empty(size), np.empty(size, np.int64)
    for t in range(costs.shape[0]):
        for i in range(size):
            cost = costs[t, i]
            best, start = np.inf, time + t
            if i == 0:
                best = cost
            if i >= 1 and totals[1, i - 1] + cost < best:
                best, start = totals[1, i - 1] + cost, starts[1, i - 1]
            if i >= 1 and totals[0, i - 1] + cost < best:
                best, start = totals[0, i - 1] + cost, starts[0, i - 1]
            if i >= 2 and totals[1, i - 2] + 2 * cost < best:
                best, start = totals[1, i - 2] + 2 * cost, starts[1, i - 2]
            column[i], first[i] = best, start
        totals[0], starts[0] = totals[1], starts[1]
        totals[1], starts[1] = column, first
        found[t], begun[t] = column[size - 1], first[size - 1]
