"""Who speaks, read from folders as public collections have them, and from everybody's own."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from antiphon.domains.speaker_verification.data import cn_celeb, speakers, voxceleb


def touch(root: Path, names: Sequence[str]) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


VOX = ["id10001/aBcD/00001.wav", "id10001/aBcD/00002.wav", "id10001/xYz/00001.wav", "id10270/q_-1/00001.wav"]


@pytest.mark.parametrize("below", ["", "wav/", "some/where/"])
def test_voxceleb(tmp_path: Path, below: str) -> None:
    root = touch(tmp_path / "vox1", [below + name for name in VOX])
    (tmp_path / "vox1" / "vox1_meta.csv").write_text(
        "VoxCeleb1 ID\tVGGFace1 ID\tGender\tNationality\tSet\n"
        "id10001\tA.J._Buckley\tm\tIreland\tdev\nid10270\tEartha_Kitt\tf\tUSA\ttest\n"
    )
    manifest = voxceleb(root)
    assert [row.speaker for row in manifest] == ["id10001"] * 3 + ["id10270"] == [row.group for row in manifest]
    assert [row.value("session") for row in manifest][:3] == ["id10001/aBcD"] * 2 + ["id10001/xYz"]
    assert [row.split for row in manifest] == ["train"] * 3 + ["test"]
    assert manifest[0].value("gender") == "m" and manifest[3].value("nationality") == "USA"
    assert [row.speaker for row in speakers(root)] == [row.speaker for row in manifest]  # recognised


def test_voxceleb2_has_other_folders_and_its_list_lies_above_them(tmp_path: Path) -> None:
    root = touch(tmp_path / "vox2" / "dev" / "aac", ["id00012/21Uxsk56VDQ/00001.m4a", "id00012/readme.txt", "loose.wav"])
    (tmp_path / "vox2" / "vox2_meta.csv").write_text("VoxCeleb2 ID ,VGGFace2 ID ,Gender ,Set \nid00012 ,n000012 ,m ,dev \n")
    (row,) = voxceleb(root)
    assert (row.speaker, row.split, row.value("gender")) == ("id00012", "train", "m")
    (other,) = voxceleb(touch(tmp_path / "vox", ["test/aac/id00017/v/00001.m4a"]))
    assert other.split == "test" and other.value("gender") is None


def test_cn_celeb(tmp_path: Path) -> None:
    root = touch(tmp_path / "cn", ["data/id00000/singing-01-002.flac", "data/id00800/interview-03-001.flac", "eval/x.flac"])
    assert {row.split for row in cn_celeb(root)} == {None}
    (root / "dev").mkdir()
    (root / "dev" / "dev.lst").write_text("id00000\nid00001\n")
    first, second = cn_celeb(root)
    assert (first.speaker, first.split, first.value("genre"), first.value("session")) == (
        "id00000",
        "train",
        "singing",
        "id00000/singing-01",
    )
    assert second.split == "test"
    assert [row.speaker for row in speakers(root)] == ["id00000", "id00800"]


def test_a_folder_a_speaker_a_manifest_and_nothing_known(tmp_path: Path) -> None:
    folder = touch(tmp_path / "people", ["ann/monday/1.wav", "ann/2.wav", "bob/1.wav"])
    assert [row.speaker for row in speakers(folder)] == ["ann", "ann", "bob"] == [row.group for row in speakers(folder)]
    table = tmp_path / "list.csv"
    table.write_text("path,speaker,group\na.wav,x,day 1\nb.wav,y,day 2\n")
    rows = speakers(table).rows
    assert [(row.group, row.value("session")) for row in rows] == [("x", "day 1"), ("y", "day 2")]
    loose = touch(tmp_path / "loose", ["1.wav", "2.wav"])
    assert [row.speaker for row in speakers(loose)] == [None, None]


def test_half_of_the_speakers_is_refused(tmp_path: Path) -> None:
    table = tmp_path / "list.csv"
    table.write_text("path,speaker\na.wav,x\nb.wav,\n")
    with pytest.raises(ValueError, match=r"1 of 2 rows have no speaker .*b\.wav.*: fill the column"):
        speakers(table)


def test_an_empty_collection_says_what_it_looked_for(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"holds no files like id10001/VIDEO/00001\.wav"):
        voxceleb(touch(tmp_path / "x", ["a.wav"]))
    with pytest.raises(ValueError, match=r"no files like data/id00000"):
        cn_celeb(touch(tmp_path / "y", ["a.wav"]))
