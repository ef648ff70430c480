import numpy as np
import pytest

from antiphon.domains.time_series.distances import (
    approximation_error,
    banded_dtw,
    between_landmarks,
    metric_names,
    pairwise_distances,
    prepare_for_distances,
    shorten,
)


@pytest.fixture
def series():
    return np.random.default_rng(0).random((9, 2, 14))


def test_preparation_scales_each_channel_of_each_series():
    values = np.array([[[2.0, 4.0, 6.0], [5.0, 5.0, 5.0]], [[-1.0, 0.0, 1.0], [0.0, 10.0, 5.0]]])
    prepared, lengths = prepare_for_distances(values)
    ramp = np.array([0.0, 0.5, 1.0])
    expected = np.array([[ramp * 4 / (4 + 1e-6), np.zeros(3)], [ramp * 2 / (2 + 1e-6), np.array([0, 1, 0.5]) * 10 / (10 + 1e-6)]])
    np.testing.assert_allclose(prepared, expected, atol=1e-15)
    assert lengths.tolist() == [3, 3]


def test_missing_time_stamps_are_dropped_for_warping_and_zero_for_pointwise_metrics():
    nan = np.nan
    values = np.array([[[nan, 0.0, nan, 1.0, nan]], [[0.0, 1.0, 2.0, 3.0, 4.0]]])
    prepared, lengths = prepare_for_distances(values)
    np.testing.assert_allclose(prepared[0, 0], [0, 1, 0, 0, 0], atol=2e-6)
    assert lengths.tolist() == [2, 5]
    prepared, lengths = prepare_for_distances(values, metric="euclidean")
    np.testing.assert_allclose(prepared[0, 0], [0, 0, 0, 1, 0], atol=2e-6)
    assert lengths.tolist() == [5, 5]


def test_a_single_missing_channel_keeps_the_time_stamp():
    values = np.array([[[1.0, np.nan, 3.0], [5.0, 6.0, 7.0]], [[np.nan] * 3, [1.0, 2.0, 3.0]]])
    prepared, lengths = prepare_for_distances(values)
    assert lengths.tolist() == [3, 3]
    assert prepared[0, 0, 1] == 0 and (prepared[1, 0] == 0).all() and np.isfinite(prepared).all()


def test_what_lies_beyond_the_length_is_not_looked_at():
    values = np.array([[[1.0, 3.0, 2.0, 99.0]]])
    prepared, lengths = prepare_for_distances(values, lengths=np.array([3]))
    np.testing.assert_allclose(prepared[0, 0], [0, 1, 0.5, 0], atol=2e-6)
    assert lengths.tolist() == [3] and values[0, 0, 3] == 99.0


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.zeros((3, 4)), "X\\[:, None\\]"),
        (np.array([[[1.0, 2.0]], [[np.nan, np.nan]]]), "series 1 has no value"),
        (np.array([[[1.0, np.inf]]]), "series 0 has an infinite"),
    ],
)
def test_preparation_refuses(values, message):
    with pytest.raises(ValueError, match=message):
        prepare_for_distances(values)


def test_euclidean_and_cosine_are_those_of_the_flat_zero_padded_series(series):
    lengths = np.array([14, 10, 3, 14, 14, 8, 9, 1, 14])
    flat = np.where(np.arange(14) < lengths[:, None, None], series, 0).reshape(9, -1)
    euclidean = [[np.sqrt(((a - b) ** 2).sum()) for b in flat] for a in flat]
    cosine = [[1 - a @ b / np.sqrt((a @ a) * (b @ b)) for b in flat] for a in flat]
    np.testing.assert_allclose(pairwise_distances(series, metric="euclidean", lengths=lengths), euclidean, atol=1e-12)
    np.testing.assert_allclose(pairwise_distances(series, metric="cosine", lengths=lengths), cosine, atol=1e-12)
    rows = np.array([4, 1])
    some = pairwise_distances(series, metric="cosine", lengths=lengths, landmarks=rows)
    np.testing.assert_allclose(some, np.array(cosine)[:, rows], atol=1e-12)


