"""Several places as one set, and an account of what was left out of all of them. (The domains test the rest.)"""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import soundfile

from antiphon.common.data.manifest import read_manifest
from antiphon.common.data.recordings import load_recordings
from antiphon.common.data.shards import ShardSet, pack


def folder(path: Path, files: int) -> Path:
    path.mkdir()
    for number in range(files):
        soundfile.write(path / f"{number}.wav", np.random.default_rng(number).normal(0, 0.1, 800).astype(np.float32), 8000)
    return path


def test_several_places_become_one_set(tmp_path: Path) -> None:
    places = [folder(tmp_path / "a", 3), folder(tmp_path / "b", 2)]
    train, test = load_recordings(places, layouts={}, sample_rate=8000, duration_s=0.1, test_share=0)
    assert test is None and len(train) == 5 and train.name == "a + b"


def test_the_account_covers_train_and_test(tmp_path: Path) -> None:
    a, b = folder(tmp_path / "a", 2), folder(tmp_path / "b", 2)
    (a / "empty.wav").touch()
    (b / "empty.wav").touch()
    train, test = load_recordings(a, b, layouts={}, sample_rate=8000, duration_s=0.1)
    assert test is not None and (len(train), len(test)) == (2, 2)
    assert {path for path, _ in train.quarantine.entries} == {str(a / "empty.wav"), str(b / "empty.wav")}
    assert train.quarantine.total == 6


@pytest.mark.parametrize("root", [None, []])
def test_nothing_given(root: list[str] | None) -> None:
    with pytest.raises(ValueError, match="no recordings given"):
        load_recordings(root, layouts={}, sample_rate=8000)


def test_an_unknown_layout_names_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="unknown layout 'b': use auto, a"):
        load_recordings(folder(tmp_path / "x", 1), layouts={"a": lambda path: None}, layout="b", sample_rate=8000)  # type: ignore[dict-item, return-value]


def test_a_folder_of_shards_is_read_shard_by_shard(tmp_path: Path) -> None:
    loose = folder(tmp_path / "loose", 6)
    pack(read_manifest(loose), tmp_path / "shards", shard_size_mb=0.002)
    train, _ = load_recordings(tmp_path / "shards", layouts={}, sample_rate=8000, duration_s=0.1, test_share=0, mixed_shards=1)
    assert isinstance(train, ShardSet) and train.mixed == 1 and len(train) == 6
    archives = [train.manifest[row].path.split("::")[0] for row in train.order(0, 0).tolist()]
    assert 2 < len(set(archives)) == 1 + sum(one != two for one, two in pairwise(archives))  # each shard is visited once
    with pytest.raises(ValueError, match="mixed is 0"):
        load_recordings(tmp_path / "shards", layouts={}, sample_rate=8000, duration_s=0.1, mixed_shards=0)
