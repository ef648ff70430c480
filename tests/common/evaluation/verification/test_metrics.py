"""Error rates against the definition written as a loop over every order that equal scores may have."""

from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from antiphon.common.evaluation.verification import (
    Scores,
    det_curve,
    equal_error_rate,
    minimum_cost,
    rates_at,
    sort_scores,
    verification_scores,
)

GOLDEN = ([0.9, 0.8, 0.7, 0.6, 0.55, 0.5, 0.4, 0.3, 0.2, 0.1], [1, 1, 0, 1, 1, 0, 0, 1, 0, 0])


def loop_eer(scores, targets) -> Fraction:
    """max(FPR, FNR) at the k that brings them nearest, equal scores evenly mixed."""
    total_t, total_n = int(sum(targets)), len(targets) - int(sum(targets))
    rejected_t = rejected_n = Fraction(0)
    points = [(Fraction(0), Fraction(1))]
    for value in sorted(set(scores)):
        group = [bool(target) for score, target in zip(scores, targets, strict=True) if score == value]
        for _ in group:
            rejected_t += Fraction(sum(group), len(group))
            rejected_n += 1 - Fraction(sum(group), len(group))
            points.append((rejected_t / total_t, 1 - rejected_n / total_n))
    return max(min(points, key=lambda point: abs(point[0] - point[1])))


def loop_min_dcf(scores, targets, prior: float) -> float:
    costs = []
    for threshold in [*sorted(set(scores)), max(scores) + 1]:
        fnr = sum(score < threshold for score, target in zip(scores, targets, strict=True) if target) / sum(targets)
        fpr = sum(s >= threshold for s, t in zip(scores, targets, strict=True) if not t) / (len(targets) - sum(targets))
        costs.append((prior * fnr + (1 - prior) * fpr) / min(prior, 1 - prior))
    return min(costs)


def random_trials(seed: int, *, levels: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    targets = rng.random(rng.integers(5, 60)) < 0.4
    targets[:2] = True, False
    scores = rng.normal(size=len(targets)) + targets
    return (scores if levels is None else np.round(scores * levels) / levels), targets


def test_golden() -> None:
    result = verification_scores(*GOLDEN)
    assert (result.eer, result.min_dcf, result.targets, result.nontargets) == (0.2, pytest.approx(0.6), 5, 5)


@pytest.mark.parametrize("levels", [None, 1, 2])
@pytest.mark.parametrize("seed", range(8))
def test_definition_with_and_without_ties(seed: int, levels: int | None) -> None:
    scores, targets = random_trials(seed, levels=levels)
    result = verification_scores(scores, targets)
    assert result.eer == float(loop_eer(scores.tolist(), targets.tolist()))
    assert result.min_dcf == pytest.approx(loop_min_dcf(scores.tolist(), targets.tolist(), 0.01))
    assert minimum_cost(sort_scores(scores, targets), target_prior=0.7).value == pytest.approx(
        loop_min_dcf(scores.tolist(), targets.tolist(), 0.7)
    )


@pytest.mark.parametrize("seed", range(5))
def test_neither_order_nor_scale_counts(seed: int) -> None:
    scores, targets = random_trials(seed, levels=2)
    expected = verification_scores(scores, targets)
    order = np.random.default_rng(seed).permutation(len(scores))
    assert verification_scores(scores[order], targets[order]) == expected
    moved = verification_scores(scores * 8 + 1024, targets.astype(int))
    assert (moved.eer, moved.min_dcf) == (expected.eer, expected.min_dcf)
    assert moved.eer_threshold == pytest.approx(8 * expected.eer_threshold + 1024)


def test_ties_lie_between_the_fortunes_of_their_orders() -> None:
    scores, targets = random_trials(3, levels=1)
    nudge = 1e-6 * targets
    worst, best = (verification_scores(scores + sign * nudge, targets).eer for sign in (-1, 1))
    assert best < verification_scores(scores, targets).eer < worst


def test_perfect_useless_and_reversed() -> None:
    targets = np.arange(40) % 4 == 0
    for scores, eer, cost in ((targets, 0.0, 0.0), (np.zeros(40), 0.5, 1.0), (~targets, 1.0, 1.0)):
        result = verification_scores(scores, targets)
        assert (result.eer, result.min_dcf) == (eer, cost)


def test_thresholds_give_what_they_promise() -> None:
    for seed in range(10):
        scores = sort_scores(*random_trials(seed))
        eer, cost = equal_error_rate(scores), minimum_cost(scores)
        assert max(rates_at(scores, eer.threshold)) == pytest.approx(eer.value)
        fpr, fnr = rates_at(scores, cost.threshold)
        assert (0.01 * fnr + 0.99 * fpr) / 0.01 == pytest.approx(cost.value)
    neighbours = Scores(np.asarray([np.nextafter(np.float64(1), 2)]), np.ones(1))
    assert rates_at(neighbours, equal_error_rate(neighbours).threshold) == (0.0, 0.0)  # no number lies between them


def test_precision_is_kept() -> None:
    scores, targets = random_trials(1)
    sorted_scores = sort_scores(scores.astype(np.float16), targets)
    assert sorted_scores.targets.dtype == np.float32
    assert sort_scores(scores, targets).targets.dtype == np.float64


def test_det_curve_is_the_roc_and_thins_out_on_it() -> None:
    rng = np.random.default_rng(0)
    targets = rng.random(20_000) < 0.3
    scores = np.round(rng.normal(size=20_000) + 1.5 * targets, 3)
    whole = det_curve(sort_scores(scores, targets), points=None)
    area = sum((a - b) * (2 - c - d) / 2 for (a, b), (c, d) in zip(pairwise(whole.fpr), pairwise(whole.fnr), strict=True))
    assert area == pytest.approx(roc_auc_score(targets, scores))
    thin = det_curve(sort_scores(scores, targets), points=200)
    assert len(thin.fpr) < 220 and (thin.fpr[0], thin.fnr[0], thin.fpr[-1], thin.fnr[-1]) == (1, 0, 0, 1)
    assert set(zip(thin.fpr, thin.fnr, strict=True)) <= set(zip(whole.fpr, whole.fnr, strict=True))
    assert (np.diff(thin.fpr) <= 0).all() and (np.diff(thin.fnr) >= 0).all()


@pytest.mark.parametrize(
    ("scores", "targets", "message"),
    [
        ([0.1, 0.2], [1, 1], "2 target and 0 nontarget"),
        ([0.1, np.nan, np.nan], [1, 0, 0], "2 scores are NaN"),
        ([0.1, 0.2], [1], "one length"),
        ([0.1, 0.2], [1, 2], "true or false"),
    ],
)
def test_mistakes(scores, targets, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        verification_scores(scores, targets)


def test_prior_must_be_one() -> None:
    with pytest.raises(ValueError, match="target_prior is a probability, got 1"):
        verification_scores([0.1, 0.2], [0, 1], target_prior=1)
