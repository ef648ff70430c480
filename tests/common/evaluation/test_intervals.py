import math

import numpy as np
import pytest
from scipy import stats

from antiphon.common.evaluation import mean_interval, paired_difference, welch_difference, wilson_interval

A, B = [0.81, 0.84, 0.80, 0.86, 0.83], [0.74, 0.80, 0.78, 0.77, 0.79]


@pytest.mark.parametrize("confidence", [0.8, 0.95, 0.99])
def test_t_intervals_equal_scipy(confidence):
    expected = stats.ttest_1samp(A, 0.0).confidence_interval(confidence)
    interval = mean_interval(A, confidence=confidence)
    assert (interval.low, interval.high) == pytest.approx(tuple(expected))
    assert (interval.mean, interval.sd, interval.n) == (pytest.approx(np.mean(A)), pytest.approx(np.std(A, ddof=1)), 5)
    expected = stats.ttest_rel(A, B).confidence_interval(confidence)
    assert (
        paired_difference(A, B, confidence=confidence).low,
        paired_difference(A, B, confidence=confidence).high,
    ) == pytest.approx(tuple(expected))
    expected = stats.ttest_ind(A, B[:3], equal_var=False).confidence_interval(confidence)
    welch = welch_difference(A, B[:3], confidence=confidence)
    assert (welch.low, welch.high) == pytest.approx(tuple(expected))


@pytest.mark.parametrize(("correct", "total"), [(0, 10), (7, 10), (10, 10), (930, 1029)])
def test_wilson_equals_scipy(correct, total):
    expected = stats.binomtest(correct, total).proportion_ci(0.95, method="wilson")
    interval = wilson_interval(correct, total)
    assert (interval.low, interval.high) == pytest.approx((expected.low, expected.high), abs=1e-12)
    assert interval.mean == correct / total


def test_one_value_has_no_interval():
    for interval in (mean_interval([0.8]), paired_difference([0.8], [0.7]), welch_difference([0.8], [0.7, 0.6])):
        assert math.isnan(interval.low) and math.isnan(interval.high) and not interval.excludes_zero


def test_equal_values_have_a_point():
    interval = mean_interval([0.5, 0.5, 0.5])
    assert (interval.low, interval.high, interval.sd) == (0.5, 0.5, 0.0)
    assert welch_difference([0.5, 0.5], [0.5, 0.5]).high == 0.0


def test_excludes_zero():
    assert paired_difference(A, B).excludes_zero
    assert paired_difference(B, A).excludes_zero
    assert not paired_difference([0.1, -0.1, 0.05], [0.0, 0.0, 0.0]).excludes_zero


def test_errors_name_the_remedy():
    with pytest.raises(ValueError, match="welch_difference"):
        paired_difference([1.0, 2.0], [1.0])
    with pytest.raises(ValueError, match="finite numbers"):
        mean_interval([0.1, float("nan")])
    with pytest.raises(ValueError, match="non-empty"):
        mean_interval([])
    with pytest.raises(ValueError, match="between 0 and 1"):
        mean_interval(A, confidence=95)
    with pytest.raises(ValueError, match="correct <= total"):
        wilson_interval(5, 4)
