"""Splits keep groups whole and classes balanced; overlaps are refused by name."""

from collections import Counter

import pytest

from antiphon.common.data.manifest import Manifest, Row
from antiphon.common.data.splits import check_disjoint, few_per_class, group_column, split

PARTS = {"train": 0.7, "valid": 0.1, "test": 0.2}


def recordings(groups: int = 60, size: int = 5, classes: int = 3) -> Manifest:
    return Manifest(
        tuple(
            Row(f"{group}/{number}.wav", labels=(f"class {group % classes}",), speaker=f"speaker {group}")
            for group in range(groups)
            for number in range(size)
        )
    )


def test_groups_stay_whole_and_nothing_is_lost() -> None:
    data = recordings()
    parts = split(data, fractions=PARTS, by="speaker")
    assert sorted(row.path for part in parts.values() for row in part) == sorted(row.path for row in data)
    check_disjoint(parts["train"], parts["test"])
    check_disjoint(parts["train"], parts["valid"])
    assert [len(part) for part in parts.values()] == [210, 30, 60]
    assert parts["valid"].name == "manifest valid"


def test_every_part_gets_its_share_of_every_class() -> None:
    for name, part in split(recordings(), fractions=PARTS).items():
        counts = Counter(row.labels[0] for row in part)
        assert {count / (100 * PARTS[name]) for count in counts.values()} == {1.0} and len(counts) == 3


def test_uneven_groups_and_tags_are_shared_out_fairly() -> None:
    """Groups of 1 to 12 rows, a rare tag in every tenth of them."""
    rows = tuple(
        Row(f"{group}/{number}.wav", labels=("common", "rare") if group % 10 == 0 else ("common",), group=str(group))
        for group in range(120)
        for number in range(1 + group % 12)
    )
    data = Manifest(rows)
    rare = sum("rare" in row.labels for row in rows)
    for name, part in split(data, fractions=PARTS).items():
        assert len(part) / len(data) == pytest.approx(PARTS[name], abs=0.02)
        assert sum("rare" in row.labels for row in part) / rare == pytest.approx(PARTS[name], abs=0.08)


def test_the_seed_decides() -> None:
    first, again, other = (split(recordings(), seed=seed)["test"].column("path") for seed in (0, 0, 1))
    assert first == again != other


def test_parts_of_one_recording_are_never_torn_apart() -> None:
    data = Manifest(tuple(Row(f"{track}.wav", 3.0 * part, 3.0 * part + 3) for track in range(10) for part in range(8)))
    assert group_column(data) == "path"
    parts = split(data)
    check_disjoint(parts["train"], parts["test"], by="path")


def test_impossible_splits_are_refused() -> None:
    with pytest.raises(ValueError, match="1 different speaker\\(s\\), too few for 2 parts"):
        split(recordings(groups=1), by="speaker")
    with pytest.raises(ValueError, match="add up to 1"):
        split(recordings(), fractions={"train": 0.8, "test": 0.3})
    with pytest.raises(ValueError, match="300 of 300 rows have no artist"):
        split(recordings(), by="artist")


def test_an_overlap_is_refused_by_name() -> None:
    data = recordings(groups=4)
    with pytest.raises(ValueError, match=r"train and test share 2 speaker\(s\): speaker 1, speaker 2; split by speaker"):
        check_disjoint(data.filter(speaker={"speaker 0", "speaker 1", "speaker 2"}).take(range(15), name="train"),
                       data.filter(speaker={"speaker 1", "speaker 2", "speaker 3"}).take(range(15), name="test"))  # fmt: skip
    with pytest.raises(ValueError, match="rows have no group"):
        check_disjoint(data, data, by="group")


def test_few_labels_a_class_are_nested() -> None:
    data = recordings()
    draws = [few_per_class(data, shots=shots, seed=3) for shots in (1, 5)]
    assert [Counter(row.labels[0] for row in draw) for draw in draws] == [
        {f"class {number}": shots for number in range(3)} for shots in (1, 5)
    ]
    assert set(draws[0].column("path")) < set(draws[1].column("path"))
    assert len(few_per_class(data, fraction=0.1)) == 30
    assert few_per_class(data, shots=1, seed=3, repeat=1).column("path") != draws[0].column("path")


def test_few_of_rows_with_several_labels() -> None:
    tagged = Manifest(tuple(Row(f"{row}.wav", labels=("a", "b")[: row % 3]) for row in range(100)))
    assert len(few_per_class(tagged, fraction=0.1)) == 10
    with pytest.raises(ValueError, match="several labels, so 5 a class is not defined"):
        few_per_class(tagged, shots=5)
