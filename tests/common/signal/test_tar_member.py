"""A stretch of a tar file behaves like a file."""

import io
import tarfile
from pathlib import Path

import numpy as np
import pytest

from antiphon.common.signal.io import AudioError, audio_info, check_audio, read_audio, write_audio
from antiphon.common.signal.tar_member import _AT_ONCE, archive_of, member_path, open_member


@pytest.mark.parametrize("size", [1000, _AT_ONCE + 1000])  # read at once, and as it is needed
def test_reading_and_seeking_like_a_file(tmp_path: Path, size: int) -> None:
    content = np.random.default_rng(0).bytes(size)
    (tmp_path / "x.tar").write_bytes(b"before" + content + b"behind")
    member = open_member(member_path(tmp_path / "x.tar", offset=6, size=size, name="clip.wav"))
    twin = io.BytesIO(content)
    assert member is not None
    for place, whence, count in ((0, 0, 10), (-20, 2, 100), (500, 0, 7), (-3, 1, 9), (size + 5, 0, 4), (0, 0, -1)):
        assert member.seek(place, whence) == twin.seek(place, whence)
        assert member.read(count) == twin.read(count)
        assert member.tell() == twin.tell()


@pytest.mark.parametrize("suffix", [".wav", ".flac", ".ogg"])
@pytest.mark.parametrize("seconds", [1, 40])  # 40 s of WAV are too long to be read at once
def test_audio_in_a_tar_equals_the_audio_beside_it(tmp_path: Path, suffix: str, seconds: int) -> None:
    import torch

    time = torch.arange(seconds * 16000) / 16000
    path = tmp_path / f"clip{suffix}"
    write_audio(path, torch.stack((torch.sin(300 * time), torch.cos(500 * time))) / 2, 16000)
    with tarfile.open(tmp_path / "x.tar", "w") as archive:
        archive.add(path, "clip")
    with tarfile.open(tmp_path / "x.tar") as archive:
        offset, size = archive.getmembers()[0].offset_data, path.stat().st_size
    member = member_path(tmp_path / "x.tar", offset=offset, size=size, name=f"clip{suffix}")
    assert audio_info(member) == check_audio(member, decode=True) == audio_info(path)
    for part in ({}, {"start_s": 0.3, "duration_s": 0.5}, {"start_s": 0.9, "sample_rate": 12000, "mono": True}):
        torch.testing.assert_close(read_audio(member, **part)[0], read_audio(path, **part)[0], rtol=0, atol=0)


def test_a_missing_or_short_archive_is_an_audio_error(tmp_path: Path) -> None:
    with pytest.raises(AudioError, match="No such file"):
        audio_info(member_path(tmp_path / "gone.tar", offset=0, size=9, name="a.wav"))
    (tmp_path / "x.tar").write_bytes(bytes(100))
    with pytest.raises(AudioError, match=r"x\.tar is cut off: it ends before byte 112"):
        audio_info(member_path(tmp_path / "x.tar", offset=512 - 410, size=10, name="a.wav"))
    with pytest.raises(AudioError, match="not readable as audio"):
        audio_info(member_path(tmp_path / "x.tar", offset=0, size=50, name="a.wav"))


def test_a_wav_that_is_cut_off_does_not_go_on_with_its_neighbour(tmp_path: Path) -> None:
    import torch

    write_audio(tmp_path / "a.wav", torch.full((1, 4000), 0.25), 8000)
    whole = (tmp_path / "a.wav").read_bytes()
    (tmp_path / "x.tar").write_bytes(whole[:4000] + whole)  # the header of the first declares samples that are not there
    cut, behind = (
        member_path(tmp_path / "x.tar", offset=at, size=size, name="a.wav") for at, size in ((0, 4000), (4000, len(whole)))
    )
    with pytest.raises(AudioError, match="truncated"):
        read_audio(cut)
    assert read_audio(behind)[0].shape == (1, 4000)


@pytest.mark.parametrize("path", ["a/b.wav", "a.tar", "x.tar::1", "x.tar::a+b::c.wav", "odd::1+2::c.wav"])
def test_the_path_of_a_file_is_no_member(path: str) -> None:
    assert open_member(path) is None and archive_of(path) is None


def test_the_archive_of_a_member() -> None:
    assert archive_of(member_path("/data/shards v2/000001.tar", offset=1, size=2, name="a.wav")) == "/data/shards v2/000001.tar"
