"""How far the choice of speakers leaves an error rate open: a bootstrap over speakers, since trials are not independent."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from antiphon.common.evaluation.intervals import Interval
from antiphon.common.evaluation.verification.metrics import TARGET_PRIOR, Scores, summarize
from antiphon.common.evaluation.verification.trials import Trials, speaker_codes

_THRESHOLDS = 512
_MOST_TRIALS = 1_000_000


class SpeakerIntervals(NamedTuple):
    """EER and minDCF over all trials (`mean`), with percentile intervals; `n` is the number of speakers."""

    eer: Interval
    min_dcf: Interval


class _Counted(NamedTuple):
    """Trials of one kind in order of their bin: the speakers (m,) of both sides, and where the bins begin (b,)."""

    first: NDArray[np.int64]
    second: NDArray[np.int64]
    starts: NDArray[np.int64]
    filled: NDArray[np.bool_]


def speaker_intervals(
    trials: Trials,
    speakers: ArrayLike,
    *,
    replicates: int = 200,
    target_prior: float = TARGET_PRIOR,
    confidence: float = 0.95,
    seed: int = 0,
) -> SpeakerIntervals:
    """Percentile intervals of EER and minDCF over draws of speakers with replacement.

    A speaker who is drawn m times counts m times in the trials of one speaker, and m times m' with one who is drawn m' times. Each
    draw's rates are read at 512 thresholds, with a straight line between two of them for the EER. Of more than a million trials of
    a kind, a million are drawn for this (not for the means): what that adds is small against the interval.

    Args:
        trials: see `antiphon.common.evaluation.verification.trials`.
        speakers: (n,) of the recordings.
        replicates: how many draws.
        target_prior: see `minimum_cost`.
        confidence: of the intervals.
        seed: of the draws.

    Raises:
        ValueError: fewer than two speakers, or trials of one kind only.
    """
    if replicates < 2 or not 0 < confidence < 1:
        raise ValueError(f"need 2 replicates or more and a confidence between 0 and 1, got {replicates} and {confidence}")
    codes = speaker_codes(speakers, len(trials.vectors))
    count = int(codes.max()) + 1
    scores = trials.scores()
    whole = summarize(scores, target_prior=target_prior)
    thresholds = _thresholds(scores, (whole.eer_threshold, whole.min_dcf_threshold))
    kinds = _count(trials, codes, thresholds, scores, seed)
    draws = np.random.default_rng([seed, count]).multinomial(count, np.full(count, 1 / count), size=replicates).astype(np.float64)
    found = np.asarray([_rates(times, kinds, target_prior) for times in draws])
    found = found[np.isfinite(found).all(axis=1)]  # a draw of one speaker alone has no trials of two
    if len(found) < 2:
        raise ValueError(f"{count} speakers are too few to draw from: an interval by speakers needs several")
    tails = [(1 - confidence) / 2, (1 + confidence) / 2]
    intervals = []
    for value, column in zip((whole.eer, whole.min_dcf), found.T, strict=True):
        low, high = np.quantile(column, tails).tolist()
        intervals.append(Interval(value, low, high, float(column.std(ddof=1)), count, confidence))
    return SpeakerIntervals(*intervals)


def _thresholds(scores: Scores, exact: tuple[float, float]) -> NDArray[np.float64]:
    """Where the rates of a draw are read: on targets, evenly by rank, and at the best thresholds of all trials."""
    ranks = np.linspace(0, len(scores.targets) - 1, _THRESHOLDS).round().astype(np.int64)
    return np.unique(np.concatenate((scores.targets[ranks], exact, [scores.nontargets[0]])).astype(np.float64))


def _count(
    trials: Trials, codes: NDArray[np.int64], thresholds: NDArray[np.float64], scores: Scores, seed: int
) -> tuple[_Counted, _Counted]:
    shares = [min(1.0, _MOST_TRIALS / len(part)) for part in scores]
    kept: tuple[list[NDArray[np.int64]], list[NDArray[np.int64]]] = ([], [])
    for number, block in enumerate(trials):
        drawn = np.random.default_rng([seed, number]).random(len(block.scores)) if min(shares) < 1 else np.zeros(len(block.scores))
        for kind, share in enumerate(shares):
            rows = np.flatnonzero((block.targets == (kind == 0)) & (drawn < share))
            bins = np.searchsorted(thresholds, block.scores[rows], "right")  # how many thresholds accept it
            kept[kind].append(np.stack((bins, codes[block.first[rows]], codes[block.second[rows]])))
    counted = []
    for parts in kept:
        bins, first, second = np.concatenate(parts, axis=1)
        order = np.argsort(bins, kind="stable")
        starts = np.searchsorted(bins[order], np.arange(len(thresholds) + 1))
        filled = np.diff(np.append(starts, len(bins))) > 0
        counted.append(_Counted(first[order], second[order], starts, filled))
    return counted[0], counted[1]


def _rates(times: NDArray[np.float64], kinds: tuple[_Counted, _Counted], target_prior: float) -> tuple[float, float]:
    """EER and minDCF where speaker s counts `times[s]` times; NaN where no trials of a kind are left."""
    targets, nontargets = kinds
    same = _by_bin(times[targets.first], targets)
    other = _by_bin(times[nontargets.first] * times[nontargets.second], nontargets)
    if same.sum() == 0 or other.sum() == 0:
        return math.nan, math.nan
    fnr = same.cumsum() / same.sum()  # below threshold k lie bins 0 .. k; the last rejects all
    fpr = 1 - other.cumsum() / other.sum()
    costs = (target_prior * fnr + (1 - target_prior) * fpr) / min(target_prior, 1 - target_prior)
    after = int(np.argmax(fnr >= fpr))
    if after == 0:
        return float(max(fnr[0], fpr[0])), float(costs.min())
    gap, rise = fpr[after - 1] - fnr[after - 1], fnr[after] - fnr[after - 1] + fpr[after - 1] - fpr[after]
    return float(fnr[after - 1] + gap / rise * (fnr[after] - fnr[after - 1])), float(costs.min())


def _by_bin(weights: NDArray[np.float64], trials: _Counted) -> NDArray[np.float64]:
    sums = np.zeros(len(trials.starts))
    sums[trials.filled] = np.add.reduceat(weights, trials.starts[trials.filled])
    return sums
