"""Probabilities that mean what they say, on trials whose likelihood ratio is known."""

import json

import numpy as np
import pytest

from antiphon.common.evaluation.verification import Calibration, Scores, fit_calibration, minimum_cost, sort_scores


def normal_scores(targets: int, nontargets: int, seed: int = 0) -> Scores:
    """Two normal distributions of deviation 0.2 around 0.6 and 0.1: the log-likelihood ratio is 12.5 s - 4.375."""
    rng = np.random.default_rng(seed)
    return Scores(np.sort(rng.normal(0.6, 0.2, targets)), np.sort(rng.normal(0.1, 0.2, nontargets)))


def test_the_likelihood_ratio_is_found_whatever_the_numbers_of_trials() -> None:
    for counts in ((20_000, 20_000), (2_000, 200_000)):
        found = fit_calibration(normal_scores(*counts), speakers=40, source="somewhere")
        assert found.slope == pytest.approx(12.5, rel=0.05) and found.offset == pytest.approx(-4.375, rel=0.05)
        assert found.probability(0.35) == pytest.approx(0.5, abs=0.02)
        assert found.probability(0.35, prior=0.1) == pytest.approx(0.1, abs=0.01)
        assert found.accepts(found.threshold) and not found.accepts(found.threshold - 1e-6)
        assert (found.fpr, found.fnr) == pytest.approx((0.106, 0.106), abs=0.02)


def test_it_is_the_weighted_logistic_regression() -> None:
    from sklearn.linear_model import LogisticRegression

    scores = normal_scores(300, 3000)
    values, truth = np.concatenate(scores)[:, None], np.repeat([1, 0], [300, 3000])
    peer = LogisticRegression(C=1e9, class_weight="balanced", tol=1e-10, max_iter=1000).fit(values, truth)
    found = fit_calibration(scores)
    assert (found.slope, found.offset) == pytest.approx((peer.coef_[0, 0], peer.intercept_[0]), rel=0.05)


def test_moving_the_scores_moves_the_meaning_along() -> None:
    scores = normal_scores(500, 5000)
    moved = Scores(*(3 * part + 7 for part in scores))
    plain, other = fit_calibration(scores), fit_calibration(moved)
    assert other.threshold == pytest.approx(3 * plain.threshold + 7)
    for score in (-0.5, 0.2, 0.9):
        assert other.probability(3 * score + 7) == pytest.approx(plain.probability(score), abs=1e-6)


def test_few_separable_trials_are_not_certain() -> None:
    found = fit_calibration(Scores(np.asarray([0.8, 0.9]), np.asarray([0.1, 0.2])))
    assert 0.6 < found.probability(0.85) < 0.95 and 0.05 < found.probability(0.15) < 0.4
    assert 0.2 < found.threshold < 0.8 and (found.fpr, found.fnr) == (0.0, 0.0)
    assert 0.0 <= found.probability(-1e6) < found.probability(1e6) <= 1.0


def test_equal_scores_say_nothing() -> None:
    found = fit_calibration(sort_scores(np.ones(30), np.arange(30) % 3 == 0))
    assert found.probability(1.0) == pytest.approx(0.5, abs=0.03)


def test_other_threshold_and_round_trip() -> None:
    scores = normal_scores(500, 50_000)
    found = fit_calibration(scores, decide_by="min_dcf", speakers=3, source="here")
    assert found.threshold == minimum_cost(scores).threshold and found.fpr < 0.01 < found.fnr
    assert Calibration.from_dict(json.loads(json.dumps({"encoder": "x", **found.to_dict()}))) == found
    with pytest.raises(ValueError, match="unknown way to decide 'guess'"):
        fit_calibration(scores, decide_by="guess")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="prior is a probability, got 0"):
        found.probability(0.1, prior=0)
