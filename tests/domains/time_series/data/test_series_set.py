import numpy as np
import pytest
import torch

from antiphon.domains.time_series.data import TimeSeriesSet, check_labels, same_classes

NAN = np.nan


@pytest.fixture
def data():
    signals = np.array([[[1, 2, 3, 4]], [[5, 6, NAN, NAN]], [[NAN, 7, NAN, 8]]], np.float32)
    return TimeSeriesSet.from_arrays(signals, ["b", "a", "b"], groups=[7, 9, 7], name="toy")


def test_from_arrays(data):
    assert data.lengths.tolist() == [4, 2, 4] and data.lengths.dtype == np.int64  # a series ends with its last value
    assert data.labels.tolist() == [1, 0, 1] and data.classes == ("a", "b") and data.groups.tolist() == [0, 1, 0]
    assert len(data) == 3 and data.channels == 1


def test_two_dimensions_are_univariate_series_and_every_number_type_becomes_float32():
    made = TimeSeriesSet.from_arrays(np.arange(8, dtype=np.int16).reshape(2, 4))
    assert made.signals.shape == (2, 1, 4) and made.signals.dtype == np.float32 and made.labels is None


@pytest.mark.parametrize(
    ("labels", "classes"),
    [
        (["10", "9", "1"], ("1", "9", "10")),  # numbers in the order of numbers
        ([1.0, -1.0, 2.0], ("-1", "1", "2")),
        ([b"x", b"y", b"10"], ("10", "x", "y")),
        ([0.5, 1.0, 0.25], ("0.25", "0.5", "1")),
        ([True, False, True], ("False", "True")),
    ],
)
def test_labels_of_any_kind(labels, classes):
    made = TimeSeriesSet.from_arrays(np.zeros((3, 1, 2)), labels)
    assert made.classes == classes
    assert [classes[code] for code in made.labels] == [
        label.decode() if isinstance(label, bytes) else f"{label:g}" if type(label) is float else str(label) for label in labels
    ]


def test_batch_is_a_copy_with_everything_known(data):
    batch = data.batch(np.array([2, 0]))
    assert batch.signals.dtype == torch.float32 and batch.signals.shape == (2, 1, 4)
    assert torch.isnan(batch.signals[0, 0]).tolist() == [True, False, True, False]
    assert batch.lengths.tolist() == [4, 4] and batch.index.tolist() == [2, 0]
    assert batch.labels["label"].tolist() == [1, 1] and batch.groups.tolist() == [0, 0]
    batch.signals.zero_()
    assert data.signals[0, 0, 0] == 1
    plain = TimeSeriesSet.from_arrays(data.signals).batch([1])
    assert plain.labels == {} and plain.groups is None


def test_a_memory_map_stays_one(tmp_path):
    np.save(tmp_path / "x.npy", np.arange(24.0).reshape(3, 2, 4))
    data = TimeSeriesSet.from_arrays(np.load(tmp_path / "x.npy", mmap_mode="r"))
    assert isinstance(data.signals, np.memmap)
    batch = data.batch([2])
    assert batch.signals.dtype == torch.float32 and batch.signals[0, 1, 3] == 23
    assert isinstance(data.subset(np.arange(2)).signals, np.memmap)


def test_subset_keeps_the_classes(data):
    part = data.subset([1], name="part")
    assert (
        part.classes == ("a", "b") and part.labels.tolist() == [0] and part.lengths.tolist() == [2] and part.groups.tolist() == [1]
    )
    assert part.name == "part" and data.subset([0, 2]).name == "toy"


def test_same_classes_numbers_over_the_union():
    first = TimeSeriesSet.from_arrays(np.zeros((2, 1, 2)), ["c", "a"])
    second = TimeSeriesSet.from_arrays(np.zeros((2, 1, 2)), ["b", "c"])
    none = TimeSeriesSet.from_arrays(np.zeros((2, 1, 2)))
    one, two, three = same_classes(first, second, none)
    assert one.classes == two.classes == ("a", "b", "c") and three.labels is None
    assert one.labels.tolist() == [2, 0] and two.labels.tolist() == [1, 2]


@pytest.mark.parametrize(
    ("signals", "options", "message"),
    [
        (np.zeros((0, 1, 5)), {}, "expected series .* got shape"),
        (np.zeros(5), {}, "expected series .* got shape"),
        (np.array([[["a"]]]), {}, "expected numbers"),
        (np.array([[[1.0]], [[NAN]], [[NAN]]]), {}, "toy: series 1 is NaN everywhere"),
        (np.array([[[1.0]], [[np.inf]]]), {}, "series 1 has an infinite value"),
        (np.zeros((2, 1, 3)), {"labels": [1]}, "2 series, but labels of shape"),
        (np.zeros((2, 1, 3)), {"groups": [1, 2, 3]}, "2 series, but groups of shape"),
        (np.zeros((2, 1, 3)), {"lengths": [0, 3]}, r"lengths must be in \[1, 3\], got 0"),
        (np.zeros((2, 1, 3)), {"labels": [1.0, NAN]}, "a label is missing"),
    ],
)
def test_refuses(signals, options, message):
    with pytest.raises(ValueError, match=message):
        TimeSeriesSet.from_arrays(signals, name="toy", **options)


def test_a_bad_series_is_named_in_a_later_chunk_too(monkeypatch):
    from antiphon.domains.time_series.data import storage

    monkeypatch.setattr(storage, "CHUNK", 2)
    signals = np.zeros((5, 1, 3))
    signals[3] = NAN
    with pytest.raises(ValueError, match="series 3 is NaN"):
        TimeSeriesSet.from_arrays(signals)


def test_checks(data):
    assert check_labels(data).tolist() == [1, 0, 1]
    with pytest.raises(ValueError, match="toy has only the class 'b'"):
        check_labels(data.subset([0, 2]))
    with pytest.raises(ValueError, match="has no labels"):
        check_labels(TimeSeriesSet.from_arrays(data.signals))
