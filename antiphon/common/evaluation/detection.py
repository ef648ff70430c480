"""Words found in recordings: which detections are right, false alarms per hour, and how well pairs of recordings are told apart."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from antiphon.common.evaluation.retrieval import average_precision_at, relevance_in_order
from antiphon.common.evaluation.verification.metrics import equal_error_rate, sort_scores


class Matching(NamedTuple):
    """Which detections (n,) are right, and for each true interval (m,) the number of the detection that found it, or -1."""

    hits: NDArray[np.bool_]
    found_by: NDArray[np.int64]


class FalseAlarms(NamedTuple):
    """False alarms per hour at the highest `threshold` that misses no more than was allowed, and what it does miss."""

    per_hour: float
    threshold: float
    miss_rate: float


@dataclass(frozen=True)
class QueryResult:
    """Equal error rate over all pairs and mean average precision over queries, both between 0 and 1.

    `unanswerable` queries, of which no candidate says the same, are in the pairs but not in the mean of `queries` others.
    """

    eer: float
    mean_average_precision: float
    queries: int
    unanswerable: int
    pairs: int


def match_detections(
    starts_s: ArrayLike,
    ends_s: ArrayLike,
    scores: ArrayLike,
    true_starts_s: ArrayLike,
    true_ends_s: ArrayLike,
    *,
    tolerance_s: float = 0.0,
) -> Matching:
    """Decide which detections (n,) of one recording are right, given where the word is (m,).

    The best detection chooses first (of equals the earlier in the list). It takes the interval in which its middle lies, or from
    which it is no further than `tolerance_s`: the nearest, if there are several. An interval is taken once, so a word that is
    reported twice is one hit and one false alarm.

    Raises:
        ValueError: shapes that do not fit, an interval that ends before it begins, or values that are not finite.
    """
    starts, ends = _intervals(starts_s, ends_s, "detections")
    order_by = np.asarray(scores, np.float64)
    true_starts, true_ends = _intervals(true_starts_s, true_ends_s, "true intervals")
    if order_by.shape != starts.shape or not np.isfinite(order_by).all():
        raise ValueError(f"scores must be {len(starts)} finite numbers, one for each detection, got shape {order_by.shape}")
    if tolerance_s < 0:
        raise ValueError(f"tolerance_s must be at least 0, got {tolerance_s}")
    hits, found_by = np.zeros(len(starts), np.bool_), np.full(len(true_starts), -1)
    for number in np.argsort(-order_by, kind="stable"):
        middle = (starts[number] + ends[number]) / 2
        distance = np.maximum(0.0, np.maximum(true_starts - middle, middle - true_ends))
        free = np.flatnonzero((found_by < 0) & (distance <= tolerance_s))
        if len(free):
            found_by[free[distance[free].argmin()]] = number
            hits[number] = True
    return Matching(hits, found_by)


def _intervals(starts_s: ArrayLike, ends_s: ArrayLike, name: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    starts, ends = np.asarray(starts_s, np.float64), np.asarray(ends_s, np.float64)
    if starts.ndim != 1 or starts.shape != ends.shape:
        raise ValueError(f"{name} must have one start and one end each, got shapes {starts.shape} and {ends.shape}")
    if not (np.isfinite(starts).all() and np.isfinite(ends).all() and (starts <= ends).all()):
        raise ValueError(f"{name} must begin before they end, at finite times")
    return starts, ends


def false_alarms_per_hour(
    scores: ArrayLike, hits: ArrayLike, *, occurrences: int, duration_s: float, miss_rate: float = 0.1
) -> FalseAlarms:
    """How often a detector is wrong when its threshold lets it miss a share `miss_rate` of the words.

    Args:
        scores: (n,) of detections, of several recordings together if there are several.
        hits: (n,) whether each is right (`match_detections`).
        occurrences: how often the word is there; those without a detection are missed at any threshold.
        duration_s: of all recordings together.
        miss_rate: the largest share that may be missed, from 0 to below 1.

    Returns:
        Infinite false alarms, and a threshold of minus infinity, where more is missed than allowed even with all detections.

    Raises:
        ValueError: shapes that do not fit, more hits than occurrences, no occurrence, or a share or duration out of range.
    """
    values, right = np.asarray(scores, np.float64), np.asarray(hits, np.bool_)
    if values.ndim != 1 or values.shape != right.shape:
        raise ValueError(f"scores and hits must be two lists of one length, got shapes {values.shape} and {right.shape}")
    if occurrences < max(1, int(right.sum())):
        raise ValueError(f"{int(right.sum())} hits need so many occurrences and 1 at least, got {occurrences}")
    if not 0 <= miss_rate < 1 or not duration_s > 0:
        raise ValueError(f"miss_rate is from 0 to below 1 and duration_s above 0, got {miss_rate} and {duration_s}")
    needed = occurrences - math.floor(miss_rate * occurrences + 1e-9)
    best = np.sort(values[right])[::-1]
    if len(best) < needed:
        return FalseAlarms(math.inf, -math.inf, 1 - len(best) / occurrences)
    threshold = float(best[needed - 1])
    wrong = int((values[~right] >= threshold).sum())
    return FalseAlarms(wrong / (duration_s / 3600), threshold, 1 - int((best >= threshold).sum()) / occurrences)


def query_by_example(similarity: ArrayLike, relevant: ArrayLike, *, counted: ArrayLike | None = None) -> QueryResult:
    """How well queries (Q,) find the candidates (M,) that say the same.

    Args:
        similarity: (Q, M), higher for what is more alike: cosines, or distances with a minus.
        relevant: (Q, M) whether candidate and query are the same word.
        counted: (Q, M) False where a pair does not count: a recording and itself, or two of one speaker. None: all count.

    Equal similarities count against the query.

    Raises:
        ValueError: shapes that do not fit, values that are not finite, or pairs of one kind only.
    """
    values, same = np.asarray(similarity, np.float64), np.asarray(relevant, np.bool_)
    inside = np.ones(values.shape, np.bool_) if counted is None else np.asarray(counted, np.bool_)
    if values.ndim != 2 or values.shape != same.shape or values.shape != inside.shape:
        raise ValueError(f"all must be (queries, candidates), got shapes {values.shape}, {same.shape} and {inside.shape}")
    if not np.isfinite(values[inside]).all():
        raise ValueError("similarities must be finite: check the encoder and its input")
    same = same & inside
    answerable = same.any(axis=1)
    if not answerable.any() or not (inside & ~same).any():
        raise ValueError("pairs of both kinds are needed: the same word, and different words")
    order = relevance_in_order(np.where(inside, values, -np.inf)[answerable], same[answerable])
    return QueryResult(
        eer=equal_error_rate(sort_scores(values[inside], same[inside])).value,
        mean_average_precision=float(average_precision_at(order, k=values.shape[1]).mean()),
        queries=int(answerable.sum()),
        unanswerable=int((~answerable).sum()),
        pairs=int(inside.sum()),
    )
