import logging
import pickle

import numpy as np
import pytest
import torch

from antiphon.domains.time_series import distance_rows
from antiphon.domains.time_series.distance_rows import LandmarkRows, MatrixRows, cache_folder, measured_error, soft_distances
from antiphon.domains.time_series.distances import pairwise_distances, prepare_for_distances


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("ANTIPHON_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def signals():
    return np.random.default_rng(0).normal(size=(30, 1, 25)).cumsum(axis=2).astype(np.float32)


def files():
    return sorted(cache_folder().glob("*"))


def loop_normalised(matrix, scaling):
    """Step by step, as SoftCLT's preparation says it."""
    count = len(matrix)
    least = min(matrix[i, j] for i in range(count) for j in range(count) if i != j)
    filled = matrix.copy()
    for i in range(count):
        filled[i, i] = least
    if scaling == "global":
        return (filled - filled.min()) / (filled.max() - filled.min())
    return np.stack([(c - c.min()) / (c.max() - c.min()) for c in filled.T], axis=1)


@pytest.mark.parametrize("scaling", ["global", "columns"])
def test_normalisation(signals, scaling):
    prepared, lengths = prepare_for_distances(signals)
    expected = loop_normalised(pairwise_distances(prepared, lengths=lengths), scaling)
    rows = soft_distances(signals, scaling=scaling)
    index = torch.tensor([7, 0, 29, 12])
    got = rows(index)
    assert got.dtype == torch.float32 and got.shape == (4, 4) and len(rows) == 30
    np.testing.assert_allclose(got, expected[np.ix_(index, index)], atol=1e-6)
    everything = rows.of(np.arange(30))
    np.testing.assert_allclose(everything, expected, atol=1e-6)
    assert everything.min() == 0 and everything.max() == 1 and (np.diag(everything) == 0).all()
    assert (everything == everything.T).all() == (scaling == "global")


def test_columns_equal_scikit_learns_scaler(signals):
    from sklearn.preprocessing import MinMaxScaler

    matrix = pairwise_distances(prepare_for_distances(signals)[0])
    np.fill_diagonal(matrix, matrix[~np.eye(30, dtype=bool)].min())
    np.testing.assert_allclose(
        MatrixRows(matrix, scaling="columns").of(np.arange(30)), MinMaxScaler().fit_transform(matrix), atol=1e-6
    )


def test_the_same_series_twice_in_a_batch_are_at_distance_zero(signals):
    got = soft_distances(signals)(torch.tensor([3, 5, 3]))
    assert got[0, 2] == 0 and got[2, 0] == 0 and (got[0] == got[2]).all() and got[0, 1] > 0


def test_statistics_do_not_depend_on_the_chunk(signals, monkeypatch):
    whole = soft_distances(signals, scaling="columns").of(np.arange(30))
    monkeypatch.setattr(distance_rows, "_CHUNK", 7)
    np.testing.assert_array_equal(soft_distances(signals, scaling="columns").of(np.arange(30)), whole)
    assert len(files()) == 1  # the content key does not depend on it either


def test_is_computed_once_and_read_from_the_file(signals, monkeypatch):
    first = soft_distances(signals).of(np.arange(30))
    assert [file.suffix for file in files()] == [".npy"]
    monkeypatch.setattr(distance_rows, "pairwise_distances", lambda *_, **__: pytest.fail("computed again"))
    rows = soft_distances(signals)
    np.testing.assert_array_equal(rows.of(np.arange(30)), first)
    assert isinstance(rows._matrix, np.memmap)
    soft_distances(signals, scaling="columns")  # the file holds raw distances: another scaling needs no other one


def test_another_content_or_setting_is_another_file(signals):
    changed = signals.copy()
    changed[4, 0, 3] += 0.5
    lengths = np.full(30, 25)
    lengths[2] = 20
    for arguments in ({"signals": signals}, {"signals": changed}, {"signals": signals, "lengths": lengths}):
        soft_distances(**arguments)
    soft_distances(signals, window=0.2)
    soft_distances(signals, metric="euclidean")
    assert len(files()) == 5


def test_an_interrupted_computation_leaves_no_file(signals, monkeypatch):
    def fail(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(distance_rows, "pairwise_distances", fail)
    with pytest.raises(KeyboardInterrupt):
        soft_distances(signals)
    assert files() == []


def test_cache_folder_of_ones_own(signals, tmp_path):
    soft_distances(signals, cache=tmp_path / "here")
    assert files() == [] and len(list((tmp_path / "here").iterdir())) == 1


def test_pickle_carries_the_path_and_not_the_matrix(signals):
    rows = soft_distances(np.repeat(signals, 10, axis=0))
    data = pickle.dumps(rows)
    assert len(data) < 20_000 < 300 * 300 * 4
    index = torch.tensor([1, 2])
    assert torch.equal(pickle.loads(data)(index), rows(index))
    in_memory = MatrixRows(np.array([[0.0, 2.0], [2.0, 0.0]]))
    assert torch.equal(pickle.loads(pickle.dumps(in_memory))(torch.tensor([0, 1])), in_memory(torch.tensor([0, 1])))


def test_nothing_is_approximated_silently(signals):
    with pytest.raises(ValueError, match=r"30 series are more than exact_limit=20: .*'banded'.*'landmarks'"):
        soft_distances(signals, exact_limit=20)
    exact = soft_distances(signals).of(np.arange(30))
    np.testing.assert_array_equal(soft_distances(signals, approximation="landmarks").of(np.arange(30)), exact)  # not needed yet


@pytest.mark.parametrize(("approximation", "least"), [("banded", 0.95), ("landmarks", 0.8)])
def test_approximations(signals, approximation, least, caplog):
    settings = {"exact_limit": 20, "approximation": approximation, "points": 12, "landmarks": 10}
    with caplog.at_level(logging.INFO):
        rows = soft_distances(signals, **settings)
    assert f"({approximation}) between 30 series" in caplog.text and "Spearman" in caplog.text
    got = rows.of(np.arange(30))
    assert 0 <= got.min() <= got.max() <= 1 and (got == got.T).all() and (np.diag(got) == 0).all()
    error = measured_error(rows, signals)
    assert least < error.spearman < 1 and error.mean_abs < 0.2
    caplog.clear()
    with caplog.at_level(logging.INFO):
        again = soft_distances(signals, **settings)
    np.testing.assert_array_equal(again.of(np.arange(30)), got)
    assert caplog.text == ""  # nothing was computed


def test_landmark_profile_does_not_depend_on_the_chunk(signals, monkeypatch):
    arguments = {"exact_limit": 2, "approximation": "landmarks", "landmarks": 5, "metric": "cosine"}
    whole = soft_distances(signals, **arguments).of(np.arange(30))
    monkeypatch.setattr(distance_rows, "_CHUNK", 8)
    np.testing.assert_array_equal(soft_distances(signals, cache=cache_folder() / "b", **arguments).of(np.arange(30)), whole)


def test_all_series_as_landmarks_give_the_exact_range(signals):
    matrix = pairwise_distances(prepare_for_distances(signals)[0])
    rows, exact = LandmarkRows(matrix, np.arange(30)), MatrixRows(matrix)
    assert rows._least == exact._least and (rows._range == exact._range).all()


def test_degenerate_sets():
    same = MatrixRows(np.zeros((3, 3)))
    assert (same.of(np.arange(3)) == 0).all()
    assert MatrixRows(np.zeros((1, 1)))(torch.tensor([0])).tolist() == [[0.0]]
    assert same(torch.tensor([], dtype=torch.int64)).shape == (0, 0)


def test_refusals(signals):
    rows = MatrixRows(np.zeros((3, 3)))
    with pytest.raises(ValueError, match="cover 3 series, got row 5"):
        rows(torch.tensor([0, 5]))
    with pytest.raises(ValueError, match="cover 3 series, got row -1"):
        rows(torch.tensor([0, -1]))
    with pytest.raises(ValueError, match="square"):
        MatrixRows(np.zeros((3, 2)))
    with pytest.raises(ValueError, match="scaling must be one of"):
        soft_distances(signals, scaling="rows")
    with pytest.raises(ValueError, match="approximation must be one of"):
        soft_distances(signals, approximation="fast")
    with pytest.raises(ValueError, match="'banded' is for metric 'dtw'"):
        soft_distances(signals, metric="cosine", approximation="banded")
    with pytest.raises(ValueError, match="at least 2 series"):
        soft_distances(signals[:1])
