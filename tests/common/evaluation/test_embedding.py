"""Sets as embeddings: in memory, read batch by batch, and of several windows an example."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from antiphon.common.data.batch import SignalBatch
from antiphon.common.encoder import Encoder, InputSpec
from antiphon.common.evaluation.embedding import embed_set, mean_by_owner


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
