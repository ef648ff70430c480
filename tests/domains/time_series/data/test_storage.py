import numpy as np
import pytest

from antiphon.domains.time_series.data import storage


@pytest.fixture
def tiny_memory(monkeypatch):
    monkeypatch.setattr(storage, "MEMORY_LIMIT", 100)


def named(*series):
    return [(f"file {number}", one) for number, one in enumerate(series)]


SERIES = [np.arange(12.0).reshape(2, 6), np.full((2, 3), 5.0), np.arange(20.0).reshape(2, 10)]


def check_stack():
    stacked, lengths = storage.stack_series(named(*SERIES))
    assert stacked.shape == (3, 2, 10) and stacked.dtype == np.float32 and lengths.tolist() == [6, 3, 10]
    for row, one in enumerate(SERIES):
        np.testing.assert_array_equal(stacked[row, :, : one.shape[1]], one)
        assert np.isnan(stacked[row, :, one.shape[1] :]).all()
    return stacked


def test_small_arrays_stay_in_memory():
    assert not isinstance(check_stack(), np.memmap)
    assert not isinstance(storage.allocate((3, 4)), np.memmap)


def test_large_arrays_go_to_a_file(tiny_memory):
    assert isinstance(check_stack(), np.memmap)
    array = storage.allocate((10, 4))
    assert isinstance(array, np.memmap)
    array[:] = 3.0
    assert array.sum() == 120


def test_take_rows(tiny_memory, monkeypatch):
    monkeypatch.setattr(storage, "CHUNK", 2)
    signals = np.arange(60.0, dtype=np.float32).reshape(10, 1, 6)
    assert storage.take_rows(signals, np.arange(3, 7)).base is not None  # a view
    taken = storage.take_rows(signals, np.array([9, 0, 3, 3, 7]))
    np.testing.assert_array_equal(taken, signals[[9, 0, 3, 3, 7]])
    assert isinstance(taken, np.memmap)
    assert storage.take_rows(signals, np.array([], np.int64)).shape == (0, 1, 6)


def test_series_must_fit_each_other():
    with pytest.raises(ValueError, match="file 1 has 3 channels, those before it 2"):
        storage.stack_series(named(np.zeros((2, 4)), np.zeros((3, 4))))
    with pytest.raises(ValueError, match="file 0 has no time stamps"):
        storage.stack_series(named(np.zeros((2, 0))))
