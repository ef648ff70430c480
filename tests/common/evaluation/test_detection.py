"""Detections and pairs against plain loops and cases that can be counted by hand."""

import math

import numpy as np
import pytest

from antiphon.common.evaluation.detection import FalseAlarms, false_alarms_per_hour, match_detections, query_by_example


def matched_by_loop(
    detections: list[tuple[float, float, float]], truth: list[tuple[float, float]], tolerance_s: float
) -> list[bool]:
    hits, taken = [False] * len(detections), set()
    for number in sorted(range(len(detections)), key=lambda one: (-detections[one][2], one)):
        start, end, _ = detections[number]
        middle = (start + end) / 2
        best = None
        for place, (first, last) in enumerate(truth):
            away = first - middle if middle < first else middle - last if middle > last else 0.0
            if place not in taken and away <= tolerance_s and (best is None or away < best[0]):
                best = (away, place)
        if best is not None:
            taken.add(best[1])
            hits[number] = True
    return hits


@pytest.mark.parametrize("seed", range(20))
def test_matching_is_the_loop(seed: int) -> None:
    random = np.random.default_rng(seed)
    starts, true_starts = random.uniform(0, 20, 15), np.sort(random.uniform(0, 20, 8))
    ends, true_ends = starts + random.uniform(0.1, 2, 15), true_starts + random.uniform(0.1, 1, 8)
    scores = random.integers(0, 6, 15).astype(float)  # with ties
    found = match_detections(starts, ends, scores, true_starts, true_ends, tolerance_s=0.3)
    expected = matched_by_loop(list(zip(starts, ends, scores, strict=True)), list(zip(true_starts, true_ends, strict=True)), 0.3)
    assert found.hits.tolist() == expected
    taken = found.found_by[found.found_by >= 0]
    assert len(set(taken.tolist())) == len(taken) == found.hits.sum() and found.hits[taken].all()


def test_a_word_reported_twice_is_one_hit_and_one_false_alarm() -> None:
    found = match_detections([1.0, 1.1, 7.0], [2.0, 2.1, 8.0], [0.5, 0.9, 0.7], [1.2], [1.8])
    assert found.hits.tolist() == [False, True, False] and found.found_by.tolist() == [1]
    assert match_detections([1.0], [2.0], [0.5], [1.7], [1.9]).hits.tolist() == [False]
    assert match_detections([1.0], [2.0], [0.5], [1.7], [1.9], tolerance_s=0.2).hits.tolist() == [True]
    assert match_detections([], [], [], [1.0], [2.0]).found_by.tolist() == [-1]
    assert match_detections([1.0], [2.0], [0.5], [], []).hits.tolist() == [False]


def alarms_by_loop(scores: np.ndarray, hits: np.ndarray, occurrences: int, hours: float, miss_rate: float) -> float:
    """Try every threshold from the highest on; the first that misses few enough."""
    for threshold in sorted(set(scores.tolist()), reverse=True):
        missed = occurrences - sum(1 for score, hit in zip(scores, hits, strict=True) if hit and score >= threshold)
        if missed <= miss_rate * occurrences + 1e-9:
            return sum(1 for score, hit in zip(scores, hits, strict=True) if not hit and score >= threshold) / hours
    return math.inf


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("miss_rate", [0.0, 0.1, 0.3, 0.5])
def test_false_alarms_are_the_loop(seed: int, miss_rate: float) -> None:
    random = np.random.default_rng(seed)
    scores, hits = random.integers(0, 30, 40) / 10, random.random(40) < 0.3
    occurrences = int(hits.sum()) + int(random.integers(0, 4))
    found = false_alarms_per_hour(scores, hits, occurrences=max(1, occurrences), duration_s=1800.0, miss_rate=miss_rate)
    assert found.per_hour == alarms_by_loop(scores, hits, max(1, occurrences), 0.5, miss_rate)
    if math.isfinite(found.per_hour):
        assert found.miss_rate <= miss_rate + 1e-9


