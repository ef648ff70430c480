import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from antiphon.common.encoder import Encoder, InputSpec
from antiphon.domains.time_series.evaluation import (
    LabelledSeries,
    adjust_predictions,
    detect,
    evaluate_streaming,
    on_regular_grid,
    prepare_series,
    relative_scores,
    score_anomalies,
    streaming_scores,
)


class LastSeen(Encoder):
    """A frame is its time stamp where it may be seen, and the last visible one before it where not (0 if there is none)."""

    def __init__(self, channels: int = 1, stride: int = 1) -> None:
        super().__init__(embedding_dim=channels, input_spec=InputSpec(channels), config={"channels": channels})
        self.stride = stride
        self.modes: list[bool] = []

    def encode(self, signals, lengths=None, *, mask=None, context=None):
        self.modes.append(self.training)
        places = torch.arange(signals.shape[-1]).expand(mask.shape)
        latest = torch.where(mask, places, -1).cummax(dim=1).values
        seen = signals.transpose(1, 2).gather(1, latest.clamp(min=0)[..., None].expand(-1, -1, signals.shape[1]))
        return torch.where(latest[..., None] >= 0, seen, 0.0)[:, :: self.stride]


def spiky(seed, length=800, spikes=5):
    rng = np.random.default_rng(seed)
    values = np.sin(np.arange(length) / 8) + 0.02 * rng.normal(size=length)
    labels = np.zeros(length, dtype=int)
    for place in rng.choice(np.arange(length // 2 + 20, length - 10, 30), spikes, replace=False):
        values[place] += 4.0
        labels[place] = 1
    return LabelledSeries(values, labels)


def test_scores_are_the_distance_that_masking_makes():
    values = np.random.default_rng(0).normal(size=(2, 50))
    expected = np.abs(np.diff(values, prepend=0.0)).sum(axis=0)  # before the start there is nothing to see
    encoder = LastSeen(2).train()
    scores = streaming_scores(encoder, values, window=7, batch_size=8)
    assert np.allclose(scores, expected, atol=1e-5)
    assert encoder.training and not any(encoder.modes)


def test_scores_use_the_encoders_own_standardisation():
    encoder = LastSeen()
    encoder.fit_standardization(np.array([5.0]), np.array([2.0]))
    values = np.array([5.0, 9.0, 5.0])
    assert np.allclose(streaming_scores(encoder, values, window=3), [0.0, 2.0, 2.0])


def test_only_the_past_of_a_window_counts():
    series = np.random.default_rng(0).normal(size=60)
    changed = series.copy()
    changed[40:] += 3.0

    class Sum(LastSeen):
        def encode(self, signals, lengths=None, *, mask=None, context=None):
            return (torch.nan_to_num(signals[:, 0]) * mask).cumsum(dim=1)[..., None].square()

    first, second = (streaming_scores(Sum(), values, window=10) for values in (series, changed))
    assert np.array_equal(first[:40], second[:40])
    assert not np.isclose(first[49:], second[49:]).any()
    window = series[20:30]
    assert first[29] == pytest.approx(abs(window.sum() ** 2 - window[:-1].sum() ** 2), rel=1e-4)


def test_a_missing_sample_has_no_surprise():
    values = np.array([1.0, 2.0, np.nan, 4.0])
    scores = streaming_scores(LastSeen(), values, window=3)
    assert np.allclose(scores, [1.0, 1.0, 0.0, 2.0])


def test_strided_encoders_are_refused():
    with pytest.raises(ValueError, match=r"one frame a sample.*ts2vec"):
        streaming_scores(LastSeen(stride=2), np.ones(20), window=8)
    with pytest.raises(ValueError, match="window >= 2"):
        streaming_scores(LastSeen(), np.ones(20), window=1)


def test_relative_scores_equal_a_loop():
    alpha = np.random.default_rng(0).uniform(1, 2, size=60)
    expected = [(alpha[t] - alpha[t - 21 : t].mean()) / alpha[t - 21 : t].mean() for t in range(21, 60)]
    scores = relative_scores(alpha)
    assert np.isnan(scores[:21]).all()
    assert np.allclose(scores[21:], expected)


def test_relative_scores_of_a_constant_past():
    alpha = np.zeros(30)
    alpha[29] = 1.0
    scores = relative_scores(alpha)
    assert (scores[21:29] == 0).all() and np.isinf(scores[29])
    assert np.isnan(relative_scores(np.ones(10))).all()


def test_the_threshold_drops_22_and_alarms_hold_their_peace():
    scores = np.concatenate((np.full(21, np.nan), [1e6], np.tile([0.0, 1.0], 39), np.zeros(30)))
    scores[100 + np.array([3, 4, 7, 8, 12, 20])] = 10.0
    alarms, threshold = detect(scores, 100, delay=3)
    assert threshold == pytest.approx(0.5 + 4 * 0.5)
    assert np.flatnonzero(alarms).tolist() == [3, 7, 12, 20]  # 4 follows 3, 8 follows 7; 7 is four steps after 3
    assert np.flatnonzero(detect(scores, 100, delay=0)[0]).tolist() == [3, 4, 7, 8, 12, 20]
    assert np.flatnonzero(detect(scores, 100, delay=7)[0]).tolist() == [3, 12, 20]
    with pytest.raises(ValueError, match="longer train part"):
        detect(scores, 22, delay=3)


@pytest.mark.parametrize(
    ("delay", "expected"),
    [
        (0, [1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 1, 1]),
        (3, [1, 0, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 1, 0, 1, 1]),
        (7, [1, 0, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 1, 0, 1, 1]),
    ],
)
def test_adjustment_by_hand(delay, expected):
    #             false alarm, a segment of 8 found at its fourth point, false alarm, a segment at the end found at once
    labels = [0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 1, 1]
    alarms = [1, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 1, 0, 1, 0]
    assert adjust_predictions(np.array(alarms), np.array(labels), delay).astype(int).tolist() == expected


def test_late_alarms_are_misses_and_edges_hold():
    labels = np.array([1, 1, 1, 1, 1, 1, 1, 1, 1, 1])
    late = np.eye(10, dtype=int)[8]
    assert not adjust_predictions(late, labels, 7).any()
    assert adjust_predictions(late, labels, 8).all()
    assert not adjust_predictions(late, np.zeros(10), 0)[:8].any()
    touching = np.array([1, 1, 0, 1, 1])
    alarms = np.array([0, 0, 0, 1, 0])
    assert adjust_predictions(alarms, touching, 7).astype(int).tolist() == [
        0,
        0,
        0,
        1,
        1,
    ]  # an alarm of the next segment does not count
    with pytest.raises(ValueError, match="one length"):
        adjust_predictions(alarms, labels, 3)


def test_gaps_in_time_are_filled():
    times = np.array([100, 160, 220, 400, 460])
    assert on_regular_grid(times, np.array([1, 1, 1, 1, 0])).tolist() == [1, 1, 1, 0, 0, 1, 0]
    with pytest.raises(ValueError, match="increase"):
        on_regular_grid(np.array([0, 2, 1]), np.ones(3))


def test_gaps_change_what_is_in_time():
    """Two anomalous points become two segments when the grid shows the gap between them."""
    scores = np.zeros(60)
    scores[23:30] = [0.0, 0.1] * 3 + [0.0]
    scores[41] = 9.0
    labels = np.zeros(60, dtype=int)
    labels[40:42] = 1
    times = np.concatenate((np.arange(41), np.arange(50, 69)))
    joined = score_anomalies([scores], [LabelledSeries(np.zeros(60), labels)], delay=3)
    apart = score_anomalies([scores], [LabelledSeries(np.zeros(60), labels, timestamps=times)], delay=3)
    assert (joined.recall, apart.recall, apart.precision) == (1.0, 0.5, 1.0)


def test_injected_spikes_are_found():
    series = [spiky(seed) for seed in range(3)]
    result = evaluate_streaming(LastSeen(), series, delay=7, window=41)
    assert result.f1 > 0.8
    assert (result.series, result.points, result.anomalous_points) == (3, 1200, 15)
    assert result.roc_auc > 0.95 and result.average_precision > 0.5


def test_pooling_and_ranks():
    series = [spiky(seed) for seed in range(2)]
    scores = [relative_scores(streaming_scores(LastSeen(), item.values, window=21)) for item in series]
    result = score_anomalies(scores, series, delay=3)
    truth = np.concatenate([item.labels[400:] for item in series])
    assert result.roc_auc == pytest.approx(roc_auc_score(truth, np.concatenate([row[400:] for row in scores])))
    quiet = [LabelledSeries(item.values, np.zeros(800)) for item in series]
    assert np.isnan(score_anomalies(scores, quiet, delay=3).roc_auc)


def test_preparation():
    values = np.cumsum(np.random.default_rng(0).normal(size=100)) + 50
    prepared = prepare_series(values, 50)
    assert prepared[:50].mean() == pytest.approx(0.0, abs=1e-5) and prepared[:50].std() == pytest.approx(1.0, abs=1e-5)
    once = prepare_series(values, 50, differences=1)
    expected = np.diff(values, prepend=values[0])
    assert np.allclose(once, (expected - expected[:50].mean()) / expected[:50].std(), atol=1e-5)
    assert np.allclose(prepare_series(np.ones((2, 10)), 5), 0.0)
    assert np.isfinite(prepare_series(np.array([1.0, np.nan, 3.0, 5.0]), 3)).tolist() == [True, False, True, True]
    with pytest.raises(ValueError, match="differences >= 0"):
        prepare_series(values, 50, differences=-1)
