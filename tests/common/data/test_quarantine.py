"""What cannot be used is counted and listed, each with its reason."""

from pathlib import Path

import pytest
import torch

from antiphon.common.data.manifest import Manifest, Row, read_manifest
from antiphon.common.data.quarantine import Quarantine, check
from antiphon.common.signal.io import AudioInfo, write_audio


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_audio(tmp_path / "good.wav", torch.zeros(2, 16_000), 16_000)
    write_audio(tmp_path / "late.flac", torch.rand(1, 160_000) - 0.5, 16_000)
    data = bytearray((tmp_path / "late.flac").read_bytes())
    data[100_000:100_200] = bytes(200)
    (tmp_path / "late.flac").write_bytes(data)
    (tmp_path / "empty.mp3").touch()
    return tmp_path


def test_good_rows_get_their_headers_and_bad_ones_a_reason(folder: Path) -> None:
    usable, left_out = check(read_manifest(folder))
    assert {Path(row.path).name: row.info for row in usable} == {
        "good.wav": AudioInfo(16_000, 2, 16_000),
        "late.flac": AudioInfo(16_000, 1, 160_000),
    }
    assert left_out.entries == ((str(folder / "empty.mp3"), "the file is empty (0 bytes)"),)
    assert str(left_out) == f"1 of 3 recordings left out\n  {folder / 'empty.mp3'}: the file is empty (0 bytes)"


def test_decoding_finds_damage_in_the_middle(folder: Path) -> None:
    usable, left_out = check(read_manifest(folder), decode=True)
    assert [Path(path).name for path, _ in left_out.entries] == ["empty.mp3", "late.flac"]
    assert [Path(row.path).name for row in usable] == ["good.wav"]


def test_parts_must_lie_within_the_file(folder: Path) -> None:
    path = str(folder / "good.wav")
    parts = [(0.0, None), (0.5, 1.04), (0.5, 1.2), (1.0, None)]
    usable, left_out = check(Manifest(tuple(Row(path, *part) for part in parts)))
    assert [(row.start_s, row.end_s) for row in usable] == parts[:2]
    assert [reason for _, reason in left_out.entries] == [
        "the part from 0.5 s to 1.2 s is not within its 1 s",
        "the part from 1 s to the end is not within its 1 s",
    ]


def test_a_checked_manifest_is_taken_at_its_word(tmp_path: Path) -> None:
    known = Manifest((Row(str(tmp_path / "gone.wav"), info=AudioInfo(8_000, 1, 800)),))
    assert check(known)[0].rows == known.rows


def test_long_accounts_are_counted_and_written_in_full(tmp_path: Path) -> None:
    account = Quarantine(tuple((f"{number}.wav", "no such file") for number in range(60)), 100)
    lines = str(account).splitlines()
    assert (len(account), len(lines), lines[0], lines[-1]) == (60, 52, "60 of 100 recordings left out", "  and 10 more")
    account.write(tmp_path / "quarantine.tsv")
    assert (tmp_path / "quarantine.tsv").read_text().splitlines()[59] == "59.wav\tno such file"
