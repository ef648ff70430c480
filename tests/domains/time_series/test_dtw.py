import math

import numpy as np
import pytest

from antiphon.domains.time_series.dtw import available_cores, dtw_distances


def loop_dtw(x, y, window=None):
    """The recurrence as the textbook has it, on (C, T) and (C, T')."""
    n, m = x.shape[1], y.shape[1]
    radius = max(n, m) if window is None else int(window * n)
    table = [[math.inf] * (m + 1) for _ in range(n + 1)]
    table[0][0] = 0.0
    for i in range(n):
        for j in range(m):
            if abs(i - j) <= radius:
                cost = sum((x[c, i] - y[c, j]) ** 2 for c in range(len(x)))
                table[i + 1][j + 1] = cost + min(table[i][j], table[i][j + 1], table[i + 1][j])
    return math.sqrt(table[n][m])


def loop_matrix(series, window=None):
    return np.array([[loop_dtw(a, b, window) for b in series] for a in series])


@pytest.fixture
def draw():
    return np.random.default_rng(0).normal


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 8, 11])
@pytest.mark.parametrize("channels", [1, 3])
def test_equals_the_recurrence(draw, size, channels):
    series = draw(size=(6, channels, size))
    np.testing.assert_allclose(dtw_distances(series), loop_matrix(series), rtol=0, atol=1e-12)


@pytest.mark.parametrize("channels", [1, 2])
def test_each_series_has_its_own_length(draw, channels):
    lengths = np.array([3, 12, 1, 7, 12, 2, 5, 8, 4, 6, 9, 10, 11, 3, 1, 12, 7, 6])  # more than the 16 lanes
    series = draw(size=(len(lengths), channels, 12))
    expected = loop_matrix([one[:, :length] for one, length in zip(series, lengths, strict=True)])
    np.testing.assert_allclose(dtw_distances(series, lengths=lengths), expected, rtol=0, atol=1e-12)
    series[np.broadcast_to(np.arange(12) >= lengths[:, None, None], series.shape)] = np.nan  # padding is never looked at
    np.testing.assert_allclose(dtw_distances(series, lengths=lengths), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("window", [0.0, 0.1, 0.25, 0.5, 1.0])
@pytest.mark.parametrize("size", [9, 12])
def test_band(draw, window, size):
    series = draw(size=(7, 2, size))
    np.testing.assert_allclose(dtw_distances(series, window=window), loop_matrix(series, window), rtol=0, atol=1e-12)


def test_equals_the_root_of_aeons_on_real_series():
    from aeon.datasets import load_classification
    from aeon.distances import dtw_pairwise_distance

    series = load_classification("GunPoint", split="train")[0]
    np.testing.assert_allclose(dtw_distances(series), np.sqrt(dtw_pairwise_distance(series)), rtol=0, atol=1e-12)
    banded = np.sqrt(dtw_pairwise_distance(series, window=0.1))
    np.testing.assert_allclose(dtw_distances(series, window=0.1), banded, rtol=0, atol=1e-12)


def test_properties(draw):
    series = draw(size=(40, 2, 30)).cumsum(axis=2)
    distances = dtw_distances(series)
    euclidean = np.sqrt(((series[:, None] - series) ** 2).sum(axis=(2, 3)))
    assert (distances == distances.T).all() and (np.diag(distances) == 0).all()
    assert (distances <= euclidean + 1e-12).all() and (distances < 0.9 * euclidean).any()
    np.testing.assert_allclose(dtw_distances(series, window=0.0), euclidean, atol=1e-12)
    order = np.random.default_rng(1).permutation(40)
    np.testing.assert_array_equal(dtw_distances(series[order]), distances[np.ix_(order, order)])
    np.testing.assert_allclose(dtw_distances(series[:, :, ::-1]), distances, atol=1e-10)  # paths run both ways


def test_threads_change_nothing(draw):
    series = draw(size=(50, 1, 20))
    np.testing.assert_array_equal(dtw_distances(series, jobs=1), dtw_distances(series, jobs=3))


def test_landmarks_are_columns_of_the_matrix(draw):
    series, lengths = draw(size=(37, 1, 15)), np.random.default_rng(2).integers(2, 16, 37)
    rows = np.array([30, 2, 17, *range(16)])
    distances = dtw_distances(series, lengths=lengths)
    np.testing.assert_array_equal(dtw_distances(series, lengths=lengths, landmarks=rows), distances[:, rows])


def test_writes_into_what_it_is_given(draw, tmp_path):
    series = draw(size=(20, 1, 10))
    out = np.lib.format.open_memmap(tmp_path / "d.npy", mode="w+", dtype=np.float32, shape=(20, 20))
    assert dtw_distances(series, out=out) is out
    np.testing.assert_allclose(out, dtw_distances(series), rtol=1e-6)


def test_integers_and_float32_are_computed_in_float64():
    series = np.array([[[100, 0, 7]], [[3, 200, 1]]], dtype=np.int16)
    np.testing.assert_allclose(dtw_distances(series), loop_matrix(series.astype(float)), atol=1e-12)


def test_refuses_what_it_cannot_do(draw):
    series = draw(size=(4, 1, 8))
    with pytest.raises(ValueError, match=r"\[0, 1\], got 10"):
        dtw_distances(series, window=10)
    with pytest.raises(ValueError, match="one length, got 5 to 8"):
        dtw_distances(series, lengths=np.array([5, 8, 8, 8]), window=0.5)
    with pytest.raises(ValueError, match="at least 1"):
        available_cores(0)
