"""Somebody's own recordings: splits that do not leak, an account of what was left out, encoders that say what they need."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import soundfile

from antiphon.common.encoder import InputSpec
from antiphon.common.signal.io import AudioError
from antiphon.domains.music import load, read


def write(path: Path, *, rate: int = 8000, seconds: float = 0.3, channels: int = 1) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    waves = np.random.default_rng(sum(map(ord, str(path)))).normal(0, 0.1, (round(rate * seconds), channels))
    soundfile.write(path, waves.astype(np.float32), rate)
    return str(path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number in range(10):
        write(tmp_path / "music" / ("loud" if number % 2 else "soft") / f"{number}.wav", rate=8000 if number % 3 else 16_000)
    return tmp_path / "music"


def manifest(path: Path, rows: Sequence[Sequence[str]]) -> Path:
    path.write_text("\n".join(",".join(row) for row in rows) + "\n")
    return path


def test_a_folder_is_split_and_its_sub_folders_are_labels(folder: Path) -> None:
    train, test = load(folder, duration_s=0.1, test_share=0.4)
    assert test is not None and train.classes == test.classes == ("loud", "soft")
    assert (len(train), len(test)) == (6, 4) and sorted(test.labels.tolist()) == [0, 0, 1, 1]
    assert not {row.path for row in train.manifest} & {row.path for row in test.manifest}
    assert train.batch([0, 1]).signals.shape == (2, 1, 2205)
    assert load(folder, test_share=0)[1] is None


def test_unusable_files_are_listed_and_left_out(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (folder / "loud" / "empty.wav").touch()
    (folder / "soft" / "broken.mp3").write_bytes(b"no audio at all" * 20)
    train, test = load(folder, test_share=0.4)
    assert test is not None and len(train) + len(test) == 10
    told = capfd.readouterr().err
    assert "empty.wav: the file is empty" in told and "broken.mp3" in told and "recordings left out" in told


def test_a_split_column_without_train_is_refused(folder: Path, tmp_path: Path) -> None:
    """Or the test recordings would be learnt from."""
    files = sorted(map(str, folder.rglob("*.wav")))
    rows = [["path", "split"], *([file, "test" if n < 3 else ""] for n, file in enumerate(files))]
    with pytest.raises(ValueError, match=r"with \(empty\), test, but no row of it says train"):
        load(manifest(tmp_path / "set.csv", rows), duration_s=0.1)


def test_the_split_column_is_kept_and_leaks_are_refused(folder: Path, tmp_path: Path) -> None:
    files = sorted(str(file) for file in folder.rglob("*.wav"))
    rows = [["path", "group", "split"], *([file, f"artist {n}", "train" if n < 6 else "test"] for n, file in enumerate(files))]
    train, test = load(manifest(tmp_path / "list.csv", rows))
    assert test is not None and (len(train), len(test)) == (6, 4)
    rows[-1][1] = "artist 0"
    with pytest.raises(ValueError, match=r"share 1 group\(s\): artist 0"):
        load(manifest(tmp_path / "leak.csv", rows))
    with pytest.raises(ValueError, match="share 10 path"):
        load(folder, folder)


def test_a_group_is_not_torn_apart(folder: Path, tmp_path: Path) -> None:
    files = sorted(str(file) for file in folder.rglob("*.wav"))
    rows = [["path", "artist"], *([file, f"artist {n // 2}"] for n, file in enumerate(files))]
    train, test = load(manifest(tmp_path / "list.csv", rows), by="artist", test_share=0.4)
    assert test is not None
    assert not set(train.manifest.column("artist")) & set(test.manifest.column("artist"))


def test_several_labels_become_tags(folder: Path, tmp_path: Path) -> None:
    files = sorted(str(file) for file in folder.rglob("*.wav"))
    rows = [["path", "labels"], *([file, "a|b" if n % 2 else ("b" if n % 3 else "")] for n, file in enumerate(files))]
    train, test = load(manifest(tmp_path / "tags.csv", rows))
    assert test is not None and train.classes == ("a", "b") and train.labels.shape == (len(train), 2)
    assert test.labels.shape == (len(test), 2)


def test_an_encoder_says_rate_window_and_channels(folder: Path) -> None:
    write(folder / "soft" / "stereo.wav", channels=2)
    spec = InputSpec(channels=1, sample_rate=4000, window=300)
    train, _ = load(folder, input_spec=spec, labelled=True)
    assert train.sample_rate == 4000 and train.batch([0]).signals.shape == (1, 1, 300)
    one = read(folder / "soft" / "stereo.wav", input_spec=spec)
    windows, owners = one.fixed_windows()
    assert len(one) == 1 and len(windows) == len(owners) == 4 and windows.batch([3]).signals.shape == (1, 1, 300)
    whole = read(folder, input_spec=spec)
    assert len(whole) == 11 and whole.classes == ("loud", "soft")


def test_wrong_words(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no recordings given: data\.root=FOLDER"):
        load(None)
    with pytest.raises(FileNotFoundError, match="no folder, manifest or open set 'frepats'"):
        load("frepats")
    with pytest.raises(ValueError, match="unknown layout 'mtat': use auto, magnatagatune"):
        load(folder, layout="mtat")
    write(tmp_path / "plain" / "a.wav")
    with pytest.raises(ValueError, match="1 of 1 recordings do not have exactly one label"):
        load(tmp_path / "plain", test_share=0, labelled=True)
    (tmp_path / "empty.wav").touch()
    with pytest.raises(AudioError, match="the file is empty"):
        read(tmp_path / "empty.wav")
