"""Intervals over draws of speakers: each draw against the trials written out, and coverage of the truth."""

import numpy as np
import pytest

from antiphon.common.evaluation.verification import AllPairs, bootstrap, scoring_vectors, speaker_intervals, verification_scores


def voices(seed: int, speakers: int, clips: int, *, spread: float = 1.2) -> tuple[AllPairs, np.ndarray]:
    rng = np.random.default_rng(seed)
    names = np.repeat(np.arange(speakers), clips)
    vectors = scoring_vectors(rng.normal(size=(speakers, 12))[names] + spread * rng.normal(size=(len(names), 12)))
    return AllPairs(vectors, names), names


def test_a_draw_is_its_trials_written_out() -> None:
    trials, names = voices(0, 8, 5)
    scores = trials.scores()
    kinds = bootstrap._count(trials, names, bootstrap._thresholds(scores, (0.0, 0.0)), scores, 0)
    for seed in range(5):
        times = np.random.default_rng(seed).multinomial(8, np.full(8, 1 / 8))
        repeated, same = [], []
        for block in trials:
            for score, target, first, second in zip(*block, strict=True):
                count = times[names[first]] * (1 if target else times[names[second]])
                repeated += [score] * count
                same += [target] * count
        expected = verification_scores(repeated, same)
        eer, cost = bootstrap._rates(times.astype(float), kinds, 0.01)
        assert eer == pytest.approx(expected.eer, abs=0.02)  # a step of FNR is 1 / 80; EER here lies on the line between two
        assert cost == pytest.approx(expected.min_dcf, abs=1e-9)


def test_intervals_hold_the_rate_and_shrink_with_speakers() -> None:
    widths = []
    for speakers in (10, 60):
        trials, names = voices(1, speakers, 6)
        eer, cost = speaker_intervals(trials, names, replicates=200)
        assert eer.low < eer.mean < eer.high and cost.low <= cost.high and eer.n == speakers
        widths.append(eer.high - eer.low)
        assert speaker_intervals(trials, names, replicates=200) == (eer, cost)
        assert speaker_intervals(trials, names, replicates=200, seed=1).eer.low != eer.low
    assert widths[1] < 0.7 * widths[0]


def test_drawing_trials_changes_little(monkeypatch: pytest.MonkeyPatch) -> None:
    trials, names = voices(2, 30, 8)
    whole = speaker_intervals(trials, names).eer
    monkeypatch.setattr(bootstrap, "_MOST_TRIALS", 5000)
    part = speaker_intervals(trials, names).eer
    assert part.mean == whole.mean and part.sd == pytest.approx(whole.sd, rel=0.25)


def test_interval_is_wider_than_if_trials_were_independent() -> None:
    """Ten voices with forty clips each: 80,000 trials are not 80,000 opinions."""
    trials, names = voices(3, 10, 40)
    eer = speaker_intervals(trials, names).eer
    independent = (eer.mean * (1 - eer.mean) / len(trials.scores().targets)) ** 0.5
    assert eer.sd > 2 * independent


def test_mistakes() -> None:
    trials, names = voices(0, 4, 3)
    with pytest.raises(ValueError, match="2 replicates or more"):
        speaker_intervals(trials, names, replicates=1)
    with pytest.raises(ValueError, match="at least two speakers"):
        speaker_intervals(AllPairs(trials.vectors, np.zeros(12)), np.zeros(12))