def test_false_alarms_by_hand() -> None:
    scores, hits = [0.9, 0.8, 0.7, 0.6, 0.5], [True, False, True, False, True]
    assert false_alarms_per_hour(scores, hits, occurrences=3, duration_s=7200.0, miss_rate=0.4) == FalseAlarms(0.5, 0.7, 1 - 2 / 3)
    assert false_alarms_per_hour(scores, hits, occurrences=3, duration_s=3600.0, miss_rate=0.0).per_hour == 2.0
    assert false_alarms_per_hour(scores, hits, occurrences=10, duration_s=3600.0, miss_rate=0.7).threshold == 0.5
    missed = false_alarms_per_hour(scores, hits, occurrences=10, duration_s=3600.0)
    assert missed.per_hour == math.inf and missed.miss_rate == 0.7


def test_query_by_example_by_hand() -> None:
    similarity = np.array([[9.0, 0.9, 0.8, 0.1], [0.9, 9.0, 0.2, 0.3], [0.8, 0.2, 9.0, 0.7], [0.1, 0.3, 0.7, 9.0]])
    words = np.array(["a", "a", "b", "b"])
    found = query_by_example(similarity, words[:, None] == words, counted=~np.eye(4, dtype=bool))
    assert found.pairs == 12 and found.queries == 4 and found.unanswerable == 0
    assert found.mean_average_precision == pytest.approx((1 + 1 + 0.5 + 1) / 4)
    assert found.eer == pytest.approx(0.25)  # of one word .9 .9 .7 .7, of two .8 .8 .3 .3 .2 .2 .1 .1


@pytest.mark.parametrize("seed", range(5))
def test_mean_average_precision_is_that_of_scikit_learn(seed: int) -> None:
    from sklearn.metrics import average_precision_score

    random = np.random.default_rng(seed)
    similarity, relevant, counted = random.normal(size=(7, 12)), random.random((7, 12)) < 0.3, random.random((7, 12)) < 0.8
    relevant[0] = False  # nobody answers the first
    found = query_by_example(similarity, relevant, counted=counted)
    rows = [row for row in range(7) if (relevant & counted)[row].any()]
    each = [average_precision_score(relevant[row][counted[row]], similarity[row][counted[row]]) for row in rows]
    assert found.mean_average_precision == pytest.approx(np.mean(each))
    assert found.queries == len(rows) and found.unanswerable == 7 - len(rows)


def test_an_encoder_that_tells_nothing_apart_gains_nothing() -> None:
    words = np.repeat(np.arange(5), 4)
    found = query_by_example(np.zeros((20, 20)), words[:, None] == words, counted=~np.eye(20, dtype=bool))
    assert found.eer == 0.5 and found.mean_average_precision < 0.12


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="one start and one end each"):
        match_detections([1.0], [2.0, 3.0], [0.5], [], [])
    with pytest.raises(ValueError, match="begin before they end"):
        match_detections([1.0], [0.0], [0.5], [], [])
    with pytest.raises(ValueError, match="1 finite numbers"):
        match_detections([1.0], [2.0], [math.nan], [], [])
    with pytest.raises(ValueError, match="tolerance_s must be at least 0"):
        match_detections([1.0], [2.0], [1.0], [], [], tolerance_s=-1)
    with pytest.raises(ValueError, match="2 hits need so many occurrences"):
        false_alarms_per_hour([1.0, 2.0], [True, True], occurrences=1, duration_s=10.0)
    with pytest.raises(ValueError, match="miss_rate is from 0 to below 1"):
        false_alarms_per_hour([1.0], [True], occurrences=1, duration_s=10.0, miss_rate=1.0)
    with pytest.raises(ValueError, match="two lists of one length"):
        false_alarms_per_hour([1.0], [True, False], occurrences=1, duration_s=10.0)
    with pytest.raises(ValueError, match="pairs of both kinds"):
        query_by_example(np.ones((2, 2)), np.ones((2, 2)))
    with pytest.raises(ValueError, match="must be finite"):
        query_by_example(np.full((2, 2), np.nan), np.eye(2))
    with pytest.raises(ValueError, match=r"got shapes \(2, 2\), \(2, 3\)"):
        query_by_example(np.ones((2, 2)), np.ones((2, 3)))
