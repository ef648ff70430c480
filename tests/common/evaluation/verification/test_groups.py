"""Errors by group against loops, and a minority that is harmed while the average looks fine."""

import math

import numpy as np
import pytest

from antiphon.common.evaluation.verification import AllPairs, group_errors, scoring_vectors, summarize, verification_scores


def test_groups_are_the_loop() -> None:
    rng = np.random.default_rng(0)
    vectors = scoring_vectors(rng.normal(size=(40, 5)) + np.repeat(rng.normal(size=(10, 5)), 4, axis=0))
    speakers, groups = np.repeat(np.arange(10), 4), np.repeat(["f", "m", "m", "", "f"], 8)
    trials = AllPairs(vectors, speakers)
    report = group_errors(trials, [value or None for value in groups], threshold=0.3, column="gender")
    pairs = [(a, b) for a in range(40) for b in range(a + 1, 40)]

    def rates(chosen) -> tuple[float, float, float, int]:
        scores = np.asarray([vectors[a] @ vectors[b] for a, b in chosen])
        same = np.asarray([speakers[a] == speakers[b] for a, b in chosen])
        return verification_scores(scores, same).eer, (scores[~same] >= 0.3).mean(), (scores[same] < 0.3).mean(), int(same.sum())

    for each in report.groups:
        inside = [(a, b) for a, b in pairs if groups[a] == groups[b] == each.group]
        assert (each.eer, each.fpr, each.fnr, each.targets) == pytest.approx(rates(inside))
        assert each.nontargets == len(inside) - each.targets and each.recordings == (groups == each.group).sum()
    assert [each.group for each in report.groups] == ["f", "m"]
    within = [(a, b) for a, b in pairs if groups[a] == groups[b] != ""]
    assert report.within_eer == pytest.approx(rates(within)[0])
    assert report.unknown == sum(groups[a] == "" or groups[b] == "" for a, b in pairs)
    assert report.across + report.unknown + len(within) == len(pairs)
    table = report.table()
    assert table.columns[0] == "gender" and [row[0] for row in table.rows] == ["f", "m"]


def test_a_minority_that_the_average_hides() -> None:
    """Twenty speakers are told apart easily, four are not: false accepts at the common threshold say so."""
    rng = np.random.default_rng(1)
    voices = rng.normal(size=(24, 16))
    voices[20:] = rng.normal(size=16) + 0.3 * rng.normal(size=(4, 16))
    vectors = scoring_vectors(np.repeat(voices, 10, axis=0) + 0.6 * rng.normal(size=(240, 16)))
    trials = AllPairs(vectors, np.repeat(np.arange(24), 10))
    whole = summarize(trials.scores())
    report = group_errors(trials, np.repeat(["many", "few"], [200, 40]), threshold=whole.eer_threshold, column="language")
    few, many = report.groups
    assert whole.eer < 0.1 and many.fpr < 0.1 and few.fpr > 0.5
    assert report.worst_eer() == few.eer > 3 * many.eer
    assert math.isnan(report.worst_eer(min_trials=10_000))


def test_groups_without_trials_of_a_kind() -> None:
    vectors = scoring_vectors(np.random.default_rng(2).normal(size=(5, 3)))
    report = group_errors(AllPairs(vectors, [0, 0, 1, 2, 2]), ["a", "a", "b", "c", "c"], threshold=0.0)
    assert [(each.targets, each.nontargets) for each in report.groups] == [(1, 0), (0, 0), (1, 0)]
    assert all(math.isnan(each.eer) for each in report.groups) and math.isnan(report.within_eer)
    with pytest.raises(ValueError, match="language: 2 values for 5 recordings"):
        group_errors(AllPairs(vectors, [0, 0, 1, 2, 2]), ["a", "b"], threshold=0.0, column="language")
