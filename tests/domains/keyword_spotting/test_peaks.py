"""Peaks that are no rivals, the best of them, and a threshold that background passes in every second recording."""

from itertools import pairwise

import numpy as np
import pytest

from antiphon.domains.keyword_spotting.peaks import Background, Stretch, best_peaks, peaks


def row(scores: list[float], *, hop_s: float = 0.1, length_s: float = 0.4) -> list[Stretch]:
    return [Stretch(place * hop_s, place * hop_s + length_s, score, 0) for place, score in enumerate(scores)]


def test_a_hump_gives_its_top() -> None:
    found = list(peaks(row([0.1, 0.3, 0.7, 0.9, 0.6, 0.2, 0.1])))
    assert round(found[0].start_s, 1) == 0.3 and found[0].score == 0.9
    assert all(one.score < 0.3 for one in found[1:])


def test_no_two_peaks_are_rivals_and_the_best_of_all_is_among_them() -> None:
    random = np.random.default_rng(0)
    for _ in range(20):
        scores = np.convolve(random.normal(size=300), np.ones(4), "same").tolist()
        found = list(peaks(row(scores)))
        assert not any(first.rivals(second) for first, second in pairwise(found))
        assert max(scores) == max(one.score for one in found)
        assert [one.start_s for one in found] == sorted(one.start_s for one in found)


def test_words_side_by_side_are_two_and_the_first_of_equals_wins() -> None:
    scores = [0.0, 0.9, 0.0, 0.0, 0.0, 0.9, 0.0]
    found = [one for one in peaks(row(scores)) if one.score > 0.5]
    assert [round(one.start_s, 1) for one in found] == [0.1, 0.5]
    (first,) = peaks(row([0.5, 0.5]))
    assert first.start_s == 0.0


def test_rivals_overlap_by_more_than_a_quarter_of_the_shorter() -> None:
    long, short = Stretch(0.0, 2.0, 0.5, 0), Stretch(1.75, 2.75, 0.5, 0)
    assert not long.rivals(short) and Stretch(0.0, 2.01, 0.5, 0).rivals(short)
    assert not Stretch(0.0, 1.0, 0.5, 0).rivals(Stretch(1.0, 2.0, 0.5, 0))


def test_the_best_are_kept_in_order_of_time_and_all_are_counted() -> None:
    some = [Stretch(place, place + 1.0, score, 0) for place, score in enumerate([0.1, 0.9, 0.5, 0.9, 0.2])]
    found, count = best_peaks(iter(some), most=2)
    assert [one.start_s for one in found] == [1, 3] and count == 5
    found, _ = best_peaks(iter(some), most=1)
    assert [one.start_s for one in found] == [1]
    assert best_peaks(iter([])) == ([], 0)


def test_no_two_of_the_best_are_rivals_whatever_their_lengths() -> None:
    some = [Stretch(0.0, 1.0, 0.9, 0), Stretch(0.96, 1.16, 0.3, 1), Stretch(0.2, 1.2, 0.5, 0), Stretch(3.0, 4.0, 0.1, 0)]
    assert [one.start_s for one in peaks(some)] == [0.0, 0.2, 3.0]  # the short one came between
    found, _ = best_peaks(peaks(some))
    assert [one.start_s for one in found] == [0.0, 3.0]


def test_quantiles_of_counts_are_those_of_the_scores() -> None:
    scores = np.random.default_rng(0).beta(2, 5, 20_000) * 2 - 1
    background = Background()
    for part in np.split(scores, 10):
        background.add(part)
    for share in (0.1, 0.5, 0.84, 0.99):
        assert background.quantile(share) == pytest.approx(np.quantile(scores, share), abs=1e-3)
    background.add(np.array([-1.0, 1.0, 1.0 + 1e-7]))  # rounding may leave the interval


@pytest.mark.parametrize("count", [50, 500])
def test_normal_background_passes_the_threshold_in_every_second_recording(count: int) -> None:
    random = np.random.default_rng(0)
    passed = []
    for _ in range(400):
        scores = random.normal(0.2, 0.1, count)
        background = Background()
        background.add(random.normal(0.2, 0.1, 20_000))
        passed.append((scores >= background.threshold(count)).sum())
    assert np.mean(passed) == pytest.approx(0.5, abs=0.15)
