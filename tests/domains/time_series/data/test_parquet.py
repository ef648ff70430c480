import numpy as np
import pandas as pd
import pytest

from antiphon.domains.time_series.data import read, storage

LONG = pd.DataFrame(
    {
        "series": ["p", "p", "p", "q", "q", "r"],
        "time": [0, 1, 2, 0, 5, 0],
        "left": [1.0, 2, 3, 4, None, 6],
        "right": [10, 20, 30, 40, 50, 60],
        "label": ["b", "b", "b", "a", "a", "b"],
        "group": [1, 1, 1, 2, 2, 1],
    }
)


@pytest.mark.parametrize("rows_per_piece", [1, 2, 4, 100])
def test_long_table_wherever_its_pieces_end(tmp_path, rows_per_piece, monkeypatch):
    LONG.to_parquet(tmp_path / "set.parquet", row_group_size=rows_per_piece)
    data = read(tmp_path / "set.parquet")
    nan = np.nan
    expected = [[[1, 2, 3], [10, 20, 30]], [[4, nan, nan], [40, 50, nan]], [[6, nan, nan], [60, nan, nan]]]
    np.testing.assert_array_equal(data.signals, np.array(expected, np.float32))
    assert data.lengths.tolist() == [3, 2, 1] and data.labels.tolist() == [1, 0, 1] and data.groups.tolist() == [0, 1, 0]


def test_long_table_without_time_or_labels(tmp_path):
    LONG[["series", "left", "right"]].to_parquet(tmp_path / "set.parquet")
    data = read(tmp_path / "set.parquet")
    assert data.labels is None and data.groups is None and data.lengths.tolist() == [3, 2, 1]


def test_wide_table_in_a_temporary_file_when_large(tmp_path, monkeypatch):
    values = np.random.default_rng(0).normal(size=(30, 4)).astype(np.float32)
    table = pd.DataFrame(values, columns=[str(t) for t in range(4)])
    table.insert(0, "label", [row % 3 for row in range(30)])
    table.to_parquet(tmp_path / "set.parquet", row_group_size=7)
    monkeypatch.setattr(storage, "MEMORY_LIMIT", 100)
    data = read(tmp_path / "set.parquet")
    assert isinstance(data.signals, np.memmap)
    np.testing.assert_array_equal(data.signals[:, 0], values)
    assert data.labels.tolist() == [row % 3 for row in range(30)]


@pytest.mark.parametrize(
    ("rows", "message"),
    [([0, 3, 1], "series 'p' comes in two places"), ([1, 0, 3], "series 'p' is not in order of time"), ([], "has 0 lines")],
)
@pytest.mark.parametrize("rows_per_piece", [1, 100])
def test_refuses(tmp_path, rows, message, rows_per_piece):
    LONG.iloc[rows].to_parquet(tmp_path / "set.parquet", row_group_size=rows_per_piece)
    with pytest.raises(ValueError, match=message):
        read(tmp_path / "set.parquet")


def test_row_numbers_of_pandas_are_no_channel(tmp_path):
    LONG.iloc[[3, 4, 5]].to_parquet(tmp_path / "set.parquet")
    assert read(tmp_path / "set.parquet").channels == 2


def test_refuses_words_among_the_channels(tmp_path):
    LONG.assign(note="x").to_parquet(tmp_path / "set.parquet")
    with pytest.raises(ValueError, match="column 'note' is not numeric"):
        read(tmp_path / "set.parquet")
