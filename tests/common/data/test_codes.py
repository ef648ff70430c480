"""Labels and groups as numbers."""

import numpy as np
import pytest

from antiphon.common.data.codes import group_codes, label_codes
from antiphon.common.data.manifest import Manifest, Row


def manifest(*labels: tuple[str, ...], **columns: list[str]) -> Manifest:
    extra = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)] or [{}] * len(labels)
    return Manifest(tuple(Row(f"{row}.wav", labels=one, **more) for row, (one, more) in enumerate(zip(labels, extra, strict=True))))


def test_one_label_a_row_is_a_number() -> None:
    codes, names = label_codes(manifest(("10",), ("9",), ("drum",), ("9",)))
    assert names == ("9", "10", "drum")
    assert codes is not None and codes.dtype == np.int64 and codes.tolist() == [1, 0, 2, 0]
    assert label_codes(manifest(("b",)), classes=["c", "b"]) == (np.asarray([1]), ("c", "b"))
    with pytest.raises(ValueError, match="the label\\(s\\) x are not among the 2 classes given"):
        label_codes(manifest(("x",)), classes=["c", "b"])


def test_several_labels_a_row_are_zeros_and_ones() -> None:
    codes, names = label_codes(manifest(("a", "c"), (), ("b",)))
    assert names == ("a", "b", "c")
    assert codes is not None and codes.dtype == np.float32 and codes.tolist() == [[1, 0, 1], [0, 0, 0], [0, 1, 0]]
    single, _ = label_codes(manifest(("a",), ("b",)), several=True)
    assert single is not None and single.tolist() == [[1, 0], [0, 1]]


def test_no_labels_and_labels_on_some_rows_only() -> None:
    assert label_codes(manifest((), ())) == (None, ())
    assert label_codes(manifest(("a",), ("b",)), None) == (None, ())
    with pytest.raises(ValueError, match=r"1 of 2 rows have no label \(first: 1\.wav\): .*label=None"):
        label_codes(manifest(("a",), ()))


def test_another_column_as_label_and_as_group() -> None:
    data = manifest((), (), (), speaker=["ann", "bob", "ann"])
    codes, names = label_codes(data, "speaker")
    assert codes is not None and (codes.tolist(), names) == ([0, 1, 0], ("ann", "bob"))
    groups = group_codes(data)
    assert groups is not None and groups.dtype == np.int64 and groups.tolist() == [0, 1, 0]
    assert group_codes(manifest((), ())) is None
    with pytest.raises(ValueError, match="have no group"):
        group_codes(data, "group")
