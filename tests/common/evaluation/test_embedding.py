"""Sets as embeddings: in memory, read batch by batch, and of several windows an example."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from torch import Tensor

from antiphon.common.data.audio_set import AudioSet
from antiphon.common.data.batch import SignalBatch
from antiphon.common.encoder import Encoder, InputSpec
from antiphon.common.evaluation.embedding import embed_crops, embed_recordings, embed_set, mean_by_owner


class Means(Encoder):
    """The embedding is the mean of each of two channels over the signal."""

    def __init__(self) -> None:
        super().__init__(embedding_dim=2, input_spec=InputSpec(2), config={}, pooling="mean")

    def encode(self, signals: Tensor, lengths: Tensor | None = None, **_: Any) -> Tensor:
        return signals.transpose(1, 2)


class Stored:
    """Ten examples on disk, so to say."""

    def __init__(self) -> None:
        generator = np.random.default_rng(0)
        self.data = generator.standard_normal((10, 2, 20)).astype(np.float32)
        self.sizes = generator.integers(5, 21, 10)
        self.asked: list[int] = []

    def __len__(self) -> int:
        return len(self.data)

    def batch(self, index: np.ndarray, *, epoch: int = 0) -> SignalBatch:
        self.asked.append(len(index))
        return SignalBatch(torch.from_numpy(self.data[index]), torch.from_numpy(self.sizes[index]), torch.from_numpy(index))


class InMemory(Stored):
    @property
    def signals(self) -> np.ndarray:
        return self.data

    @property
    def lengths(self) -> np.ndarray:
        return self.sizes


class Windowed(Stored):
    """Examples 0 and 1 stand for the windows 0-3 and 4-9."""

    def __len__(self) -> int:
        return 2

    def fixed_windows(self) -> tuple[Stored, np.ndarray]:
        return Stored(), np.repeat([0, 1], [4, 6])


def expected() -> np.ndarray:
    data = Stored()
    return np.stack([one[:, :size].mean(axis=1) for one, size in zip(data.data, data.sizes, strict=True)])


def test_in_memory_and_in_batches_come_to_the_same() -> None:
    data = Stored()
    assert embed_set(Means(), data, batch_size=4) == pytest.approx(expected(), abs=1e-6)
    assert data.asked == [4, 4, 2]
    held = InMemory()
    assert embed_set(Means(), held) == pytest.approx(expected(), abs=1e-6)
    assert not held.asked


def test_an_example_of_several_windows_is_their_mean() -> None:
    means = np.stack([expected()[:4].mean(axis=0), expected()[4:].mean(axis=0)])
    assert embed_set(Means(), Windowed(), batch_size=3) == pytest.approx(means, abs=1e-6)


def test_rows_are_averaged_by_owner() -> None:
    means = mean_by_owner(np.array([[1.0, 0.0], [0.0, 1.0], [0.5, 0.5]]), np.array([1, 0, 1]))
    assert means.tolist() == [[0.0, 1.0], [0.75, 0.25]]


class Moments(Encoder):
    """Mean and power of one channel over the signal, and what the encoder was shown at a time."""

    def __init__(self, min_length: int = 1) -> None:
        super().__init__(
            embedding_dim=2, input_spec=InputSpec(1, sample_rate=1000, min_length=min_length), config={}, pooling="mean"
        )
        self.seen: list[tuple[int, ...]] = []

    def encode(self, signals: Tensor, lengths: Tensor | None = None, **_: Any) -> Tensor:
        self.seen.append(tuple(signals.shape))
        return torch.cat((signals, signals.square()), dim=1).transpose(1, 2)


@pytest.fixture
def recordings(tmp_path: Path) -> AudioSet:
    """Recordings of 0.3, 2, 0.05, 1 and 0.5 s, each louder towards its end; windows of 0.2 s must not count."""
    for number, seconds in enumerate((0.3, 2.0, 0.05, 1.0, 0.5)):
        wave = np.linspace(0, 0.1 + 0.1 * number, round(1000 * seconds), dtype=np.float32)
        soundfile.write(tmp_path / f"{number}.wav", wave, 1000, subtype="FLOAT")
    return AudioSet.from_manifest(tmp_path, sample_rate=1000, window=200)


def test_recordings_are_seen_whole_whatever_their_batch(recordings: AudioSet) -> None:
    waves = [recordings.recording(row)[0].numpy() for row in range(5)]
    means = np.asarray([[wave.mean(), (wave**2).mean()] for wave in waves])
    for batch_s, batches in ((1e-3, 5), (2.0, 3), (100.0, 1)):
        encoder = Moments()
        assert embed_recordings(encoder, recordings, batch_s=batch_s) == pytest.approx(means, abs=1e-6)
        assert len(encoder.seen) == batches
        assert all(shape[0] == 1 or shape[0] * shape[2] <= batch_s * 1000 for shape in encoder.seen)
    short = Moments(min_length=100)
    padded = np.asarray([waves[2].sum(), (waves[2] ** 2).sum()]) / 100
    assert embed_recordings(short, recordings.subset([2])) == pytest.approx(padded[None], abs=1e-6)


def test_crops_are_evenly_spaced_from_end_to_end(recordings: AudioSet) -> None:
    found = embed_crops(Moments(), recordings, crops=3, crop_s=0.4, batch_size=2)
    assert found.shape == (5, 3, 2)
    long, short = recordings.recording(1)[0].numpy(), recordings.recording(2)[0].numpy()
    assert found[1, :, 0] == pytest.approx([long[:400].mean(), long[800:1200].mean(), long[1600:].mean()], abs=1e-6)
    assert found[2, :, 0] == pytest.approx([np.tile(short, 8).mean()] * 3, abs=1e-6)
    with pytest.raises(ValueError, match="crops=0"):
        embed_crops(Moments(), recordings, crops=0)
