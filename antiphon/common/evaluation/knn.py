"""Nearest neighbours in the embedding space: the probe with nothing to train."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import normalize

from antiphon.common.evaluation.inputs import Embeddings, Labels, embedding_tensor, label_array, same_dimension

Metric = Literal["cosine", "euclidean"]
_CHUNK_ROWS = 1024


def _votes(test: Tensor, train: Tensor, classes: Tensor, class_count: int, k: int, temperature: float, metric: Metric) -> Tensor:
    """(M, C) votes of the k nearest training rows for each test row."""
    if metric == "cosine":
        nearest, rows = (test @ train.T).topk(k, dim=1)
        weights = ((nearest - nearest[:, :1]) / temperature).exp()  # relative to the best: no overflow, same winner
    else:
        rows = torch.cdist(test, train).topk(k, dim=1, largest=False).indices
        weights = torch.ones_like(rows, dtype=test.dtype)
    return torch.zeros(len(test), class_count, dtype=test.dtype, device=test.device).scatter_add_(1, classes[rows], weights)


def knn_predict(
    train_embeddings: Embeddings,
    train_labels: Labels,
    test_embeddings: Embeddings,
    *,
    k: int = 20,
    temperature: float = 0.07,
    metric: Metric = "cosine",
) -> NDArray[Any]:
    """The class of each test embedding, by a vote among its k nearest training embeddings.

    Cosine neighbours vote with weight exp(similarity / temperature) (Wu et al., CVPR 2018). Euclidean neighbours vote equally,
    since distances have no common scale that one temperature would fit; `temperature` is then not read. A tie goes to the smallest
    label. `k` larger than the training set means all of it.

    Args:
        train_embeddings: (N, D) array or tensor.
        train_labels: (N,) of any type.
        test_embeddings: (M, D).
        k: number of neighbours.
        temperature: softness of the cosine vote.
        metric: "cosine" or "euclidean".

    Returns:
        (M,) predicted labels, of the type of `train_labels`.

    Raises:
        ValueError: shapes that do not fit, NaN in the embeddings, k < 1, temperature <= 0 or an unknown metric.
    """
    if k < 1 or temperature <= 0:
        raise ValueError(f"kNN needs k >= 1 and temperature > 0, got k={k} and temperature={temperature}")
    if metric not in ("cosine", "euclidean"):
        raise ValueError(f"metric must be 'cosine' or 'euclidean', got {metric!r}")
    train = embedding_tensor(train_embeddings, "train embeddings")
    test = embedding_tensor(test_embeddings, "test embeddings").to(train)
    same_dimension(train, test)
    names, codes = np.unique(label_array(train_labels, len(train), "train labels"), return_inverse=True)
    classes = torch.as_tensor(codes, device=train.device)
    if metric == "cosine":
        train, test = normalize(train, dim=1), normalize(test, dim=1)
    k = min(k, len(train))
    winners = [
        _votes(chunk, train, classes, len(names), k, temperature, metric).argmax(dim=1).cpu() for chunk in test.split(_CHUNK_ROWS)
    ]
    predicted: NDArray[Any] = names[torch.cat(winners).numpy()]
    return predicted


def knn_accuracy(
    train_embeddings: Embeddings,
    train_labels: Labels,
    test_embeddings: Embeddings,
    test_labels: Labels,
    *,
    k: int = 20,
    temperature: float = 0.07,
    metric: Metric = "cosine",
) -> float:
    """Share of test embeddings that `knn_predict` puts into their class; a class that training lacks counts as an error."""
    predicted = knn_predict(train_embeddings, train_labels, test_embeddings, k=k, temperature=temperature, metric=metric)
    return float((predicted == label_array(test_labels, len(predicted), "test labels")).mean())
