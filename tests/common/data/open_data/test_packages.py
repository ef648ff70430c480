"""Downloading with stand-ins for apt and pip, and unpacking."""

import io
import os
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from antiphon.common.data.open_data.packages import download, stated_version, unpack
from antiphon.common.data.open_data.source import Package

SOUNDS = Package("some-sounds", "debian", "1.0", 1, "0" * 64, "usr/share/sounds")


@pytest.fixture
def fake_apt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Puts a shell script in apt-get's place; returns the file in which it notes how it was called."""

    def install(script: str) -> Path:
        tool = tmp_path / "bin/apt-get"
        tool.parent.mkdir()
        tool.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/calls\n{script}')
        tool.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tool.parent}{os.pathsep}{os.environ['PATH']}")
        return tmp_path / "calls"

    return install


def test_apt_downloads_into_the_folder(fake_apt: Callable[[str], Path], write_deb: Callable[..., Path], tmp_path: Path) -> None:
    calls = fake_apt(f"cp {write_deb()} .")
    file = download(SOUNDS, tmp_path / "folder")
    assert file.parent == tmp_path / "folder" and stated_version(file) == ("some-sounds", "1.0")
    assert calls.read_text() == "download some-sounds\n"


def test_a_machine_without_package_lists_gets_its_own(
    fake_apt: Callable[[str], Path], write_deb: Callable[..., Path], tmp_path: Path
) -> None:
    deb = write_deb()
    calls = fake_apt(
        f"""case "$*" in
        download*) echo "E: Unable to locate package" >&2; exit 100;;
        *update) touch updated;;
        *) [ -e updated ] && cp {deb} .;;
        esac"""
    )
    assert download(SOUNDS, tmp_path / "folder").suffix == ".deb"
    first, update, second = calls.read_text().splitlines()
    assert first == "download some-sounds" and update.endswith(" update") and second.endswith(" download some-sounds")
    assert f"Dir::State::Lists={tmp_path / 'folder'}" in update  # nothing of the machine's own is written
    assert (tmp_path / "folder/apt/lists/partial").is_dir()


def test_why_apt_failed_and_what_to_do_is_said_in_one_line(fake_apt: Callable[[str], Path], tmp_path: Path) -> None:
    fake_apt('echo "W: something" >&2; echo "E: Failed to fetch it  Could not resolve" >&2; exit 100')
    with pytest.raises(
        OSError, match=r"some-sounds cannot be downloaded: E: Failed to fetch it  Could not resolve\. .*--from FILE$"
    ):
        download(SOUNDS, tmp_path / "folder")


def test_a_machine_without_apt_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(OSError, match=r"this machine has no apt-get\. Or get some-sounds_\*\.deb by other means and pass it"):
        download(SOUNDS, tmp_path / "folder")


def test_pip_takes_wheels_of_the_catalogued_version_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tool = tmp_path / "python"
    tool.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/calls\ntouch birds-0.1-py3-none-any.whl')
    tool.chmod(0o755)
    monkeypatch.setattr("sys.executable", str(tool))
    file = download(Package("birds", "pypi", "0.1", 1, "0" * 64, "birds/data"), tmp_path / "folder")
    assert stated_version(file) == ("birds", "0.1")
    called = (tmp_path / "calls").read_text().split()
    assert called[:3] == ["-m", "pip", "download"] and called[-1] == "birds==0.1"
    assert {"--no-deps", "--only-binary=:all:"} <= set(called)


def test_pip_takes_a_source_archive_where_the_wheel_lacks_the_recordings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tool = tmp_path / "python"
    tool.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/calls\ntouch some_birds-0.1.tar.gz')
    tool.chmod(0o755)
    monkeypatch.setattr("sys.executable", str(tool))
    package = Package("some-birds", "sdist", "0.1", 1, "0" * 64, "some_birds-0.1/data")
    file = download(package, tmp_path / "folder")
    assert stated_version(file) == ("some-birds", "0.1") and "--no-binary=:all:" in (tmp_path / "calls").read_text().split()
    with tarfile.open(file, "w:gz") as archive:
        for name, content in (("data/one.csv", b"1"), ("LICENSE", b"MIT"), ("other/LICENSE", b"GPL"), ("setup.py", b"raise")):
            entry = tarfile.TarInfo(f"some_birds-0.1/{name}")
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    unpack(file, package, tmp_path / "set/audio")
    assert (tmp_path / "set/LICENCE-some-birds.txt").read_text() == "MIT"
    assert [path.name for path in (tmp_path / "set/audio").rglob("*")] == ["one.csv"]


def test_only_the_kept_folder_and_the_licence_are_unpacked(write_deb: Callable[..., Path], tmp_path: Path) -> None:
    licence = unpack(write_deb(), SOUNDS, tmp_path / "set/audio")
    assert licence.read_text() == "Free."
    found = {path.relative_to(tmp_path / "set").as_posix() for path in (tmp_path / "set").rglob("*") if path.is_file()}
    assert found == {"audio/a.ogg", "audio/b/c.ogg", "LICENCE-some-sounds.txt"}


def test_a_package_without_the_folder_or_the_licence_is_refused(write_deb: Callable[..., Path], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"has no files in usr/share/music: it may be another version than 1\.0"):
        unpack(write_deb(), Package("some-sounds", "debian", "1.0", 1, "0", "usr/share/music"), tmp_path / "a/audio")
    with pytest.raises(ValueError, match="states no licence"):
        unpack(write_deb(package="other"), SOUNDS, tmp_path / "b/audio")


def test_a_path_that_leads_out_of_the_folder_is_refused(write_deb: Callable[..., Path], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="leads out of its folder"):
        unpack(write_deb(files={"../../../../evil": b"x"}), SOUNDS, tmp_path / "set/audio")
    assert not (tmp_path / "evil").exists()


def test_a_wheel_is_unpacked_alike(tmp_path: Path) -> None:
    wheel = tmp_path / "birds-0.1-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("birds/data/one.wav", b"RIFF")
        archive.writestr("birds/__init__.py", b"raise SystemExit")
        archive.writestr("birds-0.1.dist-info/LICENSE", b"MIT")
    unpack(wheel, Package("birds", "pypi", "0.1", 1, "0", "birds/data"), tmp_path / "set/audio")
    assert (tmp_path / "set/LICENCE-birds.txt").read_text() == "MIT"
    assert [path.name for path in (tmp_path / "set/audio").rglob("*")] == ["one.wav"]
