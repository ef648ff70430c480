"""Protocols of music: tracks are averaged over their whole windows, tags and genres are scored, segments find their track."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from torch import Tensor

from antiphon.common.data.audio_set import AudioSet
from antiphon.common.data.manifest import Manifest, Row
from antiphon.common.encoder import InputSpec
from antiphon.common.windowed import WindowedEncoder
from antiphon.domains.music.evaluation import all_windows, label_fractions, one_window_each, segment_retrieval, track_probe

RATE, WINDOW = 2000, 100


class Loudness(WindowedEncoder):
    """The power of each window in four bands: what the test recordings differ in."""

    def __init__(self) -> None:
        super().__init__(
            embedding_dim=4, input_spec=InputSpec(channels=1, sample_rate=RATE, window=WINDOW), config={}, padding="zeros"
        )

    def encode_windows(self, windows: Tensor) -> Tensor:
        power = torch.fft.rfft(windows[:, 0]).abs().square()[:, 1:49].unflatten(1, (4, 12)).sum(dim=2)
        return (power / power.sum(dim=1, keepdim=True))[:, None]


def recordings(folder: Path, *, count: int, seed: int, labels: Mapping[int, tuple[str, ...]], seconds: float = 1.03) -> Manifest:
    """Tones of four pitches, each recording with a second tone of its own strength."""
    random = np.random.default_rng(seed)
    rows = []
    times = np.arange(round(seconds * RATE)) / RATE
    for number in range(count):
        kind = number % 4
        wave = 0.2 * np.sin(2 * np.pi * (100 + 240 * kind) * times) + random.uniform(0.0, 0.15) * np.sin(2 * np.pi * 500 * times)
        path = folder / f"{seed}-{number}.wav"
        soundfile.write(path, (wave + 0.005 * random.normal(size=len(times))).astype(np.float32), RATE)
        rows.append(Row(str(path), labels=labels[kind]))
    return Manifest(tuple(rows), f"set {seed}")


def sets(folder: Path, labels: Mapping[int, tuple[str, ...]]) -> tuple[AudioSet, AudioSet]:
    several = any(len(words) != 1 for words in labels.values())
    options: dict[str, Any] = {"sample_rate": RATE, "duration_s": 0.4, "multi_label": several}
    train = AudioSet.from_manifest(recordings(folder, count=80, seed=1, labels=labels), **options)
    return train, AudioSet.from_manifest(recordings(folder, count=24, seed=2, labels=labels), **options)


GENRES = {0: ("a",), 1: ("b",), 2: ("c",), 3: ("d",)}
TAGS = {0: ("low",), 1: ("low", "odd"), 2: (), 3: ("odd",)}


def test_windows_of_a_track_leave_out_the_partial_last_one(tmp_path: Path) -> None:
    _, test = sets(tmp_path, GENRES)
    embeddings, owners = all_windows(Loudness(), test)
    assert np.bincount(owners).tolist() == [20] * 24  # 1.03 s are 20 windows of 0.05 s and a piece
    assert one_window_each(Loudness(), test).shape == (24, 4) and embeddings.shape == (480, 4)


@pytest.mark.parametrize("head", ["linear", "mlp"])
def test_genres_and_tags_are_probed(head: Any, tmp_path: Path) -> None:
    assert track_probe(Loudness(), *sets(tmp_path, GENRES), head=head) == {"accuracy": 1.0}
    scores = track_probe(Loudness(), *sets(tmp_path, TAGS), head=head)
    assert scores["tags_scored"] == 2
    assert scores["roc_auc"] > (0.95 if head == "mlp" else 0.6)  # "odd" is no linear function of four bands


def test_more_labels_help(tmp_path: Path) -> None:
    found = label_fractions(Loudness(), *sets(tmp_path, GENRES), fractions=(0.05, 1.0))
    assert set(found) == {"accuracy_5_percent", "accuracy_100_percent"} and found["accuracy_100_percent"] == 1.0


def test_a_segment_finds_its_track(tmp_path: Path) -> None:
    train, test = sets(tmp_path, GENRES)
    found = segment_retrieval(Loudness(), train, test, segment_s=0.2)
    assert found["tracks"] == 24 and found["recall_at_1"] > 0.6 > 0.5 > found["recall_at_1"] / 24
    constant = Loudness()
    constant.encode_windows = lambda windows: windows.new_ones(len(windows), 1, 4)  # type: ignore[method-assign]
    assert segment_retrieval(constant, train, test, segment_s=0.2)["recall_at_1"] == 0.0
    with pytest.raises(ValueError, match=r"0 of 24 recordings hold two segments of 0\.9 s"):
        segment_retrieval(Loudness(), train, test, segment_s=0.9)


def test_wrong_words(tmp_path: Path) -> None:
    train, test = sets(tmp_path, GENRES)
    with pytest.raises(ValueError, match="unknown head 'forest'"):
        track_probe(Loudness(), train, test, head="forest")  # type: ignore[arg-type]
    bare = AudioSet.from_manifest(train.manifest, sample_rate=RATE, duration_s=0.4, label=None)
    with pytest.raises(ValueError, match="has no labels"):
        track_probe(Loudness(), bare, test)
