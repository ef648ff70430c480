"""Debian packages without dpkg."""

import io
import shutil
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from antiphon.common.data.open_data.deb import ar_members, deb_version, open_deb


def test_the_members_of_an_archive_come_in_order_whatever_their_length() -> None:
    content = b"!<arch>\n"
    for name, data in (("odd/", b"123"), ("empty", b""), ("even", b"1234")):
        content += f"{name:<16}{0:<12}{0:<6}{0:<6}{644:<8}{len(data):<10}`\n".encode() + data + b"\n" * (len(data) % 2)
    assert list(ar_members(io.BytesIO(content))) == [("odd", b"123"), ("empty", b""), ("even", b"1234")]


@pytest.mark.parametrize(("cut", "reason"), [(4, "not an ar"), (20, "damaged"), (-3, "cut off")])
def test_a_damaged_archive_is_refused(write_deb: Callable[..., Path], cut: int, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        list(ar_members(io.BytesIO(write_deb().read_bytes()[:cut])))


def test_name_version_and_files(write_deb: Callable[..., Path]) -> None:
    path = write_deb("1:2.0~rc1-3")
    assert deb_version(path) == ("some-sounds", "1:2.0~rc1-3")
    with open_deb(path, "data") as files:
        names = [member.name for member in files]
    assert "./usr/share/sounds/a.ogg" in names


def test_what_is_no_package_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "page.deb").write_text("<html>not found</html>")
    with pytest.raises(ValueError, match=r"page\.deb is no readable Debian package \(not an ar archive\): download it again"):
        deb_version(tmp_path / "page.deb")
    (tmp_path / "empty.deb").write_bytes(b"!<arch>\n")
    with pytest.raises(ValueError, match="it has no data"):
        open_deb(tmp_path / "empty.deb", "data")


@pytest.mark.skipif(shutil.which("dpkg-deb") is None, reason="needs dpkg-deb")
@pytest.mark.parametrize("compression", ["xz", "gzip", "zstd"])
def test_what_dpkg_builds_is_read(tmp_path: Path, compression: str) -> None:
    (tmp_path / "tree/DEBIAN").mkdir(parents=True)
    (tmp_path / "tree/DEBIAN/control").write_text(
        "Package: real\nVersion: 3-1\nArchitecture: all\nMaintainer: Nobody <n@example.org>\nDescription: x\n"
    )
    (tmp_path / "tree/file").write_text("content")
    path = tmp_path / "real.deb"
    subprocess.run(["dpkg-deb", f"-Z{compression}", "--build", tmp_path / "tree", path], check=True, capture_output=True)
    assert deb_version(path) == ("real", "3-1")
    with open_deb(path, "data") as files:
        file = next(files.extractfile(member) for member in files if member.name == "./file")
        assert isinstance(files, tarfile.TarFile) and file is not None and file.read() == b"content"
