import shutil
from pathlib import Path

import numpy as np
import pytest

from antiphon.domains.time_series.data import TimeSeriesSet, load, read, split


def save(path, count=12, labels=None, channels=1, **arrays):
    signals = np.arange(count * channels * 3.0).reshape(count, channels, 3)
    np.savez(path, X=signals, **({} if labels is None else {"y": labels}), **arrays)
    return path


def test_two_files_share_their_classes(tmp_path):
    train, test = load(save(tmp_path / "a.npz", 2, ["x", "z"]), save(tmp_path / "b.npz", 2, ["y", "z"]), labelled=True)
    assert train.classes == test.classes == ("x", "y", "z") and train.labels.tolist() == [0, 2] and test.labels.tolist() == [1, 2]


def test_the_name_of_an_archive_set():
    train, test = load("ItalyPowerDemand", test_share=0.0)  # the official parts, whatever the share
    assert len(train) == 67 and len(test) == 1029


def test_a_folder_in_the_layout_of_the_archive(tmp_path):
    import aeon.datasets

    shutil.copytree(Path(aeon.datasets.__file__).parent / "data" / "JapaneseVowels", tmp_path / "JapaneseVowels")
    train, test = load(tmp_path / "JapaneseVowels")
    assert (len(train), len(test)) == (270, 370) and train.lengths.min() == 7  # not the edition of equal length beside it


def test_a_folder_with_train_and_test(tmp_path):
    save(tmp_path / "train.npz", 3)
    save(tmp_path / "test.npz", 2)
    assert [len(part) for part in load(tmp_path)] == [3, 2]
    for part, count in (("train", 2), ("test", 1)):
        (tmp_path / "folders" / part).mkdir(parents=True)
        for number in range(count):
            (tmp_path / "folders" / part / f"{number}.csv").write_text("1\n2\n")
    assert [len(part) for part in load(tmp_path / "folders")] == [2, 1]


def test_without_a_share_nothing_is_held_out(tmp_path):
    train, test = load(save(tmp_path / "a.npz", 5), test_share=0.0, name="mine")
    assert len(train) == 5 and test is None and train.name == "mine train"


def test_split_is_stratified_and_reproducible(tmp_path):
    labels = np.repeat([0, 1, 2], [20, 10, 3])
    path = save(tmp_path / "a.npz", 33, labels)
    train, test = load(path, test_share=0.3, seed=1)
    assert np.bincount(test.labels).tolist() == [6, 3, 1] and np.bincount(train.labels).tolist() == [14, 7, 2]
    first = {*train.signals[:, 0, 0].tolist(), *test.signals[:, 0, 0].tolist()}
    assert len(first) == 33  # every series once
    again = load(path, test_share=0.3, seed=1)[1]
    other = load(path, test_share=0.3, seed=2)[1]
    np.testing.assert_array_equal(again.signals, test.signals)
    assert not np.array_equal(other.signals, test.signals)


def test_split_keeps_groups_whole():
    groups = np.repeat(np.arange(10), 4)
    data = TimeSeriesSet.from_arrays(np.zeros((40, 1, 2)), np.tile([0, 1], 20), groups=groups)
    train, test = split(data, test_share=0.3)
    assert len(np.unique(test.groups)) == 3 and not set(train.groups) & set(test.groups) and len(train) + len(test) == 40


def test_a_class_of_one_stays_in_the_training_set():
    data = TimeSeriesSet.from_arrays(np.zeros((9, 1, 2)), [0] * 8 + [1])
    train, test = split(data, test_share=0.5)
    assert 1 in train.labels and 1 not in test.labels and len(test) == 4


def test_refusals(tmp_path):
    alone = save(tmp_path / "a.npz", 4)
    with pytest.raises(ValueError, match="has no labels"):
        load(alone, labelled=True)
    with pytest.raises(ValueError, match="b has no labels, a2 has"):
        load(save(tmp_path / "a2.npz", 2, [0, 1]), save(tmp_path / "b.npz", 2), labelled=True)
    with pytest.raises(ValueError, match=r"has 1 channels, .* has 2"):
        load(alone, save(tmp_path / "c.npz", 4, channels=2))
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "none.npz")
    with pytest.raises(FileNotFoundError):
        load("no/such/folder")
    with pytest.raises(ValueError, match="neither a path nor a UCR/UEA set"):
        load("NoSuchSet")
    with pytest.raises(ValueError, match="test_share must lie between 0 and 1"):
        load(alone, test_share=1.5)
    with pytest.raises(ValueError, match="too few series"):
        split(read(save(tmp_path / "one.npz", 1)))
    with pytest.raises(ValueError, match="too few groups"):
        split(TimeSeriesSet.from_arrays(np.zeros((4, 1, 2)), groups=[0, 0, 0, 0]))
