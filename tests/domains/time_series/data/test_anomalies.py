import numpy as np
import pytest

from antiphon.domains.time_series.data import load_anomaly


def test_internal_bleeding():
    series = load_anomaly("KDD-TSAD_135")
    assert series.values.shape == (1, 7501) and series.values.dtype == np.float32 and series.split == 1200
    assert np.flatnonzero(series.labels).tolist() == list(range(4187, 4199))
    assert load_anomaly("KDD-TSAD_135", train_length=3000).split == 3000


def test_daphnet_marks_nothing():
    series = load_anomaly("Daphnet_S06R02E0")
    assert series.values.shape == (9, 7040) and series.labels.sum() == 0 and series.split == 3520


def test_a_file_of_ones_own(tmp_path):
    (tmp_path / "own.csv").write_text("timestamp,a,b,is_anomaly\n0,1.5,2,0\n1,3,4,1\n2,5,6,0\n3,7,8,0\n")
    series = load_anomaly(tmp_path / "own.csv")
    np.testing.assert_array_equal(series.values, [[1.5, 3, 5, 7], [2, 4, 6, 8]])
    assert series.labels.tolist() == [0, 1, 0, 0] and series.split == 2


@pytest.mark.parametrize("text", ["timestamp,is_anomaly\n0,1\n", "timestamp,a,b\n0,1,2\n", "timestamp,a,is_anomaly\n"])
def test_another_layout(tmp_path, text):
    (tmp_path / "own.csv").write_text(text)
    with pytest.raises(ValueError, match="must have a column of time stamps"):
        load_anomaly(tmp_path / "own.csv")


def test_refusals(tmp_path):
    with pytest.raises(ValueError, match="choose one of KDD-TSAD_135, Daphnet"):
        load_anomaly("Yahoo")
    with pytest.raises(FileNotFoundError):
        load_anomaly(tmp_path / "none.csv")
    with pytest.raises(ValueError, match="between 0 and the 7501 samples"):
        load_anomaly("KDD-TSAD_135", train_length=9000)
