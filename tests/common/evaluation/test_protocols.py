"""The protocols on an encoder whose embeddings are known."""

import numpy as np
import pytest
import torch

from antiphon.common.encoder import Encoder, InputSpec
from antiphon.common.evaluation.protocols import classification, few_labels
from antiphon.domains.time_series import TimeSeriesSet


class First(Encoder):
    """The first two samples are the embedding."""

    def __init__(self) -> None:
        super().__init__(embedding_dim=2, input_spec=InputSpec(channels=1), config={})

    def encode(self, signals, lengths=None, *, mask=None, context=None) -> torch.Tensor:
        return signals[:, :, :2]


def blobs(count: int, seed: int) -> TimeSeriesSet:
    random = np.random.default_rng(seed)
    labels = np.arange(count) % 3
    centres = np.array([[0.0, 5.0], [5.0, 0.0], [-5.0, -5.0]])
    signals = np.zeros((count, 1, 4), np.float32)
    signals[:, 0, :2] = centres[labels] + random.normal(size=(count, 2))
    return TimeSeriesSet.from_arrays(signals, labels)


@pytest.mark.parametrize("probe", ["svm", "linear", "knn"])
def test_classification(probe: str) -> None:
    scores = classification(First(), blobs(60, 0), blobs(30, 1), probe=probe)
    assert scores["knn_accuracy"] > 0.95 and all(value > 0.95 for value in scores.values())
    assert set(scores) == (
        {"knn_accuracy"} if probe == "knn" else {"accuracy", "balanced_accuracy", "macro_f1", "auprc", "knn_accuracy"}
    )


def test_few_labels() -> None:
    scores = few_labels(First(), blobs(60, 0), blobs(30, 1), shots=(1, 10), repeats=3)
    assert list(scores) == ["accuracy_1_shot", "accuracy_10_shot"]
    assert scores["accuracy_10_shot"] >= scores["accuracy_1_shot"] > 0.6


def test_what_is_wrong_is_named() -> None:
    unlabelled = TimeSeriesSet.from_arrays(np.zeros((3, 1, 4), np.float32))
    with pytest.raises(ValueError, match="the training set has no labels"):
        classification(First(), unlabelled, blobs(6, 0))
    with pytest.raises(ValueError, match="unknown probe 'tree'"):
        classification(First(), blobs(6, 0), blobs(6, 1), probe="tree")
