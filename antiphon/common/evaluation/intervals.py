"""How sure are we: confidence intervals over seeds and over one test set."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True)
class Interval:
    """A mean with its confidence interval. `sd` is the sample standard deviation of the `n` values (NaN for one value)."""

    mean: float
    low: float
    high: float
    sd: float
    n: int
    confidence: float

    @property
    def excludes_zero(self) -> bool:
        """True where the whole interval lies on one side of zero; False where it is unknown."""
        return self.low > 0 or self.high < 0


def _values(values: ArrayLike, name: str) -> NDArray[np.float64]:
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1 or len(array) == 0 or not np.isfinite(array).all():
        raise ValueError(f"{name} must be a non-empty list of finite numbers, got {array.tolist()}: leave failed runs out")
    return array


def _t_interval(mean: float, standard_error: float, freedom: float, *, sd: float, n: int, confidence: float) -> Interval:
    from scipy.stats import t

    if not 0 < confidence < 1:
        raise ValueError(f"confidence is a probability, got {confidence}: use a value between 0 and 1, such as 0.95")
    half = float(t.ppf((1 + confidence) / 2, freedom)) * standard_error if standard_error > 0 else 0.0
    return Interval(mean, mean - half, mean + half, sd, n, confidence)


def mean_interval(values: ArrayLike, *, confidence: float = 0.95) -> Interval:
    """Mean of runs with different seeds and its Student t interval. One run has no spread: its bounds and sd are NaN."""
    array = _values(values, "values")
    mean, n = float(array.mean()), len(array)
    if n == 1:
        return Interval(mean, math.nan, math.nan, math.nan, 1, confidence)
    sd = float(array.std(ddof=1))
    return _t_interval(mean, sd / math.sqrt(n), n - 1, sd=sd, n=n, confidence=confidence)


def paired_difference(first: ArrayLike, second: ArrayLike, *, confidence: float = 0.95) -> Interval:
    """Mean of first - second over pairs (same seed, same data set) and its t interval; `sd` is that of the differences."""
    a, b = _values(first, "first"), _values(second, "second")
    if len(a) != len(b):
        raise ValueError(f"paired values must come in pairs, got {len(a)} and {len(b)}: use welch_difference for unpaired runs")
    return mean_interval(a - b, confidence=confidence)


def welch_difference(first: ArrayLike, second: ArrayLike, *, confidence: float = 0.95) -> Interval:
    """Difference of two means of unpaired runs, by Welch's t interval (unequal variances).

    `n` is the number of values in both; `sd` is the root of the two variances' sum, the spread of a difference of single runs. With
    one value on a side the interval is unknown: NaN.
    """
    a, b = _values(first, "first"), _values(second, "second")
    mean, n = float(a.mean() - b.mean()), len(a) + len(b)
    if min(len(a), len(b)) < 2:
        return Interval(mean, math.nan, math.nan, math.nan, n, confidence)
    parts = np.array([a.var(ddof=1) / len(a), b.var(ddof=1) / len(b)])
    sd = math.sqrt(a.var(ddof=1) + b.var(ddof=1))
    error = float(parts.sum())
    freedom = error**2 / float((parts**2 / [len(a) - 1, len(b) - 1]).sum()) if error > 0 else 1.0
    return _t_interval(mean, math.sqrt(error), freedom, sd=sd, n=n, confidence=confidence)


def wilson_interval(correct: int, total: int, *, confidence: float = 0.95) -> Interval:
    """Accuracy on one test set and its score interval (Wilson, 1927): the uncertainty that the size of the test set leaves.

    Unlike the t intervals it says nothing of the spread between seeds. `sd` is that of a single right-or-wrong answer.
    """
    from scipy.stats import norm

    if not 0 <= correct <= total or total < 1:
        raise ValueError(f"need 0 <= correct <= total and total >= 1, got correct={correct} and total={total}")
    if not 0 < confidence < 1:
        raise ValueError(f"confidence is a probability, got {confidence}: use a value between 0 and 1, such as 0.95")
    z, share = float(norm.ppf((1 + confidence) / 2)), correct / total
    scale = 1 + z**2 / total
    centre = (share + z**2 / (2 * total)) / scale
    half = z / scale * math.sqrt(share * (1 - share) / total + z**2 / (4 * total**2))
    return Interval(share, max(0.0, centre - half), min(1.0, centre + half), math.sqrt(share * (1 - share)), total, confidence)
