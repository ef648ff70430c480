"""A set is in the cache whole, or not at all."""

import hashlib
import os
import subprocess
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from antiphon.common.data.manifest import Row
from antiphon.common.data.open_data import SOURCES, describe, fetch, fetching, find_source, open_manifest
from antiphon.common.data.open_data.source import Package, Source


def read(folder: Path) -> Iterator[Row]:
    for path in folder.rglob("*.ogg"):
        yield Row(str(path), labels=(path.stem,), group=path.parent.name)


@pytest.fixture
def source(write_deb: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> Source:
    """The one set of the catalogue: some-sounds, whose package is `write_deb`'s."""
    deb = write_deb()
    package = Package("some-sounds", "debian", "1.0", 1, hashlib.sha256(deb.read_bytes()).hexdigest(), "usr/share/sounds")
    made = Source("sounds", "some sounds", clips=2, duration_s=0.3, licence="free", packages=(package,), read=read)
    monkeypatch.setattr(fetching, "find_source", lambda name: made)
    return made


def no_download(*_: object) -> Path:
    raise AssertionError("the network is not needed")


def test_a_fetched_set_has_a_manifest_its_licence_and_checksums(
    source: Source, write_deb: Callable[..., Path], tmp_path: Path
) -> None:
    folder = fetch("sounds", cache=tmp_path / "cache", package_files=[write_deb()])
    assert {path.name for path in folder.iterdir()} == {
        "audio",
        "manifest.csv",
        "source.json",
        "SHA256SUMS",
        "LICENCE-some-sounds.txt",
    }
    assert (folder / "manifest.csv").read_text().splitlines()[1] == "audio/a.ogg,a,audio,8000,1,800"  # relative: it can be moved
    about = describe(folder)
    assert (about["clips"], about["duration_s"], about["notes"]) == (2, 0.3, [])
    assert about["packages"][0]["version"] == "1.0"
    subprocess.run(["sha256sum", "--check", "--quiet", "SHA256SUMS"], cwd=folder, check=True)
    assert [path.name for path in folder.parent.iterdir()] == ["sounds"]


def test_the_second_time_nothing_is_done(
    source: Source, write_deb: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetching, "download", lambda package, folder: write_deb())
    fetch("sounds", cache=tmp_path / "cache")
    monkeypatch.setattr(fetching, "download", no_download)
    monkeypatch.setenv("ANTIPHON_CACHE", str(tmp_path / "cache"))
    manifest = open_manifest("sounds")
    assert manifest.name == "sounds" and manifest.classes == ("a", "c")
    assert all(Path(row.path).is_file() for row in manifest)


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, OSError])
def test_an_interrupted_run_leaves_nothing(
    source: Source,
    write_deb: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    interruption: type[BaseException],
) -> None:
    def stop(folder: Path) -> Iterator[Row]:
        yield next(read(folder))
        raise interruption

    broken = replace(source, read=stop)
    monkeypatch.setattr(fetching, "find_source", lambda name: broken)
    with pytest.raises(interruption):
        fetch("sounds", cache=tmp_path / "cache", package_files=[write_deb()])
    assert list((tmp_path / "cache").iterdir()) == []
    monkeypatch.setattr(fetching, "find_source", lambda name: source)
    assert fetch("sounds", cache=tmp_path / "cache", package_files=[write_deb()]).is_dir()


def test_what_a_killed_run_left_is_removed_when_it_is_old(source: Source, write_deb: Callable[..., Path], tmp_path: Path) -> None:
    old, new = (tmp_path / f"cache/sounds.partial-{name}" for name in ("old", "new"))
    for left in (old, new):
        left.mkdir(parents=True)
    os.utime(old, (time.time() - 2 * 24 * 3600,) * 2)
    fetch("sounds", cache=tmp_path / "cache", package_files=[write_deb()])
    assert not old.exists() and new.exists()  # the new one may be another process's


@pytest.mark.parametrize("damage", ["change", "remove"])
def test_damage_in_the_cache_is_found(source: Source, write_deb: Callable[..., Path], tmp_path: Path, damage: str) -> None:
    folder = fetch("sounds", cache=tmp_path / "cache", package_files=[write_deb()])
    path = folder / "audio/a.ogg"
    path.unlink() if damage == "remove" else path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(ValueError, match=rf"a\.ogg (has changed|is missing).*: delete {folder} and fetch it again"):
        fetch("sounds", cache=tmp_path / "cache")


def test_a_folder_of_ones_own_is_not_taken_for_a_set(source: Source, tmp_path: Path) -> None:
    (tmp_path / "cache/sounds").mkdir(parents=True)
    with pytest.raises(ValueError, match="was not made by `antiphon data fetch`"):
        fetch("sounds", cache=tmp_path / "cache")


def test_another_version_is_noted_and_the_same_with_other_content_refused(
    source: Source, write_deb: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.warns(UserWarning, match=r"some-sounds is version 1\.1, the catalogue was measured on 1\.0"):
        folder = fetch("sounds", cache=tmp_path / "cache", package_files=[write_deb("1.1")])
    assert len(describe(folder)["notes"]) == 1
    other = replace(source, packages=(replace(source.packages[0], sha256="0" * 64),))
    monkeypatch.setattr(fetching, "find_source", lambda name: other)
    with pytest.raises(ValueError, match=r"calls itself some-sounds 1\.0 but its SHA-256 is"):
        fetch("sounds", cache=tmp_path / "another", package_files=[write_deb()])


def test_recordings_that_cannot_be_read_are_listed(
    source: Source, write_deb: Callable[..., Path], recording: bytes, tmp_path: Path
) -> None:
    deb = write_deb("2.0", {"good.ogg": recording, "empty.ogg": b"", "notes.txt": b"x"})
    with warnings.catch_warnings(record=True) as noted:
        warnings.simplefilter("always")
        folder = fetch("sounds", cache=tmp_path / "cache", package_files=[deb])
    assert "1 recordings cannot be read and are left out: audio/empty.ogg" in str(noted[-1].message)
    assert describe(folder)["clips"] == 1 and len(describe(folder)["unreadable"]) == 1
    assert [path.name for path in (folder / "audio").iterdir()] == ["good.ogg"]


def test_the_wrong_package_is_refused(source: Source, write_deb: Callable[..., Path], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="sounds comes from some-sounds, not from other"):
        fetch("sounds", cache=tmp_path, package_files=[write_deb(package="other")])


def test_the_catalogue_is_complete_and_knows_its_names() -> None:
    names = [source.name for source in SOURCES]
    assert len(names) == len(set(names))
    for source in SOURCES:
        assert source.clips > 0 and source.licence and all(len(package.sha256) == 64 for package in source.packages)
    assert find_source("freepats").clips == 444
    with pytest.raises(ValueError, match="did you mean freepats"):
        find_source("freepat")


@pytest.mark.skipif("ANTIPHON_DOWNLOADS" not in os.environ, reason="set ANTIPHON_DOWNLOADS=1 to download packages (14 MB)")
@pytest.mark.parametrize("name", ["kajongg", "pykanto", "biosig-motor-imagery"])
def test_the_real_packages_hold_what_the_catalogue_says(name: str, tmp_path: Path) -> None:
    source = find_source(name)
    about = describe(fetch(name, cache=tmp_path))
    assert (about["clips"], about["duration_s"], about["unreadable"]) == (source.clips, source.duration_s, [])
