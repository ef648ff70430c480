from pathlib import Path

import numpy as np
import pytest

from antiphon.domains.time_series.data import read, storage

SIGNALS = np.random.default_rng(0).normal(size=(4, 2, 5)).astype(np.float32)


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


@pytest.mark.parametrize(("signals", "labels"), [("X", "y"), ("x", "labels"), ("signals", "y")])
def test_npz(tmp_path, signals, labels):
    np.savez(
        tmp_path / "set.npz", **{signals: SIGNALS, labels: ["b", "a", "a", "b"], "groups": [1, 1, 2, 2], "lengths": [5, 4, 3, 5]}
    )
    data = read(tmp_path / "set.npz")
    np.testing.assert_array_equal(data.signals, SIGNALS)
    assert data.labels.tolist() == [1, 0, 0, 1] and data.groups.tolist() == [0, 0, 1, 1] and data.lengths.tolist() == [5, 4, 3, 5]
    assert data.name == "set"


def test_npz_without_labels_and_with_other_arrays(tmp_path):
    np.savez(tmp_path / "a.npz", X=SIGNALS[:, 0])
    assert read(tmp_path / "a.npz").labels is None and read(tmp_path / "a.npz").signals.shape == (4, 1, 5)
    np.savez(tmp_path / "b.npz", series=SIGNALS)
    with pytest.raises(ValueError, match="has the arrays series: name the series one of X, x, signals"):
        read(tmp_path / "b.npz")


@pytest.mark.parametrize("order", ["C", "F"])
def test_a_large_npz_is_mapped_unless_compressed(tmp_path, monkeypatch, order):
    monkeypatch.setattr(storage, "MEMORY_LIMIT", 100)
    np.savez(tmp_path / "plain.npz", X=np.asarray(SIGNALS, order=order), y=[1, 2, 1, 2])
    np.savez_compressed(tmp_path / "small.npz", X=SIGNALS)
    data = read(tmp_path / "plain.npz")
    assert isinstance(data.signals, np.memmap) and data.labels.tolist() == [0, 1, 0, 1]
    np.testing.assert_array_equal(data.signals, SIGNALS)
    np.testing.assert_array_equal(read(tmp_path / "small.npz").signals, SIGNALS)


def test_npy_is_memory_mapped_with_neighbours(tmp_path):
    np.save(tmp_path / "set.npy", SIGNALS.astype(np.float64))
    assert read(tmp_path / "set.npy").labels is None
    np.save(tmp_path / "set_labels.npy", np.array([3, 1, 1, 3]))
    np.save(tmp_path / "set_groups.npy", np.array(["p", "q", "p", "q"]))
    data = read(tmp_path / "set.npy")
    assert isinstance(data.signals, np.memmap) and data.signals.dtype == np.float64
    assert data.classes == ("1", "3") and data.groups.tolist() == [0, 1, 0, 1]
    np.testing.assert_array_equal(data.batch([1, 3]).signals, SIGNALS[[1, 3]])


def test_ts(tmp_path):
    header = "@problemName toy\n@timeStamps false\n@univariate false\n@dimension 2\n@equalLength {}\n@classLabel true a b\n@data\n"
    data = read(write(tmp_path / "equal.ts", header.format("true\n@seriesLength 3") + "1,2,3:4,5,6:b\n7,8,9:1,1,1:a\n"))
    np.testing.assert_array_equal(data.signals, [[[1, 2, 3], [4, 5, 6]], [[7, 8, 9], [1, 1, 1]]])
    assert data.labels.tolist() == [1, 0] and data.classes == ("a", "b")
    ragged = read(write(tmp_path / "ragged.ts", header.format("false") + "1,2,3:4,5,6:b\n7,8:1,1:a\n"))
    assert ragged.lengths.tolist() == [3, 2] and np.isnan(ragged.signals[1, :, 2]).all()


def test_ts_of_a_regression_set_has_no_classes():
    import aeon.datasets

    data = read(Path(aeon.datasets.__file__).parent / "data" / "Covid3Month" / "Covid3Month_TRAIN.ts")
    assert data.signals.shape == (140, 1, 84) and data.labels is None


def test_tsv(tmp_path):
    data = read(write(tmp_path / "GunPoint_TRAIN.tsv", "2\t0.5\t1.5\t-1\n-1\t3\t4\tNaN\n2.0\t1\tNaN\t2\n"))
    assert data.classes == ("-1", "2") and data.labels.tolist() == [1, 0, 1] and data.lengths.tolist() == [3, 2, 3]
    np.testing.assert_array_equal(data.signals[:, 0], np.array([[0.5, 1.5, -1], [3, 4, np.nan], [1, np.nan, 2]], np.float32))


def test_folder_of_csv_with_a_list_of_labels(tmp_path):
    write(tmp_path / "one.csv", "time,left,right\n0,1,10\n1,2,20\n2,3,30\n")
    write(tmp_path / "two.csv", "time,left,right\n0,4,40\n1,,50\n")
    write(tmp_path / "ignored.csv", "1,2\n")
    write(tmp_path / "labels.csv", "file,label,group\ntwo.csv,walk,anna\none.csv,run,bert\n")
    data = read(tmp_path)
    expected = [[[4, np.nan, np.nan], [40, 50, np.nan]], [[1, 2, 3], [10, 20, 30]]]
    np.testing.assert_array_equal(data.signals, np.array(expected, np.float32))
    assert data.lengths.tolist() == [2, 3] and data.labels.tolist() == [1, 0] and data.groups.tolist() == [0, 1]


def test_folder_of_csv_with_a_folder_a_class(tmp_path):
    write(tmp_path / "walk" / "a.csv", "1\n2\n3\n")
    write(tmp_path / "run" / "a.csv", "4\n5\n")
    data = read(tmp_path)
    assert data.classes == ("run", "walk") and data.labels.tolist() == [0, 1] and data.lengths.tolist() == [2, 3]
    np.testing.assert_array_equal(data.signals[1, 0], [1, 2, 3])


def test_plain_folder_of_csv_without_header_or_labels_that_is_too_large_for_memory(tmp_path, monkeypatch):
    for number in range(10):
        write(tmp_path / f"{number}.csv", "".join(f"{number},{row}\n" for row in range(5)))
    monkeypatch.setattr(storage, "MEMORY_LIMIT", 100)
    data = read(tmp_path)
    assert isinstance(data.signals, np.memmap) and data.labels is None and data.signals.shape == (10, 2, 5)
    np.testing.assert_array_equal(data.signals[7], [[7] * 5, [0, 1, 2, 3, 4]])


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("x.wav", "abc", "cannot read 'x.wav': use .npz"),
        ("x.tsv", "", "x.tsv is empty"),
        ("folder/a.csv", "", "a.csv is empty"),
        ("folder/a.csv", "time,name\n0,x\n1,y\n", "column 'name' is not numeric"),
        ("folder/labels.csv", "name,class\n", "must have the columns file,label"),
        ("folder/readme.md", "abc", "has no .csv file"),
    ],
)
def test_refuses(tmp_path, name, text, message):
    path = write(tmp_path / name, text)
    with pytest.raises(ValueError, match=message):
        read(path.parent if path.parent != tmp_path else path)


def test_what_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError, match="no file or folder"):
        read(tmp_path / "none.npz")
    write(tmp_path / "labels.csv", "file,label\ngone.csv,a\n")
    with pytest.raises(FileNotFoundError, match=r"names 'gone.csv'"):
        read(tmp_path)
