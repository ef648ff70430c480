"""Sets of spoken words: Speech Commands, a folder a word, manifests, open recordings by name."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from antiphon.common.data.audio_set import AudioSet
from antiphon.common.data.manifest import Manifest, Row
from antiphon.common.data.recordings import load_recordings, read_recordings
from antiphon.common.encoder import InputSpec
from antiphon.common.random import shuffled
from antiphon.common.signal.io import check_audio
from antiphon.domains.keyword_spotting.encoders.features import SAMPLE_RATE

COMMANDS = ("yes", "no", "up", "down", "left", "right", "on", "off", "stop", "go")
UNKNOWN, SILENCE = "_unknown_", "_silence_"
NOISE_FOLDER = "_background_noise_"
EXTRA_SHARE = 0.1  # of unknown words and of silence each, beside the commands of a part
NOISE_PARTS = {"train": (0.0, 0.8), "valid": (0.8, 0.9), "test": (0.9, 1.0)}  # of each noise file
_LISTS = {"valid": "validation_list.txt", "test": "testing_list.txt"}


def speech_commands(root: str | Path, *, classes: int = 12, seed: int = 0) -> Manifest:
    """Google Speech Commands with its official parts: a folder a word, `validation_list.txt` and `testing_list.txt`.

    `root` is that folder, or what torchaudio's `SPEECHCOMMANDS(root, download=True)` was given. Every file is one second or less of
    one speaker, named in it, and no speaker is in two parts. 35 classes are all the words. 12 are the ten commands (yes, no, up,
    down, left, right, on, off, stop, go), "_unknown_", a tenth as many recordings as commands drawn from all other words, and
    "_silence_", as many seconds of the background noises; the first 80 % of each noise file are for training, 10 % for validation,
    10 % for the test, so that no noise is in two parts. Draws depend on `seed`.

    Raises:
        FileNotFoundError: no lists in `root`.
        ValueError: another number of classes than 12 or 35, or a set without noise files where 12 are asked for.
    """
    if classes not in (12, 35):
        raise ValueError(f"Speech Commands has 12 or 35 classes, got {classes}")
    folder = _unpacked(Path(root).expanduser())
    held = {line.strip(): part for part, name in _LISTS.items() for line in (folder / name).read_text().splitlines()}
    rows = []
    for file in sorted(folder.glob("[!_.]*/*.wav")):
        name = f"{file.parent.name}/{file.name}"
        speaker = re.sub(r"_nohash_.*$", "", file.stem)
        rows.append(Row(str(file), labels=(file.parent.name,), speaker=speaker, split=held.get(name, "train")))
    if not rows:
        raise ValueError(f"{folder} holds no words: unpack Speech Commands there, a folder of .wav files for each word")
    if classes == 12:
        noises = sorted((folder / NOISE_FOLDER).glob("*.wav"))
        if not noises:
            raise ValueError(f"{folder / NOISE_FOLDER} holds no .wav files to make silence of: use layout=speech_commands_35")
        rows = [row for part in NOISE_PARTS for row in _twelve(rows, noises, part, seed)]
    return Manifest(tuple(rows), f"speech_commands_{classes}")


def _unpacked(root: Path) -> Path:
    """The folder with the lists: `root`, or where torchaudio unpacks version 2 below it."""
    for folder in (root, root / "SpeechCommands" / "speech_commands_v0.02", root / "speech_commands_v0.02"):
        if all((folder / name).is_file() for name in _LISTS.values()):
            return folder
    raise FileNotFoundError(
        f"{root} has no {' and '.join(_LISTS.values())}: unpack Speech Commands V2 there, or let torchaudio fetch it "
        "(torchaudio.datasets.SPEECHCOMMANDS(root, download=True))"
    )


def _twelve(rows: Sequence[Row], noises: Sequence[Path], part: str, seed: int) -> list[Row]:
    """The rows of a part with the ten commands, unknown words and silence."""
    own = [row for row in rows if row.split == part]
    words = [row for row in own if row.labels[0] in COMMANDS]
    others = [row for row in own if row.labels[0] not in COMMANDS]
    count = math.ceil(EXTRA_SHARE * len(words))
    number = list(NOISE_PARTS).index(part)
    drawn = shuffled(len(others), seed, number)[:count].tolist() if others else []
    unknown = [Row(row.path, labels=(UNKNOWN,), speaker=row.speaker, split=part) for row in (others[place] for place in drawn)]
    return [*words, *unknown, *_silences(noises, part, count, seed)]


def _silences(noises: Sequence[Path], part: str, count: int, seed: int) -> list[Row]:
    """`count` seconds of the share of the noise files that belongs to `part`."""
    low, high = NOISE_PARTS[part]
    durations = [check_audio(file).duration_s for file in noises]
    generator = np.random.default_rng([seed, list(NOISE_PARTS).index(part)])
    rows = []
    for number in range(count):
        file, duration_s = noises[number % len(noises)], durations[number % len(noises)]
        start_s = generator.uniform(low * duration_s, max(low * duration_s, high * duration_s - 1.0))
        end_s = min(start_s + 1.0, high * duration_s)
        rows.append(Row(str(file), start_s, end_s, labels=(SILENCE,), speaker=f"noise-{file.stem}-{part}", split=part))
    return rows


LAYOUTS: dict[str, Callable[[str | Path], Manifest]] = {
    "speech_commands": speech_commands,
    "speech_commands_35": partial(speech_commands, classes=35),
}


def load(
    root: str | Path | Sequence[str | Path] | None,
    test: str | Path | Sequence[str | Path] | None = None,
    *,
    sample_rate: int = SAMPLE_RATE,
    duration_s: float = 1.25,
    **options: Any,
) -> tuple[AudioSet, AudioSet | None]:
    """A training and a test set of words; see `antiphon.common.data.recordings.load_recordings` for the `options`.

    `layout` may be speech_commands (12 classes) or speech_commands_35. Where rows name a speaker, nobody is in both sets. The
    labels of open recordings are language/word, for a word of one language is another word in the next.
    """
    return load_recordings(root, test, layouts=LAYOUTS, sample_rate=sample_rate, duration_s=duration_s, **options)


def read(path: str | Path, *, input_spec: InputSpec | None = None) -> AudioSet:
    """One audio file, or all of a folder or manifest, to be embedded; see `antiphon.common.data.recordings.read_recordings`."""
    return read_recordings(path, sample_rate=SAMPLE_RATE, input_spec=input_spec)
