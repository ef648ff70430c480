"""Error rates of a detector from its scores: EER, minDCF, DET curve, and what one threshold does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

TARGET_PRIOR = 0.01  # VoxCeleb's and NIST's minDCF


class Scores(NamedTuple):
    """Scores of target trials (same speaker) and of nontarget trials, (t,) and (n,), each in ascending order."""

    targets: NDArray[np.floating[Any]]
    nontargets: NDArray[np.floating[Any]]


class Point(NamedTuple):
    """What is paid, and the threshold that gives it: a trial is accepted if its score is at least that."""

    value: float
    threshold: float


class DetCurve(NamedTuple):
    """False rejects `fnr` (k,) against false accepts `fpr` (k,) as the `thresholds` (k,) rise."""

    thresholds: NDArray[np.float64]
    fpr: NDArray[np.float64]
    fnr: NDArray[np.float64]


@dataclass(frozen=True)
class VerificationResult:
    """Equal error rate and minimum detection cost, the thresholds that give them, and the number of trials of each kind.

    `eer` is between 0 and 1. The thresholds were found on the same trials: they describe these, and decide nothing elsewhere.
    """

    eer: float
    min_dcf: float
    eer_threshold: float
    min_dcf_threshold: float
    targets: int
    nontargets: int


def sort_scores(scores: ArrayLike, targets: ArrayLike) -> Scores:
    """Scores (m,), the higher the likelier one speaker, with `targets` (m,): True, or 1, where it is one.

    Raises:
        ValueError: another shape, a score that is no number, trials of one kind only.
    """
    values, truth = np.asarray(scores), np.asarray(targets)
    if values.dtype not in (np.float32, np.float64):
        values = values.astype(np.float32 if values.dtype == np.float16 else np.float64)
    if values.ndim != 1 or values.shape != truth.shape:
        raise ValueError(f"scores and targets must be two lists of one length, got shapes {values.shape} and {truth.shape}")
    if truth.dtype != np.bool_:
        if not np.isin(truth, (0, 1)).all():
            raise ValueError(f"targets must be true or false, 1 or 0, got {np.unique(truth)[:5].tolist()}")
        truth = truth.astype(np.bool_)
    return checked(Scores(np.sort(values[truth]), np.sort(values[~truth])))


def checked(scores: Scores) -> Scores:
    """The same scores, or a ValueError: trials of both kinds are needed, and scores that are numbers."""
    if not len(scores.targets) or not len(scores.nontargets):
        raise ValueError(
            f"error rates need trials of both kinds, got {len(scores.targets)} target and {len(scores.nontargets)} nontarget ones: "
            "use at least two speakers, one of them with two recordings"
        )
    bad = sum(int(np.isnan(part[-1:]).any()) and int(np.isnan(part).sum()) for part in scores)  # NaN is sorted behind
    if bad:
        raise ValueError(f"{bad} scores are NaN: an embedding is NaN or 0, look for silent or damaged recordings")
    return scores


def _equal_error_group(scores: Scores) -> float:
    """The lowest score v such that false rejects outweigh false accepts, or equal them, once all trials up to v are rejected."""
    targets, nontargets = scores

    def outweighs(value: Any) -> bool:
        rejected = int(np.searchsorted(targets, value, "right"))
        accepted = len(nontargets) - int(np.searchsorted(nontargets, value, "right"))
        return rejected * len(nontargets) >= accepted * len(targets)

    found = []
    for part in scores:
        low, high = 0, len(part) - 1  # the last one always outweighs
        while low < high:
            middle = (low + high) // 2
            low, high = (low, middle) if outweighs(part[middle]) else (middle + 1, high)
        found.append(part[low])
    return min(found)


def equal_error_rate(scores: Scores) -> Point:
    """The error rate, 0 to 1, where false rejects and false accepts are nearest to each other: the larger of the two.

    Nothing is interpolated. With k trials rejected, the lowest scores first, FNR_k is the share of targets among them and FPR_k the
    share of nontargets that are left; k* is the (first) k with the least difference, and the rate is max(FNR_k*, FPR_k*).

    Trials of equal score have no order of their own. They count as evenly mixed: the j-th of g equal scores with t targets brings
    t / g of a target. So the result does not depend on the order of the trials, lies between those of the most and the least
    fortunate order, and is one half for an encoder that gives every pair the same score.
    """
    targets, nontargets = scores
    value = _equal_error_group(scores)
    total_t, total_n = len(targets), len(nontargets)
    before, until = int(np.searchsorted(targets, value, "left")), int(np.searchsorted(targets, value, "right"))
    below, above = int(np.searchsorted(nontargets, value, "left")), int(np.searchsorted(nontargets, value, "right"))
    equal_t, equal_n = until - before, above - below
    size = equal_t + equal_n
    # In units of 1 / (size * total_t * total_n), as whole numbers, so that no rounding decides which k is nearest.
    fnr = [(before * size + rank * equal_t) * total_n for rank in (0, size)]
    fpr = [((total_n - below) * size - rank * equal_n) * total_t for rank in (0, size)]
    step = (fnr[1] - fnr[0] + fpr[0] - fpr[1]) // size  # what one trial adds to FNR - FPR
    rank = (fpr[0] - fnr[0]) // step  # the last one at which FPR is not below FNR
    at = [(fnr[0] + r * equal_t * total_n, fpr[0] - r * equal_n * total_t) for r in (rank, min(rank + 1, size))]
    nearest = min(at, key=lambda pair: abs(pair[0] - pair[1]))  # the first of equals
    threshold = _halfway(scores, value, accepted=nearest == at[0] and rank == 0)
    return Point(max(nearest) / (size * total_t * total_n), threshold)


def _halfway(scores: Scores, value: Any, *, accepted: bool) -> float:
    """The threshold in the middle between two neighbouring scores, such that `value` is just accepted, or just rejected."""
    places = [int(np.searchsorted(part, value, "left" if accepted else "right")) for part in scores]
    below = [float(part[place - 1]) for part, place in zip(scores, places, strict=True) if place > 0]
    above = [float(part[place]) for part, place in zip(scores, places, strict=True) if place < len(part)]
    if not above:
        return float(np.nextafter(max(below), np.inf))
    middle = (max(below) + min(above)) / 2 if below else -np.inf
    return middle if below and max(below) < middle else min(above)


def minimum_cost(scores: Scores, *, target_prior: float = TARGET_PRIOR) -> Point:
    """The least detection cost of any threshold: (p FNR + (1 - p) FPR) / min(p, 1 - p), false decisions of both kinds costing 1.

    1 is what a detector costs that always gives the cheaper answer. Equal scores are accepted or rejected together.
    """
    if not 0 < target_prior < 1:
        raise ValueError(f"target_prior is a probability, got {target_prior}: use a value between 0 and 1, such as 0.01")
    targets, nontargets = scores
    # Between two targets a higher threshold only loses nontargets: the best ones lie on a target, or above all.
    fnr = np.arange(len(targets) + 1) / len(targets)
    accepted = len(nontargets) - np.append(np.searchsorted(nontargets, targets, "left"), len(nontargets))
    costs = target_prior * fnr + (1 - target_prior) * (accepted / len(nontargets))
    best = int(costs.argmin())
    all_rejected = best == len(targets)
    value = max(targets[-1], nontargets[-1]) if all_rejected else targets[best]
    threshold = _halfway(scores, value, accepted=not all_rejected)
    return Point(float(costs[best] / min(target_prior, 1 - target_prior)), threshold)


def rates_at(scores: Scores, threshold: float) -> tuple[float, float]:
    """False accepts and false rejects, (FPR, FNR), of accepting every score of at least `threshold`."""
    targets, nontargets = scores
    fpr = 1 - np.searchsorted(nontargets, threshold, "left") / len(nontargets)
    return float(fpr), float(np.searchsorted(targets, threshold, "left") / len(targets))


def summarize(scores: Scores, *, target_prior: float = TARGET_PRIOR) -> VerificationResult:
    """EER and minDCF of sorted scores."""
    checked(scores)
    eer, cost = equal_error_rate(scores), minimum_cost(scores, target_prior=target_prior)
    counts = (len(scores.targets), len(scores.nontargets))
    return VerificationResult(eer.value, cost.value, eer.threshold, cost.threshold, *counts)


def verification_scores(scores: ArrayLike, targets: ArrayLike, *, target_prior: float = TARGET_PRIOR) -> VerificationResult:
    """EER and minDCF of scores (m,) with `targets` (m,), in any order; see `equal_error_rate` and `minimum_cost`."""
    return summarize(sort_scores(scores, targets), target_prior=target_prior)


def det_curve(scores: Scores, *, points: int | None = 1000) -> DetCurve:
    """The points that thresholds can reach, from "accept all" to "reject all".

    Beyond about `points` of them some are left out, more of them in the middle than at the ends, where a DET plot is wide; None
    gives all.
    """
    kept = [part if points is None else part[_spread(len(part), points // 2, end)] for part, end in zip(scores, "lh", strict=True)]
    values = np.unique(np.concatenate(kept))
    thresholds = np.append(values, np.nextafter(values[-1], np.inf))
    fnr = np.searchsorted(scores.targets, thresholds, "left") / len(scores.targets)
    fpr = 1 - np.searchsorted(scores.nontargets, thresholds, "left") / len(scores.nontargets)
    ends = np.array([-np.inf, np.inf])
    return DetCurve(
        np.concatenate((ends[:1], thresholds, ends[1:])).astype(np.float64),
        np.concatenate(([1.0], fpr, [0.0])),
        np.concatenate(([0.0], fnr, [1.0])),
    )


def _spread(count: int, points: int, dense_end: str) -> NDArray[np.int64]:
    """Places among `count` sorted values, all near the low ("l") or high ("h") end and fewer and fewer towards the other."""
    ranks = np.unique(np.geomspace(1, count, points).round().astype(np.int64)) - 1
    return ranks if dense_end == "l" else count - 1 - ranks[::-1]
