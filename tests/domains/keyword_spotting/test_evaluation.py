"""Looking words up across speakers, with an encoder whose answers are known."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from torch import Tensor

import antiphon
from antiphon.common.data.audio_set import AudioSet
from antiphon.common.data.manifest import Manifest, Row
from antiphon.common.encoder import Encoder, InputSpec
from antiphon.domains.keyword_spotting.evaluation import (
    concatenated,
    cross_speaker,
    cross_speaker_scores,
    embed_words,
    encode_words,
    probe,
    word_distances,
)

RATE = 1000
WORDS = {"up": (100.0, 300.0), "down": (300.0, 100.0), "left": (200.0, 300.0)}  # up and down hold the same sounds


class Tones(Encoder):
    """Frames of 50 samples: the power at 100, 200 and 300 Hz. Knows sounds, and nothing of voices."""

    def __init__(self) -> None:
        super().__init__(
            embedding_dim=3, input_spec=InputSpec(channels=1, sample_rate=RATE, min_length=50), config={}, pooling="mean"
        )

    def encode(self, signals: Tensor, lengths: Tensor | None = None, **_: Any) -> Tensor:
        pieces = signals[:, 0].unfold(-1, 50, 50)
        return torch.fft.rfft(pieces).abs()[..., [5, 10, 15]]

    def frame_lengths(self, lengths: Tensor, frames: int, samples: int) -> Tensor:
        return (lengths // 50).clamp(1, frames)


def spoken(folder: Path, speakers: dict[str, tuple[int, int]]) -> AudioSet:
    """Each speaker says all words, so many samples for the first and the second sound."""
    rows = []
    for speaker, sizes in speakers.items():
        for word, pitches in WORDS.items():
            parts = [np.sin(2 * np.pi * pitch * np.arange(size) / RATE) for pitch, size in zip(pitches, sizes, strict=True)]
            file = folder / f"{speaker}-{word}.wav"
            soundfile.write(file, 0.5 * np.concatenate(parts).astype(np.float32), RATE)
            rows.append(Row(str(file), labels=(word,), speaker=speaker))
    return AudioSet.from_manifest(Manifest(tuple(rows), "spoken"), sample_rate=RATE, duration_s=0.2)


@pytest.fixture(scope="module")
def voices(tmp_path_factory: pytest.TempPathFactory) -> AudioSet:
    return spoken(tmp_path_factory.mktemp("voices"), {"quick": (200, 200), "slow": (500, 500), "uneven": (300, 150)})


def test_whole_recordings_are_encoded_whatever_the_window(voices: AudioSet) -> None:
    words = encode_words(Tones(), voices)
    assert [len(one) for one in words.frames] == [8, 8, 8, 20, 20, 20, 9, 9, 9] and words.frame_s == pytest.approx(0.05)
    alone = encode_words(Tones(), voices.subset([4]))
    torch.testing.assert_close(alone.frames[0], words.frames[4])
    torch.testing.assert_close(alone.embeddings[0], words.embeddings[4])
    np.testing.assert_array_equal(embed_words(Tones(), voices), words.embeddings.numpy())


def test_order_carries_the_word_and_alignment_finds_it(voices: AudioSet) -> None:
    scores = cross_speaker(Tones(), voices, voices, shots=(1, 2), repeats=2)
    assert scores["dtw_accuracy_1nn"] == scores["dtw_accuracy_2_shot"] == 1.0
    assert scores["pooled_accuracy_1nn"] < 0.8  # up and down are the same without their order
    assert len(scores) == 9 and all(0.0 <= value <= 1.0 for value in scores.values())


def test_words_of_windowed_encoders_are_completed(voices: AudioSet, tmp_path: Path) -> None:
    encoder = antiphon.create_encoder("cab", window=400, sample_rate=RATE, mels=8, embedding_dim=8, heads=2, depth=1, blocks=1)
    words = encode_words(encoder.eval(), voices)
    assert [len(one) for one in words.frames] == [6, 6, 6, 18, 18, 18, 12, 12, 12] and words.embeddings.shape == (9, 8)
    assert word_distances(encoder, voices, compare="concatenated", span_s=0.5).shape == (9, 9)


def test_frames_are_concatenated_in_the_middle() -> None:
    short, long = torch.ones(2, 1), torch.arange(7.0)[:, None]
    assert concatenated([short, long], 5).tolist() == [[0, 1, 1, 0, 0], [1, 2, 3, 4, 5]]


def test_scores_from_distances_by_hand() -> None:
    """Two speakers, one of whom says a third word; b's "x" is nearer to a's "y"."""
    words, speakers = np.array(["x", "y", "x", "y", "z"]), np.array(["a", "a", "b", "b", "b"])
    distances = np.ones((5, 5))
    distances[2, 1] = distances[3, 1] = 0.1
    distances[0, 2] = distances[1, 3] = 0.1
    scores = cross_speaker_scores(distances, words, speakers, shots=(1,), repeats=3)
    assert scores == {"accuracy_1nn": pytest.approx((1.0 + 0.5) / 2), "accuracy_1_shot": pytest.approx((1.0 + 0.5) / 2)}


def test_more_shots_are_never_fewer_references() -> None:
    generator = np.random.default_rng(0)
    words, speakers = np.tile(np.arange(5), 4), np.repeat(np.arange(4), 5)
    centres = generator.normal(size=(5, 2))
    points = 2 * centres[words] + 0.8 * generator.normal(size=(20, 2))
    distances = np.linalg.norm(points[:, None] - points, axis=-1)
    scores = cross_speaker_scores(distances, words, speakers, shots=(1, 3), repeats=50)
    assert scores["accuracy_3_shot"] > scores["accuracy_1_shot"] > 0.2
    assert scores == cross_speaker_scores(distances, words, speakers, shots=(1, 3), repeats=50)


def test_probe_on_whole_words(voices: AudioSet, tmp_path: Path) -> None:
    train = spoken(tmp_path, {f"speaker{number}": (150 + 50 * number, 200) for number in range(6)})
    scores = probe(Tones(), train, voices)
    assert scores["accuracy"] >= 2 / 3 and "knn_accuracy" in scores


def test_missing_speakers_and_words_are_explained(voices: AudioSet) -> None:
    def without(**columns: Any) -> AudioSet:
        rows = tuple(Row(row.path, **{"labels": row.labels, "speaker": row.speaker, **columns}) for row in voices.manifest)
        return AudioSet.from_manifest(Manifest(rows, "set"), sample_rate=RATE, duration_s=0.2)

    with pytest.raises(ValueError, match=r"set names 1 speaker.*evaluation=keyword_spotting/probe"):
        cross_speaker(Tones(), voices, without(speaker="one"))
    with pytest.raises(ValueError, match="names 0 speaker"):
        cross_speaker(Tones(), voices, without(speaker=None))
    with pytest.raises(ValueError, match="9 of 9 recordings have no label"):
        cross_speaker(Tones(), voices, without(labels=()))
    with pytest.raises(ValueError, match="unknown comparison 'mean'"):
        word_distances(Tones(), voices, compare="mean")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="no word is said by two speakers"):
        cross_speaker_scores(np.zeros((2, 2)), np.array(["a", "b"]), np.array([0, 1]))
    with pytest.raises(ValueError, match=r"distances must be \(2, 2\)"):
        cross_speaker_scores(np.zeros((3, 2)), np.array(["a", "b"]), np.array([0, 1]))
