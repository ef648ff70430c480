"""The folders of public collections, in miniature."""

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from antiphon.domains.music.data import COLLECTIONS, fma, gtzan, load, magnatagatune, mtg_jamendo


def sound(path: Path, seconds: float = 0.1, rate: int = 8000) -> None:
    import soundfile

    path.parent.mkdir(parents=True, exist_ok=True)
    seed = sum(map(ord, path.name))
    soundfile.write(path, np.random.default_rng(seed).normal(0, 0.1, round(seconds * rate)).astype(np.float32), rate, format="WAV")


def table(path: Path, rows: list[list[str]], delimiter: str = "\t") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        csv.writer(file, delimiter=delimiter).writerows(rows)


def make_mtat(root: Path) -> None:
    tags = ["rock", "piano", "rare"]
    clips = [("1", "0/a-x-01-song-0-29.mp3", "110"), ("2", "c/a-x-02-song-0-29.mp3", "100"), ("3", "d/b-y-01-air-59-88.mp3", "011")]
    clips.append(("4", "f/b-y-02-lost-0-29.mp3", "100"))  # no audio
    table(root / "annotations_final.csv", [["clip_id", *tags, "mp3_path"], *([n, *marks, path] for n, path, marks in clips)])
    for _, path, _ in clips[:3]:
        sound(root / Path(path).with_suffix(".wav"))


def make_gtzan(root: Path) -> None:
    for name in ("blues/blues.00029", "blues/blues.00000", "rock/rock.00012", "rock/rock.99999"):
        sound(root / "genres_original" / f"{name}.wav")


TAGS = ("genre---rock", "instrument---piano")


def make_jamendo(root: Path) -> None:
    header = ["TRACK_ID", "ARTIST_ID", "ALBUM_ID", "PATH", "DURATION", "TAGS"]
    for split, number in (("train", "14"), ("validation", "15"), ("test", "16")):
        row = [
            f"track_{number}",
            f"artist_{number}",
            "album_1",
            f"{number}/{number}.mp3",
            "0.1",
            "genre---rock",
            "instrument---piano",
        ]
        table(root / "data/splits/split-0" / f"autotagging_top50tags-{split}.tsv", [header, row])
        sound(root / "audio" / number / f"{number}.low.mp3")


def make_fma(root: Path) -> None:
    top = ["", "artist", "set", "set", "track"]
    rows = [top, ["", "id", "split", "subset", "genre_top"], ["track_id", "", "", "", ""]]
    rows += [["2", "1", "training", "small", "Hip-Hop"], ["10", "6", "validation", "small", "Pop"]]
    rows += [["140", "7", "test", "small", "Pop"], ["150", "8", "training", "large", ""], ["151", "9", "test", "large", "Rock"]]
    table(root / "fma_metadata/tracks.csv", rows, ",")
    for number in (2, 10, 140, 150):
        sound(root / "fma_small" / "000" / f"{number:06d}.wav")


MAKERS = {"magnatagatune": make_mtat, "gtzan": make_gtzan, "mtg_jamendo": make_jamendo, "fma": make_fma}


def test_magnatagatune_by_folders_and_by_lists(tmp_path: Path) -> None:
    make_mtat(tmp_path)
    found = magnatagatune(tmp_path, tags=2)
    assert [(row.split, row.labels, row.group) for row in found] == [
        ("train", ("rock", "piano"), "a-x-01-song"),
        ("valid", ("rock",), "a-x-02-song"),
        ("test", ("piano",), "b-y-01-air"),
    ]
    table(tmp_path / "train_gt_mtt.tsv", [["3", "[0, 1]"]])
    table(tmp_path / "val_gt_mtt.tsv", [["2", "[1, 0]"]])
    table(tmp_path / "test_gt_mtt.tsv", [["1", "[1, 1]"]])
    assert [row.split for row in magnatagatune(tmp_path)] == ["test", "valid", "train"]


def test_gtzan_by_its_filtered_lists(tmp_path: Path) -> None:
    make_gtzan(tmp_path)
    for split, name in (("train", "blues/blues.00029.wav"), ("valid", "blues/blues.00000.wav"), ("test", "rock/rock.00012.wav")):
        (tmp_path / f"{split}_filtered.txt").write_text(f"{name}\n")
    assert {(row.labels[0], row.split) for row in gtzan(tmp_path)} == {("blues", "train"), ("blues", "valid"), ("rock", "test")}


def test_gtzan_by_the_lists_of_torchaudio(tmp_path: Path) -> None:
    pytest.importorskip("torchaudio")
    make_gtzan(tmp_path)
    assert {Path(row.path).stem: row.split for row in gtzan(tmp_path)}["blues.00029"] == "train"


def test_mtg_jamendo(tmp_path: Path) -> None:
    make_jamendo(tmp_path)
    rows = list(mtg_jamendo(tmp_path))
    assert [row.split for row in rows] == ["train", "valid", "test"] and rows[0].group == "artist_14"
    assert rows[0].labels == TAGS


def test_fma(tmp_path: Path) -> None:
    make_fma(tmp_path)
    rows = [(Path(row.path).stem, row.labels, row.split, row.group) for row in fma(tmp_path)]
    assert rows == [
        ("000002", ("Hip-Hop",), "train", "1"),
        ("000010", ("Pop",), "valid", "6"),
        ("000140", ("Pop",), "test", "7"),
        ("000150", (), "train", "8"),
    ]
    with pytest.raises(ValueError, match="use one of small, medium, large, full"):
        fma(tmp_path, subset="tiny")


@pytest.mark.parametrize("layout", ["magnatagatune", "mtg_jamendo", "fma"])
def test_each_opens_as_a_training_and_a_test_set(layout: str, tmp_path: Path) -> None:
    MAKERS[layout](tmp_path)
    train, test = load(tmp_path, layout=layout, duration_s=0.05)
    assert test is not None and len(test) == 1 and len(train) == (2 if layout == "fma" else 1)
    assert train.classes == test.classes and train.batch([0]).signals.shape == (1, 1, 1102)
    assert (train.labels is None) == (layout == "fma")  # a track without a genre: no labels at all


@pytest.mark.parametrize("reader", COLLECTIONS.values(), ids=COLLECTIONS)
def test_what_is_missing_is_named(reader: Callable[[Path], object], tmp_path: Path) -> None:
    with pytest.raises((FileNotFoundError, ValueError), match=r"is missing: unpack|holds none of the recordings"):
        reader(tmp_path)
