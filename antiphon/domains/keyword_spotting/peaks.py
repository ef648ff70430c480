"""From a stream of scores to detections: peaks that are no rivals, and a threshold from the scores themselves."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

RIVAL_OVERLAP = 0.25  # of the shorter of two stretches
KEPT = 1000  # peaks; so many detections of one recording are listed at most
_EXPECTED_FALSE_ALARMS = 0.5  # in a recording
_BINS = 4000  # of scores between -1 and 1


@dataclass(frozen=True)
class Stretch:
    """A stretch of a recording, from `start_s` to `end_s`, and its `score`, a cosine; `query` is the example it is most like."""

    start_s: float
    end_s: float
    score: float
    query: int

    def rivals(self, other: Stretch) -> bool:
        """Whether the two overlap so far that only one of them can be the word."""
        overlap = min(self.end_s, other.end_s) - max(self.start_s, other.start_s)
        return overlap > RIVAL_OVERLAP * min(self.end_s - self.start_s, other.end_s - other.start_s)


def peaks(stretches: Iterable[Stretch]) -> Iterator[Stretch]:
    """Of stretches in order of time the best of each run of rivals, in one pass with one of them in hand.

    A stretch that is beaten by a rival beats nobody, so a slope towards a peak gives nothing. The first of equals wins. Where
    lengths differ, two peaks may still be rivals: see `best_peaks`.
    """
    best: Stretch | None = None
    for stretch in stretches:
        if best is None:
            best = stretch
        elif stretch.rivals(best):
            best = stretch if stretch.score > best.score else best
        else:
            yield best
            best = stretch
    if best is not None:
        yield best


class Background:
    """How the scores of a recording are distributed, as counts: the size does not depend on how many there were."""

    def __init__(self) -> None:
        self._counts: NDArray[np.int64] = np.zeros(_BINS, np.int64)

    def add(self, scores: NDArray[np.floating]) -> None:
        """Count scores (n,) between -1 and 1."""
        places = ((scores + 1) * (_BINS / 2)).astype(np.int64).clip(0, _BINS - 1)
        self._counts += np.bincount(places, minlength=_BINS)

    def quantile(self, share: float) -> float:
        """The score below which `share` of all lie, to 0.0005."""
        place = int(np.searchsorted(self._counts.cumsum(), share * self._counts.sum()))
        return (place + 0.5) * 2 / _BINS - 1

    def threshold(self, count: int) -> float:
        """What the best of `count` peaks of background exceeds in every second recording only.

        The upper end of a normal distribution through the scores that lie one and two deviations above the median of one (the 84th
        and 98th percentile): scores end at 1, so their middle says little of their end, and what lies above, the word is part of.
        """
        normal = NormalDist()
        one, two = (self.quantile(normal.cdf(deviations)) for deviations in (1, 2))
        return two + (normal.inv_cdf(1 - _EXPECTED_FALSE_ALARMS / max(1, count)) - 2) * (two - one)


def best_peaks(found: Iterable[Stretch], *, most: int = KEPT) -> tuple[list[Stretch], int]:
    """The `most` best of all peaks, less those that a better one rivals, in order of time; and how many peaks there were."""
    heap: list[tuple[float, int, Stretch]] = []
    count = 0
    for peak in found:
        entry = (peak.score, -count, peak)  # of equals the first is the better one
        count += 1
        if len(heap) < most:
            heapq.heappush(heap, entry)
        else:
            heapq.heappushpop(heap, entry)
    kept: list[Stretch] = []
    for _, _, peak in sorted(heap, key=lambda entry: entry[:2], reverse=True):
        if not any(peak.rivals(better) for better in kept):
            kept.append(peak)
    return sorted(kept, key=lambda peak: peak.start_s), count
