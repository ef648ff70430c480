"""`antiphon data` as a user meets it."""

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from antiphon.cli import main
from antiphon.common.data.open_data import SOURCES


@pytest.fixture
def recordings(tmp_path: Path) -> Path:
    """A folder of two classes, and a file that is no audio."""
    for name in ("cat/1.wav", "cat/2.wav", "dog/1.wav"):
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(tmp_path / "in" / name, np.zeros(4000), 8000)
    (tmp_path / "in/dog/broken.wav").write_text("no audio")
    return tmp_path / "in"


def fails(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> str:
    """The one line that a failing command prints."""
    with pytest.raises(SystemExit) as stop:
        main(list(map(str, arguments)))
    printed = capsys.readouterr().err.strip()
    assert stop.value.code == 1 and printed.startswith("error: ") and "\n" not in printed
    return printed


def test_list_names_every_set_with_size_licence_and_package(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "freepats").mkdir()
    main(["data", "list", "--cache", str(tmp_path)])
    printed = capsys.readouterr().out
    for source in SOURCES:
        block = printed[printed.index(source.name) :].split("\n    ")
        assert f"{source.size / 1e6:.1f} MB" in block[0] and f"{source.clips} clips" in block[0]
    assert printed.count("in the cache") == 1 and "GPL-2+" in printed and "kajongg (debian)" in printed
    assert str(tmp_path) in printed


def test_fetch_refuses_what_it_does_not_know(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert "did you mean kajongg?" in fails(capsys, "data", "fetch", "kajong", "--cache", tmp_path)
    (tmp_path / "page.deb").write_text("<html>")
    said = fails(capsys, "data", "fetch", "kajongg", "--cache", tmp_path / "c", "--from", tmp_path / "page.deb")
    assert "no readable Debian package" in said
    said = fails(capsys, "data", "fetch", "kajongg", "qabcs", "--cache", tmp_path / "c", "--from", tmp_path / "page.deb")
    assert "fetch them one by one" in said
    assert not (tmp_path / "c").exists()


def test_without_apt_the_remedy_is_said(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    said = fails(capsys, "data", "fetch", "kajongg", "--cache", tmp_path / "cache")
    assert "this machine has no apt-get" in said and said.endswith("--from FILE")


def test_pack_says_what_it_left_out_and_where_the_manifest_is(
    capsys: pytest.CaptureFixture[str], recordings: Path, tmp_path: Path
) -> None:
    assert "1 of 4 recordings cannot be packed" in fails(capsys, "data", "pack", recordings, tmp_path / "out")
    options = ["--quarantine", "--format", "pcm16", "--sample-rate", "4000", "--mono", "--shard-mb", "0.001"]
    main(["data", "pack", str(recordings), str(tmp_path / "out"), *options])
    printed = capsys.readouterr().out
    assert "1 of 4 recordings left out" in printed and "broken.wav" in printed
    assert "3 recordings in 3 shards" in printed and str(tmp_path / "out/manifest.csv") in printed
    assert json.loads((tmp_path / "out/index.json").read_text())["recordings"] == 3
