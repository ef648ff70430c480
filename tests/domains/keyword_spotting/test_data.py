"""Speech Commands as it is unpacked, folders of words, several open sets at once, speakers kept apart."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import soundfile

from antiphon.common.data.manifest import Manifest, Row
from antiphon.domains.keyword_spotting.data import COMMANDS, SILENCE, UNKNOWN, load, read, speech_commands

RATE = 16_000
OTHERS = ("bed", "cat", "zero")


def sound(path: Path, seconds: float, *, seed: int = 0, before_s: float = 0.0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    wave = 0.1 * np.random.default_rng(seed).normal(size=round(seconds * RATE)).astype(np.float32)
    soundfile.write(path, np.concatenate([np.zeros(round(before_s * RATE), np.float32), wave]), RATE)


@pytest.fixture(scope="module")
def commands(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Thirteen words by ten speakers: 0 to 5 for training, 6 and 7 for validation, 8 and 9 for the test."""
    root = tmp_path_factory.mktemp("torchaudio")
    folder = root / "SpeechCommands" / "speech_commands_v0.02"
    lists: dict[str, list[str]] = {"validation_list.txt": [], "testing_list.txt": []}
    for number in range(10):
        for word in (*COMMANDS, *OTHERS):
            name = f"{word}/{number:08x}_nohash_0.wav"
            sound(folder / name, 0.1, seed=number)
            if number >= 6:
                lists["validation_list.txt" if number < 8 else "testing_list.txt"].append(name)
    for name, lines in lists.items():
        (folder / name).write_text("\n".join(lines) + "\n")
    for number, seconds in enumerate((20.0, 30.0)):
        sound(folder / "_background_noise_" / f"noise{number}.wav", seconds)
    return root


def test_all_words_with_the_official_parts(commands: Path) -> None:
    manifest = speech_commands(commands, classes=35)
    assert len(manifest) == 130 and manifest.classes == tuple(sorted((*COMMANDS, *OTHERS)))
    assert Counter(manifest.column("split")) == {"train": 78, "valid": 26, "test": 26}
    assert {row.speaker for row in manifest if row.split == "test"} == {"00000008", "00000009"}


def test_twelve_classes(commands: Path) -> None:
    manifest = speech_commands(commands)
    for part, speakers in (("train", 6), ("valid", 2), ("test", 2)):
        counts = Counter(row.labels[0] for row in manifest if row.split == part)
        assert all(counts[word] == speakers for word in COMMANDS)
        assert counts[UNKNOWN] == counts[SILENCE] == speakers and len(counts) == 12
    unknown = [row for row in manifest if row.labels == (UNKNOWN,)]
    assert all(Path(row.path).parent.name in OTHERS for row in unknown)
    assert [row.path for row in speech_commands(commands)] == [row.path for row in manifest]
    assert [row.path for row in speech_commands(commands, seed=1)] != [row.path for row in manifest]


def test_no_stretch_of_noise_is_in_two_parts(commands: Path) -> None:
    bounds: dict[tuple[str, str], tuple[float, float]] = {}
    for row in speech_commands(commands):
        if row.labels == (SILENCE,):
            assert row.end_s is not None and row.split is not None and row.end_s - row.start_s <= 1.0 + 1e-9
            low, high = bounds.get((row.path, row.split), (row.start_s, row.end_s))
            bounds[row.path, row.split] = min(low, row.start_s), max(high, row.end_s)
    for (path, part), (low, high) in bounds.items():
        for (other_path, other_part), (other_low, other_high) in bounds.items():
            assert path != other_path or part == other_part or high <= other_low or other_high <= low


def test_load_takes_the_official_parts_and_leaves_validation_out(commands: Path) -> None:
    train, test = load(commands, layout="speech_commands", duration_s=1.0)
    assert test is not None and len(train) == 72 and len(test) == 24 and len(train.classes) == 12 == len(test.classes)
    assert train.batch([0]).signals.shape == (1, 1, RATE)
    train, test = load(commands, layout="speech_commands_35")
    assert test is not None and (len(train), len(test), len(train.classes)) == (78, 26, 13)


def test_a_folder_a_word_trimmed(tmp_path: Path) -> None:
    for word in ("ja", "nein"):
        for number in range(5):
            sound(tmp_path / "words" / word / f"{number}.wav", 0.3, seed=number, before_s=0.5)
    train, test = load(tmp_path / "words", trim_db=40.0, test_share=0.4)
    assert test is not None and train.classes == ("ja", "nein") and len(train) + len(test) == 10
    assert all(row.start_s == pytest.approx(0.5, abs=0.1) for row in train.manifest)
    assert len(read(tmp_path / "words")) == 10


def test_speakers_are_kept_apart_and_several_sets_are_one(tmp_path: Path) -> None:
    manifests = []
    for name in ("first", "second"):
        rows = []
        for speaker in range(4):
            for word in ("on", "off"):
                file = tmp_path / name / f"{speaker}-{word}.wav"
                sound(file, 0.2, seed=speaker)
                rows.append(Row(str(file), labels=(f"en/{word}",), speaker=f"{name}-{speaker}"))
        Manifest(tuple(rows), name).write(tmp_path / f"{name}.csv")
        manifests.append(tmp_path / f"{name}.csv")
    train, test = load(manifests, test_share=0.25)
    assert test is not None and len(train) == 12 and len(test) == 4 and train.classes == ("en/off", "en/on")
    assert not {row.speaker for row in train.manifest} & {row.speaker for row in test.manifest}
    train, test = load(manifests[0], manifests[1])
    assert test is not None and (len(train), len(test)) == (8, 8)


def test_wrong_folders(tmp_path: Path, commands: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no validation_list.txt and testing_list.txt.*torchaudio"):
        speech_commands(tmp_path)
    with pytest.raises(ValueError, match="12 or 35 classes, got 10"):
        speech_commands(commands, classes=10)
    for name in ("validation_list.txt", "testing_list.txt"):
        (tmp_path / name).touch()
    with pytest.raises(ValueError, match="holds no words"):
        speech_commands(tmp_path)
    sound(tmp_path / "yes" / "a_nohash_0.wav", 0.1)
    with pytest.raises(ValueError, match="use layout=speech_commands_35"):
        speech_commands(tmp_path)
    with pytest.raises(ValueError, match="unknown layout 'gsc': use auto, speech_commands, speech_commands_35"):
        load(tmp_path, layout="gsc")
