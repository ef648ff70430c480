import numpy as np
import pytest

from antiphon.domains.time_series.data import TimeSeriesSet, load_aeon, sections, split_long, standardization, storage

NAN = np.nan


@pytest.fixture
def ragged():
    rng = np.random.default_rng(0)
    signals = rng.normal(size=(7, 2, 20)) * [[3.0], [0.1]] + [[100.0], [-5.0]]
    lengths = np.array([20, 5, 9, 20, 13, 1, 20])
    signals[np.broadcast_to(np.arange(20) >= lengths[:, None, None], signals.shape)] = 1e6  # padding of whatever value
    signals[0, 0, 3] = NAN
    return TimeSeriesSet.from_arrays(signals, lengths=lengths)


@pytest.mark.parametrize("chunk", [3, 1000])
def test_statistics_are_those_of_the_values_that_are_there(ragged, chunk, monkeypatch):
    monkeypatch.setattr(storage, "CHUNK", chunk)
    values = [np.concatenate([ragged.signals[row, c, : ragged.lengths[row]] for row in range(7)]).astype(float) for c in (0, 1)]
    mean, std = standardization(ragged, "channel")
    np.testing.assert_allclose(mean, [np.nanmean(one) for one in values], rtol=1e-6)
    np.testing.assert_allclose(std, [np.nanstd(one) for one in values], rtol=1e-5)
    mean, std = standardization(ragged, "global")
    everything = np.concatenate(values)
    np.testing.assert_allclose(mean, [np.nanmean(everything)] * 2, rtol=1e-6)
    np.testing.assert_allclose(std, [np.nanstd(everything)] * 2, rtol=1e-5)
    assert mean.dtype == std.dtype == np.float32


def test_a_small_deviation_on_a_large_mean_keeps_its_digits():
    values = 1e4 + np.random.default_rng(0).normal(size=(50, 1, 200))
    data = TimeSeriesSet.from_arrays(values)
    assert standardization(data, "global")[1][0] == pytest.approx(data.signals.astype(np.float64).std(), rel=1e-6)


def test_a_constant_channel_has_deviation_one():
    mean, std = standardization(TimeSeriesSet.from_arrays(np.full((3, 2, 4), 7.0)), "channel")
    assert mean.tolist() == [7, 7] and std.tolist() == [1, 1]


@pytest.mark.parametrize(
    ("name", "same_as"),
    [("GunPoint", "none"), ("ItalyPowerDemand", "none"), ("PickupGestureWiimoteZ", "global"), ("BasicMotions", "channel")],
)
def test_auto(name, same_as):
    train = load_aeon(name)[0]
    for automatic, chosen in zip(standardization(train), standardization(train, same_as), strict=True):
        np.testing.assert_array_equal(automatic, chosen)


def test_auto_with_a_constant_series_among_z_scores():
    series = np.random.default_rng(0).normal(size=(10, 1, 500))
    series = (series - series.mean(axis=2, keepdims=True)) / series.std(axis=2, keepdims=True)
    series[3] = 0.0
    assert standardization(TimeSeriesSet.from_arrays(series))[1].tolist() == [1]
    assert standardization(TimeSeriesSet.from_arrays(series * 2))[1][0] == pytest.approx(2 * np.sqrt(0.9), rel=1e-3)


def test_unknown_scaling(ragged):
    with pytest.raises(ValueError, match=r"scaling must be one of .*'auto'.* got 'minmax'"):
        standardization(ragged, "minmax")


def test_split_long():
    signals = np.arange(2 * 1 * 10.0, dtype=np.float32).reshape(2, 1, 10)
    sections, lengths, parents = split_long(signals, np.array([10, 3]), max_length=4)
    assert lengths.tolist() == [4, 4, 2, 3] and parents.tolist() == [0, 0, 0, 1] and sections.shape == (4, 1, 4)
    for section, length, expected in zip(sections, lengths, ([0, 1, 2, 3], [4, 5, 6, 7], [8, 9], [10, 11, 12]), strict=True):
        assert section[0, :length].tolist() == expected and np.isnan(section[0, length:]).all()


@pytest.mark.parametrize("length", [1, 2999, 3000, 3001, 6000, 8999, 17984])
def test_sections_are_equal_and_none_is_too_long(length):
    _, lengths, _ = split_long(np.zeros((1, 1, length), np.float32), np.array([length]))
    assert lengths.sum() == length and lengths.max() <= 3000 and len(lengths) == -(-length // 3000)
    assert lengths.max() - lengths.min() < len(lengths)


def test_sections_without_values_are_left_out():
    signals = np.ones((1, 1, 9), np.float32)
    signals[..., 3:6] = NAN
    _, lengths, parents = split_long(signals, np.array([9]), max_length=3)
    assert lengths.tolist() == [3, 3] and parents.tolist() == [0, 0]
    with pytest.raises(ValueError, match="at least 1"):
        split_long(signals, np.array([9]), max_length=0)


def test_sections_keep_labels():
    data = TimeSeriesSet.from_arrays(np.arange(20, dtype=np.float32).reshape(2, 1, 10), ["a", "b"], lengths=[10, 4])
    assert sections(data, max_length=10) is data
    cut = sections(data, max_length=5)
    assert cut.lengths.tolist() == [5, 5, 4] and cut.labels.tolist() == [0, 0, 1] and cut.classes == ("a", "b")
    np.testing.assert_array_equal(cut.signals[1, 0], [5, 6, 7, 8, 9])