def test_other_metrics_are_aeons(series):
    assert {"dtw", "cosine", "euclidean", "msm", "erp", "twe", "lcss", "sbd", "soft_dtw"} <= set(metric_names())
    lengths = np.array([14, 10, 3, 14, 14, 8, 9, 1, 14])
    weighted = pairwise_distances(series, metric="wdtw", lengths=lengths, options={"g": 0.0})
    # weights that do not depend on the lag are a half: half of the squared DTW
    np.testing.assert_allclose(weighted, pairwise_distances(series, lengths=lengths) ** 2 / 2, atol=1e-12)


def test_refusals(series):
    with pytest.raises(ValueError, match="did you mean"):
        pairwise_distances(series, metric="dwt")
    with pytest.raises(ValueError, match="knows no window"):
        pairwise_distances(series, metric="manhattan", window=0.1)
    with pytest.raises(ValueError, match="series 2 has NaN"):
        pairwise_distances(np.where(np.arange(9)[:, None, None] == 2, np.nan, series))
    with pytest.raises(ValueError, match=r"lengths must be in \[1, 14\], got 0"):
        pairwise_distances(series, lengths=np.arange(9))
    with pytest.raises(ValueError, match="expected signals"):
        pairwise_distances(series[:0])


def test_shortening_averages_equal_shares():
    values = np.array([[[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]], [[1.0, 2.0, 6.0, 0.0, 0.0, 0.0]]])
    lengths = np.array([6, 3])
    np.testing.assert_allclose(shorten(values, lengths, points=3)[0, 0], [1.5, 3.5, 5.5])
    np.testing.assert_allclose(shorten(values, lengths, points=2)[1, 0], [(1 + 0.5 * 2) / 1.5, (0.5 * 2 + 6) / 1.5])
    np.testing.assert_allclose(shorten(values[:1], lengths[:1], points=6), values[:1])


def test_banded_on_unshortened_series_with_the_widest_band_is_exact(series):
    lengths = np.full(9, 14)
    np.testing.assert_allclose(banded_dtw(series, lengths=lengths, points=14, window=1.0), pairwise_distances(series), atol=1e-12)


def test_approximations_of_real_series():
    """On leaf outlines (T = 427) both keep the order of distances; shown so that a change for the worse is noticed."""
    from aeon.datasets import load_classification

    leaves, lengths = prepare_for_distances(load_classification("OSULeaf", split="train")[0][:100])
    exact = pairwise_distances(leaves)
    off = ~np.eye(100, dtype=bool)

    def normalised(distances):
        return (distances - distances[off].min()) / np.ptp(distances[off])

    banded = approximation_error(normalised(banded_dtw(leaves, lengths=lengths)), normalised(exact))
    profile = exact[:, :32]
    guessed = approximation_error(normalised(between_landmarks(profile, profile)), normalised(exact))
    assert banded.spearman > 0.98 and banded.mean_abs < 0.03
    assert guessed.spearman > 0.88 and guessed.mean_abs < 0.08
    assert banded.max_abs > banded.mean_abs > 0 and "Spearman 0." in str(banded)


def test_landmarks_bound_a_metric_from_both_sides():
    points = np.random.default_rng(0).normal(size=(20, 3))
    exact = np.sqrt(((points[:, None] - points) ** 2).sum(axis=2))
    profile = exact[:, :6]
    lower = np.abs(profile[:, None] - profile).max(axis=2)
    upper = (profile[:, None] + profile).min(axis=2)
    assert (lower <= exact + 1e-12).all() and (exact <= upper + 1e-12).all()
    np.testing.assert_allclose(between_landmarks(profile, profile), (lower + upper) / 2)
    np.testing.assert_allclose(between_landmarks(profile, profile)[:, :6], exact[:, :6], atol=1e-12)  # exact to a landmark


def test_error_of_an_exact_matrix_is_none():
    matrix = np.random.default_rng(0).random((6, 6))
    error = approximation_error(matrix, matrix)
    assert error.spearman == pytest.approx(1.0) and error.max_abs == error.mean_abs == 0
    assert approximation_error(1 - matrix, matrix).spearman == pytest.approx(-1.0)
    with pytest.raises(ValueError, match="one shape"):
        approximation_error(matrix, matrix[:5, :5])
