"""Manifests: reading, writing, choosing rows."""

import json
from pathlib import Path

import pytest

from antiphon.common.data.manifest import Manifest, Row, read_manifest
from antiphon.common.signal.io import AudioInfo

ROWS = (
    Row("/a/one.wav", labels=("2",), speaker="ann", split="train"),
    Row("/a/two.wav", 1.5, 4.0, labels=("10", "rock, loud"), text="A band, live", group="band", extra={"year": "1999"}),
    Row("/b/three.flac", info=AudioInfo(44_100, 2, 88_200)),
)


@pytest.mark.parametrize("ending", ["csv", "jsonl"])
def test_written_and_read_again_nothing_is_lost(tmp_path: Path, ending: str) -> None:
    path = tmp_path / "deep" / f"manifest.{ending}"
    Manifest(ROWS).write(path)
    again = read_manifest(path)
    assert again.rows == ROWS
    assert again.name == "manifest"


@pytest.mark.parametrize("ending", ["csv", "jsonl"])
def test_paths_below_the_manifest_move_with_it(tmp_path: Path, ending: str) -> None:
    Manifest((Row(str(tmp_path / "old/clips/a.wav")), Row("/elsewhere/b.wav"))).write(tmp_path / f"old/list.{ending}")
    (tmp_path / "old").rename(tmp_path / "new")
    assert read_manifest(tmp_path / f"new/list.{ending}").column("path") == [str(tmp_path / "new/clips/a.wav"), "/elsewhere/b.wav"]


def test_a_table_written_by_hand(tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_text("\ufeffpath,label,end_s,mood\nx/a.wav, dog , 2.5 ,calm\nb.wav,,,\n", encoding="utf-8")
    first, second = read_manifest(tmp_path / "m.csv")
    assert first == Row(str(tmp_path / "x/a.wav"), end_s=2.5, labels=("dog",), extra={"mood": "calm"})
    assert second == Row(str(tmp_path / "b.wav"))
    assert (first.value("mood"), second.value("mood"), first.value("label"), second.value("label")) == ("calm", None, "dog", None)


def test_json_lines_take_a_list_of_labels_or_one(tmp_path: Path) -> None:
    records = [{"path": "a.wav", "labels": ["x", "y"]}, {"path": "b.wav", "labels": "x|y"}, {"path": "c.wav", "label": 3}]
    (tmp_path / "m.jsonl").write_text("\n\n".join(map(json.dumps, records)))
    assert [row.labels for row in read_manifest(tmp_path / "m.jsonl")] == [("x", "y"), ("x", "y"), ("3",)]


BROKEN = {
    "path,start_s\na.wav,0\nb.wav,soon\n": r"m\.csv, line 3: start_s is 'soon': expected a number",
    "path,end_s\na.wav,nan\n": r"line 2: end_s is 'nan'",
    "path,start_s,end_s\na.wav,3,2\n": r"line 2: no part of .*a\.wav lies between start_s=3 and end_s=2",
    "file,label\na.wav,x\n": r"line 2: no column 'path' among file, label",
    "path,label\na.wav,x\n,y\n": r"line 3: path is empty",
    "path,label\na.wav,x\nb.wav,y,z\n": r"line 3: 1 cells more than the header",
    "path,label,labels\na.wav,x,y\n": r"line 2: both 'label' and 'labels'",
    "path,labels\na.wav,x||y\n": r"line 2: the label '' of .*a\.wav is empty",
    "path\n": r"lists no recordings",
}


@pytest.mark.parametrize(("text", "message"), BROKEN.items(), ids=map(str, range(len(BROKEN))))
def test_a_broken_line_is_named(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "m.csv").write_text(text)
    with pytest.raises(ValueError, match=message) as caught:
        read_manifest(tmp_path / "m.csv")
    assert "\n" not in str(caught.value)


def test_broken_json_lines_are_named(tmp_path: Path) -> None:
    (tmp_path / "m.jsonl").write_text('{"path": "a.wav"}\n{"path": \n')
    with pytest.raises(ValueError, match=r"m\.jsonl, line 2: no JSON"):
        read_manifest(tmp_path / "m.jsonl")
    (tmp_path / "m.jsonl").write_text('\n["a.wav"]\n')
    with pytest.raises(ValueError, match="line 2: expected a JSON object"):
        read_manifest(tmp_path / "m.jsonl")


def test_what_is_no_manifest_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no manifest or folder"):
        read_manifest(tmp_path / "m.csv")
    (tmp_path / "m.txt").touch()
    with pytest.raises(ValueError, match=r"cannot read m\.txt as a manifest"):
        read_manifest(tmp_path / "m.txt")
    (tmp_path / "m.csv").write_bytes(b"path\n\xff\xfe.wav\n")
    with pytest.raises(ValueError, match="no UTF-8 text"):
        read_manifest(tmp_path / "m.csv")
    with pytest.raises(ValueError, match=r"ends in \.csv or \.jsonl"):
        Manifest(ROWS).write(tmp_path / "m.xml")


def test_a_folder_of_classes_and_a_flat_one(tmp_path: Path) -> None:
    for name in ("rock/b.mp3", "rock/live/a.WAV", "jazz/c.flac", "jazz/.hidden.wav", ".trash/x.wav", "jazz/cover.jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    manifest = read_manifest(tmp_path)
    assert [(Path(row.path).name, row.labels) for row in manifest] == [
        ("c.flac", ("jazz",)),
        ("b.mp3", ("rock",)),
        ("a.WAV", ("rock",)),
    ]
    assert (manifest.classes, manifest.name) == (("jazz", "rock"), tmp_path.name)
    assert not read_manifest(tmp_path, labelled=False).classes
    assert not read_manifest(tmp_path / "rock/live").classes
    (tmp_path / "loose.ogg").touch()
    (tmp_path / "bare").mkdir()
    assert not read_manifest(tmp_path).classes
    with pytest.raises(ValueError, match=r"loose\.ogg lies in .* itself, so it has no label"):
        read_manifest(tmp_path, labelled=True)
    with pytest.raises(ValueError, match="holds no audio files"):
        read_manifest(tmp_path / "bare")


def test_choosing_rows() -> None:
    manifest = Manifest(ROWS)
    assert manifest.filter(split="train").rows == ROWS[:1]
    assert manifest.filter(label={"2", "10"}).rows == ROWS[:2]
    assert manifest.filter(lambda row: row.start_s > 0, year="1999").rows == ROWS[1:2]
    assert manifest.take([2, 0]).rows == (ROWS[2], ROWS[0])
    assert (manifest[1], manifest[1:].rows) == (ROWS[1], ROWS[1:])
    assert manifest.classes == ("2", "10", "rock, loud")  # numbers by size
    with pytest.raises(ValueError, match=r"none of 3 rows has split in \['valid'\]"):
        manifest.filter(split="valid")
    with pytest.raises(ValueError, match=r"two\.wav has 2 labels"):
        manifest.column("label")


def test_a_row_knows_its_samples() -> None:
    info = AudioInfo(44_100, 1, 441_000)
    assert Row("a", info=info).span(22_050) == (0, 220_500)
    assert Row("a", 1.0, 2.5, info=info).span(16_000) == (16_000, 24_000)
    assert Row("a", 9.0, 10.02, info=info).span(16_000) == (144_000, 16_000)  # never beyond the file
    with pytest.raises(ValueError, match="was not checked"):
        Row("a").span(16_000)
